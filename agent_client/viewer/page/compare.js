"use strict";
// Two runs, question by question: those that flipped, and two episodes side by side.
// Needs pages' scripts, state.js, rows.js, grid.js, episode.js.
// Defines: FLIP_LOOKS, ComparisonPage, sideBySide.

const FLIP_LOOKS = {
  gained: { sign: "▲", label: "gained", kind: "good" },
  lost: { sign: "▼", label: "lost", kind: "bad" },
  both_wrong: { sign: "✗", label: "both wrong", kind: "" },
  both_correct: { sign: "✓", label: "both correct", kind: "" },
  other: { sign: "·", label: "other", kind: "" },
};

class ComparisonPage {
  /**
   * @param {ViewIndex} index of two runs
   * @param {() => ViewState} now
   * @param {(row: number) => void} onOpen with the place among the flips
   */
  constructor(index, now, onOpen) {
    this.index = index;
    this.now = now;
    this.grid = new Grid({ label: "Questions of both runs", onOpen,
      columns: flipColumns(() => this.index, now) });
    this.kinds = el("div", { className: "kinds no-print", role: "group",
      "aria-label": "Kinds of questions" });
    this.count = el("p", { className: "dim count", role: "status" });
    this.lines = el("div", { className: "card lines" });
    this.nothing = el("p", { className: "nothing", hidden: true },
      "No question is of these kinds. Choose others above.");
    this.element = el("div", null, el("h1", { className: "off-screen" }, "Comparison"),
      this.lines, el("div", { className: "filter-bar" }, this.kinds, this.count),
      this.grid.element, this.nothing);
  }

  /** The places of the flips that are wanted. */
  wanted() {
    const kinds = new Set(this.now().flips.split(","));
    const flips = this.index.comparison?.flips ?? [];
    return flips.map((_, place) => place).filter((place) => kinds.has(flips[place].kind));
  }

  update() {
    const { comparison, runs } = this.index;
    const [first, second] = runs ?? [];
    clear(this.lines).append(
      el("p", { className: "versus" }, runName("A", first), " → ", runName("B", second)),
      ...(comparison?.lines ?? []).map((line) => el("p", { dir: "auto" }, line)));
    const chosen = this.now().flips.split(",");
    clear(this.kinds).append(...Object.entries(FLIP_LOOKS).map(([kind, look]) => {
      const count = (comparison?.flips ?? []).filter((flip) => flip.kind === kind).length;
      return el("button", { type: "button", "aria-pressed": String(chosen.includes(kind)),
        on: { click: () => this.#toggle(kind) } }, `${look.sign} ${look.label} `,
      el("span", { className: "dim" }, formatNumber(count)));
    }));
    const wanted = this.wanted();
    this.count.textContent = `${formatNumber(wanted.length)} questions`;
    this.nothing.hidden = wanted.length > 0;
    this.grid.show(wanted);
  }

  /** @param {string} kind */
  #toggle(kind) {
    const focused = [...this.kinds.children].indexOf(/** @type {Element} */
      (document.activeElement));
    const chosen = this.now().flips.split(",").filter(Boolean);
    const flips = chosen.includes(kind) ? chosen.filter((one) => one !== kind)
      : [...chosen, kind];
    changeState({ ...this.now(), flips: flips.join(",") });
    const button = this.kinds.children[focused];
    if (button instanceof HTMLElement) button.focus();
  }
}

/**
 * @param {string} letter
 * @param {RunIndex | undefined} run
 */
function runName(letter, run) {
  return el("span", { dir: "auto" }, el("span", { className: "badge" }, letter), " ",
    el("strong", null, run?.name ?? ""), " ", formatShare(run?.score.share ?? null));
}

/**
 * @param {() => ViewIndex} index
 * @param {() => ViewState} now
 * @returns {GridColumn[]}
 */
function flipColumns(index, now) {
  const flip = (/** @type {number} */ place) => index().comparison?.flips[place];
  const rows = (/** @type {number} */ run) => index().runs?.[run]?.rows;
  /** @type {(run: 0 | 1) => (place: number) => Child} */
  const answer = (run) => (place) => {
    const row = (run ? flip(place)?.second : flip(place)?.first) ?? -1;
    const standing = rows(run)?.standing[row];
    return el("span", { className: "clip", dir: "auto" },
      standing ? `${STANDING_LOOKS[standing].sign} ` : "", rows(run)?.answer[row] || "no answer");
  };
  return [
    { name: "kind", label: "Change", className: "verdict-cell",
      cell: (place) => flipBadge(flip(place)?.kind ?? "other") },
    { name: "question", label: "Question", className: "question-cell", cell: (place) => {
      const open = { ...now(), question: flip(place)?.id ?? "", repeat: 0 };
      return el("a", { className: "clip", dir: "auto", href: stateHash(open) },
        rows(0)?.question[flip(place)?.first ?? -1] ?? flip(place)?.id ?? "");
    } },
    { name: "reference", label: "Reference", className: "text-cell wide-only", cell: (place) =>
      el("span", { className: "clip", dir: "auto" },
        rows(0)?.reference[flip(place)?.first ?? -1] ?? "") },
    { name: "a", label: "A", className: "text-cell", cell: answer(0) },
    { name: "b", label: "B", className: "text-cell", cell: answer(1) },
  ];
}

/** @param {FlipKind} kind */
function flipBadge(kind) {
  const look = FLIP_LOOKS[kind];
  return el("span", { className: `standing ${look.kind}` },
    el("span", { className: "sign", "aria-hidden": "true" }, look.sign), " ",
    el("span", { className: "word" }, look.label));
}

/**
 * @param {ViewIndex} index
 * @param {Flip} flip
 * @param {[EpisodeView, EpisodeView]} episodes
 */
function sideBySide(index, flip, episodes) {
  const [first, second] = index.runs ?? [];
  const columns = [first, second].map((run, place) => el("div", { className: "side" },
    episodeElement(episodes[place], { prefix: place ? "b-" : "a-",
      title: `${place ? "B" : "A"} · ${run?.name ?? ""}` })));
  return el("div", null,
    el("h1", { className: "question", dir: "auto", tabindex: "-1" }, episodes[0].question),
    el("p", null, flipBadge(flip.kind)),
    el("div", { className: "sides" }, ...columns));
}
