"use strict";
// A card beside a citation: what the source is, and the passage that was used.
// Defines: CitationCard.

const QUOTED_UNITS = 300;
const CARD_GAP_PIXELS = 6;

/** Shows the source of the citation under the pointer, or that has the focus. */
class CitationCard {
  /** @param {(citation: Element) => EpisodeView | undefined} episodeOf the episode that a citation belongs to */
  constructor(episodeOf) {
    this.episodeOf = episodeOf;
    this.card = /** @type {HTMLElement} */ (document.getElementById("cite-card"));
    /** @type {HTMLElement | null} */
    this.shownFor = null;
    for (const kind of ["mouseover", "focusin"]) {
      document.addEventListener(kind, (event) => this.follow(event.target));
    }
    document.addEventListener("scroll", () => this.hide(), { passive: true });
  }

  /** @param {EventTarget | null} target */
  follow(target) {
    const citation = target instanceof Element ? target.closest("button.cite") : null;
    if (citation === this.shownFor) return;
    this.hide();
    if (citation instanceof HTMLElement) this.show(citation);
  }

  /** @param {HTMLElement} citation */
  show(citation) {
    const episode = this.episodeOf(citation);
    const number = Number(citation.dataset.cites);
    const source = episode?.sources?.find((one) => one.number === number);
    if (!episode || !source) return;
    const quote = passageOf(episode, number);
    clear(this.card).append(
      el("strong", { dir: "auto" }, source.title || source.url),
      el("span", { className: "dim" }, hostOf(source.url)),
      quote ? el("q", { dir: "auto" }, quote) : el("span", { className: "dim" },
        "The page was read; no single passage stands out."));
    this.card.hidden = false;
    this.place(citation.getBoundingClientRect());
    citation.setAttribute("aria-describedby", this.card.id);
    this.shownFor = citation;
  }

  /** @param {DOMRect} beside */
  place(beside) {
    const { offsetWidth, offsetHeight } = this.card;
    const left = Math.max(8, Math.min(beside.left, window.innerWidth - offsetWidth - 8));
    const above = beside.top - offsetHeight - CARD_GAP_PIXELS;
    const top = above > 8 ? above : beside.bottom + CARD_GAP_PIXELS;
    this.card.style.left = `${left}px`;
    this.card.style.top = `${top}px`;
  }

  /** Whether there was one to hide. */
  hide() {
    const wasShown = this.shownFor !== null;
    this.shownFor?.removeAttribute("aria-describedby");
    this.shownFor = null;
    this.card.hidden = true;
    return wasShown;
  }
}

/**
 * The passage that a citation refers to; "" where none is known.
 * @param {EpisodeView} episode
 * @param {number} number
 */
function passageOf(episode, number) {
  for (const step of episode.steps ?? []) {
    if (step.kind !== "visit") continue;
    for (const page of step.pages ?? []) {
      for (const one of page.highlights ?? []) {
        if (one.source !== number) continue;
        const text = (page.text ?? "").slice(one.start, one.end).replace(/\s+/g, " ").trim();
        return text.length > QUOTED_UNITS ? `${text.slice(0, QUOTED_UNITS)}…` : text;
      }
    }
  }
  return "";
}
