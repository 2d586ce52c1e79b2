"""Draw charts with matplotlib, in an environment of its own: `results.py` starts this.

    .venv-bench/charts/bin/python charts.py FOLDER < charts.json

The input is a list of `tests.bench.results.Chart`; each becomes an SVG in FOLDER, with the same
bytes for the same values.
"""

# pyright: basic, reportMissingImports=false

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

OURS = "#1f6feb"
THEIRS = "#9aa4b2"
LIMIT = "#cf222e"
WIDTH_INCHES = 7.5


def draw(chart: dict, folder: Path) -> None:
    """One picture."""
    mpl.rcParams.update({"svg.hashsalt": chart["name"], "font.size": 9, "svg.fonttype": "path"})
    height = 0.9 + 0.32 * len(chart["bars"]) if chart["kind"] == "bars" else 3.2
    figure, axes = plt.subplots(figsize=(WIDTH_INCHES, height))
    figure.patch.set_facecolor("white")
    (bars if chart["kind"] == "bars" else lines)(axes, chart)
    axes.set_title(chart["title"], loc="left", fontsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(folder / f"{chart['name']}.svg", metadata={"Date": None})
    plt.close(figure)


def bars(axes, chart: dict) -> None:
    """Horizontal bars, ours coloured, the value behind each."""
    labels, values = list(chart["bars"]), list(chart["bars"].values())
    colours = [OURS if "seekling" in label.lower() else THEIRS for label in labels]
    drawn = axes.barh(labels, values, color=colours, log=chart["log"])
    axes.bar_label(drawn, labels=[f" {value:,.4g}" for value in values], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(chart["unit"])
    axes.margins(x=0.15)
    if chart["limit"]:
        axes.axvline(chart["limit"][1], color=LIMIT, linewidth=1, linestyle="--")
        axes.annotate(
            chart["limit"][0],
            (chart["limit"][1], 1),
            xycoords=("data", "axes fraction"),
            color=LIMIT,
            fontsize=8,
            va="bottom",
        )


def lines(axes, chart: dict) -> None:
    """Lines over one x axis."""
    for label, points in chart["lines"].items():
        axes.plot([x for x, _ in points], [y for _, y in points], label=label, linewidth=1.2)
    if chart["limit"]:
        axes.axhline(chart["limit"][1], color=LIMIT, linewidth=1, linestyle="--")
        axes.annotate(chart["limit"][0], (0, chart["limit"][1]), color=LIMIT, fontsize=8)
    if chart["log"]:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(chart["x_unit"])
    axes.set_ylabel(chart["unit"])
    axes.legend(frameon=False)


def main() -> None:
    """Draw what stands on standard input."""
    folder = Path(sys.argv[1])
    for chart in json.load(sys.stdin):
        draw(chart, folder)


if __name__ == "__main__":
    main()
