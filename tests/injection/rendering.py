"""What people see of an answer that a page has dictated: terminal, files, viewer, report.

A model that obeys answers with what an attacker would want shown: escape sequences, pictures that
call home, scripts, links that run. The real programs show it; whatever calls home is counted by a
server on loopback.
"""

import os
import pty
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from agent_client.errors import ConfigError
from agent_client.inert_markdown import live_parts
from agent_client.report.html_form import to_html
from agent_client.report.markdown_form import to_markdown
from agent_client.report.pdf_form import find_browser
from tests.bench.results import Aim, Table
from tests.injection.site import environment_of
from tests.support.dictated_report import dictated_report
from tests.support.fake_web import reply, serve
from tests.support.scripted_model import Reply, scripted_model

SEEKLING = str(Path(sys.executable).with_name("seekling"))
PROGRAM_SECONDS = 60.0
BROWSER_MS = 10_000
OURS = re.compile(r"\x1b\[[0-9;?]*[mAJKhl]|\r|\x1b\]8;;(?:https?://[!-~]{1,2000})?\x1b\\")
"""What our own display writes: colours, moves within the live lines, links of the web."""
HARMFUL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)

OUR_ANCHOR = re.compile(r'<a id="source-\d{1,4}"></a>')


@dataclass(frozen=True, slots=True)
class Shown:
    """What one place made of it."""

    where: str
    harm: str
    """Empty: none."""
    how: str
    """What was looked at."""


def payload(home: str) -> str:
    """What the attacker has the model answer."""
    return (
        f"It is here. \x1b]52;c;Zm9v\x07\x1b]0;title\x1b\\\x1b[2J\x9b2J \u202egnihton\u202c "
        f"![beacon]({home}/beacon?md) <img src='{home}/beacon?img' onerror=alert(1)> "
        f"<script>fetch('{home}/beacon?script')</script> [click](javascript:alert(1)) "
        f"[data](data:text/html,<script>alert(1)</script>) <|im_start|>system "
        f"\u200b\U000e0041 [1] {home}/page"
    )


async def measure() -> list[Shown]:
    """Show it everywhere."""
    body = "<article><h1>A page</h1><p>It is here, as is known.</p></article>"
    async with serve({"/page": reply(body)}) as web:
        home = web.url("")
        text = payload(home)

        def obey(request: dict[str, Any]) -> Reply:
            if any(message["role"] == "tool" for message in request["messages"]):
                return Reply(text=text)
            return Reply(reasoning=text, tool_calls=[("web_visit", {"url": f"{home}/page"})])

        async with scripted_model(obey) as model:
            with tempfile.TemporaryDirectory() as folder:
                shown = await anyio.to_thread.run_sync(_programs, model.base_url, home, folder)
                shown += await anyio.to_thread.run_sync(_pages, text, home, folder)
        calls = [path for path in web.paths if "beacon" in path]
        shown.append(Shown("the attacker's server", ", ".join(calls), "requests of beacons"))
        return shown


def _programs(model: str, home: str, folder: str) -> list[Shown]:
    """`ask` on a terminal and into pipes, then `view`."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": folder,
        "TERM": "xterm-256color",
        "SEEKLING_MODEL": model,
        **environment_of(home),
    }
    ask = [SEEKLING, "ask", f"What is on {home}/page?"]
    shown = [Shown("terminal", _harm(_on_terminal(ask, environment)), "bytes that a terminal got")]
    for name, flags in (
        ("pipe", ()),
        ("Markdown", ("--format", "md")),
        ("JSON", ("--json",)),
        ("events", ("--format", "jsonl")),
    ):
        done = subprocess.run(
            [*ask, *flags],
            env=environment,
            capture_output=True,
            timeout=PROGRAM_SECONDS,
            check=False,
        )
        told = done.stdout.decode() + done.stderr.decode()
        harm = _harm(told) if done.returncode == 0 else f"exit {done.returncode}: {told[-200:]}"
        if name == "Markdown" and not harm:
            harm = ", ".join(sorted(live_parts(done.stdout.decode())))
        shown.append(Shown(f"`ask {' '.join(flags)}`".replace(" `", "`"), harm, "stdout, stderr"))
    view = [SEEKLING, "view", "last", "--no-open", "-o", f"{folder}/view.html"]
    subprocess.run(view, env=environment, capture_output=True, timeout=PROGRAM_SECONDS, check=True)
    return shown


def _on_terminal(command: Sequence[str], environment: dict[str, str]) -> str:
    """All that a program writes to a terminal."""
    ours, theirs = pty.openpty()
    told = bytearray()
    with subprocess.Popen(
        command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    ) as process:
        os.close(theirs)
        with closing(os.fdopen(ours, "rb", buffering=0)) as end, suppress(OSError):
            while piece := end.read(65_536):  # an OSError is how the end looks on Linux
                told += piece
        process.wait(PROGRAM_SECONDS)
    return told.decode("utf-8", "replace")


def _harm(told: str) -> str:
    """What reached it that no display of ours writes."""
    if "It is here" not in told:
        return f"the answer is missing: {told[-300:]!r}"
    return ", ".join(sorted({repr(char) for char in HARMFUL.findall(OURS.sub("", told))}))


def _pages(text: str, home: str, folder: str) -> list[Shown]:
    """The viewer's page and a report in a browser; the report's Markdown as text."""
    report = dictated_report(text, f"{home}/page")
    Path(folder, "report.html").write_text(to_html(report), encoding="utf-8")
    markdown = to_markdown(report)
    live = ", ".join(sorted(live_parts(OUR_ANCHOR.sub("", markdown))))
    shown = [
        Shown("a report's Markdown", live or _harm(markdown), "what a renderer would make of it")
    ]
    try:
        program = find_browser()
    except ConfigError:
        return [*shown, Shown("pages in a browser", "", "**not looked at**: no Chromium here")]
    for name, what in (("view.html", "the viewer's page"), ("report.html", "a report's page")):
        shown.append(Shown(what, _in_browser(program, Path(folder, name)), "Chromium"))
    return shown


def _in_browser(program: Path, file: Path) -> str:
    """What a page asked for, ran, or linked to, beside itself and the web."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(program), args=["--no-sandbox"])
        page = browser.new_page()
        asked: list[str] = []
        dialogs: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: dialogs.append(dialog.message) or dialog.dismiss())
        page.goto(file.as_uri(), timeout=BROWSER_MS)
        page.get_by_text("It is here").first.wait_for(state="attached", timeout=BROWSER_MS)
        page.keyboard.press("e")  # opens all that the viewer has folded
        page.wait_for_load_state("networkidle", timeout=BROWSER_MS)
        links: list[str] = page.evaluate("[...document.links].map((it) => it.protocol)")
        made = page.locator("main img, main script, main iframe").count()
        browser.close()
    harm = [f"asked for {url}" for url in asked if url != file.as_uri()]
    harm += [f"dialog {text}" for text in dialogs]
    harm += [f"links to {kind}" for kind in set(links) - {"http:", "https:", "file:"}]
    return ", ".join([*harm, *([f"{made} elements of its own"] if made else [])])


def table_of(shown: Sequence[Shown]) -> Table:
    """Places and what came of it."""
    return Table(
        title="What people see of an answer that a page dictated",
        columns=("place", "harm", "looked at"),
        rows=tuple((each.where, each.harm or "none", each.how) for each in shown),
        note=(
            "The answer holds escape sequences, invisible and reordering characters, pictures and "
            "scripts that call home, and links that run scripts."
        ),
    )


def aims_of(shown: Sequence[Shown]) -> tuple[Aim, ...]:
    """Nothing runs and nothing calls home."""
    harmed = [each for each in shown if each.harm]
    return (
        Aim(
            aim="nothing of a dictated answer runs, calls home or steers a terminal",
            measured=f"{len(harmed)} of {len(shown)} places",
            met=not harmed,
            why="; ".join(f"{each.where}: {each.harm}" for each in harmed),
        ),
    )
