"""Extraction beside other extractors: word F1 by type of page, fidelity of structures, speed.

    python -m tests.bench.extraction [--quick]

Needs the shared data beside the checkout; without it, it says so and ends. `--quick` takes a few
pages and keeps nothing.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

from tests.bench.environments import ROOT, python_of, versions_of
from tests.bench.extraction_pages import (
    PAGE_TYPES,
    Scores,
    TruePage,
    load_pages,
    text_scores,
    without_targets,
)
from tests.bench.fidelity import (
    ADDRESS,
    KINDS,
    contents,
    kept,
    structures_of_html,
    structures_of_markdown,
    write_pages,
)
from tests.bench.results import Aim, Chart, Section, Table, ratio, save, shown, spread

DATA = ROOT.parent / "shared/data/extraction"
AT_ONCE = 2
"""Contestants that extract at once for the scores; where CPU time is taken, each is alone."""
ROUNDS = 3
EVERY = 14
"""Each n-th page is read for the CPU time."""
QUICK_PAGES = 21
QUICK_SPEED_PAGES = 5
NO_NODE = "/nonexistent"
"""The search path of the contestants: `mcp-server-fetch` would start Node.js for each page, a
second each, and install it first; without it, it uses the Python part of the same library."""
FAIL_RECALL = 0.2


@dataclass(frozen=True)
class Contestant:
    """An extractor in an environment."""

    label: str
    name: str
    """Of the function of `extraction_peer`."""
    environment: str = ""
    """"": the project's own."""
    is_markdown: bool = False
    is_trained: bool = False
    """Whether its weights come from the data set that judges here."""

    @property
    def python(self) -> Path:
        """The interpreter that has it."""
        return python_of(self.environment) if self.environment else Path(sys.executable)


HELD_OUT = "Seekling, on sites it was not trained on"
OURS = Contestant("Seekling", "seekling", is_trained=True)
OUR_MARKDOWN = Contestant(
    "Seekling, Markdown", "seekling_markdown", is_markdown=True, is_trained=True
)
PEERS = (
    Contestant("trafilatura", "trafilatura", "trafilatura"),
    Contestant("readability-lxml", "readability", "readability"),
    Contestant("resiliparse", "resiliparse", "resiliparse"),
    Contestant("mcp-server-fetch", "mcp_server_fetch", "mcp-server-fetch", is_markdown=True),
    Contestant("chromerag", "chromerag", "chromerag", is_markdown=True, is_trained=True),
)
TRAFILATURA_MARKDOWN = Contestant(
    "trafilatura, Markdown", "trafilatura_markdown", "trafilatura", is_markdown=True
)
PARSER = Contestant("selectolax, parse only", "parser")


@dataclass
class Extraction:
    """What a contestant made of pages."""

    texts: dict[str, str] = field(default_factory=dict[str, str])
    cpu_seconds: list[float] = field(default_factory=list[float])


def extracted(
    contestant: Contestant, pages: Iterable[Mapping[str, str]], weights: Path | None = None
) -> Extraction:
    """Run a contestant over pages (`id`, `file`, `url`) in a process of its own.

    Raises:
        subprocess.CalledProcessError: the process ended with an error.
    """
    command = [str(contestant.python), "-m", "tests.bench.extraction_peer", contestant.name]
    done = subprocess.run(
        [*command, str(weights)] if weights else command,
        input="".join(json.dumps(page) + "\n" for page in pages),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PATH": NO_NODE},
        check=True,
    )
    made = Extraction()
    for line in done.stdout.splitlines():
        if line.startswith("{"):  # a peer may print remarks
            found = json.loads(line)
            made.texts[found["id"]] = found["text"]
            made.cpu_seconds.append(found["cpu_seconds"])
    return made


def as_input(pages: Iterable[TruePage]) -> list[dict[str, str]]:
    """What a child needs of them."""
    return [{"id": page.id, "file": str(page.file.resolve()), "url": page.url} for page in pages]


def held_out(pages: Sequence[TruePage]) -> Extraction:
    """Each page read with weights that were trained on other sites, in five folds of sites."""
    made = Extraction()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        training = [str(python_of("block-model")), "-m", "tests.bench.train_block_model"]
        subprocess.run([*training, str(DATA), "--folds", place], cwd=ROOT, check=True)
        folds: dict[str, str] = json.loads((folder / "folds.json").read_text(encoding="utf-8"))
        for weights in sorted(set(folds.values())):
            judged = [page for page in pages if folds[page.id] == weights]
            made.texts |= extracted(OURS, as_input(judged), folder / weights).texts
    return made


def scores_by_type(
    made: Extraction, pages: Sequence[TruePage], *, is_markdown: bool
) -> dict[str, list[Scores]]:
    """Precision, recall and F1 of each page."""
    scores: dict[str, list[Scores]] = {page_type: [] for page_type in PAGE_TYPES}
    for page in pages:
        text = made.texts[page.id]
        scores[page.page_type].append(
            text_scores(without_targets(text) if is_markdown else text, page)
        )
    return scores


def mean_f1(scores: Sequence[Scores]) -> float:
    """Mean F1 of pages."""
    return statistics.mean(f1 for _, _, f1 in scores)


AllScores = dict[str, dict[str, list[Scores]]]
"""By label of the contestant and type of page."""


def score_all(pages: Sequence[TruePage], *, is_quick: bool) -> AllScores:
    """All contestants' scores; ours on sites not trained on first."""
    contestants = (OURS, OUR_MARKDOWN, *PEERS)
    given = as_input(pages)
    found: AllScores = {}
    if not is_quick:
        found[HELD_OUT] = scores_by_type(held_out(pages), pages, is_markdown=False)
    with ThreadPoolExecutor(AT_ONCE) as together:
        made = list(together.map(extracted, contestants, repeat(given)))
    for each, extraction in zip(contestants, made, strict=True):
        found[each.label] = scores_by_type(extraction, pages, is_markdown=each.is_markdown)
    return found


def f1_tables(found: AllScores) -> tuple[Table, Table]:
    """F1 by type; and what it is made of."""
    trained = {each.label for each in (OURS, OUR_MARKDOWN, *PEERS) if each.is_trained}
    rows: list[tuple[str, ...]] = []
    parts: list[tuple[str, ...]] = []
    for label, by_type in found.items():
        every = [score for scores in by_type.values() for score in scores]
        f1s = [shown(mean_f1(scores), 3) for scores in by_type.values()]
        name = f"{label} †" if label in trained else label
        rows.append((name, *f1s, shown(mean_f1(every), 3)))
        means = [
            f"{statistics.mean(p for p, _, _ in scores):.3f} / "
            f"{statistics.mean(r for _, r, _ in scores):.3f}"
            for scores in [*by_type.values(), every]
        ]
        failed = statistics.mean(recall < FAIL_RECALL for _, recall, _ in every)
        parts.append((name, *means, f"{100 * failed:.1f} %"))
    columns = ("Extractor", *PAGE_TYPES, "all")
    note = (
        "Mean over pages. † trained on pages of this data set, perhaps these: compare such rows "
        "with each other, and the first row with all others."
    )
    return (
        Table(title="Word F1 by type of page", columns=columns, rows=tuple(rows), note=note),
        Table(
            title="Precision / recall",
            columns=(*columns, "lost"),
            rows=tuple(parts),
            note=f"Lost: the share of pages with a recall below {FAIL_RECALL}.",
        ),
    )


def speed_of(pages: Sequence[TruePage], rounds: int) -> dict[str, list[float]]:
    """Pages per CPU second of each contestant, one value a round; they take turns."""
    rates: dict[str, list[float]] = {}
    given = as_input(pages)
    for _ in range(rounds):
        for each in (PARSER, OUR_MARKDOWN, TRAFILATURA_MARKDOWN, *PEERS):
            spent = sum(extracted(each, given).cpu_seconds)
            rates.setdefault(each.label, []).append(len(given) / spent)
    return rates


def speed_table(rates: Mapping[str, Sequence[float]], count: int) -> Table:
    """Rates beside the limit and ours."""
    limit = statistics.median(rates[PARSER.label])
    ours = statistics.median(rates[OUR_MARKDOWN.label])
    rows: list[tuple[str, ...]] = []
    for label, values in rates.items():
        rate = statistics.median(values)
        rows.append(
            (label, spread(values), shown(1_000 / rate), ratio(ours, rate), ratio(rate, limit))
        )
    return Table(
        title="Pages per CPU second",
        columns=("Extractor", "pages/CPU s", "CPU ms/page", "ours / it", "it / parse only"),
        rows=tuple(rows),
        note=(
            f"Each {EVERY}th page ({count}), {ROUNDS} rounds in turn, each in a new process; the "
            "limit is the parser that we use, alone. Ours makes Markdown and plain text at once."
        ),
    )


def fidelity() -> tuple[Table, dict[str, float]]:
    """The table, and the share of all structures by contestant."""
    true = {name: structures_of_html(content) for name, content in contents().items()}
    writers = [OUR_MARKDOWN, TRAFILATURA_MARKDOWN, *(each for each in PEERS if each.is_markdown)]
    rows: list[tuple[str, ...]] = []
    shares: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        written = write_pages(Path(place))
        given = [
            {"id": page, "file": str(Path(place) / f"{page}.html"), "url": ADDRESS}
            for page in written
        ]
        for each in writers:
            texts = extracted(each, given).texts
            counts: dict[str, tuple[int, int]] = dict.fromkeys(KINDS, (0, 0))
            for page, name in written.items():
                found = structures_of_markdown(texts[page])
                for kind in KINDS:
                    here, of = kept(found, true[name], kind)
                    counts[kind] = (counts[kind][0] + here, counts[kind][1] + of)
            held, total = (sum(column) for column in zip(*counts.values(), strict=True))
            cells = [f"{here} of {of}" for here, of in counts.values()]
            rows.append((each.label, *cells, f"{100 * held / total:.1f} %"))
            shares[each.label] = held / total
    table = Table(
        title="Structures kept",
        columns=("Extractor", *KINDS, "all"),
        rows=tuple(rows),
        note=(
            f"{len(true)} contents written for this, each in three shells of navigation, on "
            f"{len(written)} pages: structures that stand in the Markdown in their order, with "
            "level, depth, cells, indentation and address as they were written."
        ),
    )
    return table, shares


def aims_of(found: AllScores, shares: Mapping[str, float]) -> tuple[Aim, ...]:
    """Whether ours is at least the best of the others, type by type."""
    untrained = [each.label for each in PEERS if not each.is_trained]
    trained = [each.label for each in PEERS if each.is_trained]
    best_share = max(share for label, share in shares.items() if label != OUR_MARKDOWN.label)
    return (
        _f1_aim(found, HELD_OUT, untrained, "extractor that was not trained on it"),
        _f1_aim(found, OURS.label, trained, "that learned from the same set, chromerag"),
        Aim(
            aim="Structures kept: at least as many as the best other writer of Markdown",
            measured=f"{100 * shares[OUR_MARKDOWN.label]:.1f} % against {100 * best_share:.1f} %",
            met=shares[OUR_MARKDOWN.label] >= best_share,
        ),
    )


def _f1_aim(found: AllScores, ours: str, others: Sequence[str], of_whom: str) -> Aim:
    gaps: dict[str, float] = {}
    for page_type in PAGE_TYPES:
        best = max(mean_f1(found[label][page_type]) for label in others)
        gaps[page_type] = mean_f1(found[ours][page_type]) - best
    behind = [f"{page_type} by {-gap:.3f}" for page_type, gap in gaps.items() if gap < 0]
    least = min(gaps, key=lambda page_type: gaps[page_type])
    most = max(gaps, key=lambda page_type: gaps[page_type])
    return Aim(
        aim=f"Word F1 on each type of page: at least that of the best {of_whom}",
        measured=f"from {gaps[least]:+.3f} ({least}) to {gaps[most]:+.3f} ({most})",
        met=not behind,
        why=f"behind on {', '.join(behind)}",
    )


def charts_of(
    found: AllScores, rates: Mapping[str, Sequence[float]], shares: Mapping[str, float]
) -> tuple[Chart, ...]:
    """F1 over the types, F1 overall, speed, structures."""
    overall = {
        label: mean_f1([score for scores in by_type.values() for score in scores])
        for label, by_type in found.items()
    }
    by_type = {
        f"{page_type}: {label}": mean_f1(found[label][page_type])
        for page_type in PAGE_TYPES
        for label in (HELD_OUT, *(each.label for each in PEERS if not each.is_trained))
    }
    medians = {label: statistics.median(values) for label, values in rates.items()}
    limit = medians.pop(PARSER.label)
    return (
        Chart(name="extraction-f1-types", title="Word F1 by type", unit="F1", bars=by_type),
        Chart(name="extraction-f1", title="Word F1, all pages", unit="F1", bars=overall),
        Chart(
            name="extraction-speed",
            title="Pages per CPU second",
            unit="pages/CPU s",
            bars=medians,
            log=True,
            limit=("parse only", limit),
        ),
        Chart(
            name="extraction-structures",
            title="Structures kept in their order",
            unit="share",
            bars=dict(shares),
        ),
    )


def measure(*, is_quick: bool) -> Section:
    """All of it; without the folds if it is to be quick."""
    pages = list(load_pages(DATA))
    sample = pages[::EVERY][: QUICK_SPEED_PAGES if is_quick else None]
    pages = pages[:: len(pages) // QUICK_PAGES] if is_quick else pages
    for each in PEERS:
        python_of(each.environment)  # installed before anything is timed
    rates = speed_of(sample, 1 if is_quick else ROUNDS)
    structures, shares = fidelity()
    found = score_all(pages, is_quick=is_quick)
    versions: dict[str, str] = {}
    for environment, package in (
        ("trafilatura", "trafilatura"),
        ("readability", "readability-lxml"),
        ("resiliparse", "resiliparse"),
        ("mcp-server-fetch", "mcp-server-fetch"),
        ("chromerag", "chromerag"),
    ):
        versions |= versions_of(environment, package)
    return Section(
        name="extraction",
        title="Extraction quality",
        command="python -m tests.bench.extraction",
        about=(
            f"{len(pages)} real pages of seven types with their true text (WCXB, CC BY 4.0). "
            "Word F1 compares bags of lower-case words. Our weights come from these pages; the "
            "first row judges each page by weights that were trained on other sites (five folds "
            "of sites), and so says what to expect of a page that nobody has seen."
        ),
        tables=(*f1_tables(found), structures, speed_table(rates, len(sample))),
        # Without the folds there is nothing to say of unseen pages.
        aims=() if is_quick else aims_of(found, shares),
        charts=() if is_quick else charts_of(found, rates, shares),
        versions=versions,
        remarks=(
            "mcp-server-fetch runs without Node.js here: with it, each page starts a process of "
            "Node.js.",
            "What remains between ours and the parser is Python: one walk over all nodes, "
            "the judgement of each template, and the writing of Markdown.",
        ),
    )


def main() -> None:
    """Measure and keep it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few pages, nothing kept")
    options = parser.parse_args()
    if not DATA.is_dir():
        sys.stdout.write("extraction: skipped, the shared data are not beside the checkout\n")
        return
    save(measure(is_quick=options.quick), keep=not options.quick)


if __name__ == "__main__":
    main()
