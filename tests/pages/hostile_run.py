"""A run whose texts want to run, to load, to hide, or to break the page."""

from typing import Any

from msgspec.structs import replace

from agent_client.search_hits import Hit
from agent_client.timeline.steps import (
    AnyStep,
    Call,
    Highlight,
    Mark,
    PagePart,
    Search,
    Turn,
    Visit,
)
from agent_client.viewer.document import EpisodeView, GoldPage, RunIndex, SourceView, VerdictView
from tests.pages.made_up_run import made_up_run

HOSTILE_TEXTS = (
    "<script>globalThis.ran = 1</script>",
    '<img src="https://evil.example/x.png" onerror="globalThis.ran = 1">',
    "</script><script>globalThis.ran = 1</script>",
    '"><svg onload="globalThis.ran = 1">',
    "javascript:globalThis.ran=1",
    "\u202egnp.exe \u2066abc\u2069 \u200b\ufeff",
    "half a pair: \ud83d and \ude00",
    "\x1b[31mred\x1b]0;title\x07 \x00\x08\x7f\x9b2J",
    "{{7*7}} ${7*7} <!-- --> <![CDATA[ ]]>",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "__proto__",
    "W" * 30_000,
)


def hostile_episode() -> EpisodeView:
    """An episode in which each text is hostile."""
    all_of_it = "\n".join(HOSTILE_TEXTS)
    return EpisodeView(
        id="q0000",
        question=all_of_it,
        answers=HOSTILE_TEXTS,
        answer=_answer(),
        answer_text=all_of_it,
        short_answer=HOSTILE_TEXTS[0],
        standing="incorrect",
        error=all_of_it,
        hint=all_of_it,
        verdicts=(
            VerdictView(grader=all_of_it, grade="__proto__", said=all_of_it, error=all_of_it),
        ),
        facts=tuple((it, it) for it in HOSTILE_TEXTS),
        sources=(
            SourceView(number=1, url=HOSTILE_TEXTS[4], title=all_of_it, is_cited=True, step=2),
        ),
        gold=(GoldPage(name=all_of_it, path="not_opened", hit_step=1),),
        path="not_opened",
        steps=_steps(all_of_it),
    )


def _answer() -> list[Any]:
    markup: list[Any] = [{"t": "p", "c": list(HOSTILE_TEXTS)}]
    markup += [
        {"t": "script", "c": ["globalThis.ran = 1"]},
        {"t": "a", "href": "javascript:globalThis.ran=1", "c": ["a link"]},
        {"t": "a", "href": "data:text/html,<script>1</script>", "c": ["another link"]},
        {"t": "a", "href": "https://good.example/", "c": ["a good link"]},
        {"t": "p", "c": ["cited ", {"t": "cite", "n": 1}, {"t": "cite", "n": 99}]},
    ]
    deep: Any = "the bottom"
    for _ in range(60):
        deep = {"t": "em", "c": [deep]}
    return [*markup, deep]


def _steps(all_of_it: str) -> tuple[AnyStep, ...]:
    page = PagePart(
        url="javascript:globalThis.ran=1",
        title=HOSTILE_TEXTS[0],
        text="\U0001f600 " + all_of_it,
        highlights=(Highlight(start=0, end=12, why="cited", source=1),),
    )
    hits = tuple(Hit(url=it, title=it, published=it, preview=it) for it in HOSTILE_TEXTS)
    return (
        Turn(turn=1, thinking=all_of_it, text=all_of_it, malformed=(all_of_it,), discarded="why"),
        Search(
            id="1", tool="web_search", arguments={"query": all_of_it}, query=all_of_it, hits=hits
        ),
        Visit(id="2", tool="web_visit", arguments={}, asked=HOSTILE_TEXTS, pages=(page,)),
        Visit(
            id="3",
            tool="web_visit",
            arguments={},
            asked=HOSTILE_TEXTS,
            is_error=True,
            error_kind="blocked",
            text=all_of_it,
        ),
        Call(
            id="4",
            tool=HOSTILE_TEXTS[1],
            arguments={it: it for it in HOSTILE_TEXTS},
            text=all_of_it,
        ),
        Mark(name="note", text=all_of_it),
    )


def hostile_run() -> RunIndex:
    """A run of two questions whose texts are hostile."""
    run = made_up_run(HOSTILE_TEXTS[0], 2)
    rows = replace(
        run.rows,
        question=["\n".join(HOSTILE_TEXTS)] * 2,
        answer=list(HOSTILE_TEXTS[:2]),
        reference=list(HOSTILE_TEXTS[5:7]),
        error=list(HOSTILE_TEXTS[1:3]),
        fields={"__proto__": list(HOSTILE_TEXTS[:2]), "constructor": ["a", "b"]},
    )
    return replace(
        run,
        rows=rows,
        warnings=HOSTILE_TEXTS,
        notes=HOSTILE_TEXTS,
        about=tuple((it, it) for it in HOSTILE_TEXTS),
        table=tuple((it, it[:50]) for it in HOSTILE_TEXTS),
    )
