"""How soon the page of a large run can be used, beside the same file without our scripts.

    PYTHONPATH=. python tests/bench/view_speed.py [--questions 4326] [--tries 5]

The file holds made-up questions with realistic sizes. Needs an installed Chromium. The aim is a
table that can be used within 3 s; the bare file shows what the browser takes for the bytes alone.
"""

import argparse
import re
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser

from agent_client.viewer.view_file import SHARD_ROWS, write_view
from tests.pages.browser import chromium, new_page
from tests.pages.made_up_run import episodes_of, made_up_run, view_of

DIFFERENT = 16
"""Episodes that are made up; the others are the same ones under other names."""
READY = "performance.getEntriesByName('seekling-ready')[0].startTime / 1000"
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"
OPENED = """() => new Promise((resolve) => {
    const began = performance.now();
    new PerformanceObserver((list) => resolve((list.getEntries()[0].startTime - began) / 1000))
        .observe({ type: "mark" });
    location.hash = "#q=q%d";
})"""


def seconds(browser: Browser, file: Path, script: str) -> float:
    """What a script says about a page that has been loaded."""
    page = new_page(browser)
    page.goto(file.as_uri(), timeout=120_000)
    page.wait_for_function(f"{LOADED} > 0")
    told: float = page.evaluate(script)
    page.context.close()
    return told


def main() -> None:
    """Measure, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=4_326)
    parser.add_argument("--tries", type=int, default=5)
    options = parser.parse_args()
    run = made_up_run("all-of-them", options.questions)
    with TemporaryDirectory() as folder, chromium() as browser:
        file, bare = Path(folder) / "view.html", Path(folder) / "bare.html"
        write_view(file, view_of(run, shard_rows=SHARD_ROWS), [episodes_of(run, DIFFERENT)])
        bare.write_bytes(re.sub(rb"<script>.*?</script>", b"", file.read_bytes(), flags=re.DOTALL))
        opened = OPENED % (options.questions - 5)
        rows = {"table can be used": READY, "file loaded": LOADED, "a question opened": opened}
        told = {name: [] for name in (*rows, "bare file loaded")}
        for _ in range(options.tries):
            for name, script in rows.items():
                told[name].append(seconds(browser, file, script))
            told["bare file loaded"].append(seconds(browser, bare, LOADED))
        limit = median(told["bare file loaded"])
        print(f"{options.questions:,} questions, {file.stat().st_size / 1e6:.1f} MB")
        for name, values in told.items():
            print(f"{name:20} {median(values):6.2f} s  x{median(values) / limit:.2f}")


if __name__ == "__main__":
    main()
