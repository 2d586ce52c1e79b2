"use strict";
// The rows of a run: their columns, which of them are wanted, in which order, and what they count.
// Needs state.js. Defines: STANDING_LOOKS, PATH_WORDS, FIELD_PREFIX, cellValue, wantedRows,
// facetsOf, rowOf, columnLabel, words.

/** Each standing has a sign, so that its colour is never all that tells it. */
const STANDING_LOOKS = {
  correct: { sign: "✓", label: "correct", kind: "good" },
  incorrect: { sign: "✗", label: "incorrect", kind: "bad" },
  not_attempted: { sign: "○", label: "not attempted", kind: "warn" },
  ungraded: { sign: "?", label: "ungraded", kind: "" },
  owed: { sign: "…", label: "owed", kind: "" },
};
const PATH_WORDS = {
  not_retrieved: "never retrieved",
  not_opened: "retrieved, not opened",
  not_cited: "opened, not cited",
  all_cited: "cited",
  cited: "cited",
};
/** Of the columns that are the dataset's fields. */
const FIELD_PREFIX = "field.";

const COLUMN_WORDS = {
  row: "#",
  standing: "Verdict",
  status: "Status",
  stop_reason: "Ending",
  error: "Error",
  path: "Evidence",
  searches: "Searches",
  visits: "Visits",
  turns: "Turns",
  tool_calls: "Tool calls",
  tokens: "Tokens",
  seconds: "Seconds",
  guards: "Guards",
  repairs: "Repairs",
  leaks: "Leaks",
  question: "Question",
  reference: "Reference",
  answer: "Answer",
};
/** A column of more values is searched, not picked from. */
const MOST_CHOICES = 300;
const FACETS = ["standing", "path", "status", "stop_reason", "error"];

/** What is searched in each row. @type {WeakMap<Rows, string[]>} */
const searchTexts = new WeakMap();

/** @param {string} name */
function words(name) {
  return name.replaceAll("_", " ");
}

/** @param {string} column */
function columnLabel(column) {
  const known = /** @type {Record<string, string>} */ (COLUMN_WORDS);
  return Object.hasOwn(known, column) ? known[column] : words(column.startsWith(FIELD_PREFIX)
    ? column.slice(FIELD_PREFIX.length) : column);
}

/**
 * What a cell holds; "" of a column that the run has not.
 * @param {Rows} rows
 * @param {string} column
 * @param {number} row
 * @returns {string | number}
 */
function cellValue(rows, column, row) {
  if (column === "row") return row + 1;
  if (column === "tokens") return rows.prompt_tokens[row] + rows.completion_tokens[row];
  if (column.startsWith(FIELD_PREFIX)) {
    const name = column.slice(FIELD_PREFIX.length);
    return Object.hasOwn(rows.fields, name) ? rows.fields[name][row] : "";
  }
  if (column === "fields" || !Object.hasOwn(rows, column)) return "";
  return /** @type {any} */ (rows)[column][row];
}

/**
 * The rows that pass all filters, in the wanted order.
 * @param {Rows} rows
 * @param {ViewState} state
 * @param {string} [without] a column whose filter does not count
 * @returns {number[]}
 */
function wantedRows(rows, state, without = "") {
  const values = Object.entries(state.values).filter(([column]) => column !== without)
    .map(([column, wanted]) => ({ column, wanted: new Set(wanted) }));
  const ranges = Object.entries(state.ranges);
  const terms = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  const texts = terms.length ? searchable(rows) : [];
  const wanted = [];
  for (let row = 0; row < rows.id.length; row++) {
    const isWanted = terms.every((term) => texts[row].includes(term)) &&
      values.every((one) => one.wanted.has(String(cellValue(rows, one.column, row)))) &&
      ranges.every(([column, [low, high]]) => isWithin(cellValue(rows, column, row), low, high));
    if (isWanted) wanted.push(row);
  }
  return state.sort ? sorted(rows, wanted, state) : wanted;
}

/**
 * @param {string | number} value
 * @param {number} low
 * @param {number} high
 */
function isWithin(value, low, high) {
  return typeof value === "number" && value >= low && value < high;
}

/** @param {Rows} rows */
function searchable(rows) {
  let texts = searchTexts.get(rows);
  if (!texts) {
    texts = rows.id.map((id, row) => [id, rows.question[row], rows.reference[row],
      rows.answer[row]].join("\n").toLowerCase());
    searchTexts.set(rows, texts);
  }
  return texts;
}

/**
 * @param {Rows} rows
 * @param {number[]} wanted
 * @param {ViewState} state
 */
function sorted(rows, wanted, state) {
  const order = new Intl.Collator("en", { numeric: true });
  const sign = state.descending ? -1 : 1;
  const keyed = wanted.map((row) => ({ row, key: cellValue(rows, state.sort, row) }));
  keyed.sort((a, b) => {
    const difference = typeof a.key === "number" && typeof b.key === "number"
      ? a.key - b.key : order.compare(String(a.key), String(b.key));
    return sign * difference || a.row - b.row;
  });
  return keyed.map((one) => one.row);
}

/**
 * What can be filtered by: each column's values with how many rows have them, the other filters
 * counted in; columns of one value are left out.
 * @param {Rows} rows
 * @param {ViewState} state
 * @returns {{column: string, values: Map<string, number>}[]}
 */
function facetsOf(rows, state) {
  const fields = Object.keys(rows.fields).map((field) => FIELD_PREFIX + field);
  const facets = [];
  for (const column of [...FACETS, ...fields]) {
    const values = /** @type {Map<string, number>} */ (new Map());
    for (let row = 0; row < rows.id.length; row++) {
      values.set(String(cellValue(rows, column, row)), 0);
    }
    if (values.size < 2 || values.size > MOST_CHOICES) continue;
    for (const row of wantedRows(rows, { ...state, sort: "" }, column)) {
      const value = String(cellValue(rows, column, row));
      values.set(value, (values.get(value) ?? 0) + 1);
    }
    facets.push({ column, values: inOrder(column, values) });
  }
  return facets;
}

/**
 * @param {string} column
 * @param {Map<string, number>} values
 */
function inOrder(column, values) {
  const fixed = column === "standing" ? Object.keys(STANDING_LOOKS)
    : column === "path" ? Object.keys(PATH_WORDS) : null;
  const order = new Intl.Collator("en", { numeric: true });
  const place = (/** @type {string} */ value) => fixed ? fixed.indexOf(value) : 0;
  return new Map([...values].sort(([a], [b]) => place(a) - place(b) || order.compare(a, b)));
}

/**
 * The row of a question; -1 where the run has none.
 * @param {Rows} rows
 * @param {string} id
 * @param {number} repeat
 */
function rowOf(rows, id, repeat) {
  return rows.id.findIndex((one, row) => one === id && rows.repeat[row] === repeat);
}
