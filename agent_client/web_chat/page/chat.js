"use strict";
// The page: one conversation at a time, and what leads to others. Needs all other scripts.

const EXAMPLES = [
  "Which river flows through the city where Marie Curie was born?",
  "How do heat pumps and gas boilers compare in running costs?",
  "Who designed the tallest lighthouse in Europe, and when was it built?",
];
const CLOCK_MS = 1000;
/** @type {Record<string, string>} */
const NOTICES = {
  lost: "The connection was lost. Trying again …",
  gone: "Seekling does not answer any more. Start it again in a terminal with: seekling web",
  refused: "Seekling was started anew. Open the address that it printed in its terminal.",
  closing: "Seekling was ended. Start it again in a terminal with: seekling web",
};

/** Everything that the page shows. */
class Chat {
  constructor() {
    this.conversation = "";
    /** @type {Map<number, Run>} */
    this.runs = new Map();
    /** @type {EventStream | null} */
    this.stream = null;
    /** Counts what was opened, so that late replies for another conversation are dropped. */
    this.visit = 0;
    /** @type {ChatStatus | null} */
    this.status = null;
    this.isOver = false;
    this.place = /** @type {HTMLElement} */ (document.getElementById("runs"));
    this.toEnd = /** @type {HTMLElement} */ (document.getElementById("to-end"));
    this.composer = new Composer({
      onAsk: (question, style) => void this.ask(question, style, false),
      onStop: () => void this.stop(),
    });
    this.history = new ConversationList({
      onOpen: (id) => this.go(id),
      onNew: () => this.go(""),
      onDelete: (id) => this.remove(id),
    });
    this.agent = new AgentState((status) => this.onStatus(status));
    this.card = new CitationCard((citation) => this.runOf(citation)?.view.episode);
    this.wire();
  }

  wire() {
    window.addEventListener("hashchange", () => void this.open(idInAddress()));
    window.addEventListener("scroll", () => this.showToEnd(), { passive: true });
    document.addEventListener("keydown", (event) => this.onKey(event));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) void this.refreshHistory();
    });
    document.addEventListener("click", (event) => closeMenus(event.target));
    this.toEnd.addEventListener("click", () => {
      window.scrollTo({ top: document.documentElement.scrollHeight });
      this.composer.focus();
    });
    document.getElementById("session-copy")?.addEventListener("click", () =>
      void copyText(`seekling view ${this.conversation}`, "Command"));
    window.setInterval(() => this.running()?.showSummary(), CLOCK_MS);
    const examples = document.getElementById("examples");
    examples?.append(...EXAMPLES.map((question) => el("li", null, el("button", {
      type: "button", className: "example", on: { click: () => this.askExample(question) },
    }, question))));
  }

  async begin() {
    await this.open(idInAddress());
    await this.agent.refresh().catch((error) => this.fail(error));
    this.composer.focus();
  }

  /** @param {string} question */
  askExample(question) {
    this.composer.box.value = question;
    this.composer.fit();
    this.composer.focus();
    this.composer.ask();
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.key !== "Escape" || event.isComposing) return;
    if (this.card.hide() || closeMenus(null) || this.history.leaveDrawer()) return;
    if (this.running()) void this.stop();
  }

  running() {
    return [...this.runs.values()].find((run) => run.isRunning);
  }

  /** @param {Element} element */
  runOf(element) {
    const article = element.closest("article.run");
    return [...this.runs.values()].find((run) => run.element === article);
  }

  /** Goes to a conversation; "" is a new one. @param {string} id */
  go(id) {
    if (id === this.conversation) this.composer.focus();
    else window.location.hash = id ? `c/${id}` : "";
  }

  /** @param {string} id */
  async open(id) {
    if (id && id === this.conversation) return;
    this.leave();
    this.conversation = id;
    if (id) await this.load();
    else this.showFrame();
    this.composer.focus();
    await this.refreshHistory();
  }

  leave() {
    this.visit += 1;
    this.stream?.close();
    this.stream = null;
    this.runs.clear();
    this.isOver = false;
    clear(this.place);
    notify("");
  }

  /** Shows the conversation as the server knows it, and follows it from there. */
  async load() {
    const visit = this.visit;
    let view;
    try {
      view = await callServer("GET", `/api/conversations/${this.conversation}`);
    } catch (error) {
      if (visit !== this.visit) return;
      if (error instanceof ServerError && error.status === 404) this.go("");
      this.fail(error);
      return;
    }
    if (visit !== this.visit) return;
    this.isOver = view.is_over;
    const actions = { onAgain: (/** @type {string} */ question) =>
      void this.ask(question, this.composer.style.value, true) };
    keepingPlace(() => {
      clear(this.place);
      this.runs = new Map(view.runs.map((/** @type {any} */ run) => [run.index, new Run(run, actions)]));
      this.place.append(...[...this.runs.values()].map((run) => run.element));
    });
    this.follow(view.last_event);
    this.showFrame();
    window.scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
  }

  /** @param {string} after */
  follow(after) {
    this.stream?.close();
    const visit = this.visit;
    this.stream = new EventStream(`/api/conversations/${this.conversation}/events`, after, {
      onEvent: (event) => { if (visit === this.visit) this.take(event); },
      onState: (state) => { if (visit === this.visit) this.onConnection(state); },
    });
  }

  /** @param {"open" | "lost" | "gone" | "refused"} state */
  onConnection(state) {
    notify(NOTICES[state] ?? "");
  }

  /** @param {ChatEvent} event */
  take(event) {
    if (event.type === "delta") keepingPlace(() => this.runs.get(event.run)?.write(event));
    else if (event.type === "step") this.takeStep(event);
    else if (event.type === "asked") this.takeQuestion(event);
    else if (event.type === "finished") this.takeEnd(event.run);
    else if (event.type === "reset") void this.load();
    else if (event.type === "closing") notify(NOTICES.closing);
    else if (event.type === "deleted") this.go("");
    this.showToEnd();
  }

  /** @param {ChatStep} event */
  takeStep(event) {
    const step = event.step;
    keepingPlace(() => this.runs.get(event.run)?.changeStep(event.index, step));
    if (step.kind === "mark" || !step.is_open) return;
    if (step.kind === "search") announce(`Searching: ${step.query ?? ""}`);
    if (step.kind === "visit") announce(`Reading: ${hostOf(step.asked?.[0] ?? "a page")}`);
  }

  /** @param {ChatAsked} event */
  takeQuestion(event) {
    const last = [...this.runs.values()].filter((run) => !run.element.hidden).at(-1);
    if (event.again && last && last.index < event.run.index) last.element.hidden = true;
    this.runs.get(event.run.index)?.element.remove();
    const actions = { onAgain: (/** @type {string} */ question) =>
      void this.ask(question, this.composer.style.value, true) };
    const run = new Run(event.run, actions);
    this.runs.set(event.run.index, run);
    this.place.append(run.element);
    this.showFrame();
    run.element.scrollIntoView({ block: "start", behavior: "instant" });
    announce("Your question is being worked on.");
    void this.refreshHistory();
  }

  /** @param {ChatRun} view */
  takeEnd(view) {
    const run = this.runs.get(view.index);
    const follows = keepingPlace(() => run?.show(view));
    if (run && follows) showFromTop(run.element);
    this.showFrame();
    const words = view.status === "stopped" ? "Stopped."
      : view.episode.error ? `It failed: ${view.episode.error}`
        : `The answer is there. ${view.episode.answer_text ?? ""}`;
    announce(words.slice(0, 600));
    if (view.episode.error) void this.agent.refresh().catch(() => {});
    void this.refreshHistory();
  }

  /**
   * @param {string} question
   * @param {string} style
   * @param {boolean} again
   */
  async ask(question, style, again) {
    this.composer.setRunning(true);
    try {
      if (!this.conversation) await this.start();
      await callServer("POST", `/api/conversations/${this.conversation}/questions`,
        { question, style: style || null, again });
      if (!again) this.composer.empty();
      notify("");
    } catch (error) {
      this.composer.setRunning(this.running() !== undefined);
      if (!again) this.composer.putBack(question);
      this.fail(error);
      if (error instanceof ServerError && error.status === 503) {
        void this.agent.refresh().catch(() => {});
      }
    }
  }

  /** Begins a conversation, without a change of what is shown. */
  async start() {
    const view = await callServer("POST", "/api/conversations");
    this.leave();
    this.conversation = view.id;
    window.history.pushState(null, "", `#c/${view.id}`);
    this.follow(view.last_event);
  }

  async stop() {
    try {
      await callServer("POST", `/api/conversations/${this.conversation}/stop`);
    } catch (error) {
      this.fail(error);
    }
  }

  /** @param {string} id */
  async remove(id) {
    try {
      await callServer("DELETE", `/api/conversations/${id}`);
      announce("Deleted.");
    } catch (error) {
      this.fail(error);
    }
    if (id === this.conversation) this.go("");
    await this.refreshHistory();
  }

  async refreshHistory() {
    try {
      const { conversations } = await callServer("GET", "/api/conversations");
      this.history.show(conversations, this.conversation);
    } catch (error) {
      if (!this.stream) this.fail(error);
    }
  }

  /** @param {ChatStatus} status */
  onStatus(status) {
    this.status = status;
    this.showFrame();
  }

  /** What stands around the runs. */
  showFrame() {
    const running = this.running() !== undefined;
    const isEmpty = this.runs.size === 0;
    const failed = this.status?.state === "failed";
    show("welcome", isEmpty && !this.conversation && !failed);
    show("share", !isEmpty);
    this.composer.setRunning(running);
    this.composer.setObstacle(this.obstacle());
    this.composer.box.placeholder = isEmpty ? "Ask a question" : "Ask a follow-up";
    const question = [...this.runs.values()].at(0)?.view.episode.question ?? "";
    document.title = (running ? "● " : "") + (question ? `${question} – Seekling` : "Seekling");
    if (!this.conversation) return;
    for (const kind of ["md", "html", "json", "messages"]) {
      document.getElementById(`export-${kind}`)
        ?.setAttribute("href", `/api/conversations/${this.conversation}/export?format=${kind}`);
    }
    show("session-line", this.status?.saves !== false);
    put("session-id", this.conversation);
    put("session-command", `seekling view ${this.conversation}`);
  }

  obstacle() {
    if (this.isOver) return "A report cannot be asked on: begin a new question.";
    if (this.status?.state === "failed") return "There is no model to ask.";
    if (this.status?.state !== "ready") return "The model is still being set up.";
    return "";
  }

  showToEnd() {
    this.toEnd.hidden = isAtEnd() || this.running() === undefined;
  }

  /** @param {unknown} error */
  fail(error) {
    if (!(error instanceof ServerError)) throw error;
    notify([error.message, error.hint].filter(Boolean).join(" "));
  }
}

function idInAddress() {
  return /^#c\/([0-9a-f]{12})$/.exec(window.location.hash)?.[1] ?? "";
}

/**
 * @param {string} id
 * @param {boolean} isShown
 */
function show(id, isShown) {
  const element = document.getElementById(id);
  if (element) element.hidden = !isShown;
}

/** A line above the box; "" takes it away. @param {string} text */
function notify(text) {
  put("notice", text);
  show("notice", Boolean(text));
}

/**
 * Closes the open menus that an element is not part of. Whether there was one.
 * @param {EventTarget | null} inside
 */
function closeMenus(inside) {
  let closed = false;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (inside instanceof Node && menu.contains(inside)) continue;
    menu.removeAttribute("open");
    if (menu.contains(document.activeElement)) menu.querySelector("summary")?.focus();
    closed = true;
  }
  return closed;
}

/** A run that was followed to its end is read from its question on. @param {HTMLElement} element */
function showFromTop(element) {
  if (element.getBoundingClientRect().top < 0 && element.offsetHeight > window.innerHeight) {
    element.scrollIntoView({ block: "start", behavior: "instant" });
  }
}

void new Chat().begin();
