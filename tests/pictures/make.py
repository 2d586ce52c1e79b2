"""`make pictures`: the pictures of README and docs, each from a real run of the embedded model.

    python -m tests.pictures.make [NAME …]

draws all of `PICTURES`, or those named, into `docs/images/`. It needs what `make demo` needs, and
an installed Chromium; all of them take a quarter of an hour on two cores. The pictures are looked
at before they are kept: nothing here can tell whether they are pretty.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.pictures.terminal import shown, to_svg

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
SEEKLING = str(Path(sys.executable).with_name("seekling"))
QUESTIONS = ROOT / "tests" / "data" / "demo_questions.jsonl"
QUESTION = "Which river flows through the city where Marie Curie was born?"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
WIDTH, HEIGHT, TALL, PHONE_WIDTH, SCALE = 1280, 860, 1_180, 390, 1.5
LIVE_AFTER_RECORDS = 9
DEADLINE_SECONDS = 1_200.0


def environ(home: Path) -> Mapping[str, str]:
    """Of the commands: the embedded encyclopedia, and no sessions but their own."""
    return {**os.environ, "SEEKLING_MCP_PROVIDERS": "local", "SEEKLING_DATA_DIR": str(home)}


@contextmanager
def browser(scheme: str = "light", width: int = WIDTH, height: int = HEIGHT) -> Generator[Page]:
    """A page of a real Chromium."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            device_scale_factor=SCALE,
        )
        yield context.new_page()
        chromium.close()


@contextmanager
def serving(arguments: Sequence[str], home: Path) -> Generator[str]:
    """A command of ours that serves a page; gives its address."""
    with subprocess.Popen(
        [SEEKLING, *arguments, "--json"], env=environ(home), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


def ask(home: Path) -> None:
    """What a question looks like in a terminal."""
    screen = shown(
        ["seekling", QUESTION],
        prompt=f'seekling "{QUESTION}"',
        environ={**environ(home), "PATH": f"{Path(SEEKLING).parent}:{os.environ['PATH']}"},
    )
    save("ask.svg", to_svg(screen, "A question, asked in a terminal").encode())


def evaluation(home: Path) -> None:
    """An evaluation: followed while it works, then as a whole, and one of its questions."""
    run = home / "demo-questions"
    command = [SEEKLING, "eval", "run", str(QUESTIONS), "--model", "embedded", "--out", str(run)]
    with subprocess.Popen([*command, "-q"], env=environ(home), stdout=subprocess.DEVNULL) as work:
        wait_for_records(run, LIVE_AFTER_RECORDS)
        with serving(["view", str(run), "--live"], home) as address, browser("dark") as page:
            page.goto(address)
            page.get_by_role("row").nth(LIVE_AFTER_RECORDS // 2).wait_for()
            save("view-live.png", page.screenshot())
        work.wait(DEADLINE_SECONDS)
    subprocess.run([SEEKLING, "view", str(run), "--no-open", "-q"], check=True, env=environ(home))
    with browser(height=TALL) as page:
        page.goto((run / "view.html").as_uri())
        page.get_by_role("row").nth(5).wait_for()
        save("view-run.png", page.screenshot())
        page.get_by_text(QUESTION).first.click()
        page.locator("mark").first.wait_for()
        save("view-question.png", page.screenshot())
    with browser("dark", PHONE_WIDTH, HEIGHT) as page:
        page.goto((run / "view.html").as_uri())
        page.get_by_role("row").nth(5).wait_for()
        save("view-phone.png", page.screenshot())


def web(home: Path) -> None:
    """The chat page, at work and with its answer."""
    command = ["web", "--port", "0", "--no-open", "--model", "embedded"]
    with serving(command, home) as address, browser() as page:
        page.goto(address)
        page.locator("#model", has_text="coder").wait_for()
        box = page.get_by_role("textbox")
        box.fill(QUESTION)
        box.press("Enter")
        page.locator(".step-visit").first.wait_for(timeout=1_000 * DEADLINE_SECONDS)
        save("web-working.png", page.screenshot())
        page.locator("article.run .run-actions").wait_for(timeout=1_000 * DEADLINE_SECONDS)
        page.locator("button.cite").first.hover()
        page.locator("#cite-card").wait_for()
        save("web.png", page.screenshot())


def report(home: Path) -> None:
    """A report with the passage behind a citation."""
    file = home / "report.html"
    command = [SEEKLING, "report", "Marie Curie", "--model", "embedded", "-o", str(file), "-q"]
    subprocess.run(command, check=True, env=environ(home))
    with browser() as page:
        page.goto(file.as_uri())
        page.locator(".cite").nth(1).hover()
        page.locator("#tip-2").wait_for()
        save("report.png", page.screenshot())


PICTURES: Mapping[str, Callable[[Path], None]] = {
    "ask": ask,
    "evaluation": evaluation,
    "web": web,
    "report": report,
}


def wait_for_records(run: Path, count: int) -> None:
    """Return when so many questions are over."""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        records = run / "records.jsonl"
        if records.exists() and records.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.5)
    raise TimeoutError(f"{run} has not {count} records after {DEADLINE_SECONDS:g} s")


def save(name: str, content: bytes) -> None:
    """Put a picture where the documents look for it."""
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / name).write_bytes(content)
    sys.stderr.write(f"docs/images/{name}: {len(content) / 1_000:,.0f} kB\n")


def main() -> None:
    """Draw the pictures that are named, or all."""
    names = sys.argv[1:] or list(PICTURES)
    if unknown := sorted(set(names) - set(PICTURES)):
        sys.exit(f"no picture {unknown[0]!r}: there are {', '.join(PICTURES)}")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            PICTURES[name](Path(folder))


if __name__ == "__main__":
    main()
