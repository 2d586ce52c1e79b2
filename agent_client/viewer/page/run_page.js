"use strict";
// The page of a run: its card, its charts, its filters and its table.
// Needs pages' scripts, state.js, rows.js, grid.js, filters.js, summary.js. Defines: RunPage.

class RunPage {
  /**
   * @param {RunIndex} run
   * @param {() => ViewState} now
   * @param {(row: number) => void} onOpen
   */
  constructor(run, now, onOpen) {
    this.run = run;
    this.now = now;
    this.card = el("div");
    const all = el("button", { type: "button", className: "quiet", "aria-pressed": "false",
      on: { click: () => this.#showAllCharts(all) } }, "All at once");
    this.charts = el("section", { className: "chart-strip", "aria-label": "Charts" },
      el("header", null, el("h2", null, "Charts"), all), el("div", { className: "chart-place" }));
    this.filters = new FilterBar(now);
    this.grid = new Grid({ label: "Episodes", columns: runColumns(() => this.run, now), onOpen,
      onSort: (column) => this.#sort(column) });
    this.nothing = el("p", { className: "nothing", hidden: true },
      "No episode passes these filters.");
    this.element = el("div", null, el("h1", { className: "off-screen" }, run.name), this.card,
      this.charts, el("h2", { className: "off-screen" }, "Episodes"), this.filters.element,
      this.grid.element, this.nothing);
    /** What the charts show. @type {RunIndex | null} */
    this.drawn = null;
    this.drawnFor = "";
  }

  wanted() {
    return wantedRows(this.run.rows, this.now());
  }

  /**
   * Shows the run as it is, with the filters as they are.
   * @param {RunIndex} run
   */
  update(run) {
    const state = this.now();
    const wanted = wantedRows(run.rows, state);
    this.filters.update(run.rows, wanted.length);
    this.#draw(run, state);
    this.run = run;
    this.grid.markSort(state.sort, state.descending);
    this.grid.show(wanted);
    this.nothing.hidden = wanted.length > 0;
  }

  /**
   * Draws the card and the charts again where something about them changed.
   * @param {RunIndex} run
   * @param {ViewState} state
   */
  #draw(run, state) {
    const key = stateHash({ ...state, question: "", repeat: 0, sort: "", text: "" });
    const isSame = this.drawn === run;
    if (isSame && this.drawnFor === key) return;
    if (!isSame) {
      const folds = () => [...this.card.querySelectorAll("details")];
      const opened = folds().map((fold) => fold.open);
      clear(this.card).append(runCard(run));
      folds().forEach((fold, place) => fold.toggleAttribute("open", opened[place] ?? false));
    }
    this.drawn = run;
    this.drawnFor = key;
    const place = /** @type {HTMLElement} */ (this.charts.querySelector(".chart-place"));
    const buttons = () => [...place.querySelectorAll("button, [role=button]")];
    const focused = buttons().indexOf(/** @type {Element} */ (document.activeElement));
    clear(place).append(runCharts(run, state));
    const next = focused < 0 ? null : buttons()[focused];
    if (next instanceof HTMLElement || next instanceof SVGElement) {
      next.focus({ preventScroll: true });
    }
  }

  /** @param {HTMLElement} button */
  #showAllCharts(button) {
    const isWhole = this.charts.classList.toggle("is-whole");
    button.setAttribute("aria-pressed", String(isWhole));
    this.grid.show(this.grid.rows);
  }

  /** @param {string} column */
  #sort(column) {
    const state = this.now();
    const isSame = state.sort === column;
    if (isSame && state.descending) changeState({ ...state, sort: "", descending: false });
    else changeState({ ...state, sort: column, descending: isSame });
  }
}

/**
 * @param {() => RunIndex} run
 * @param {() => ViewState} now
 * @returns {GridColumn[]}
 */
function runColumns(run, now) {
  /** @type {(name: "reference" | "answer") => GridColumn} */
  const text = (name) => ({ name, label: columnLabel(name), className: "text-cell wide-only",
    sortable: true, cell: (row) => el("span", { className: "clip", dir: "auto" },
      run().rows[name][row] || "–") });
  /** @type {(name: string, format?: (value: number) => string) => GridColumn} */
  const number = (name, format = formatNumber) => ({ name, label: columnLabel(name),
    className: "number-cell wide-only", sortable: true,
    cell: (row) => {
      const value = Number(cellValue(run().rows, name, row));
      return value === 0 && run().rows.standing[row] === "owed" ? "–" : format(value);
    } });
  /** @type {GridColumn[]} */
  const path = run().paths === null ? [] : [{ name: "path", label: columnLabel("path"),
    className: "path-cell wide-only", sortable: true,
    cell: (row) => pathMark(run().rows.path[row]) }];
  return [
    { ...number("row"), className: "number-cell row-cell wide-only" },
    { name: "standing", label: columnLabel("standing"), className: "verdict-cell", sortable: true,
      cell: (row) => standingMark(run().rows.standing[row]) },
    { name: "question", label: columnLabel("question"), className: "question-cell",
      sortable: true, cell: (row) => questionLink(run().rows, row, now()) },
    text("reference"), text("answer"), ...path,
    { name: "stop_reason", label: columnLabel("stop_reason"), className: "ending-cell wide-only",
      sortable: true, cell: (row) => endingMark(run().rows, row) },
    { ...number("turns"), className: "number-cell wide-only spare-cell" },
    { ...number("searches"), className: "number-cell wide-only spare-cell" },
    { ...number("visits"), className: "number-cell wide-only spare-cell" },
    number("tokens", compactNumber), number("seconds", (value) => value.toFixed(1)),
  ];
}

/**
 * @param {Rows} rows
 * @param {number} row
 * @param {ViewState} state
 */
function questionLink(rows, row, state) {
  const open = { ...state, question: rows.id[row], repeat: rows.repeat[row] };
  return el("a", { className: "clip", dir: "auto", href: stateHash(open) },
    rows.question[row] || rows.id[row]);
}

/** @param {Standing} standing */
function standingMark(standing) {
  const look = STANDING_LOOKS[standing];
  return el("span", { className: `standing ${look.kind}` },
    el("span", { className: "sign", "aria-hidden": "true" }, look.sign), " ",
    el("span", { className: "word" }, look.label));
}

/** @param {EvidencePath | ""} path */
function pathMark(path) {
  if (!path) return el("span", { className: "dim" }, "–");
  const reached = { not_retrieved: 0, not_opened: 1, not_cited: 2, all_cited: 3 }[path];
  const dots = svg("svg", { className: "dots", viewBox: "0 0 30 10", "aria-hidden": "true" },
    ...[0, 1, 2].map((place) => svg("circle", { cx: 5 + 10 * place, cy: 5, r: 3.2,
      className: place < reached ? "on" : "off" })));
  return el("span", { className: "clip", title: PATH_WORDS[path] }, dots, " ",
    el("span", { className: "word" }, PATH_WORDS[path]));
}

/**
 * @param {Rows} rows
 * @param {number} row
 */
function endingMark(rows, row) {
  const text = rows.error[row] || words(rows.stop_reason[row] || rows.status[row]) || "–";
  const isFine = !rows.error[row] && rows.status[row] === "ok";
  return el("span", { className: isFine ? "clip dim" : "clip warned", dir: "auto" }, text);
}
