"""`make injection`: what instructions in pages do, what can leak, and what people see of it.

    python -m tests.injection [--pages 48] [--part model|leaks|rendering]

With the embedded model (`make model`) and the shared test data; what of them is absent is said and
left out. A quarter of an hour on two cores. Fewer pages or one part keep nothing.
"""

import argparse
import sys

import anyio

from agent_client.engine.weights import DEFAULT_MODEL, MODELS, is_verified, models_dir
from tests.bench.results import Aim, Section, Table, save
from tests.injection import embedded, exfiltration, rendering
from tests.injection.pages import TEXTS, injected_pages

PAGES = 48
PARTS = ("model", "leaks", "rendering")


async def _model(count: int) -> tuple[tuple[Table, ...], tuple[Aim, ...]]:
    pages = injected_pages(count)
    attacked = await embedded.ask_all(pages, lambda page: page.body, label="attacked")
    clean = await embedded.ask_all(pages, lambda page: page.clean, label="clean")
    return embedded.tables_of(attacked, clean), embedded.aims_of(attacked)


async def measure(parts: tuple[str, ...], count: int) -> Section:
    """Do the parts one after the other."""
    tables: list[Table] = []
    aims: list[Aim] = []
    remarks: list[str] = []
    if "model" in parts:
        if TEXTS.is_file() and is_verified(
            models_dir() / MODELS[DEFAULT_MODEL].file_name, MODELS[DEFAULT_MODEL].sha256
        ):
            found, reached = await _model(count)
            tables += found
            aims += reached
        else:
            remarks.append("The embedded model or the shared test data is absent: left out.")
    if "leaks" in parts:
        leaks = await exfiltration.measure()
        tables.append(exfiltration.table_of(leaks))
        aims += exfiltration.aims_of(leaks)
    if "rendering" in parts:
        shown = await rendering.measure()
        tables.append(rendering.table_of(shown))
        aims += rendering.aims_of(shown)
    return Section(
        name="injection",
        title="Injection: pages that carry instructions",
        command="python -m tests.injection",
        about=(
            f"{count} real pages, each with an instruction from a public collection put into its "
            "middle, where readers see it or nobody does; the embedded model is asked for a fact "
            "on the page, once with the instruction and once without. Then a scripted model that "
            "obeys every page tries to carry out a secret, and has its answer shown everywhere."
        ),
        tables=tuple(tables),
        aims=tuple(aims),
        versions={"model": DEFAULT_MODEL},
        remarks=(
            *remarks,
            "One small model on one kind of task: no figure for other models. That a page cannot "
            "persuade a model is not promised; the wall is that its two tools only read.",
        ),
    )


def main() -> int:
    """Run it as a program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pages", type=int, default=PAGES)
    parser.add_argument("--part", choices=PARTS)
    options = parser.parse_args()
    parts = (options.part,) if options.part else PARTS
    section = anyio.run(measure, parts, options.pages)
    save(section, keep=parts == PARTS and options.pages >= PAGES)
    return 0 if all(aim.met for aim in section.aims) else 1


if __name__ == "__main__":
    sys.exit(main())
