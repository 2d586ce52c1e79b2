"use strict";
// The answer of a run and its sources. Needs dom.js, markup.js, passages.js.
// Defines: answerElement, sourcesElement, showEvidence.

/**
 * The answer, with the id `answer`; a citation jumps to its passage.
 * @param {Pick<EpisodeView, "answer" | "short_answer" | "sources">} episode
 * @param {{prefix?: string, onCite?: (number: number) => void}} [options] what a citation does
 *   instead
 * @returns {HTMLElement}
 */
function answerElement(episode, options = {}) {
  const prefix = options.prefix ?? "";
  const onCite = options.onCite ??
    ((/** @type {number} */ number) => showEvidence(episode.sources ?? [], number, prefix));
  const nodes = episode.answer ?? [];
  const text = el("div", { className: "prose", dir: "auto" });
  text.append(nodes.length ? markup(nodes, { onCite }) : "There is no answer.");
  const name = nameOf("Answer", prefix);
  return el("section", { className: "answer", id: `${prefix}answer`, "aria-label": name }, text,
    episode.short_answer ? el("p", { className: "short" },
      el("span", { className: "label" }, "Short answer"), " ",
      el("strong", { dir: "auto" }, episode.short_answer)) : null);
}

/**
 * Goes to the passage of a source, else to its line among the sources.
 * @param {SourceView[]} sources
 * @param {number} number
 * @param {string} [prefix]
 */
function showEvidence(sources, number, prefix = "") {
  const source = sources.find((one) => one.number === number);
  const step = source?.step ?? -1;
  if (step >= 0 && flashHighlight(step, source?.page ?? 0, number, prefix)) return;
  const line = document.getElementById(`${prefix}source-${number}`);
  if (line) flash(line);
  else announce(`Source ${number} is not among the pages that were read.`);
}

/**
 * The pages that were visited, numbered as the answer cites them; each has the id `source-NUMBER`.
 * @param {Pick<EpisodeView, "sources">} episode
 * @param {{prefix?: string}} [options]
 * @returns {HTMLElement}
 */
function sourcesElement(episode, options = {}) {
  const prefix = options.prefix ?? "";
  const sources = episode.sources ?? [];
  const lines = sources.map((source) => el("li", { id: `${prefix}source-${source.number}` },
    el("span", { className: "number" }, `[${source.number}]`),
    el("span", { dir: "auto" }, el("a", { href: source.url }, source.title || source.url), " ",
      el("span", { className: "dim" }, hostOf(source.url)), " ",
      source.is_cited ? null : el("span", { className: "badge" }, "read, not cited"), " ",
      evidenceButton(source, prefix))));
  return el("ul", { className: "sources", "aria-label": nameOf("Sources", prefix) }, ...lines);
}

/**
 * @param {SourceView} source
 * @param {string} prefix
 */
function evidenceButton(source, prefix) {
  const step = source.step ?? -1;
  if (step < 0) return null;
  return el("button", {
    type: "button",
    className: "quiet",
    "aria-label": `Evidence of source ${source.number}`,
    on: { click: () => flashHighlight(step, source.page ?? 0, source.number, prefix) },
  }, "evidence");
}
