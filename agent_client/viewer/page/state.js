"use strict";
// What is shown, as the part of the address behind `#`: a link to it shows the same.
// Needs nothing. Defines: readState, stateHash, changeState, withoutFilters, hasFilters.

/**
 * @typedef {object} ViewState
 * @property {number} run
 * @property {"" | "run" | "compare"} view "": the comparison, where there is one
 * @property {string} question id of the open question, or ""
 * @property {number} repeat
 * @property {string} sort a column; "" keeps the order of the questions
 * @property {boolean} descending
 * @property {string} text
 * @property {Record<string, string[]>} values by column: any of them
 * @property {Record<string, [number, number]>} ranges by column: from, and below
 * @property {string} flips kinds of the comparison, with commas
 */

const VALUE_PREFIX = "is.";
const RANGE_PREFIX = "in.";

/**
 * @param {string} hash with or without its `#`
 * @returns {ViewState}
 */
function readState(hash) {
  const told = new URLSearchParams(hash.replace(/^#/, ""));
  /** @type {Record<string, string[]>} */
  const values = Object.create(null);
  /** @type {Record<string, [number, number]>} */
  const ranges = Object.create(null);
  for (const [name, value] of told) {
    if (name.startsWith(VALUE_PREFIX)) {
      (values[name.slice(VALUE_PREFIX.length)] ??= []).push(value);
    } else if (name.startsWith(RANGE_PREFIX)) {
      const [low, high] = value.split("~").map(Number);
      if (low < high) ranges[name.slice(RANGE_PREFIX.length)] = [low, high];
    }
  }
  const sort = told.get("sort") ?? "";
  return {
    run: Math.max(0, Math.trunc(Number(told.get("run"))) || 0),
    view: told.get("view") === "run" ? "run" : told.get("view") === "compare" ? "compare" : "",
    question: told.get("q") ?? "",
    repeat: Math.trunc(Number(told.get("repeat"))) || 0,
    sort: sort.replace(/^-/, ""),
    descending: sort.startsWith("-"),
    text: told.get("text") ?? "",
    values,
    ranges,
    flips: told.get("flips") ?? "gained,lost",
  };
}

/**
 * @param {ViewState} state
 * @returns {string} begins with `#`
 */
function stateHash(state) {
  const told = new URLSearchParams();
  if (state.view) told.set("view", state.view);
  if (state.run) told.set("run", String(state.run));
  if (state.question) told.set("q", state.question);
  if (state.question && state.repeat) told.set("repeat", String(state.repeat));
  if (state.sort) told.set("sort", (state.descending ? "-" : "") + state.sort);
  if (state.text) told.set("text", state.text);
  for (const [column, wanted] of Object.entries(state.values)) {
    for (const value of wanted) told.append(VALUE_PREFIX + column, value);
  }
  for (const [column, [low, high]] of Object.entries(state.ranges)) {
    told.append(RANGE_PREFIX + column, `${low}~${high}`);
  }
  if (state.flips !== "gained,lost") told.set("flips", state.flips);
  return `#${told}`;
}

/**
 * Puts a state into the address; whoever shows it hears `statechange` on the window.
 * @param {ViewState} state
 * @param {{isStep?: boolean}} [options] whether the browser's Back returns to what was before
 */
function changeState(state, options = {}) {
  const hash = stateHash(state);
  if (hash === location.hash || (hash === "#" && !location.hash)) return;
  if (options.isStep) history.pushState(null, "", hash);
  else history.replaceState(null, "", hash);
  dispatchEvent(new Event("statechange"));
}

/**
 * @param {ViewState} state
 * @returns {ViewState}
 */
function withoutFilters(state) {
  return { ...state, text: "", values: Object.create(null), ranges: Object.create(null) };
}

/** @param {ViewState} state */
function hasFilters(state) {
  const counts = [Object.keys(state.values).length, Object.keys(state.ranges).length];
  return Boolean(state.text) || counts.some((count) => count > 0);
}
