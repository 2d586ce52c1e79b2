"use strict";
// What was read of a page: the passages that were used stand out, the rest is folded around them;
// and the way from a citation to its passage and back. Needs dom.js.
// Defines: pageElement, flashHighlight, returnToCitation.

/** UTF-16 units that are shown around a passage; the rest is folded. */
const CONTEXT_UNITS = 280;
/** Shown of a page that has no passage. */
const OPENING_UNITS = 360;
/** A rest shorter than this is not worth a fold. */
const SHORTEST_FOLD_UNITS = 120;

const LONGEST_WORD_UNITS = 24;

const WHY_USED = {
  cited: "cited in the answer",
  answer: "holds the short answer",
  reference: "holds the reference answer",
};

/** Citation that was followed last, to return to. @type {HTMLElement | null} */
let followedCitation = null;

/**
 * One page of a visit, in the pieces that `pieceOfPage` cuts.
 * @param {PagePart} part
 * @param {string} id of the element
 * @param {string} prefix of the ids of the same episode
 */
function pageElement(part, id, prefix) {
  const title = part.title || part.url;
  const heading = el("h4", { dir: "auto" }, el("a", { href: part.url }, title));
  const page = el("div", { className: "page", id, role: "group", "aria-label": `Page: ${title}` },
    el("header", null, heading, el("span", { className: "dim" }, hostOf(part.url), piece(part))));
  if (part.text) page.append(passages(part, prefix));
  return page;
}

/** @param {PagePart} part */
function piece(part) {
  const length = (part.text ?? "").length;
  const total = part.total_chars ?? 0;
  if (!length) return " · no text";
  if (!total || total <= length) return ` · ${formatNumber(length)} characters`;
  const first = part.start ?? 0;
  return ` · characters ${formatNumber(first + 1)}–${formatNumber(first + length)}` +
    ` of ${formatNumber(total)}`;
}

/**
 * @param {PagePart} part
 * @param {string} prefix
 */
function passages(part, prefix) {
  const text = part.text ?? "";
  const highlights = part.highlights ?? [];
  const box = el("div", { className: "page-text", dir: "auto" });
  if (highlights.length === 0) {
    const shown = isShortRest(text.length - OPENING_UNITS) ? text.length
      : atWord(text, OPENING_UNITS);
    box.append(visible(text.slice(0, shown)));
    appendFold(box, text.slice(shown));
    return box;
  }
  let end = 0;
  for (const span of shownSpans(highlights, text)) {
    appendFold(box, text.slice(end, span.start));
    appendMarked(box, text, span, prefix);
    end = span.end;
  }
  appendFold(box, text.slice(end));
  return box;
}

/** @param {number} units */
function isShortRest(units) {
  return units < SHORTEST_FOLD_UNITS;
}

/**
 * The next place where a word begins, so that no word is cut, if there is one near.
 * @param {string} text
 * @param {number} at
 */
function atWord(text, at) {
  const space = text.slice(Math.max(0, at), at + LONGEST_WORD_UNITS).search(/\s/);
  return space < 0 ? at : Math.max(0, at) + space + 1;
}

/**
 * What is shown: passages with their context, joined where they are close.
 * @param {Highlight[]} highlights in order
 * @param {string} text
 */
function shownSpans(highlights, text) {
  const { length } = text;
  /** @type {{start: number, end: number, highlights: Highlight[]}[]} */
  const spans = [];
  let before = 0;
  for (const highlight of highlights) {
    let start = Math.max(before, atWord(text, highlight.start - CONTEXT_UNITS));
    let end = Math.min(length, atWord(text, highlight.end + CONTEXT_UNITS));
    if (isShortRest(length - end)) end = length;
    const last = spans.at(-1);
    if (last && isShortRest(start - last.end)) {
      last.highlights.push(highlight);
      last.end = Math.max(last.end, end);
    } else {
      if (isShortRest(start - before)) start = before;
      spans.push({ start, end, highlights: [highlight] });
    }
    before = Math.max(before, end);
  }
  return spans;
}

/**
 * @param {HTMLElement} box
 * @param {string} text
 * @param {{start: number, end: number, highlights: Highlight[]}} span
 * @param {string} prefix
 */
function appendMarked(box, text, span, prefix) {
  let at = span.start;
  const ends = endsOfRuns(span.highlights, text);
  span.highlights.forEach((highlight, place) => {
    const isContinued = !ends.has(place);
    box.append(visible(text.slice(at, highlight.start)));
    box.append(usedPassage(text.slice(highlight.start, highlight.end), highlight, prefix,
      isContinued));
    at = highlight.end;
  });
  box.append(visible(text.slice(at, span.end)));
}

/**
 * The places of the highlights behind which their source does not come again before other words:
 * a passage may be cut in pieces, as where the short answer stands in it, and is one for a reader.
 * @param {Highlight[]} highlights in order
 * @param {string} text
 * @returns {Set<number>}
 */
function endsOfRuns(highlights, text) {
  const ends = new Set();
  const comeAgain = new Set();
  for (let place = highlights.length - 1; place >= 0; place--) {
    const { end, source } = highlights[place];
    const next = highlights[place + 1];
    if (next && text.slice(end, next.start).trim()) comeAgain.clear();
    if (!comeAgain.has(source)) ends.add(place);
    comeAgain.add(source);
  }
  return ends;
}

/**
 * @param {string} text
 * @param {Highlight} highlight
 * @param {string} prefix
 * @param {boolean} isContinued whether a piece that follows at once belongs to the same citation
 */
function usedPassage(text, highlight, prefix, isContinued) {
  const source = highlight.source ?? 0;
  const why = WHY_USED[highlight.why];
  const passage = el("mark", {
    className: `used used-${highlight.why}`,
    "data-source": source || null,
    tabindex: "-1",
    title: source ? `[${source}] ${why}` : why,
  }, text);
  if (highlight.why !== "cited") {
    passage.append(el("span", { className: "why" }, highlight.why));
  }
  if (!source || isContinued) return passage;
  passage.append(el("button", {
    type: "button",
    className: "back",
    "aria-label": `[${source}] back to the answer`,
    on: { click: () => returnToCitation(source, prefix) },
  }, `[${source}] ↩`));
  return passage;
}

/**
 * @param {HTMLElement} box
 * @param {string} text
 */
function appendFold(box, text) {
  if (!text) return;
  box.append(el("details", { className: "fold" },
    el("summary", null, `… ${formatNumber(text.length)} more characters`),
    el("div", { className: "folded", dir: "auto" }, text)));
}

/**
 * Shows the passage that a citation refers to, else the page, else the step.
 * @param {number} stepIndex
 * @param {number} pageIndex
 * @param {number} sourceNumber
 * @param {string} [prefix] of the episode's ids, where a page shows two
 * @returns {boolean} whether there is something to show
 */
function flashHighlight(stepIndex, pageIndex, sourceNumber, prefix = "") {
  const step = document.getElementById(`${prefix}step-${stepIndex}`);
  if (!step) return false;
  const focused = document.activeElement;
  if (focused instanceof HTMLElement && focused.matches(".cite")) followedCitation = focused;
  const page = document.getElementById(`${prefix}step-${stepIndex}-page-${pageIndex}`) ?? step;
  const passage = page.querySelector(`mark[data-source="${sourceNumber}"]`);
  flash(/** @type {HTMLElement} */ (passage ?? page));
  return true;
}

/**
 * Opens what is folded around an element, brings it to the middle and gives it the focus.
 * @param {HTMLElement} element
 */
function flash(element) {
  let fold = element.closest("details");
  while (fold) {
    fold.open = true;
    fold = fold.parentElement?.closest("details") ?? null;
  }
  if (!element.matches("a, button, [tabindex]")) element.setAttribute("tabindex", "-1");
  element.focus({ preventScroll: true });
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const isTall = element.offsetHeight > innerHeight / 2;
  element.scrollIntoView({ block: isTall ? "start" : "center",
    behavior: isCalm ? "instant" : "smooth" });
  element.classList.remove("flash");
  requestAnimationFrame(() => element.classList.add("flash"));
}

/**
 * Goes from a passage back to the citation that led to it, else to the first one of its number.
 * @param {number} source
 * @param {string} [prefix]
 */
function returnToCitation(source, prefix = "") {
  const answer = document.getElementById(`${prefix}answer`);
  const isSame = followedCitation?.isConnected &&
    followedCitation.dataset.cites === String(source) && answer?.contains(followedCitation);
  const citation = isSame ? followedCitation
    : answer?.querySelector(`[data-cites="${source}"]`) ?? answer;
  if (citation instanceof HTMLElement) flash(citation);
}
