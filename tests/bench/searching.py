"""Searching beside other engines: building, opening, speed and quality, at two sizes.

    python -m tests.bench.searching [--quick]

Needs the shared data beside the checkout; without it, it says so and ends. The larger corpus is
the smaller one with what this machine has below `/usr/share/doc` and in apt's lists, see
`debian_corpus`. `--quick` measures the smaller one only, with few questions, and keeps nothing.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from tests.bench.environments import ROOT, python_of, versions_of
from tests.bench.index_child import rows
from tests.bench.index_speed import ENGINES, folder_name, run, text_bytes_of, title_queries
from tests.bench.results import Aim, Chart, Section, Table, ratio, save, shown, spread
from tests.bench.search_quality import CLASSIC, MULTIHOP, QuestionSet, measures, read_sets

DATA = ROOT.parent / "shared/data"
WIKI = DATA / "multihop/wiki_passages.jsonl.gz"
LARGE_PASSAGES = 200_000
"""A larger corpus with fewer is no larger corpus: too few packages are installed here."""
ROUNDS = 3
TITLES = 100
QUESTIONS = 150
"""Of the multi-hop sets, with so many titles asked for speed."""
QUICK_QUESTIONS = 20
LIMIT_ENGINE = "tantivy"
NAMES = {
    "seekling": "Seekling",
    "plain": "Seekling, BM25 alone",
    "tantivy": "tantivy, index only",
    "fts5": "SQLite FTS5",
    "bm25s": "bm25s",
}


@dataclass
class Measured:
    """One corpus: figures by engine and name, one value a round."""

    name: str
    passages: int
    text_bytes: int
    builds: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    speeds: dict[str, dict[str, list[float]]] = field(
        default_factory=dict[str, dict[str, list[float]]]
    )
    quality: dict[str, dict[str, list[float]]] = field(
        default_factory=dict[str, dict[str, list[float]]]
    )
    """By engine and set: nDCG@10, recall@5 and recall@20."""

    def median(self, engine: str, figure: str) -> float:
        """The median of a figure over the rounds."""
        return statistics.median(self.speeds[engine][figure])


def make_large(out: Path) -> bool:
    """Write the larger corpus; whether it is large enough."""
    script = Path(__file__).with_name("debian_corpus.py")
    subprocess.run([sys.executable, str(script), str(out), "--also", str(WIKI)], check=True)
    with out.open(encoding="utf-8") as lines:
        return sum(1 for _ in lines) >= LARGE_PASSAGES


def judge(engine: str, folder: Path, questions: QuestionSet) -> list[float]:
    """Mean nDCG@10, recall@5 and recall@20 of a set."""
    answers: list[list[str]] = run(
        engine, "answer", folder, queries=list(questions.questions.values())
    )
    judged = [
        measures(found, questions.relevant[identity])
        for identity, found in zip(questions.questions, answers, strict=True)
    ]
    return [statistics.mean(column) for column in zip(*judged, strict=True)]


def measure_corpus(
    name: str, corpus: Path, sets: Sequence[QuestionSet], place: Path, *, rounds: int
) -> Measured:
    """Build with all engines, ask them in turn, judge them on the sets of this corpus."""
    measured = Measured(name, sum(1 for _ in rows(corpus)), text_bytes_of(corpus))
    for engine in ENGINES:
        if engine == folder_name(engine):
            measured.builds[engine] = run(engine, "build", place / engine, corpus=corpus)
    questions = [question for each in sets for question in each.questions.values()]
    step = max(1, len(questions) // QUESTIONS)
    queries = [*questions[::step], *title_queries(corpus, TITLES)]
    for _ in range(rounds):
        for engine in ENGINES:
            told: dict[str, float] = run(
                engine, "time", place / folder_name(engine), queries=queries
            )
            for figure, value in told.items():
                measured.speeds.setdefault(engine, {}).setdefault(figure, []).append(value)
    for engine in ENGINES:
        folder = place / folder_name(engine)
        measured.quality[engine] = {each.name: judge(engine, folder, each) for each in sets}
    return measured


def judge_classic(sets: Sequence[QuestionSet], place: Path) -> dict[str, dict[str, list[float]]]:
    """By engine and set, the quality on the small classic collections."""
    quality: dict[str, dict[str, list[float]]] = {engine: {} for engine in ENGINES}
    for each in sets:
        corpus = DATA / "retrieval" / each.collection / "corpus.jsonl.gz"
        for engine in ENGINES:
            folder = place / each.collection / folder_name(engine)
            folder.parent.mkdir(exist_ok=True)
            if not folder.exists():
                run(engine, "build", folder, corpus=corpus)
            quality[engine][each.name] = judge(engine, folder, each)
    return quality


def build_table(measured: Measured) -> Table:
    """What it takes to make an index."""
    limit = measured.builds[LIMIT_ENGINE]["passages_per_cpu_s"]
    table_rows = [
        (
            NAMES[engine],
            shown(told["passages_per_cpu_s"]),
            ratio(told["passages_per_cpu_s"], limit),
            shown(told["wall_s"]),
            f"{told['bytes'] / 1e6:,.0f} MB",
            ratio(told["bytes"], measured.text_bytes),
            f"{told['peak_mb']:,.0f} MB",
        )
        for engine, told in measured.builds.items()
    ]
    return Table(
        title=f"Building: {measured.name}, {measured.passages:,} passages",
        columns=(
            "Engine",
            "passages/CPU s",
            "to tantivy",
            "wall s",
            "index",
            "to its text",
            "peak memory",
        ),
        rows=tuple(table_rows),
        note=(
            f"Titles and texts are {measured.text_bytes / 1e6:,.0f} MB. bm25s keeps no texts; the "
            "others do."
        ),
    )


def speed_table(measured: Measured) -> Table:
    """What it takes to ask."""
    figures = ("open_ms", "with_first_ms", "p50_ms", "p99_ms", "qps_1", "qps_2")
    limit = measured.median(LIMIT_ENGINE, "qps_1")
    table_rows = [
        (
            NAMES[engine],
            *(spread(measured.speeds[engine][figure]) for figure in figures),
            ratio(measured.median(engine, "qps_1"), limit),
            f"{measured.median(engine, 'rss_mb'):,.0f} MB",
        )
        for engine in ENGINES
    ]
    return Table(
        title=f"Asking: {measured.name}, {measured.passages:,} passages",
        columns=(
            "Engine",
            "open ms",
            "with 1st query",
            "p50 CPU ms",
            "p99 CPU ms",
            "queries/s, 1 thread",
            "2 threads",
            "to tantivy",
            "memory",
        ),
        rows=tuple(table_rows),
        note=(
            "Multi-hop questions and titles, ten hits each, in a new process per round; threads "
            "share one process. tantivy alone is the limit: it ranks by BM25 and gives stored "
            "fields, without previews. “BM25 alone” is ours with `--ranking plain`, previews "
            "included; the first line is ours as it is, which asks the index several times a "
            "question and reads the words of what it finds."
        ),
    )


def quality_table(title: str, quality: Mapping[str, Mapping[str, Sequence[float]]]) -> Table:
    """nDCG@10 with recalls by set, in percent."""
    sets = list(next(iter(quality.values())))
    table_rows = [
        (
            NAMES[engine],
            *(" / ".join(f"{100 * value:.1f}" for value in by_set[name]) for name in sets),
            f"{100 * mean_ndcg(by_set):.1f}",
        )
        for engine, by_set in quality.items()
    ]
    return Table(
        title=title,
        columns=("Engine", *sets, "mean nDCG"),
        rows=tuple(table_rows),
        note="nDCG@10 / recall@5 / recall@20 in percent; recall: of all passages of a question.",
    )


def mean_ndcg(by_set: Mapping[str, Sequence[float]]) -> float:
    """Mean nDCG@10 over sets."""
    return statistics.mean(values[0] for values in by_set.values())


def aims_of(every: Sequence[Measured], classic: Mapping[str, Mapping[str, Sequence[float]]]) -> Aim:
    """Whether ours finds at least what the best other finds, on each set and size."""
    gaps: dict[str, float] = {}
    found = {measured.name: measured.quality for measured in every} | {"classic": classic}
    for name, quality in found.items():
        for each, ours in quality["seekling"].items():
            others = max(quality[engine][each][0] for engine in ("tantivy", "fts5", "bm25s"))
            gaps[f"{each}, {name}"] = 100 * (ours[0] - others)
    behind = [f"{name} {gap:+.1f}" for name, gap in gaps.items() if gap < 0]
    least, most = min(gaps, key=gaps.__getitem__), max(gaps, key=gaps.__getitem__)
    return Aim(
        aim="nDCG@10: at least the best of tantivy, FTS5 and bm25s on each judged set",
        measured=f"from {gaps[least]:+.1f} ({least}) to {gaps[most]:+.1f} ({most}) points",
        met=not behind,
        why=f"behind on {'; '.join(behind)}" if behind else "",
    )


def charts_of(every: Sequence[Measured]) -> tuple[Chart, ...]:
    """Queries per second and nDCG by size."""
    charts: list[Chart] = []
    for place, measured in enumerate(every):
        size = ("small", "large")[place]
        medians = {NAMES[engine]: measured.median(engine, "qps_1") for engine in ENGINES}
        limit = medians.pop(NAMES[LIMIT_ENGINE])
        charts.append(
            Chart(
                name=f"searching-qps-{size}",
                title=f"Queries per second on one thread, {measured.passages:,} passages",
                unit="queries/s",
                bars=medians,
                log=True,
                limit=(NAMES[LIMIT_ENGINE], limit),
            )
        )
        ndcg = {NAMES[engine]: mean_ndcg(measured.quality[engine]) for engine in ENGINES}
        charts.append(
            Chart(
                name=f"searching-ndcg-{size}",
                title=f"nDCG@10 of multi-hop questions, {measured.passages:,} passages",
                unit="nDCG@10",
                bars=ndcg,
            )
        )
    return tuple(charts)


def measure(*, is_quick: bool) -> Section:
    """All of it; the smaller corpus only if it is to be quick."""
    python_of("bm25s")  # installed before anything is timed
    sets = read_sets(DATA, QUICK_QUESTIONS if is_quick else 1_000)
    hops = [each for each in sets if each.name in MULTIHOP]
    every: list[Measured] = []
    remarks: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        corpora = {"Wikipedia": WIKI}
        if not is_quick:
            if make_large(place / "large.jsonl"):
                corpora["Wikipedia with documentation"] = place / "large.jsonl"
            else:
                remarks.append(
                    "The larger corpus is left out: few documentation packages are installed here; "
                    "`debian_corpus.py` names those that make it large."
                )
        for number, (title, corpus) in enumerate(corpora.items()):
            (place / str(number)).mkdir()
            rounds = 1 if is_quick else ROUNDS
            every.append(measure_corpus(title, corpus, hops, place / str(number), rounds=rounds))
        classic = judge_classic([each for each in sets if each.name in CLASSIC], place)
    tables: list[Table] = []
    for measured in every:
        title = f"Quality: {measured.name}, {measured.passages:,} passages"
        tables += [
            build_table(measured),
            speed_table(measured),
            quality_table(title, measured.quality),
        ]
    tables.append(quality_table("Quality: classic collections", classic))
    return Section(
        name="searching",
        title="Searching",
        command="python -m tests.bench.searching",
        about=(
            "The local index beside other embedded engines, each in a process of its own: "
            "passages of Wikipedia that multi-hop questions were written for, alone and among "
            "passages of 150 words of the documentation and the package records of Debian. The "
            "questions and what answers them are the same in both, so the second shows what the "
            "other passages hide. The weights of our ranking were set on these sets."
        ),
        tables=tuple(tables),
        aims=(aims_of(every, classic),),
        charts=charts_of(every),
        versions={"tantivy": version("tantivy"), **versions_of("bm25s", "bm25s", "numba")},
        remarks=(
            *remarks,
            "Ours as it is spends its time on ranking, in Python: the candidates of BM25, words of "
            "the passages that they lead to, and pairs of them that answer a question together.",
            "The weights of our ranking were set on these sets; `tests/bench/train_ranking.py` "
            "judges each by weights from the others.",
        ),
    )


def main() -> None:
    """Measure and keep it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small, and nothing kept")
    options = parser.parse_args()
    if not WIKI.is_file():
        sys.stdout.write("searching: skipped, the shared data are not beside the checkout\n")
        return
    save(measure(is_quick=options.quick), keep=not options.quick)


if __name__ == "__main__":
    main()
