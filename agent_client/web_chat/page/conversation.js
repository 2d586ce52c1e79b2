"use strict";
// The runs of a conversation: question, live timeline, answer, sources. Needs the shared scripts.
// Defines: Run, keepingPlace, isAtEnd.

const END_SLACK_PIXELS = 60;
/** About the width of a character, by which the last words of a thought are cut to a line. */
const CHARACTER_PIXELS = 8;

/** @type {Record<string, string>} */
const STOP_WORDS = {
  turn_limit: "It stopped at its limit of turns; the answer is what it had by then.",
  tool_call_limit: "It stopped at its limit of searches and visits; the answer is what it had by then.",
  time_limit: "It stopped at its time limit; the answer is what it had by then.",
  token_limit: "It stopped at its limit of tokens; the answer is what it had by then.",
  context_limit: "The conversation has filled the model's context; the answer is what it had by then.",
  cost_limit: "It stopped at its cost limit; the answer is what it had by then.",
  repeated_reply: "The model began to repeat itself; the answer is what it had by then.",
  no_answer: "The model gave no answer.",
};

/** Whether the end of the page is in view. */
function isAtEnd() {
  const root = document.documentElement;
  return root.scrollHeight - window.scrollY - window.innerHeight < END_SLACK_PIXELS;
}

/**
 * Changes the page; a reader at the end stays there, any other stays where they are.
 * @param {() => void} change
 * @returns {boolean} whether the end was in view
 */
function keepingPlace(change) {
  const follows = isAtEnd();
  change();
  if (follows) window.scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
  return follows;
}

/** One question and all that was done about it. */
class Run {
  /**
   * @param {ChatRun} view
   * @param {{onAgain: (question: string) => void}} actions
   */
  constructor(view, actions) {
    this.view = view;
    this.index = view.index;
    this.isRunning = view.status === "running";
    this.prefix = `r${view.index}-`;
    this.actions = actions;
    /** @type {HTMLElement[]} */
    this.items = [];
    /** @type {AnyStep[]} */
    this.steps = [];
    this.startedAt = performance.now() - 1000 * (view.seconds ?? 0);
    this.element = el("article", { className: "run", id: `${this.prefix}run` });
    this.timeline = el("ol", { className: "timeline" });
    this.summary = el("span", { className: "summary-text" });
    this.work = el("details", { className: "work" },
      el("summary", null, this.summary), this.timeline);
    this.result = el("div", { className: "result" });
    this.show(view);
  }

  /** Shows the whole run anew. @param {ChatRun} view */
  show(view) {
    this.view = view;
    const episode = view.episode;
    this.steps = episode.steps ?? [];
    this.element.hidden = Boolean(view.is_undone);
    this.element.setAttribute("aria-label", `Question ${view.index + 1}`);
    this.element.classList.toggle("is-running", view.status === "running");
    clear(this.element).append(
      el("h2", { className: "question", dir: "auto" }, episode.question), this.work, this.result);
    const options = this.stepOptions();
    this.items = this.steps.map((step, index) => stepElement(step, index, options));
    clear(this.timeline).append(...this.items);
    this.steps.forEach((step, index) => this.showLastWords(index));
    this.isRunning = view.status === "running";
    /** @type {HTMLDetailsElement} */ (this.work).open = this.isRunning || !episode.answer?.length;
    this.showSummary();
    clear(this.result);
    if (!this.isRunning) this.result.append(...this.resultParts());
  }

  stepOptions() {
    const episode = this.view.episode;
    return { prefix: this.prefix, sources: episode.sources ?? [],
      onCite: (/** @type {number} */ number) => this.showEvidence(number) };
  }

  /** @param {number} index @param {AnyStep} step */
  changeStep(index, step) {
    this.steps[index] = step;
    const item = this.items[index];
    if (item) {
      updateStep(item, step);
    } else {
      this.items[index] = stepElement(step, index, this.stepOptions());
      this.timeline.append(this.items[index]);
    }
    this.showSummary();
  }

  /** @param {ChatDelta} delta */
  write(delta) {
    const item = this.items[delta.index];
    const step = this.steps[delta.index];
    if (!item || step?.kind !== "turn") return;
    step[delta.what] = (step[delta.what] ?? "") + delta.text;
    streamIntoTurn(item, delta.what, delta.text);
    if (delta.what === "thinking") this.showLastWords(delta.index);
  }

  /** While the model thinks, its folded line shows what it thinks now. @param {number} index */
  showLastWords(index) {
    const step = this.steps[index];
    if (step.kind !== "turn" || !step.is_open) return;
    const glimpse = this.items[index]?.querySelector(".glimpse");
    if (!glimpse) return;
    const room = Math.max(20, Math.floor(glimpse.clientWidth / CHARACTER_PIXELS) - 2);
    const line = (step.thinking ?? "").trimEnd().split("\n").at(-1) ?? "";
    glimpse.textContent = visible(line.length > room ? `… ${line.slice(-room)}` : line);
  }

  /** One line that says how much work it is. */
  showSummary() {
    const searches = this.steps.filter((step) => step.kind === "search").length;
    const visits = this.steps.filter((step) => step.kind === "visit").length;
    const parts = [
      plural(this.steps.length, "step"),
      searches ? plural(searches, "search", "searches") : "",
      visits ? plural(visits, "visit") : "",
    ];
    if (this.isRunning) {
      const seconds = Math.floor((performance.now() - this.startedAt) / 1000);
      const running = [seconds >= 1 ? `${formatNumber(seconds)} s` : ""];
      this.summary.textContent = ["Working", ...parts, ...running].filter(Boolean).join(" · ");
    } else {
      const seconds = this.view.seconds ? formatSeconds(this.view.seconds) : "";
      this.summary.textContent = [...parts, seconds].filter(Boolean).join(" · ");
    }
  }

  /** What stands below the timeline of a run that is over. */
  resultParts() {
    const { episode, status } = this.view;
    const options = { prefix: this.prefix,
      onCite: (/** @type {number} */ number) => this.showEvidence(number) };
    const hasAnswer = Boolean(episode.answer?.length);
    const sources = episode.sources ?? [];
    const cited = sources.filter((one) => one.is_cited).length;
    const remark = this.remark();
    return [
      episode.error ? el("div", { className: "fault", dir: "auto" },
        episode.error, episode.hint ? el("p", null, episode.hint) : null) : null,
      status === "stopped" ? el("p", { className: "remark" },
        "Stopped. What was found so far is above.") : null,
      hasAnswer ? answerElement(episode, options) : null,
      remark ? el("p", { className: "remark" }, remark) : null,
      sources.length ? el("details", { className: "source-fold", open: hasAnswer && cited > 0 },
        el("summary", null, sourcesTitle(sources.length, cited)),
        sourcesElement(episode, options)) : null,
      this.footer(hasAnswer),
    ].filter((part) => part !== null);
  }

  remark() {
    const { episode, status } = this.view;
    if (status === "stopped" || episode.error) return "";
    return STOP_WORDS[episode.stop_reason ?? ""] ?? "";
  }

  /** @param {boolean} hasAnswer */
  footer(hasAnswer) {
    const { episode } = this.view;
    const copy = el("button", { type: "button", className: "quiet",
      on: { click: () => void copyAnswer(episode, copy) } }, "Copy answer");
    const again = el("button", { type: "button", className: "quiet again",
      on: { click: () => this.actions.onAgain(episode.question) } }, "Ask again");
    return el("footer", { className: "run-actions" }, hasAnswer ? copy : null, again,
      ...this.shownFacts().map((fact) => el("span", { className: "dim" }, fact)));
  }

  shownFacts() {
    const facts = new Map(this.view.episode.facts ?? []);
    const tokens = [facts.get("Tokens in"), facts.get("Tokens out")];
    const spent = tokens.every(Boolean)
      ? `${tokens[0]} tokens read, ${tokens[1]} written` : "";
    return [spent, facts.get("Cost")].filter(Boolean);
  }

  /** Opens the timeline at the passage. @param {number} number */
  showEvidence(number) {
    /** @type {HTMLDetailsElement} */ (this.work).open = true;
    showEvidence(this.view.episode.sources ?? [], number, this.prefix);
  }
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
function plural(count, one, many = `${one}s`) {
  return `${formatNumber(count)} ${count === 1 ? one : many}`;
}

/**
 * @param {number} total
 * @param {number} cited
 */
function sourcesTitle(total, cited) {
  if (!cited) return `${plural(total, "page")} read`;
  const others = total - cited;
  return plural(cited, "source") + (others ? ` · ${formatNumber(others)} more read` : "");
}

/**
 * @param {EpisodeView} episode
 * @param {HTMLElement} button
 */
async function copyAnswer(episode, button) {
  const sources = (episode.sources ?? []).filter((one) => one.is_cited);
  const list = sources.map((one) =>
    `[${one.number}] ${one.title || one.url} <${one.url}>`);
  await copyText([episode.answer_text ?? "", ...list].join("\n\n").trim(), "Answer");
  button.textContent = "Copied";
  window.setTimeout(() => { button.textContent = "Copy answer"; }, 1500);
}
