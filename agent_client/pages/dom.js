"use strict";
// Elements built from parts; the only way in which these pages put text on the screen. Text of
// models and pages goes into text nodes, attributes come from a short list, and links lead to
// http(s) or into the page itself. Defines: el, svg, clear, visible, safeHref, hostOf, icon,
// formatNumber, formatSeconds, formatShare, nameOf, announce, copyText.

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

/** Attributes that hold nothing which a browser runs or loads. */
const PLAIN_ATTRIBUTES = new Set([
  "id", "title", "role", "type", "name", "value", "for", "dir", "lang", "tabindex", "scope",
  "colspan", "start", "placeholder", "autocomplete", "download", "rows", "min", "max", "step",
  "maxlength", "enterkeyhint", "spellcheck", "list", "label", "datetime", "inputmode",
]);
const SWITCHES = new Set(["open", "hidden", "disabled", "checked", "selected", "required",
  "multiple", "inert", "readonly"]);
const DRAWING_ATTRIBUTES = new Set([
  "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry", "d", "width", "height", "points",
  "viewBox", "transform", "text-anchor", "dominant-baseline", "preserveAspectRatio", "focusable",
]);

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, any>} Attributes */

/**
 * An element of HTML.
 * @param {string} tag
 * @param {Attributes | null} [attributes] `className`, `text`, `on: {click: …}`, switches such as
 *   `open: true`, `href` (http, https or #…), `aria-*`, `data-*` and other harmless ones;
 *   null and undefined are left out, and any other name is a mistake of the page's.
 * @param {...Child} children strings become text nodes; null, undefined and false nothing.
 * @returns {HTMLElement}
 */
function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined) setAttribute(element, name, value);
  }
  append(element, children);
  return element;
}

/**
 * An element of SVG, with `className`, `text`, `on` and the attributes of a drawing.
 * @param {string} tag
 * @param {Attributes | null} [attributes]
 * @param {...Child} children
 * @returns {SVGElement}
 */
function svg(tag, attributes, ...children) {
  const element = /** @type {SVGElement} */ (document.createElementNS(SVG_NAMESPACE, tag));
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined) setAttribute(element, name, value);
  }
  append(element, children);
  return element;
}

/**
 * @param {Element} element
 * @param {string} name
 * @param {any} value
 */
function setAttribute(element, name, value) {
  if (name === "on") {
    for (const [event, listener] of Object.entries(value)) {
      element.addEventListener(event, /** @type {EventListener} */ (listener));
    }
  } else if (name === "className") {
    if (value) element.setAttribute("class", value);
  } else if (name === "text") {
    element.textContent = visible(String(value));
  } else if (name === "href") {
    setHref(element, String(value));
  } else if (SWITCHES.has(name)) {
    element.toggleAttribute(name, Boolean(value));
  } else if (isPlain(element, name)) {
    element.setAttribute(name, visible(String(value)));
  } else {
    throw new TypeError(`no attribute for this page: ${name}`);
  }
}

/**
 * @param {Element} element
 * @param {string} name
 */
function isPlain(element, name) {
  if (PLAIN_ATTRIBUTES.has(name) || /^(aria|data)-[a-z-]+$/.test(name)) return true;
  return element.namespaceURI === SVG_NAMESPACE && DRAWING_ATTRIBUTES.has(name);
}

/**
 * @param {Element} element
 * @param {string} address
 */
function setHref(element, address) {
  if (address.startsWith("#")) {
    element.setAttribute("href", address);
    return;
  }
  const safe = safeHref(address);
  if (safe === null) return;
  element.setAttribute("href", safe);
  element.setAttribute("rel", "noopener noreferrer");
  element.setAttribute("target", "_blank");
}

/**
 * @param {Element} element
 * @param {Child[]} children
 */
function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : visible(String(child)));
  }
}

/**
 * @param {Element} node
 * @returns {Element} the same, without children
 */
function clear(node) {
  node.replaceChildren();
  return node;
}

/**
 * The address as a browser reads it, or null where it is not http(s).
 * @param {string} address
 * @returns {string | null}
 */
function safeHref(address) {
  if (!URL.canParse(address)) return null;
  const url = new URL(address);
  return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
}

/**
 * The host for people, else the whole text.
 * @param {string} address
 */
function hostOf(address) {
  const safe = safeHref(address);
  return safe === null ? address : new URL(safe).host.replace(/^www\./, "");
}

const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
/** Bidi controls, zero-width spaces, tags and other marks without a width; joiners stay. */
const INVISIBLE = new RegExp([
  "[\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180e\\u200b\\u200e\\u200f",
  "\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff9-\\ufffb\\u{e0000}-\\u{e0fff}]",
].join(""), "gu");

/**
 * Text that shows what it holds: a control character becomes its symbol, what has no width goes,
 * half of a surrogate pair becomes U+FFFD.
 * @param {string} text
 * @returns {string}
 */
function visible(text) {
  return text
    .replace(/\r\n?/g, "\n")
    .replace(CONTROLS, controlSymbol)
    .replace(INVISIBLE, "")
    .toWellFormed();
}

/** @param {string} character */
function controlSymbol(character) {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? "\u2421" : "\ufffd";
}

/** Drawn in a square of 16 units. */
const ICONS = {
  turn: "M3 3.5h10v7H7.5L4.5 13v-2.5H3z",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.3 10.3 13.5 13.5",
  visit: "M4 2h5.500L12 4.5V14H4zM6 7h4M6 9.5h4",
  call: "M8 2.5v11M2.5 8h11",
  mark: "M4 14V2.5h8L10 5.500l2 3H4",
  answer: "M3 8.5 6.500 12 13 4.5",
};

/**
 * A small drawing that says nothing more than the text beside it.
 * @param {keyof typeof ICONS} name
 */
function icon(name) {
  const path = svg("path", { d: ICONS[name] });
  const drawing = { className: "icon", viewBox: "0 0 16 16", focusable: "false" };
  return svg("svg", { ...drawing, "aria-hidden": "true" }, path);
}

const WHOLE_NUMBERS = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** @param {number} value */
function formatNumber(value) {
  return WHOLE_NUMBERS.format(value);
}

/**
 * A time for people: `85 ms`, `2.4 s`, `3 min 05 s`.
 * @param {number} seconds
 */
function formatSeconds(seconds) {
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 99.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${twoDigits(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${twoDigits(Math.floor((whole % 3600) / 60))} min`;
}

/** @param {number} value */
function twoDigits(value) {
  return String(value).padStart(2, "0");
}

/**
 * @param {number | null} share in [0, 1]
 */
function formatShare(share) {
  return share === null ? "–" : `${(100 * share).toFixed(1)} %`;
}

/**
 * The name of a part of the page, for screen readers; two episodes side by side differ by letter.
 * @param {string} name
 * @param {string} prefix of the episode's ids, such as `a-`
 */
function nameOf(name, prefix) {
  return prefix ? `${name}, ${prefix.slice(0, 1).toUpperCase()}` : name;
}

/**
 * Tells a screen reader, politely, through the page's element `announcements`.
 * @param {string} text
 */
function announce(text) {
  const place = document.getElementById("announcements");
  if (place) place.textContent = visible(text);
}

/**
 * Puts text on the clipboard and says so.
 * @param {string} text
 * @param {string} what for the announcement
 */
async function copyText(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    if (!copyBySelection(text)) {
      announce(`${what} could not be copied: the browser does not allow it.`);
      return;
    }
  }
  announce(`${what} copied.`);
}

/**
 * The way of pages that have no clipboard, such as files in some browsers.
 * @param {string} text
 */
function copyBySelection(text) {
  const before = document.activeElement;
  const field = /** @type {HTMLTextAreaElement} */ (
    el("textarea", { className: "off-screen", "aria-hidden": "true", tabindex: "-1" })
  );
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (before instanceof HTMLElement) before.focus();
  return done;
}
