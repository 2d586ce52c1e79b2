"use strict";
// The steps of a run, one list item each, for `<ol class="timeline">`. Needs dom.js, passages.js.
// Defines: stepElement, updateStep, streamIntoTurn, timesOfSteps.

/**
 * @typedef {object} StepOptions
 * @property {string} [prefix] of the ids, where a page shows two episodes
 * @property {SourceView[]} [sources] marks hits that were read, and cited
 * @property {StepTimes} [times] draws the step's share of the run
 */
/** @typedef {{total: number, starts: number[]}} StepTimes in seconds */

const REPAIR_WORDS = {
  relaxed_form: "the call was not in the usual form",
  tolerant_json: "its JSON was repaired",
  closed_brackets: "open brackets or quotes were closed",
  coerced_arguments: "arguments were turned into the asked types",
};
const KIND_WORDS = { turn: "Model", search: "Search", visit: "Visit", call: "Tool", mark: "Note" };
/** Characters of a reasoning that its folded line shows. */
const GLIMPSE_CHARACTERS = 110;

/** @type {WeakMap<HTMLElement, {index: number, options: StepOptions}>} */
const shownSteps = new WeakMap();

/**
 * A step, with the id `step-INDEX`.
 * @param {AnyStep} step
 * @param {number} index
 * @param {StepOptions} [options]
 * @returns {HTMLElement} a list item
 */
function stepElement(step, index, options = {}) {
  const item = el("li", { id: `${options.prefix ?? ""}step-${index}` });
  shownSteps.set(item, { index, options });
  fillStep(item, step, index, options);
  return item;
}

/**
 * Shows a step anew; what a reader has opened stays open.
 * @param {HTMLElement} element of `stepElement`
 * @param {AnyStep} step
 */
function updateStep(element, step) {
  const shown = shownSteps.get(element);
  if (!shown) throw new TypeError("not a step");
  const opened = [...element.querySelectorAll("details")].map((details) => details.open);
  fillStep(element, step, shown.index, shown.options);
  [...element.querySelectorAll("details")].forEach((details, place) => {
    if (opened[place]) details.open = true;
  });
}

/**
 * Adds words to a turn that is still open.
 * @param {HTMLElement} element of `stepElement`
 * @param {"thinking" | "text"} part
 * @param {string} words
 */
function streamIntoTurn(element, part, words) {
  const place = element.querySelector(part === "thinking" ? ".thinking" : ".said");
  if (!place || !words) return;
  place.removeAttribute("hidden");
  const text = part === "thinking" ? place.querySelector(".thought") : place;
  text?.append(visible(words));
}

/**
 * @param {HTMLElement} item
 * @param {AnyStep} step
 * @param {number} index
 * @param {StepOptions} options
 */
function fillStep(item, step, index, options) {
  const isOpen = "is_open" in step && step.is_open;
  const isError = "is_error" in step && step.is_error;
  item.className = `step step-${step.kind}${isOpen ? " is-open" : ""}${isError ? " is-bad" : ""}`;
  const content = el("div", { className: "content" }, stepHead(step, index, options));
  if (step.kind === "turn") content.append(...turnBody(step));
  else if (step.kind === "search") content.append(...searchBody(step, options));
  else if (step.kind === "visit") content.append(...visitBody(step, index, options));
  else if (step.kind === "call") content.append(...callBody(step));
  clear(item).append(el("span", { className: "station" }, icon(step.kind)), content);
}

/**
 * @param {AnyStep} step
 * @param {number} index
 * @param {StepOptions} options
 */
function stepHead(step, index, options) {
  const kind = step.kind === "call" ? step.tool : KIND_WORDS[step.kind];
  const said = stepTitle(step);
  return el("header", { className: "step-head" },
    el("h3", null, el("span", { className: "step-number" }, String(index + 1)), " ",
      el("span", { className: "kind" }, kind), said ? " " : null,
      said ? el("span", { className: "about", dir: "auto" }, said) : null),
    el("span", { className: "badges" }, ...stepBadges(step)),
    stepCosts(step, index, options));
}

/** @param {AnyStep} step */
function stepTitle(step) {
  if (step.kind === "search") return step.query ?? "";
  if (step.kind === "mark") return step.text;
  if (step.kind === "turn") return `turn ${step.turn}`;
  if (step.kind !== "visit") return "";
  const [page, ...more] = step.pages ?? [];
  const first = page ? page.title || hostOf(page.url) : hostOf(step.asked?.[0] ?? "");
  return more.length ? `${first} and ${more.length} more` : first;
}

/**
 * @param {AnyStep} step
 * @returns {HTMLElement[]}
 */
function stepBadges(step) {
  /** @type {HTMLElement[]} */
  const badges = [];
  /** @type {(kind: string, text: string, title?: string) => void} */
  const badge = (kind, text, title) => {
    badges.push(el("span", { className: `badge ${kind}`, title }, text));
  };
  if (step.kind === "mark") badge("warn", step.name.replaceAll("_", " "));
  else if (step.kind === "turn") {
    if (step.retries) badge("warn", `asked ${step.retries + 1} times`);
    if (step.discarded) badge("bad", "reply thrown away");
    for (const why of step.malformed ?? []) badge("bad", "unreadable call", why);
  } else {
    if (step.is_error) badge("bad", (step.error_kind || "failed").replaceAll("_", " "));
    if (step.is_cached) badge("", "from the cache");
    for (const repair of step.repairs ?? []) {
      badge("warn", `repaired: ${repair.replaceAll("_", " ")}`, REPAIR_WORDS[repair]);
    }
  }
  if (step.kind !== "mark" && step.is_open) badge("busy", "at work");
  return badges;
}

/**
 * Tokens, time and the bar of the waterfall.
 * @param {AnyStep} step
 * @param {number} index
 * @param {StepOptions} options
 */
function stepCosts(step, index, options) {
  if (step.kind === "mark") return null;
  const costs = [];
  if (step.kind === "turn" && (step.prompt_tokens || step.completion_tokens)) {
    const cached = step.cached_tokens ? `, ${formatNumber(step.cached_tokens)} from the cache` : "";
    const title = `${formatNumber(step.prompt_tokens ?? 0)} tokens read${cached}, ` +
      `${formatNumber(step.completion_tokens ?? 0)} written`;
    costs.push(el("span", { title }, `${formatNumber(step.prompt_tokens ?? 0)} → ` +
      `${formatNumber(step.completion_tokens ?? 0)} tokens`));
  }
  if (step.seconds) costs.push(el("span", null, formatSeconds(step.seconds)));
  const bar = options.times ? waterfallBar(options.times, index, step.seconds ?? 0) : null;
  return el("span", { className: "costs" }, ...costs, bar);
}

/**
 * @param {StepTimes} times
 * @param {number} index
 * @param {number} seconds
 */
function waterfallBar(times, index, seconds) {
  if (!(times.total > 0)) return null;
  const left = 100 * (times.starts[index] ?? 0) / times.total;
  const width = Math.max(1.5, 100 * seconds / times.total);
  const bar = svg("rect", { x: Math.min(left, 98.5), y: 0, width, height: 6, rx: 1 });
  const shape = { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" };
  return svg("svg", { className: "waterfall", focusable: "false", ...shape }, bar);
}

/**
 * When each step began: calls of a turn run side by side behind it.
 * @param {AnyStep[]} steps
 * @returns {StepTimes}
 */
function timesOfSteps(steps) {
  let turnEnd = 0;
  let end = 0;
  const starts = steps.map((step) => {
    if (step.kind === "mark") return end;
    const start = step.kind === "turn" ? end : turnEnd;
    end = Math.max(end, start + (step.seconds ?? 0));
    if (step.kind === "turn") turnEnd = end;
    return start;
  });
  return { total: end, starts };
}

/** @param {Turn} step */
function turnBody(step) {
  const thinking = step.thinking ?? "";
  const glimpse = thinking.trimStart().slice(0, GLIMPSE_CHARACTERS).replaceAll("\n", " ");
  const fold = el("details", { className: "thinking", hidden: !thinking },
    el("summary", null, el("span", { className: "label" }, "Thinking"),
      el("span", { className: "glimpse", dir: "auto" }, glimpse)),
    el("div", { className: "thought", dir: "auto" }, thinking));
  const said = el("div", { className: "said", dir: "auto", hidden: !step.text }, step.text);
  const faults = [step.discarded, ...step.malformed ?? []].filter(Boolean);
  return [fold, said, ...faults.map((why) => el("p", { className: "fault", dir: "auto" }, why))];
}

/**
 * @param {Search} step
 * @param {StepOptions} options
 */
function searchBody(step, options) {
  const hits = step.hits ?? [];
  const list = el("ol", { className: "hits" },
    ...hits.map((hit) => hitElement(hit, sourceOf(hit.url, options.sources ?? []), options)));
  const notes = (step.notes ?? []).map((note) => el("p", { className: "dim", dir: "auto" }, note));
  if (hits.length === 0) return [...failure(step), ...notes];
  const more = el("button", {
    type: "button", className: "quiet previews", "aria-pressed": "false",
    on: { click: () => showWhole(list, more, !list.classList.contains("is-whole")) },
  }, "Whole previews");
  return [list, el("div", { className: "under" }, more, ...notes)];
}

/**
 * @param {Element} list
 * @param {HTMLElement} button
 * @param {boolean} isWhole
 */
function showWhole(list, button, isWhole) {
  list.classList.toggle("is-whole", isWhole);
  button.setAttribute("aria-pressed", String(isWhole));
}

/**
 * @param {Hit} hit
 * @param {SourceView | undefined} source
 * @param {StepOptions} options
 */
function hitElement(hit, source, options) {
  const place = `${options.prefix ?? ""}step-${source?.step ?? -1}`;
  const whence = [hostOf(hit.url), hit.published].filter(Boolean).join(" · ");
  const read = source && source.step !== undefined && source.step >= 0;
  const badges = source ? [
    el("span", { className: source.is_cited ? "badge good" : "badge" },
      read ? el("a", { href: `#${place}`, on: { click: jumpTo(place) } }, "read") : "read",
      source.is_cited ? ` and cited [${source.number}]` : null),
  ] : [];
  return el("li", { className: source ? "is-read" : "" },
    el("div", { className: "hit-head", dir: "auto" },
      el("a", { href: hit.url }, hit.title || hit.url), " ",
      el("span", { className: "dim" }, whence), " ", ...badges),
    hit.preview ? el("p", { className: "preview", dir: "auto" }, hit.preview) : null);
}

/**
 * A click that shows an element without a change of the page's address.
 * @param {string} id
 */
function jumpTo(id) {
  return (/** @type {Event} */ event) => {
    event.preventDefault();
    const target = document.getElementById(id);
    if (target) flash(target);
  };
}

/**
 * @param {string} url
 * @param {SourceView[]} sources
 */
function sourceOf(url, sources) {
  return sources.find((source) => sameAddress(source.url) === sameAddress(url));
}

/** @param {string} url */
function sameAddress(url) {
  return url.replace(/^https?:\/\/(www\.)?/i, "").replace(/#.*$/s, "").replace(/\/$/, "");
}

/**
 * @param {Visit} step
 * @param {number} index
 * @param {StepOptions} options
 */
function visitBody(step, index, options) {
  const pages = step.pages ?? [];
  const prefix = options.prefix ?? "";
  const asked = step.query
    ? [el("p", { className: "dim", dir: "auto" }, `Looked for: ${step.query}`)] : [];
  if (pages.length === 0) {
    const addresses = (step.asked ?? []).map((url) => el("li", null, el("a", { href: url }, url)));
    return [...asked, el("ul", { className: "asked" }, ...addresses), ...failure(step)];
  }
  const shown = pages.map((part, place) =>
    pageElement(part, `${prefix}step-${index}-page-${place}`, prefix));
  return [...asked, ...shown];
}

/** @param {Call} step */
function callBody(step) {
  const sent = JSON.stringify(step.arguments ?? {}, null, 2);
  return [el("details", { className: "fold" }, el("summary", null, "Arguments"),
    el("pre", { className: "json", tabindex: "0" }, sent)), ...failure(step)];
}

/** @param {Call | Search | Visit} step */
function failure(step) {
  if (!step.text) return step.is_open ? [] : [el("p", { className: "dim" }, "Nothing came back.")];
  const kind = step.is_error ? "fault" : "page-text";
  return [el("div", { className: kind, dir: "auto" }, step.text)];
}
