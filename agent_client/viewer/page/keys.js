"use strict";
// The keyboard, and the dialog that explains it. Needs dom.js, episode.js.
// Defines: listenToKeys, showHelp.

/**
 * @typedef {object} KeyActions
 * @property {(by: number) => void} move to the next or the previous question
 * @property {() => void} open
 * @property {() => void} back
 * @property {() => void} search
 * @property {() => boolean} isReading whether a question is open
 */
/** @typedef {{keys: string[], label: string, run: (actions: KeyActions) => void}} KeyUse */

/** @type {KeyUse[]} */
const KEY_USES = [
  { keys: ["j"], label: "next question (also → in a question, ↓ in the table)",
    run: (actions) => actions.move(1) },
  { keys: ["k"], label: "previous question (also ←, ↑)", run: (actions) => actions.move(-1) },
  { keys: ["Enter"], label: "open the question", run: (actions) => actions.open() },
  { keys: ["Escape"], label: "back to the table", run: (actions) => actions.back() },
  { keys: ["/"], label: "search", run: (actions) => actions.search() },
  { keys: ["e"], label: "open or fold everything", run: toggleAllFolds },
  { keys: ["t"], label: "open or fold the thinking", run: toggleThinking },
  { keys: ["c"], label: "next citation of the answer; Enter shows its passage",
    run: focusNextCitation },
  { keys: ["?"], label: "this help", run: () => showHelp() },
];

/** @param {KeyActions} actions */
function listenToKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = /** @type {Element} */ (event.target);
    if (document.querySelector("dialog[open]")) return;
    if (isTyping(target)) {
      if (event.key === "Escape" && target instanceof HTMLElement) target.blur();
      return;
    }
    const use = KEY_USES.find((one) => one.keys.includes(keyOf(event, target, actions)));
    if (!use || (use.keys.includes("Enter") && target.closest("a, button, summary, label"))) return;
    event.preventDefault();
    use.run(actions);
  });
}

/**
 * The key, with arrows as the letters that they stand for here.
 * @param {KeyboardEvent} event
 * @param {Element} target
 * @param {KeyActions} actions
 */
function keyOf(event, target, actions) {
  const isReading = actions.isReading();
  if (isReading && event.key === "ArrowRight") return "j";
  if (isReading && event.key === "ArrowLeft") return "k";
  if (!isReading && target.closest(".grid")) {
    if (event.key === "ArrowDown") return "j";
    if (event.key === "ArrowUp") return "k";
  }
  return event.key;
}

/** @param {Element} target */
function isTyping(target) {
  return target.matches("textarea, select, input:not([type=checkbox])");
}

/** The dialog of the keys. */
function showHelp() {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("help"));
  clear(dialog).append(
    el("h2", { id: "help-title" }, "Keys"),
    el("dl", { className: "keys" }, ...KEY_USES.map((use) => el("div", null,
      el("dt", null, ...use.keys.map((key) => el("kbd", null, key))),
      el("dd", null, use.label)))),
    el("p", { className: "dim" }, "The address of the page holds what is shown: copy it to share."),
    el("button", { type: "button", className: "primary", on: { click: () => dialog.close() } },
      "Close"));
  dialog.showModal();
}
