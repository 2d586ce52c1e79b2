"""What was measured, kept as data, and the page that is made of it.

A program that measures ends with a `Section`: tables, charts, aims. `save` writes it to
`tests/bench/results/NAME.json`, with the machine and the date, and draws `tests/bench/RESULTS.md`
and the pictures anew from all sections that are there: so each part can be measured again on its
own, and the page always says what the files say.

    python -m tests.bench.results        # draw the page from the files
"""

import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from tests.bench.environments import python_of
from tests.bench.machine import Machine, this_machine

HERE = Path(__file__).parent
SECTIONS = HERE / "results"
PLOTS = HERE / "plots"
PAGE = HERE / "RESULTS.md"
FOUND = SECTIONS / "found.md"
"""What was slow or broken at first and what was done: written by hand, the end of the page."""
ORDER = (
    "visiting",
    "extraction",
    "searching",
    "agent",
    "evaluation",
    "torture-server",
    "torture-agent",
    "load-visits",
    "load-connections",
    "load-episodes",
    "injection",
    "fuzz",
)
"""Names of the sections as they follow on the page."""

MOST_OPEN_ROWS = 30
"""A longer table is folded."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table of text cells; the first column names the row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    """A sentence under it: what the cells are, and which limit they are compared with."""


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was to be reached."""

    aim: str
    measured: str
    met: bool
    why: str = ""
    """Of one that was missed: what remains."""


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A picture: `bars` of one value per label, or `lines` over a common x axis."""

    name: str
    """Of its file, without suffix: letters, digits, hyphens."""
    title: str
    unit: str
    """Of the values; with `lines`, of the y axis."""
    kind: Literal["bars", "lines"] = "bars"
    bars: dict[str, float] = {}
    lines: dict[str, tuple[tuple[float, float], ...]] = {}
    x_unit: str = ""
    log: bool = False
    limit: tuple[str, float] | None = None
    """A line across it: what it says and where it stands."""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the page."""

    name: str
    """One of `ORDER`."""
    title: str
    command: str
    """Measures it again."""
    about: str
    """What was done, in a paragraph."""
    tables: tuple[Table, ...]
    aims: tuple[Aim, ...] = ()
    charts: tuple[Chart, ...] = ()
    versions: dict[str, str] = {}
    """Of what took part."""
    remarks: tuple[str, ...] = ()
    """What a reader should know of the figures: what remains, and why."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A section with what it was measured on."""

    section: Section
    machine: Machine


def spread(values: Sequence[float], *, digits: int | None = None) -> str:
    """Median with quartiles in brackets, such as `12.3 (11.9–13.0)`; one value stands alone."""
    middle = shown(statistics.median(values), digits)
    if len(values) < 2:
        return middle
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle} ({shown(low, digits)}–{shown(high, digits)})"


def shown(value: float, digits: int | None = None) -> str:
    """A number with as many digits as it deserves, and commas in thousands."""
    if digits is None:
        size = abs(value)
        digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 3
    return f"{value:,.{digits}f}"


def ratio(ours: float, other: float) -> str:
    """How ours compares with another, such as `×0.42`."""
    return f"×{shown(ours / other)}" if other else "–"


def save(section: Section, *, keep: bool = True) -> None:
    """Print a section, keep it, and draw the page and its own charts anew.

    Args:
        section: what was measured.
        keep: whether to do more than print it; a quick look should leave the page alone.

    Raises:
        ValueError: its name is unknown, or a row has not as many cells as there are columns.
    """
    if section.name not in ORDER:
        raise ValueError(f"{section.name!r} is not in ORDER of {__name__}")
    for table in section.tables:
        for row in table.rows:
            if len(row) != len(table.columns):
                raise ValueError(f"{table.title!r} has {len(table.columns)} columns, not {row!r}")
    stored = Stored(section=section, machine=this_machine())
    sys.stdout.write(_section_text(stored))
    if not keep:
        return
    SECTIONS.mkdir(exist_ok=True)
    kept = msgspec.json.format(msgspec.json.encode(stored), indent=1)
    (SECTIONS / f"{section.name}.json").write_bytes(kept + b"\n")
    if section.charts:
        draw(section.charts)
    PAGE.write_text(page(), encoding="utf-8")


def draw(charts: Sequence[Chart]) -> None:
    """Draw pictures, in an environment that has matplotlib."""
    PLOTS.mkdir(exist_ok=True)
    drawing = [str(python_of("charts")), str(HERE / "charts.py"), str(PLOTS)]
    subprocess.run(drawing, input=msgspec.json.encode(charts), check=True)


def stored_sections() -> list[Stored]:
    """All that was kept, in the order of the page."""
    files = (SECTIONS / f"{name}.json" for name in ORDER)
    return [msgspec.json.decode(file.read_bytes(), type=Stored) for file in files if file.is_file()]


def page() -> str:
    """The page, as Markdown."""
    found = stored_sections()
    parts = [_HEAD, *_aims_of(found)]
    parts += [_section_text(stored) for stored in found]
    if FOUND.is_file():
        parts.append(FOUND.read_text(encoding="utf-8").rstrip() + "\n")
    return "\n".join(parts)


_HEAD = """# Results

<!-- Made from the files beside it: change those, or measure again. -->

Every part names the command that measures it; `make bench` measures the first five, `make torture`
and `make load` the rest. Machines are noisy: figures are medians with quartiles in brackets, CPU
time and memory stand beside wall time, and peers ran in the same session, so that **ratios** say
more than figures do. A ratio is ours divided by theirs.
"""


def _aims_of(found: Iterable[Stored]) -> list[str]:
    rows = [
        (aim.aim, aim.measured, "yes" if aim.met else f"**no**: {aim.why}")
        for stored in found
        for aim in stored.section.aims
    ]
    if not rows:
        return []
    return ["## Aims\n", _table_text(("Aim", "Measured", "Met"), rows) + "\n"]


def _section_text(stored: Stored) -> str:
    section, machine = stored.section, stored.machine
    parts = [f"## {section.title}\n", f"    {section.command}\n", f"{section.about}\n"]
    for table in section.tables:
        parts.append(f"### {table.title}\n")
        rows = _table_text(table.columns, table.rows) + "\n"
        if len(table.rows) > MOST_OPEN_ROWS:
            rows = f"<details><summary>{len(table.rows)} rows</summary>\n\n{rows}\n</details>\n"
        parts.append(rows)
        if table.note:
            parts.append(f"{table.note}\n")
    parts += [f"![{chart.title}](plots/{chart.name}.svg)\n" for chart in section.charts]
    if section.remarks:
        parts.append("\n".join(f"- {remark}" for remark in section.remarks) + "\n")
    with_them = "".join(f", {name} {version}" for name, version in section.versions.items())
    parts.append(f"*{machine.date}, {machine.described}{with_them}*\n")
    return "\n".join(parts)


def _table_text(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    draw([chart for stored in stored_sections() for chart in stored.section.charts])
    PAGE.write_text(page(), encoding="utf-8")
