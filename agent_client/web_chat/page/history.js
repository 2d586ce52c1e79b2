"use strict";
// The list of conversations, beside the page or as a drawer over it. Defines:
// ConversationList.

const DAY_FORMAT = new Intl.DateTimeFormat("en", { day: "numeric", month: "short" });
const TIME_FORMAT = new Intl.DateTimeFormat("en", {
  hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});
const WIDE = "(width > 60rem)";
const FOLDED_KEY = "seekling-history-folded";

/** Earlier conversations: open, delete, begin a new one. */
class ConversationList {
  /** @param {{onOpen: (id: string) => void, onNew: () => void, onDelete: (id: string) =>
   *   Promise<void>}} actions */
  constructor(actions) {
    this.actions = actions;
    this.panel = /** @type {HTMLElement} */ (document.getElementById("history"));
    this.list = /** @type {HTMLElement} */ (document.getElementById("history-list"));
    this.toggle = /** @type {HTMLElement} */ (document.getElementById("history-toggle"));
    this.shade = /** @type {HTMLElement} */ (document.getElementById("history-shade"));
    this.wide = window.matchMedia(WIDE);
    this.isOpen = false;
    this.toggle.addEventListener("click", () => this.setOpen(!this.isOpen, true));
    this.shade.addEventListener("click", () => this.setOpen(false, true));
    document.getElementById("new")?.addEventListener("click", () => {
      this.leaveDrawer();
      this.actions.onNew();
    });
    this.wide.addEventListener("change", () => this.setOpen(this.opensAtStart(), false));
    this.setOpen(this.opensAtStart(), false);
  }

  opensAtStart() {
    return this.wide.matches && remembered(FOLDED_KEY) !== "yes";
  }

  /**
   * @param {boolean} isOpen
   * @param {boolean} isWish of a person, to be remembered
   */
  setOpen(isOpen, isWish) {
    this.isOpen = isOpen;
    const isDrawer = isOpen && !this.wide.matches;
    document.body.classList.toggle("has-history", isOpen);
    this.panel.hidden = !isOpen;
    this.shade.hidden = !isDrawer;
    this.toggle.setAttribute("aria-expanded", String(isOpen));
    if (isWish && this.wide.matches) remember(FOLDED_KEY, isOpen ? "no" : "yes");
    if (isWish && isDrawer) document.getElementById("new")?.focus();
    else if (isWish && !isOpen) this.toggle.focus();
  }

  /** A drawer goes when something in it was chosen. Whether there was one. */
  leaveDrawer() {
    const isDrawer = this.isOpen && !this.wide.matches;
    if (isDrawer) this.setOpen(false, true);
    return isDrawer;
  }

  /**
   * @param {ListedChat[]} conversations
   * @param {string} current
   */
  show(conversations, current) {
    const empty = /** @type {HTMLElement} */ (document.getElementById("history-empty"));
    empty.hidden = conversations.length > 0;
    clear(this.list).append(...conversations.map((one) => this.line(one, current)));
  }

  /**
   * @param {ListedChat} conversation
   * @param {string} current
   */
  line(conversation, current) {
    const when = conversation.is_running ? "at work" : whenOf(conversation.created);
    const open = el("button", {
      type: "button",
      className: "history-entry",
      "aria-current": conversation.id === current ? "page" : null,
      on: { click: () => { this.leaveDrawer(); this.actions.onOpen(conversation.id); } },
    }, el("span", { className: "history-title", dir: "auto" }, conversation.title),
    el("span", { className: "dim" }, when));
    const remove = el("button", {
      type: "button",
      className: "quiet history-delete",
      "aria-label": `Delete: ${conversation.title}`,
      on: { click: () => this.confirm(conversation, remove) },
    }, "×");
    return el("li", null, open, remove);
  }

  /**
   * The first click asks, the second one deletes.
   * @param {ListedChat} conversation
   * @param {HTMLElement} button
   */
  confirm(conversation, button) {
    if (button.dataset.asks === "yes") {
      void this.actions.onDelete(conversation.id);
      return;
    }
    button.dataset.asks = "yes";
    button.textContent = "Delete?";
    announce("Press again to delete this conversation for good.");
    const calm = () => {
      button.dataset.asks = "no";
      button.textContent = "×";
    };
    button.addEventListener("blur", calm, { once: true });
    button.closest("li")?.addEventListener("mouseleave", calm, { once: true });
  }
}

/** @param {string} iso */
function whenOf(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return "";
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? TIME_FORMAT.format(date) : DAY_FORMAT.format(date);
}

/** @param {string} key */
function remembered(key) {
  try {
    return window.localStorage.getItem(key);
  } catch {
    return null;
  }
}

/**
 * @param {string} key
 * @param {string} value
 */
function remember(key, value) {
  try {
    window.localStorage.setItem(key, value);
  } catch {
    // a browser that keeps nothing: the panel opens as it does for everybody
  }
}
