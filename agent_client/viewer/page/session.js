"use strict";
// The page of a session: its questions, and the one that is open.
// Needs pages' scripts, state.js. Defines: SessionPage.

class SessionPage {
  /**
   * @param {SessionIndex} session
   * @param {() => ViewState} now
   */
  constructor(session, now) {
    this.session = session;
    this.now = now;
    this.list = el("ol", { className: "questions" });
    this.about = el("details", { className: "about-run" });
    this.place = el("div", { className: "session-episode" });
    this.element = el("div", { className: "session" },
      el("nav", { className: "session-list no-print", "aria-label": "Questions" },
        el("h2", null, "Questions"), this.list, this.about), this.place);
  }

  /** The row of the open question; the first one where the address names none. */
  row() {
    const asked = Math.trunc(Number(this.now().question)) || 1;
    return Math.min(this.session.questions.length, Math.max(1, asked)) - 1;
  }

  /** @param {SessionIndex} session */
  update(session) {
    this.session = session;
    const open = this.row();
    clear(this.list).append(...session.questions.map((question, row) => el("li", null,
      el("a", { href: stateHash({ ...this.now(), question: String(row + 1) }), dir: "auto",
        "aria-current": row === open ? "page" : null }, question))));
    clear(this.about).append(el("summary", null, "About this session"),
      pairs(session.about, "facts"));
  }

  /** @param {number} row */
  open(row) {
    if (row < 0 || row >= this.session.questions.length) return;
    changeState({ ...this.now(), question: String(row + 1) }, { isStep: true });
  }
}
