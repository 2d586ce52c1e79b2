"""Runs that nobody made, as the viewer's page is given them: ordinary ones, of any size.

Everything is drawn from a seed: the same numbers give the same run.
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Literal

from agent_client.evaluation.statistics.evidence_paths import EVIDENCE_PATHS, EvidencePath
from agent_client.evaluation.statistics.judged import Standing
from agent_client.search_hits import Hit
from agent_client.timeline.steps import (
    AnyStep,
    Highlight,
    Mark,
    PagePart,
    Search,
    Turn,
    Visit,
)
from agent_client.viewer.document import (
    ComparisonIndex,
    Count,
    EpisodeView,
    FieldScores,
    Flip,
    GoldPage,
    GroupScore,
    Rows,
    RunIndex,
    SessionIndex,
    Share,
    SourceView,
    VerdictView,
    ViewIndex,
)

_STANDINGS: tuple[Standing, ...] = ("correct", "incorrect", "not_attempted", "ungraded", "owed")
_WEIGHTS = (64, 22, 8, 3, 3)
_TOPICS = ("bridges", "composers", "glaciers", "lighthouses", "museums", "railways")
_WORDS = (
    "the a of in and to was by built opened keeper harbour granite northern tower river valley "
    "engineer council archive letter survey company storm repair season visitor record island "
    "first second later earlier since until between near under above within across restored moved "
    "listed painted measured described named called known opened closed replaced extended lit"
).split()
_NAMES = "Aldersey Brantham Corrie Dunmore Eskdale Farrow Glenavon Harwick Inverlea Kestrel".split()


def text(random: Random, chars: int) -> str:
    """Sentences of about so many characters."""
    sentences: list[str] = []
    length = 0
    while length < chars:
        words = [random.choice(_WORDS) for _ in range(random.randint(6, 18))]
        words[random.randrange(len(words))] = random.choice(_NAMES)
        sentence = " ".join(words).capitalize() + f" {random.randint(1_700, 1_999)}."
        sentences.append(sentence)
        length += len(sentence) + 1
    return " ".join(sentences)


def utf16(text: str) -> int:
    """Length as JavaScript counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def question_of(number: int) -> tuple[str, str]:
    """A question and its answer."""
    random = Random(number)
    name, other = random.sample(_NAMES, 2)
    year = str(random.randint(1_700, 1_999))
    return (
        f"In which year was the lighthouse opened whose first keeper later surveyed the "
        f"{name} railway for the {other} harbour company?",
        year,
    )


def made_up_episode(number: int, standing: Standing = "correct", rounds: int = 4) -> EpisodeView:
    """An ordinary episode of some rounds of a search and a visit."""
    random = Random(number)
    question, year = question_of(number)
    steps, sources = _rounds(random, rounds, year)
    said = year if standing == "correct" else str(int(year) + 7)
    path = EVIDENCE_PATHS[number % 4]
    return EpisodeView(
        id=f"q{number:04}",
        question=question,
        answers=(year, f"the year {year}"),
        answer=_answer(said),
        answer_text=f"The lighthouse was opened in **{said}** [1].",
        short_answer=said,
        standing=standing,
        status="ok",
        stop_reason="answered",
        verdicts=(
            VerdictView(
                grader="judge",
                grade=standing,
                judge="a-model",
                said=f"The answer gives {said}; the reference says {year}. They "
                + ("agree." if standing == "correct" else "differ by some years."),
                graded=said,
            ),
        ),
        facts=(
            ("Model", "a-model-of-eight-billion"),
            ("Began", "2026-11-20 10:12:44"),
            ("Took", "41.2 s"),
            ("Prompt tokens", "48,220"),
            ("Completion tokens", "2,904"),
        ),
        sources=sources,
        gold=(
            GoldPage(
                name="Lighthouses of the northern coast", path="cited", hit_step=1, visit_step=2
            ),
            GoldPage(name="The harbour company", path="not_opened", hit_step=1),
        ),
        path=path,
        answer_seen_step=2,
        steps=steps,
    )


def _answer(said: str) -> list[Any]:
    return [
        {
            "t": "p",
            "c": [
                "The lighthouse was opened in ",
                {"t": "strong", "c": [said]},
                " ",
                {"t": "cite", "n": 1},
                ", after the harbour company had moved its works north ",
                {"t": "cite", "n": 2},
                ".",
            ],
        },
        {
            "t": "ul",
            "c": [
                {
                    "t": "li",
                    "c": ["Its first keeper is named in the survey ", {"t": "cite", "n": 1}],
                },
                {"t": "li", "c": ["The railway came later ", {"t": "unverified"}]},
            ],
        },
    ]


def _rounds(
    random: Random, rounds: int, year: str
) -> tuple[tuple[AnyStep, ...], tuple[SourceView, ...]]:
    steps: list[AnyStep] = []
    sources: list[SourceView] = []
    for turn in range(1, rounds + 1):
        steps.append(
            Turn(
                turn=turn,
                thinking=text(random, 1_200),
                text="" if turn % 2 else "I look for the keeper's name first.",
                seconds=random.uniform(1.2, 8.0),
                prompt_tokens=3_000 * turn,
                completion_tokens=random.randint(80, 700),
                cached_tokens=2_500 * (turn - 1),
            )
        )
        url = f"https://www.example.org/{_NAMES[turn % len(_NAMES)].lower()}/{turn}"
        query = f"first keeper of the {random.choice(_NAMES)} lighthouse {year}"
        steps.append(_search(random, turn, query, url))
        if turn == 2:
            steps.append(
                Mark(name="repeated_call", text="The same search again: it was told so instead.")
            )
        steps.append(_visit(random, turn, url, year))
        sources.append(
            SourceView(
                number=turn,
                url=url,
                title=f"Lighthouses of the northern coast, part {turn}",
                is_cited=turn <= 2,
                step=len(steps) - 1,
            )
        )
    steps.append(Turn(turn=rounds + 1, thinking=text(random, 400), text="", seconds=3.1))
    return tuple(steps), tuple(sources)


def _search(random: Random, turn: int, query: str, url: str) -> Search:
    hits = [
        Hit(
            url=f"https://site{place}.example.net/{random.randrange(10_000)}",
            title=text(random, 40)[:60],
            published="2024-05-01" if place % 3 else "",
            preview=text(random, 280),
        )
        for place in range(10)
    ]
    hits[2] = Hit(url=url, title=f"Lighthouses, part {turn}", preview=text(random, 280))
    return Search(
        id=f"s{turn}",
        tool="web_search",
        arguments={"query": query},
        seconds=random.uniform(0.3, 1.5),
        query=query,
        hits=tuple(hits),
        notes=("Answered by one provider.",),
        repairs=("tolerant_json",) if turn == 3 else (),
    )


def _visit(random: Random, turn: int, url: str, year: str) -> Visit:
    before = text(random, 2_600)
    used = f"The tower was first lit in {year}, when its keeper signed the log."
    words = f"{before} {used} {text(random, 2_600)}"
    start = utf16(before) + 1
    at = start + used.index(year)
    end = start + utf16(used)
    highlights = {
        1: (Highlight(start=start, end=end, why="cited", source=1),),
        2: (
            Highlight(start=40, end=110, why="cited", source=2),
            Highlight(start=at, end=at + len(year), why="answer"),
        ),
        3: (Highlight(start=at, end=at + len(year), why="reference"),),
    }.get(turn, ())
    page = PagePart(
        url=url,
        title=f"Lighthouses of the northern coast, part {turn}",
        text=words,
        start=4_000,
        total_chars=48_210,
        highlights=highlights,
    )
    return Visit(
        id=f"v{turn}",
        tool="web_visit",
        arguments={"url": url},
        seconds=random.uniform(0.4, 4.0),
        asked=(url,),
        query="first lit",
        pages=(page,),
    )


def made_up_run(name: str, questions: int, seed: int = 1) -> RunIndex:
    """The index of a run of so many questions."""
    rows = _rows(Random(seed), questions)
    standings, fields = rows.standing, rows.fields
    return RunIndex(
        name=name,
        about=(
            ("Model", "a-model-of-eight-billion"),
            ("Dataset", "made-up multihop 1.0"),
            ("Questions", f"{questions:,}"),
            ("Profile", "default"),
            ("Grader", "judge"),
            ("Began", "2026-11-20 10:00:00"),
        ),
        warnings=("12 verdicts are missing: the score counts them as wrong.",),
        notes=(),
        grader="judge",
        score=_share(standings),
        table=(
            ("correct", "63.9 %"),
            ("searches", "4.9"),
            ("visits", "3.0"),
            ("turns", "5.1"),
            ("prompt tokens", "48,912"),
            ("seconds (p50)", "29.7"),
            ("seconds (p90)", "64.4"),
        ),
        by_field=(
            _by_field("hops", fields["hops"], standings),
            _by_field("topic", fields["topic"], standings),
        ),
        standings=tuple(
            Count(name=name, label=name.replace("_", " "), count=standings.count(name))
            for name in _STANDINGS
        ),
        troubles=(
            Count(
                name="ending/infra_error/error/ModelUnreachable",
                label="infra error: error: ModelUnreachable",
                count=standings.count("owed"),
                example="the model server did not answer within 60 s",
            ),
            Count(name="ending/ok/turns", label="ok: turns", count=rows.stop_reason.count("turns")),
            Count(name="guard/repeated_call", label="guard: repeated call", count=questions // 4),
            Count(name="repair/tolerant_json", label="repair: tolerant json", count=questions // 6),
        ),
        paths=_crossed(rows.path, standings),
        rows=rows,
        is_being_written=False,
    )


def _rows(random: Random, questions: int) -> Rows:
    standings = random.choices(_STANDINGS, _WEIGHTS, k=questions)
    asked = [question_of(number) for number in range(questions)]
    hops = [str(random.choice((2, 2, 2, 3, 3, 4, 5))) for _ in standings]
    topics = [random.choice(_TOPICS) for _ in standings]
    statuses = ["infra_error" if it == "owed" else "ok" for it in standings]
    stops = [
        "error" if it == "owed" else "turns" if it == "not_attempted" else "answered"
        for it in standings
    ]
    searches = [random.randint(1, 9) for _ in standings]
    visits = [random.randint(0, 6) for _ in standings]
    paths: list[EvidencePath | Literal[""]] = [random.choice(EVIDENCE_PATHS) for _ in standings]
    return Rows(
        id=[f"q{number:04}" for number in range(questions)],
        repeat=[0] * questions,
        question=[question for question, _ in asked],
        reference=[year for _, year in asked],
        answer=[
            year if it == "correct" else "" if it == "owed" else str(int(year) + 7)
            for (_, year), it in zip(asked, standings, strict=True)
        ],
        standing=standings,
        status=statuses,
        stop_reason=stops,
        error=["ModelUnreachable" if it == "owed" else "" for it in standings],
        turns=[max(2, s) for s in searches],
        searches=searches,
        visits=visits,
        tool_calls=[s + v for s, v in zip(searches, visits, strict=True)],
        prompt_tokens=[random.randint(8_000, 90_000) for _ in standings],
        completion_tokens=[random.randint(300, 9_000) for _ in standings],
        seconds=[round(random.lognormvariate(3.4, 0.6), 2) for _ in standings],
        guards=[random.choice((0, 0, 0, 1, 2)) for _ in standings],
        repairs=[random.choice((0, 0, 0, 0, 1)) for _ in standings],
        leaks=[0] * questions,
        path=paths,
        fields={"hops": hops, "topic": topics},
    )


def _share(standings: Sequence[Standing]) -> Share:
    of = len(standings)
    share = standings.count("correct") / of if of else None
    if share is None:
        return Share(correct=0, of=0, share=None, low=None, high=None)
    half = 1.96 * (share * (1 - share) / of) ** 0.5
    return Share(
        correct=standings.count("correct"),
        of=of,
        share=share,
        low=max(0.0, share - half),
        high=min(1.0, share + half),
    )


def _by_field(field: str, values: Sequence[str], standings: Sequence[Standing]) -> FieldScores:
    return FieldScores(
        field=field,
        groups=tuple(
            GroupScore(
                value=value,
                score=_share([s for v, s in zip(values, standings, strict=True) if v == value]),
            )
            for value in sorted(set(values))
        ),
    )


def _crossed(
    paths: Sequence[EvidencePath | Literal[""]], standings: Sequence[Standing]
) -> dict[EvidencePath, dict[Standing, int]]:
    pairs = list(zip(paths, standings, strict=True))
    return {
        path: {s: pairs.count((path, s)) for s in _STANDINGS if (path, s) in pairs}
        for path in EVIDENCE_PATHS
    }


def view_of(*runs: RunIndex, shard_rows: int, is_live: bool = False) -> ViewIndex:
    """What the page is given of one run, or of two that are compared."""
    return ViewIndex(
        kind="run",
        title=" and ".join(run.name for run in runs),
        made="2026-11-23T18:00:00Z",
        seekling="0.0.0",
        runs=runs,
        comparison=_comparison(*runs) if len(runs) == 2 else None,
        shard_rows=shard_rows,
        is_live=is_live,
    )


def _comparison(first: RunIndex, second: RunIndex) -> ComparisonIndex:
    def kind(a: Standing, b: Standing) -> Literal["gained", "lost", "both_correct", "both_wrong"]:
        if a == b:
            return "both_correct" if a == "correct" else "both_wrong"
        if "correct" not in (a, b):
            return "both_wrong"
        return "gained" if b == "correct" else "lost"

    both = zip(first.rows.id, first.rows.standing, second.rows.standing, strict=True)
    return ComparisonIndex(
        lines=(
            "The second run is 2.1 points better (95 % interval -0.4 to 4.6).",
            "McNemar's test: p = 0.11.",
        ),
        flips=tuple(
            Flip(id=id_, first=row, second=row, kind=kind(a, b))
            for row, (id_, a, b) in enumerate(both)
        ),
    )


def episodes_of(run: RunIndex, different: int) -> Iterator[EpisodeView]:
    """An episode for each row; only so many are different beneath their question, to save time."""
    drawn = [made_up_episode(number) for number in range(different)]
    for row, standing in enumerate(run.rows.standing):
        if row < different:
            yield made_up_episode(row, standing)
        else:
            yield _renamed(drawn[row % different], run, row)


def _renamed(episode: EpisodeView, run: RunIndex, row: int) -> EpisodeView:
    return EpisodeView(
        id=run.rows.id[row],
        question=run.rows.question[row],
        answers=(run.rows.reference[row],),
        answer=episode.answer,
        short_answer=run.rows.answer[row] or None,
        standing=run.rows.standing[row],
        verdicts=episode.verdicts,
        facts=episode.facts,
        sources=episode.sources,
        steps=episode.steps,
    )


def made_up_session(questions: int) -> tuple[ViewIndex, list[EpisodeView]]:
    """A session, and its episodes."""
    episodes = [
        EpisodeView(
            id=f"{number + 1}",
            question=episode.question,
            answer=episode.answer,
            answer_text=episode.answer_text,
            short_answer=episode.short_answer,
            facts=episode.facts,
            sources=episode.sources,
            steps=episode.steps,
        )
        for number, episode in enumerate(made_up_episode(it, rounds=2) for it in range(questions))
    ]
    session = SessionIndex(
        id="20261120-lighthouses",
        about=(("Model", "a-model"), ("Directory", "sessions")),
        questions=tuple(episode.question for episode in episodes),
    )
    index = ViewIndex(
        kind="session",
        title="Session of the lighthouses",
        made="2026-11-23T18:00:00Z",
        seekling="0.0.0",
        session=session,
        shard_rows=8,
    )
    return index, episodes
