"use strict";
// Which model answers, or why none does. Defines: AgentState.

const POLL_MS = 700;

/** Asks the server for its agent until there is one, or there cannot be one. */
class AgentState {
  /** @param {(status: ChatStatus) => void} onChange */
  constructor(onChange) {
    this.onChange = onChange;
    this.chip = /** @type {HTMLElement} */ (document.getElementById("model"));
    this.panel = /** @type {HTMLElement} */ (document.getElementById("no-agent"));
    this.timer = 0;
    document.getElementById("look-again")?.addEventListener("click", () => void this.lookAgain());
  }

  async refresh() {
    window.clearTimeout(this.timer);
    const status = await callServer("GET", "/api/status");
    this.show(status);
    this.onChange(status);
    if (status.state === "opening") {
      this.timer = window.setTimeout(() => void this.refresh().catch(() => {}), POLL_MS);
    }
  }

  async lookAgain() {
    try {
      await callServer("POST", "/api/agent/open");
      announce("Looking for a model.");
      await this.refresh();
    } catch (error) {
      announce(String(error instanceof Error ? error.message : error));
    }
  }

  /** @param {ChatStatus} status */
  show(status) {
    const setUp = status.told?.at(-1) ?? "looking for a model";
    const words = { opening: `Setting up: ${setUp}`, failed: "No model", ready: status.model };
    this.chip.textContent = visible(words[status.state] ?? "");
    this.chip.classList.toggle("is-bad", status.state === "failed");
    this.chip.title = [status.profile && `profile ${status.profile}`, ...(status.tools ?? []),
      `Seekling ${status.version}`].filter(Boolean).join(" · ");
    const wasHidden = this.panel.hidden;
    this.panel.hidden = status.state !== "failed";
    if (status.state !== "failed") return;
    put("no-agent-message", status.message ?? "");
    // Where a model was looked for in vain, the commands below say what to do.
    put("no-agent-hint", status.looked_at?.length ? "" : status.hint ?? "");
    const looked = /** @type {HTMLElement} */ (document.getElementById("no-agent-looked"));
    clear(looked).append(...(status.looked_at ?? []).map((line) =>
      el("li", { dir: "auto" }, line)));
    if (wasHidden) announce(`There is no model to ask. ${status.message ?? ""}`);
  }
}

/**
 * @param {string} id
 * @param {string} text
 */
function put(id, text) {
  const place = document.getElementById(id);
  if (place) place.textContent = visible(text);
}
