"use strict";
// Starts the page and shows what its address says. Needs all the other scripts.

class Viewer {
  /** @param {ViewIndex} index */
  constructor(index) {
    this.index = index;
    this.content = /** @type {HTMLElement} */ (document.getElementById("content"));
    this.state = readState(location.hash);
    /** Pages of runs by number, made when they are first shown. @type {Map<number, RunPage>} */
    this.runPages = new Map();
    /** @type {ComparisonPage | null} */
    this.comparisonPage = null;
    /** @type {SessionPage | null} */
    this.sessionPage = null;
    /** The question that the window shows; what comes later for another one is dropped. */
    this.shown = "";
    /** Where the table was scrolled to. */
    this.tableTop = 0;
    this.now = () => this.state;
  }

  start() {
    document.getElementById("page-title")?.append(visible(this.index.title));
    document.getElementById("help-button")?.addEventListener("click", showHelp);
    const moved = () => {
      this.state = readState(location.hash);
      this.show();
    };
    for (const event of ["statechange", "popstate", "hashchange"]) addEventListener(event, moved);
    document.querySelector(".skip")?.addEventListener("click", (event) => {
      event.preventDefault();  // the address is the state: it must not become `#content`
      this.content.focus();
    });
    listenToKeys({
      move: (by) => this.#move(by),
      open: () => this.#open(),
      back: () => this.#back(),
      search: () => this.#search(),
      isReading: () => Boolean(this.state.question) || this.index.kind === "session",
    });
    this.show();
  }

  /** Shows what the address says. */
  show() {
    this.#showTabs();
    if (this.index.kind === "session") this.#showSession();
    else if (this.state.question) this.#showQuestion();
    else this.#showTable();
  }

  /**
   * Shows newer data; what is open, chosen and scrolled to stays.
   * @param {ViewIndex} index
   */
  renew(index) {
    const isLonger = (index.session?.questions.length ?? 0) >
      (this.index.session?.questions.length ?? 0);
    this.index = index;
    forgetEpisodes();
    if (this.comparisonPage) this.comparisonPage.index = index;
    const isOver = this.content.querySelector("[data-owed]") && !this.#isOwed();
    if (isOver || isLonger) this.shown = "";
    if (this.index.kind === "session" || !this.state.question || isOver) this.show();
  }

  /** Whether the open question is not over. */
  #isOwed() {
    const rows = this.index.runs?.[this.#runNumber]?.rows;
    const row = rows ? rowOf(rows, this.state.question, this.state.repeat) : -1;
    return rows?.standing[row] === "owed";
  }

  get #isComparing() {
    return Boolean(this.index.comparison) && this.state.view !== "run";
  }

  get #runNumber() {
    return Math.min(this.state.run, Math.max(0, (this.index.runs?.length ?? 1) - 1));
  }

  #page() {
    if (this.#isComparing) {
      this.comparisonPage ??= new ComparisonPage(this.index, this.now, (place) => {
        const flip = this.index.comparison?.flips[place];
        if (flip) this.#ask(flip.id, 0);
      });
      return this.comparisonPage;
    }
    const run = /** @type {RunIndex} */ (this.index.runs?.[this.#runNumber]);
    let page = this.runPages.get(this.#runNumber);
    if (!page) {
      page = new RunPage(run, this.now, (row) => {
        const { rows } = /** @type {RunPage} */ (page).run;
        this.#ask(rows.id[row], rows.repeat[row]);
      });
      this.runPages.set(this.#runNumber, page);
    }
    return page;
  }

  #showTable() {
    const page = this.#page();
    const isBack = this.shown !== "";
    const isNew = !page.element.isConnected;
    this.shown = "";
    if (isNew) this.content.replaceChildren(page.element);
    if (page instanceof RunPage) {
      page.update(/** @type {RunIndex} */ (this.index.runs?.[this.#runNumber]));
    } else page.update();
    document.title = this.index.title;
    if (!isBack) return;
    scrollTo({ top: this.tableTop, behavior: "instant" });
    page.grid.show(page.grid.rows);
    if (page.grid.current >= 0) page.grid.focusPlace(page.grid.current);
  }

  #showSession() {
    const session = /** @type {SessionIndex} */ (this.index.session);
    this.sessionPage ??= new SessionPage(session, this.now);
    const page = this.sessionPage;
    if (!page.element.isConnected) this.content.replaceChildren(page.element);
    page.update(session);
    const row = page.row();
    if (session.questions.length === 0) {
      page.place.replaceChildren(el("p", { className: "nothing" }, "Nothing was asked yet."));
      return;
    }
    const bar = readingBar({ row, count: session.questions.length, noun: "Question",
      onMove: (by) => page.open(row + by), onBack: null, permalink: location.href });
    this.#fill(page.place, `session/${row}`, bar, async () => {
      const episode = await loadEpisode(this.index, 0, row);
      addCopyMenu(bar, episode);
      return episodeElement(episode);
    });
  }

  #showQuestion() {
    const page = this.#page();
    if (page.element.isConnected) this.tableTop = scrollY;
    if (page instanceof ComparisonPage) this.#showFlip(page);
    else this.#showEpisode(page);
  }

  /** @param {RunPage} page */
  #showEpisode(page) {
    const number = this.#runNumber;
    const run = /** @type {RunIndex} */ (this.index.runs?.[number]);
    page.run = run;
    const row = rowOf(run.rows, this.state.question, this.state.repeat);
    const wanted = page.wanted();
    if (page.grid.rows.length === 0) page.grid.rows = wanted;
    page.grid.current = page.grid.rows.indexOf(row);
    const bar = this.#bar(wanted.indexOf(row), wanted.length);
    this.#fill(this.content, `${number}/${this.state.question}/${this.state.repeat}`, bar,
      async () => {
        if (row < 0) throw new Error("This run has no such question.");
        const isOwed = this.#isOwed();
        const episode = await loadEpisode(this.index, number, row).catch((error) => {
          if (!isOwed) throw error;
          return owedEpisode(run.rows, row);
        });
        const element = episodeElement(episode);
        element.toggleAttribute("data-owed", isOwed);
        addCopyMenu(bar, episode);
        return element;
      });
  }

  /** @param {ComparisonPage} page */
  #showFlip(page) {
    const flips = this.index.comparison?.flips ?? [];
    const place = flips.findIndex((one) => one.id === this.state.question);
    const wanted = page.wanted();
    if (page.grid.rows.length === 0) page.grid.rows = wanted;
    page.grid.current = page.grid.rows.indexOf(place);
    const bar = this.#bar(wanted.indexOf(place), wanted.length);
    this.#fill(this.content, `flip/${this.state.question}`, bar, async () => {
      if (place < 0) throw new Error("These runs share no such question.");
      const both = await Promise.all([loadEpisode(this.index, 0, flips[place].first),
        loadEpisode(this.index, 1, flips[place].second)]);
      return sideBySide(this.index, flips[place], both);
    });
  }

  /**
   * Shows a question as soon as its data is there.
   * @param {Element} place
   * @param {string} key of the question
   * @param {HTMLElement} bar
   * @param {() => Promise<HTMLElement>} make
   */
  async #fill(place, key, bar, make) {
    if (this.shown === key) return;
    this.shown = key;
    const reading = el("p", { className: "loading" }, "Reading the question …");
    place.replaceChildren(bar, reading);
    let element;
    try {
      element = await make();
    } catch (error) {
      element = el("p", { className: "fault", role: "alert" },
        error instanceof Error ? error.message : String(error));
    }
    if (this.shown !== key) return;
    reading.replaceWith(element);
    scrollTo({ top: 0, behavior: "instant" });
    const title = /** @type {HTMLElement | null} */ (place.querySelector(".question"));
    title?.focus({ preventScroll: true });
    document.title = `${(title?.textContent ?? "").slice(0, 80)} · ${this.index.title}`;
    announce(bar.querySelector(".position")?.textContent ?? "");
    performance.mark("seekling-question");
  }

  /**
   * @param {number} place among the wanted ones
   * @param {number} count
   */
  #bar(place, count) {
    const link = new URL(location.href);
    const { run, view, question, repeat } = this.state;
    link.hash = stateHash({ ...readState(""), run, view, question, repeat });
    return readingBar({ row: place, count, noun: "Question", onMove: (by) => this.#move(by),
      onBack: () => this.#back(), permalink: link.href });
  }

  /**
   * @param {string} question
   * @param {number} repeat
   */
  #ask(question, repeat) {
    changeState({ ...this.state, question, repeat }, { isStep: true });
  }

  /** @param {number} by */
  #move(by) {
    if (this.index.kind === "session") {
      this.sessionPage?.open(this.sessionPage.row() + by);
      return;
    }
    const page = this.#page();
    if (!this.state.question) {
      page.grid.move(by);
      return;
    }
    const wanted = page.grid.rows;
    const next = wanted[page.grid.current + by];
    if (next === undefined) {
      announce(by > 0 ? "This is the last question." : "This is the first question.");
      return;
    }
    page.grid.options.onOpen(next);
  }

  #open() {
    const { grid } = this.#page();
    const row = grid.rows[grid.current];
    if (row !== undefined && !this.state.question) grid.options.onOpen(row);
  }

  #back() {
    if (this.index.kind === "session" || !this.state.question) return;
    changeState({ ...this.state, question: "", repeat: 0 }, { isStep: true });
  }

  #search() {
    this.#back();
    document.getElementById("search")?.focus();
  }

  #showTabs() {
    const tabs = /** @type {HTMLElement} */ (document.getElementById("tabs"));
    const runs = this.index.runs ?? [];
    tabs.hidden = runs.length < 2;
    if (tabs.hidden) return;
    const open = readState("");
    const tab = (/** @type {string} */ label, /** @type {ViewState} */ state, isOpen = false) =>
      el("a", { href: stateHash(state), "aria-current": isOpen ? "page" : null, dir: "auto" },
        label);
    clear(tabs).append(
      tab("Comparison", { ...open, view: "compare" }, this.#isComparing),
      ...runs.map((run, place) => tab(`${place ? "B" : "A"} · ${run.name}`,
        { ...open, view: "run", run: place }, !this.#isComparing && this.#runNumber === place)));
  }
}

/**
 * What is known of a question that has no record yet.
 * @param {Rows} rows
 * @param {number} row
 * @returns {EpisodeView}
 */
function owedEpisode(rows, row) {
  return { id: rows.id[row], repeat: rows.repeat[row], question: rows.question[row],
    standing: "owed", answers: [rows.reference[row]],
    hint: "Nothing is recorded of it yet. It appears here when it is over." };
}

/**
 * @param {{row: number, count: number, noun: string, onMove: (by: number) => void,
 *   onBack: (() => void) | null, permalink: string}} options
 */
function readingBar({ row, count, noun, onMove, onBack, permalink }) {
  const position = row < 0 ? `Not among the ${formatNumber(count)} shown`
    : `${noun} ${formatNumber(row + 1)} of ${formatNumber(count)}`;
  /** @type {(text: string, label: string, click: () => void, isOff?: boolean) => HTMLElement} */
  const button = (text, label, click, isOff = false) => el("button", { type: "button",
    "aria-label": label, disabled: isOff, on: { click } }, text);
  return el("nav", { className: "reading-bar no-print", "aria-label": "Between questions" },
    onBack ? button("← All", "All questions", onBack) : null,
    button("‹", "Previous question", () => onMove(-1), row <= 0),
    button("›", "Next question", () => onMove(1), row < 0 || row >= count - 1),
    el("span", { className: "position dim" }, position),
    el("span", { className: "copies" },
      button("Copy link", "Copy link", () => copyText(permalink, "The link"))));
}

/**
 * @param {HTMLElement} bar
 * @param {EpisodeView} episode
 */
function addCopyMenu(bar, episode) {
  if (!episode.answer_text) return;
  bar.querySelector(".copies")?.prepend(el("button", { type: "button",
    on: { click: () => copyText(episode.answer_text ?? "", "The answer") } },
  "Copy answer"));
}

/**
 * Says whether a run that is being written is followed, or that it is over.
 * @param {boolean} isConnected
 * @param {ViewIndex} index the newest one
 */
function showConnection(isConnected, index) {
  const live = /** @type {HTMLElement} */ (document.getElementById("live"));
  live.hidden = false;
  const isAtWork = index.runs?.some((run) => run.is_being_written);
  if (!isAtWork) live.textContent = "✓ the run has ended";
  else live.textContent = isConnected ? "● live" : "○ not connected: trying again";
}

async function main() {
  try {
    const index = await loadIndex();
    const viewer = new Viewer(index);
    viewer.start();
    if (index.is_live) {
      followChanges((newer) => {
        viewer.renew(newer);
        showConnection(true, newer);
      }, (isConnected) => showConnection(isConnected, viewer.index));
    }
    performance.mark("seekling-ready");
  } catch (error) {
    const loading = document.getElementById("loading") ?? document.getElementById("content");
    loading?.replaceChildren("The data of this page cannot be read: ",
      visible(error instanceof Error ? error.message : String(error)));
    throw error;
  }
}

main();
