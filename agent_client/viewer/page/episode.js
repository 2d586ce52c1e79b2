"use strict";
// One question: what was answered and how it was judged, and all that was done about it.
// Needs pages' scripts, state.js, rows.js, stations.js.
// Defines: episodeElement, toggleAllFolds, toggleThinking, focusNextCitation.

/**
 * @typedef {object} EpisodeOptions
 * @property {string} [prefix] of the ids, where two are shown side by side
 * @property {string} [title] instead of the question
 */

/**
 * @param {EpisodeView} episode
 * @param {EpisodeOptions} [options]
 * @returns {HTMLElement}
 */
function episodeElement(episode, options = {}) {
  const prefix = options.prefix ?? "";
  const main = el("div", { className: "episode-main" },
    outcomeCard(episode, prefix), stationsElement(episode, prefix), trajectory(episode, prefix));
  const aside = el("aside", { className: "episode-aside", "aria-label": nameOf("Facts", prefix) },
    sourcesCard(episode, prefix), factsCard(episode));
  return el("article", { className: "episode", "data-prefix": prefix || null },
    episodeHead(episode, options), el("div", { className: "episode-columns" }, main, aside));
}

/**
 * @param {EpisodeView} episode
 * @param {EpisodeOptions} options
 */
function episodeHead(episode, options) {
  const endings = [episode.status, episode.stop_reason].filter((one) => one && one !== "ok" &&
    one !== "answered");
  const title = el(options.title ? "h2" : "h1",
    { className: "question", dir: "auto", tabindex: "-1" }, options.title ?? episode.question);
  const damaged = episode.unreadable
    ? el("span", { className: "badge warn" }, `${episode.unreadable} damaged lines`) : null;
  return el("header", { className: "episode-head" }, title,
    el("p", { className: "badges" }, standingBadge(episode.standing ?? ""),
      ...endings.map((one) => el("span", { className: "badge warn" }, words(one ?? ""))), damaged,
      episode.standing ? el("span", { className: "dim", dir: "auto" }, episode.id +
        (episode.repeat ? ` · answer ${episode.repeat + 1}` : "")) : null),
    episode.error ? el("p", { className: "fault", dir: "auto" }, episode.error) : null,
    episode.hint ? el("p", { className: "dim", dir: "auto" }, episode.hint) : null);
}

/** @param {Standing | ""} standing */
function standingBadge(standing) {
  if (!standing) return null;
  const look = STANDING_LOOKS[standing];
  return el("span", { className: `badge ${look.kind}` }, `${look.sign} ${look.label}`);
}

/**
 * @param {EpisodeView} episode
 * @param {string} prefix
 */
function outcomeCard(episode, prefix) {
  const [reference, ...aliases] = episode.answers ?? [];
  const short = episode.short_answer ?? "";
  const compared = reference === undefined ? null : el("dl", { className: "compared" },
    el("div", null, el("dt", null, "Reference"), el("dd", { dir: "auto" },
      el("strong", { dir: "auto" }, reference), aliases.length
        ? el("span", { className: "dim" }, ` also: ${aliases.join(" · ")}`) : null)),
    el("div", null, el("dt", null, "Answered"), el("dd", { dir: "auto" },
      short ? el("strong", { dir: "auto" }, short) : el("span", { className: "dim" },
        episode.answer?.length ? "no short answer" : "nothing"))));
  const bare = { ...episode, short_answer: reference === undefined ? short : "" };
  const name = nameOf("Outcome", prefix);
  return el("section", { className: "card outcome", "aria-label": name }, compared,
    ...(episode.verdicts ?? []).map(verdictElement), answerElement(bare, { prefix }));
}

/** @param {VerdictView} verdict */
function verdictElement(verdict) {
  const look = Object.hasOwn(STANDING_LOOKS, verdict.grade)
    ? STANDING_LOOKS[/** @type {Standing} */ (verdict.grade)]
    : { sign: verdict.error ? "!" : "·", label: verdict.grade, kind: verdict.error ? "bad" : "" };
  const by = [verdict.grader, verdict.judge, verdict.rule].filter(Boolean).join(" · ");
  const score = verdict.score === undefined ? "" : ` ${verdict.score}`;
  return el("div", { className: "verdict" },
    el("p", null, el("span", { className: `badge ${look.kind}` },
      `${look.sign} ${look.label}${score}`), " ",
    el("span", { className: "dim", dir: "auto" }, by)),
    verdict.said ? el("blockquote", { dir: "auto" }, verdict.said) : null,
    verdict.error ? el("p", { className: "fault", dir: "auto" }, verdict.error) : null,
    verdict.graded ? el("details", { className: "fold" }, el("summary", null, "Compared text"),
      el("div", { className: "folded", dir: "auto" }, verdict.graded)) : null);
}

/**
 * @param {EpisodeView} episode
 * @param {string} prefix
 */
function trajectory(episode, prefix) {
  const steps = episode.steps ?? [];
  const times = timesOfSteps(steps);
  const options = { prefix, sources: episode.sources ?? [], times };
  const items = steps.map((step, index) => {
    const item = stepElement(step, index, options);
    addCopyButton(item, step);
    return item;
  });
  noteEvidence(episode, items);
  const time = times.total ? ` · ${formatSeconds(times.total)}` : "";
  return el("section", { className: "trajectory", "aria-label": nameOf("Trajectory", prefix) },
    el("h2", null, "Trajectory ", el("span", { className: "dim" },
      `${formatNumber(steps.length)} steps${time}`)),
    el("ol", { className: "timeline" }, ...items));
}

/**
 * @param {HTMLElement} item
 * @param {AnyStep} step
 */
function addCopyButton(item, step) {
  if (step.kind === "turn" || step.kind === "mark") return;
  const call = { name: step.tool, arguments: step.arguments };
  item.querySelector(".costs")?.prepend(el("button", {
    type: "button", className: "quiet no-print", "aria-label": `Copy the call of ${step.tool}`,
    on: { click: () => copyText(JSON.stringify(call, null, 2), "The call") },
  }, "copy"));
}

/**
 * Marks the steps where the evidence came in.
 * @param {EpisodeView} episode
 * @param {HTMLElement[]} items
 */
function noteEvidence(episode, items) {
  const note = (/** @type {number | undefined} */ step, /** @type {string} */ text) => {
    const badges = items[step ?? -1]?.querySelector(".badges");
    badges?.append(el("span", { className: "badge good" }, text));
  };
  const gold = episode.gold ?? [];
  for (const step of new Set(gold.map((page) => page.hit_step))) note(step, "finds evidence");
  for (const step of new Set(gold.map((page) => page.visit_step))) note(step, "opens evidence");
  note(episode.answer_seen_step, (episode.answers ?? []).length ? "reference answer appears"
    : "answer appears");
}

/**
 * @param {EpisodeView} episode
 * @param {string} prefix
 */
function sourcesCard(episode, prefix) {
  if (!episode.sources?.length) return null;
  return el("section", { className: "card" }, el("h2", null, "Sources"),
    sourcesElement(episode, { prefix }));
}

/** @param {EpisodeView} episode */
function factsCard(episode) {
  if (!episode.facts?.length) return null;
  return el("section", { className: "card" }, el("h2", null, "Facts"),
    pairs(episode.facts, "facts"));
}

/** Opens every fold of the page, or closes all where none is closed. */
function toggleAllFolds() {
  const folds = [...document.querySelectorAll(".episode details:not([hidden])")];
  const isClosing = folds.every((fold) => fold.hasAttribute("open"));
  for (const fold of folds) fold.toggleAttribute("open", !isClosing);
  for (const list of document.querySelectorAll(".hits")) {
    const button = list.parentElement?.querySelector(".previews");
    if (button instanceof HTMLElement) showWhole(list, button, !isClosing);
  }
  announce(isClosing ? "All folded." : "All opened.");
}

/** Opens the thinking of all turns, or folds it. */
function toggleThinking() {
  const folds = [...document.querySelectorAll("details.thinking:not([hidden])")];
  const isClosing = folds.every((fold) => fold.hasAttribute("open"));
  for (const fold of folds) fold.toggleAttribute("open", !isClosing);
  announce(isClosing ? "Thinking folded." : "Thinking opened.");
}

/** Gives the next citation of the answer the focus. */
function focusNextCitation() {
  const citations = [...document.querySelectorAll(".answer .cite")];
  if (citations.length === 0) {
    announce("The answer cites nothing.");
    return;
  }
  const at = citations.indexOf(/** @type {Element} */ (document.activeElement));
  const next = citations[(at + 1) % citations.length];
  if (next instanceof HTMLElement) flash(next);
}
