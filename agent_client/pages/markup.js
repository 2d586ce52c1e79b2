"use strict";
// Markup of the server (`agent_client.timeline.markup`) as elements. Needs dom.js.
// Defines: markup.

/**
 * @typedef {string | MarkupElement} MarkupNode
 * @typedef {object} MarkupElement
 * @property {string} t the tag, or `cite`, or `unverified`
 * @property {MarkupNode[]} [c]
 * @property {number} [n] number of the citation
 * @property {string} [href]
 * @property {number} [start]
 * @property {string} [lang]
 */
/** @typedef {{onCite?: (number: number, from: HTMLElement) => void}} MarkupOptions */

const MARKUP_TAGS = new Set([
  "p", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong", "s",
  "br", "hr", "a", "table", "thead", "tbody", "tr", "th", "td",
]);
/** Deeper elements give their text alone. */
const MARKUP_DEPTH = 40;

/**
 * The elements of a text with citations.
 * @param {MarkupNode[]} nodes
 * @param {MarkupOptions} [options] what a click on a citation does
 * @returns {DocumentFragment}
 */
function markup(nodes, options = {}) {
  const fragment = document.createDocumentFragment();
  for (const node of nodes) fragment.append(markupNode(node, options, 0));
  return fragment;
}

/**
 * @param {MarkupNode} node
 * @param {MarkupOptions} options
 * @param {number} depth
 * @returns {Node}
 */
function markupNode(node, options, depth) {
  if (typeof node === "string") return document.createTextNode(visible(node));
  if (node.t === "cite") return citation(Number(node.n), options);
  if (node.t === "unverified") {
    const why = "The agent cites this page and never opened it.";
    return el("span", { className: "unverified", title: why }, "(not visited)");
  }
  const children = node.c ?? [];
  const known = depth < MARKUP_DEPTH && MARKUP_TAGS.has(node.t);
  const parent = known ? markupElement(node) : document.createDocumentFragment();
  for (const child of children) parent.append(markupNode(child, options, depth + 1));
  return node.t === "table" && known ? scrollable(parent) : parent;
}

/** @param {MarkupElement} node */
function markupElement(node) {
  if (node.t === "a") return el("a", { href: node.href ?? "" });
  if (node.t === "ol" && node.start !== undefined) return el("ol", { start: node.start });
  if (node.t === "th") return el("th", { scope: "col" });
  if (node.t === "pre") return el("pre", { "data-lang": node.lang || null, tabindex: "0" });
  const isBlock = /^(p|h[3-6]|li|blockquote|td)$/.test(node.t);
  return el(node.t, isBlock ? { dir: "auto" } : null);
}

/** @param {Node} table */
function scrollable(table) {
  const name = { role: "region", "aria-label": "Table", tabindex: "0" };
  return el("div", { className: "wide", ...name }, table);
}

/**
 * @param {number} number
 * @param {MarkupOptions} options
 */
function citation(number, options) {
  const button = el("button", {
    type: "button",
    className: "cite",
    "data-cites": number,
    "aria-label": `[${number}] source: show the evidence`,
    on: { click: () => options.onCite?.(number, button) },
  }, `[${number}]`);
  return button;
}
