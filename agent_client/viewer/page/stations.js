"use strict";
// How far each page with the evidence came: found by a search, opened, cited; and where it stopped.
// Needs dom.js, rows.js, passages.js, timeline.js. Defines: stationsElement.

/** How many stations each path has reached. */
const STATIONS_REACHED = { not_retrieved: 0, not_opened: 1, not_cited: 2, cited: 3 };

/**
 * @param {EpisodeView} episode
 * @param {string} prefix
 * @returns {HTMLElement | null} null where nothing is known of it
 */
function stationsElement(episode, prefix) {
  const gold = episode.gold ?? [];
  const seen = episode.answer_seen_step ?? -1;
  if (gold.length === 0 && seen < 0) return null;
  const rows = gold.map((page) => el("li", null,
    el("span", { className: "gold-name", dir: "auto" }, page.name), stationsOf(page, prefix)));
  const isRun = (episode.answers ?? []).length > 0;
  const name = nameOf("Evidence path", prefix);
  return el("section", { className: "card evidence", "aria-label": name },
    el("h2", null, "Evidence path", episode.path
      ? el("span", { className: `badge ${pathKind(episode.path)}` }, PATH_WORDS[episode.path])
      : null),
    lossElement(gold, prefix),
    rows.length ? el("ul", { className: "stations" }, ...rows) : null,
    seen < 0
      ? el("p", { className: "dim" }, "No step shows the reference answer in words.")
      : el("p", null, `The ${isRun ? "reference" : "short"} answer first appears in `,
        stepLink(seen, `step ${seen + 1}`, prefix), "."));
}

/**
 * One sentence on the page that was lost first.
 * @param {GoldPage[]} gold
 * @param {string} prefix
 */
function lossElement(gold, prefix) {
  const reached = (/** @type {GoldPage} */ page) => STATIONS_REACHED[page.path];
  const lost = gold.toSorted((a, b) => reached(a) - reached(b))[0];
  if (!lost || lost.path === "cited") return null;
  const step = (lost.path === "not_opened" ? lost.hit_step : lost.visit_step) ?? -1;
  const link = step < 0 ? "" : stepLink(step, `step ${step + 1}`, prefix);
  const name = el("strong", { dir: "auto" }, lost.name);
  if (lost.path === "not_retrieved") return el("p", null, "No search found ", name, ".");
  const [did, missed] = lost.path === "not_opened" ? ["was found", "never opened"]
    : ["was opened", "never cited"];
  return el("p", null, name, ` ${did} `, link && "in ", link, link && " ", `and ${missed}.`);
}

/** @param {EvidencePath} path */
function pathKind(path) {
  return path === "all_cited" ? "good" : path === "not_cited" ? "warn" : "bad";
}

/**
 * @param {GoldPage} page
 * @param {string} prefix
 */
function stationsOf(page, prefix) {
  const reached = STATIONS_REACHED[page.path];
  const stations = [
    { name: "retrieved", step: page.hit_step ?? -1 },
    { name: "opened", step: page.visit_step ?? -1 },
    { name: "cited", step: -1 },
  ];
  return el("ol", { className: "path" }, ...stations.map(({ name, step }, place) => {
    const isReached = place < reached;
    const text = isReached ? `✓ ${name}` : `✗ ${place === 0 ? "never" : "not"} ${name}`;
    const kind = isReached ? "reached" : place === reached ? "broken" : "unreached";
    return el("li", { className: kind },
      isReached && step >= 0 ? stepLink(step, text, prefix) : el("span", null, text),
      isReached && step >= 0 ? el("span", { className: "dim" }, ` step ${step + 1}`) : null);
  }));
}

/**
 * @param {number} step
 * @param {string} text
 * @param {string} prefix
 */
function stepLink(step, text, prefix) {
  const id = `${prefix}step-${step}`;
  return el("a", { href: `#${id}`, on: { click: jumpTo(id) } }, text);
}
