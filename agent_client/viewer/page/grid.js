"use strict";
// A table of thousands of rows: only those near the window exist as elements.
// Needs dom.js. Defines: Grid.

/** Rows beyond the window that exist already, on each side. */
const OVERSCAN_ROWS = 12;
const ROW_PIXELS = 40;
/** Where the question takes two lines. */
const NARROW_ROW_PIXELS = 66;
const IS_NARROW = matchMedia("(width <= 40rem)");

/**
 * @typedef {object} GridColumn
 * @property {string} name
 * @property {string} label
 * @property {string} [className] of its cells
 * @property {boolean} [sortable]
 * @property {(row: number) => Child} cell
 */
/**
 * @typedef {object} GridOptions
 * @property {string} label of the table
 * @property {GridColumn[]} columns
 * @property {(row: number) => void} onOpen
 * @property {(column: string) => void} [onSort]
 */

class Grid {
  /** @param {GridOptions} options */
  constructor(options) {
    this.options = options;
    /** @type {number[]} */
    this.rows = [];
    /** Place in `rows` that the keyboard is at; -1 before it was used. */
    this.current = -1;
    /** @type {Map<number, HTMLElement>} */
    this.shown = new Map();
    this.above = spacer();
    this.below = spacer();
    this.body = el("tbody", { on: { click: (/** @type {MouseEvent} */ e) => this.#click(e) } },
      this.above, this.below);
    this.heads = options.columns.map((column) => headCell(column, options.onSort));
    this.table = el("table", { className: "grid", "aria-label": options.label },
      el("thead", null, el("tr", null, ...this.heads)), this.body);
    this.element = el("div", { className: "grid-box" }, this.table);
    const refresh = () => requestAnimationFrame(() => this.#render());
    addEventListener("scroll", refresh, { passive: true });
    addEventListener("resize", refresh, { passive: true });
    IS_NARROW.addEventListener("change", () => this.show(this.rows));
    addEventListener("beforeprint", () => this.#render({ isWhole: true }));
    addEventListener("afterprint", refresh);
  }

  /**
   * Shows these rows in this order; the keyboard stays at its row where that is among them.
   * @param {number[]} rows
   */
  show(rows) {
    const row = this.rows[this.current];
    const focused = this.#focusedRow();
    this.rows = rows;
    this.current = row === undefined ? -1 : rows.indexOf(row);
    for (const element of this.shown.values()) element.remove();
    this.shown.clear();
    this.table.setAttribute("aria-rowcount", String(rows.length + 1));
    this.#render();
    if (focused === undefined) return;
    this.shown.get(rows.indexOf(focused))?.querySelector("a")?.focus({ preventScroll: true });
  }

  /** @returns {number | undefined} */
  #focusedRow() {
    if (!this.body.contains(document.activeElement)) return undefined;
    const row = /** @type {HTMLElement | null} */ (document.activeElement?.closest("tr"));
    return this.rows[Number(row?.dataset.place ?? -1)];
  }

  /**
   * Marks the column by which the rows are sorted.
   * @param {string} sorted
   * @param {boolean} descending
   */
  markSort(sorted, descending) {
    this.options.columns.forEach((column, place) => {
      const head = this.heads[place];
      if (column.name !== sorted) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    });
  }

  /**
   * Moves the keyboard's place by some rows and gives that row the focus.
   * @param {number} by
   */
  move(by) {
    if (this.rows.length === 0) return;
    const from = this.current < 0 ? (by > 0 ? -1 : this.rows.length) : this.current;
    this.focusPlace(Math.min(this.rows.length - 1, Math.max(0, from + by)));
  }

  /**
   * @param {number} place in `rows`
   */
  focusPlace(place) {
    this.shown.get(this.current)?.removeAttribute("aria-current");
    this.current = place;
    const top = this.#top() + place * rowPixels();
    const head = this.heads[0].getBoundingClientRect().height + 60;
    if (top < head) scrollBy({ top: top - head, behavior: "instant" });
    else if (top + rowPixels() > innerHeight) {
      scrollBy({ top: top + rowPixels() - innerHeight + 8, behavior: "instant" });
    }
    this.#render();
    const row = this.shown.get(place);
    row?.setAttribute("aria-current", "true");
    row?.querySelector("a")?.focus({ preventScroll: true });
  }

  /** Where the first row stands, in pixels from the window's top. */
  #top() {
    return this.above.getBoundingClientRect().top;
  }

  /** @param {{isWhole?: boolean}} [options] whether all rows are wanted, as paper shows them */
  #render({ isWhole = false } = {}) {
    if (!this.table.isConnected || this.table.offsetParent === null) return;
    const height = rowPixels();
    this.table.style.setProperty("--row-height", `${height}px`);
    const top = this.#top();
    const below = Math.ceil((innerHeight - top) / height);
    const last = isWhole ? this.rows.length
      : Math.min(this.rows.length, Math.max(0, below) + OVERSCAN_ROWS);
    const first = isWhole ? 0
      : Math.min(last, Math.max(0, Math.floor(-top / height) - OVERSCAN_ROWS));
    for (const [place, element] of this.shown) {
      if (place >= first && place < last) continue;
      element.remove();
      this.shown.delete(place);
    }
    let behind = this.below;
    for (let place = last - 1; place >= first; place--) {
      let element = this.shown.get(place);
      if (!element) {
        element = this.#row(place);
        this.shown.set(place, element);
        behind.before(element);
      }
      behind = element;
    }
    setHeight(this.above, first * height);
    setHeight(this.below, (this.rows.length - last) * height);
  }

  /** @param {number} place */
  #row(place) {
    const row = this.rows[place];
    const cells = this.options.columns.map((column) =>
      el("td", { className: column.className }, column.cell(row)));
    return el("tr", {
      "data-place": place,
      "aria-rowindex": place + 2,
      "aria-current": place === this.current ? "true" : null,
    }, ...cells);
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const target = /** @type {Element} */ (event.target);
    const row = /** @type {HTMLElement | null} */ (target.closest("tr[data-place]"));
    const isOther = event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0;
    if (!row || isOther || String(getSelection()).length > 0) return;
    event.preventDefault();
    this.current = Number(row.dataset.place);
    this.options.onOpen(this.rows[this.current]);
  }
}

function rowPixels() {
  return IS_NARROW.matches ? NARROW_ROW_PIXELS : ROW_PIXELS;
}

function spacer() {
  return el("tr", { className: "spacer", "aria-hidden": "true" });
}

/**
 * @param {HTMLElement} row
 * @param {number} pixels
 */
function setHeight(row, pixels) {
  row.style.height = `${pixels}px`;
}

/**
 * @param {GridColumn} column
 * @param {((column: string) => void) | undefined} onSort
 */
function headCell(column, onSort) {
  const label = el("span", null, column.label);
  const name = column.sortable && onSort
    ? el("button", { type: "button", className: "prints",
      on: { click: () => onSort(column.name) } }, label)
    : label;
  return el("th", { scope: "col", className: column.className }, name);
}
