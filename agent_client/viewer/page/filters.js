"use strict";
// The bar of filters above the table. Needs dom.js, state.js, rows.js.
// Defines: FilterBar, valueLabel.

/** Waited for the next key before the rows are searched. */
const TYPING_PAUSE_MILLISECONDS = 120;

class FilterBar {
  /**
   * @param {() => ViewState} now
   */
  constructor(now) {
    this.now = now;
    this.search = /** @type {HTMLInputElement} */ (el("input", {
      type: "search", id: "search", placeholder: "Search text", autocomplete: "off",
      spellcheck: "false", "aria-label": "Search questions and answers",
      on: { input: () => this.#typed() },
    }));
    this.facets = el("div", { className: "facets" });
    this.chips = el("div", { className: "chips", role: "group", "aria-label": "Active filters" });
    this.count = el("p", { className: "dim count", role: "status" });
    this.element = el("div", { className: "filter-bar no-print", role: "search",
      "aria-label": "Filters" }, this.search, this.facets, this.count, this.chips);
    this.timer = 0;
    document.addEventListener("click", (event) => this.#closeOthers(event));
  }

  /**
   * @param {Rows} rows
   * @param {number} wanted how many rows pass
   */
  update(rows, wanted) {
    const state = this.now();
    if (document.activeElement !== this.search) this.search.value = state.text;
    const opened = this.facets.querySelector("details[open]")?.getAttribute("data-column");
    const focused = document.activeElement?.getAttribute("data-box") ?? "";
    clear(this.facets);
    for (const facet of facetsOf(rows, state)) {
      this.facets.append(this.#facet(facet, state, facet.column === opened));
    }
    clear(this.chips).append(...this.#chipsOf(state));
    const all = rows.id.length;
    this.count.textContent = wanted === all ? `${formatNumber(all)} episodes`
      : `${formatNumber(wanted)} of ${formatNumber(all)} episodes`;
    const boxes = [...this.facets.querySelectorAll("[data-box]")];
    const box = focused && boxes.find((one) => one.getAttribute("data-box") === focused);
    if (box instanceof HTMLElement) box.focus();
  }

  #typed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      changeState({ ...this.now(), text: this.search.value.trim() });
    }, TYPING_PAUSE_MILLISECONDS);
  }

  /** @param {Event} event */
  #closeOthers(event) {
    const kept = /** @type {Element} */ (event.target).closest?.(".facets details");
    if (!/** @type {Node} */ (event.target).isConnected) return;
    for (const one of this.facets.querySelectorAll("details[open]")) {
      if (one !== kept) one.removeAttribute("open");
    }
  }

  /**
   * @param {{column: string, values: Map<string, number>}} facet
   * @param {ViewState} state
   * @param {boolean} isOpen
   */
  #facet(facet, state, isOpen) {
    const { column, values } = facet;
    const chosen = state.values[column] ?? [];
    const boxes = [...values].map(([value, count]) => el("label", { className: "choice" },
      el("input", {
        type: "checkbox", checked: chosen.includes(value), "data-box": `${column}=${value}`,
        on: { change: () => toggleValue(this.now(), column, value) },
      }),
      el("span", { dir: "auto" }, valueLabel(column, value)),
      el("span", { className: "dim" }, formatNumber(count))));
    const label = columnLabel(column);
    const many = chosen.length ? ` (${chosen.length})` : "";
    return el("details", { open: isOpen, "data-column": column },
      el("summary", { className: chosen.length ? "is-active" : "" }, label + many),
      el("fieldset", null, el("legend", { className: "off-screen" }, label), ...boxes));
  }

  /**
   * @param {ViewState} state
   * @returns {HTMLElement[]}
   */
  #chipsOf(state) {
    const chips = Object.entries(state.values).flatMap(([column, wanted]) =>
      wanted.map((value) => chip(`${columnLabel(column)}: ${valueLabel(column, value)}`,
        () => toggleValue(this.now(), column, value))));
    for (const [column, [low, high]] of Object.entries(state.ranges)) {
      const { [column]: gone, ...ranges } = state.ranges;
      const span = high < Infinity ? `${formatBound(low)} to below ${formatBound(high)}`
        : `${formatBound(low)} and more`;
      chips.push(chip(`${columnLabel(column)}: ${span}`,
        () => changeState({ ...this.now(), ranges })));
    }
    if (chips.length > 0 || state.text) {
      chips.push(el("button", { type: "button", className: "quiet",
        on: { click: () => changeState(withoutFilters(this.now())) } }, "Clear filters"));
    }
    return chips;
  }
}

/** @param {number} bound */
function formatBound(bound) {
  return Number.isInteger(bound) ? formatNumber(bound) : bound.toFixed(1);
}

/**
 * @param {string} text
 * @param {() => void} onRemove
 */
function chip(text, onRemove) {
  return el("button", { type: "button", className: "chip", "aria-label": `Remove filter ${text}`,
    on: { click: onRemove } }, el("span", { dir: "auto" }, text), " ×");
}

/**
 * @param {ViewState} state
 * @param {string} column
 * @param {string} value
 */
function toggleValue(state, column, value) {
  const chosen = state.values[column] ?? [];
  const wanted = chosen.includes(value) ? chosen.filter((one) => one !== value)
    : [...chosen, value];
  const values = { ...state.values, [column]: wanted };
  if (wanted.length === 0) delete values[column];
  changeState({ ...state, values });
}

/**
 * @param {string} column
 * @param {string} value
 */
function valueLabel(column, value) {
  if (value === "") return "none";
  if (column === "standing") {
    if (!Object.hasOwn(STANDING_LOOKS, value)) return value;
    const look = STANDING_LOOKS[/** @type {Standing} */ (value)];
    return `${look.sign} ${look.label}`;
  }
  if (column === "path" && Object.hasOwn(PATH_WORDS, value)) {
    return PATH_WORDS[/** @type {EvidencePath} */ (value)];
  }
  return column.startsWith(FIELD_PREFIX) ? value : words(value);
}
