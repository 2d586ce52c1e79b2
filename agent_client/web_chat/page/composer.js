"use strict";
// The box for questions. Defines: Composer.

const MAX_BOX_PIXELS = 220;

/** Where a person writes, asks and stops. */
class Composer {
  /** @param {{onAsk: (question: string, style: string) => void, onStop: () => void}} actions */
  constructor(actions) {
    this.actions = actions;
    this.form = /** @type {HTMLFormElement} */ (document.getElementById("ask"));
    this.box = /** @type {HTMLTextAreaElement} */ (document.getElementById("question"));
    this.style = /** @type {HTMLSelectElement} */ (document.getElementById("style"));
    this.send = /** @type {HTMLButtonElement} */ (document.getElementById("send"));
    this.stop = /** @type {HTMLButtonElement} */ (document.getElementById("stop"));
    this.isRunning = false;
    /** Why nothing can be asked; "" where it can. */
    this.obstacle = "";
    /** Whether what is written is asked as soon as it can be. */
    this.isWaiting = false;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask();
    });
    this.box.addEventListener("keydown", (event) => this.onKey(event));
    this.box.addEventListener("input", () => {
      this.isWaiting = false;
      this.fit();
    });
    this.stop.addEventListener("click", () => this.actions.onStop());
    const footer = /** @type {HTMLElement} */ (this.form.closest("footer"));
    new ResizeObserver(() => keepingPlace(() => makeRoom(footer))).observe(footer);
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.ask();
  }

  ask() {
    const question = this.box.value.trim();
    if (!question) return;
    if (this.isRunning) announce("A question is being worked on. Escape stops it.");
    else if (this.obstacle) {
      announce(this.obstacle);
      this.isWaiting = true;
    } else this.actions.onAsk(question, this.style.value);
  }

  /** The question was taken. */
  empty() {
    this.box.value = "";
    this.fit();
  }

  /** @param {string} question */
  putBack(question) {
    if (!this.box.value) this.box.value = question;
    this.fit();
  }

  /** @param {boolean} isRunning */
  setRunning(isRunning) {
    const hadFocus = document.activeElement === this.stop;
    this.isRunning = isRunning;
    this.stop.hidden = !isRunning;
    this.send.hidden = isRunning;
    if (hadFocus && !isRunning) this.focus();
    this.fit();
  }

  /** @param {string} obstacle */
  setObstacle(obstacle) {
    this.obstacle = obstacle;
    this.send.disabled = Boolean(obstacle);
    this.send.title = obstacle;
    if (obstacle || !this.isWaiting) return;
    this.isWaiting = false;
    this.ask();
  }

  focus() {
    this.box.focus({ preventScroll: true });
  }

  /** As high as what is written, up to a bound. */
  fit() {
    this.box.style.height = "auto";
    this.box.style.height = `${Math.min(this.box.scrollHeight + 2, MAX_BOX_PIXELS)}px`;
  }
}

/**
 * The page ends above the box, however high that is.
 * @param {HTMLElement} footer
 */
function makeRoom(footer) {
  const height = `${footer.offsetHeight}px`;
  document.documentElement.style.setProperty("--composer-height", height);
}
