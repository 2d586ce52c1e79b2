"""A report as PDF: an installed Chromium prints the HTML, as a person would from its menu.

The browser gets one file and none of our environment's keys. It cannot reach the network: the
file's own policy forbids it, and no name resolves. It has a profile of its own, which is gone
afterwards, and is ended with all its processes when it takes too long.
"""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from agent_client.clean import terminal_line
from agent_client.errors import ConfigError, ReportError

PRINT_SECONDS = 60.0
"""A report of twenty pages takes two on a quiet machine."""
_PROGRAMS = (
    "google-chrome-stable",
    "google-chrome",
    "chromium",
    "chromium-browser",
    "microsoft-edge-stable",
    "microsoft-edge",
)
_PLACES = (
    "/opt/google/chrome/chrome",
    "/opt/microsoft/msedge/msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
_ENVIRONMENT = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "USER", "XDG_RUNTIME_DIR")
_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-crash-reporter",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--user-agent=Seekling",  # becomes the "creator" of the PDF, which else tells the system
    "--no-pdf-header-footer",  # they hold the path of the file
    "--generate-pdf-document-outline",
)
_INSTEAD = "take the .html instead (-o report.html), which any browser prints"


def find_browser(named: str = "") -> Path:
    """Find an installed Chromium, Chrome or Edge.

    Args:
        named: path or name of the program, or "" for the usual ones.

    Raises:
        ConfigError: there is none.
    """
    if named:
        if found := shutil.which(named):
            return Path(found)
        raise ConfigError(
            f"the browser {named!r} is not a program that can be run",
            hint="name the program of Chromium, Chrome or Edge",
        )
    for program in (*_PROGRAMS, *_PLACES):
        if found := shutil.which(program):
            return Path(found)
    raise ConfigError(
        "a PDF needs an installed browser, and none was found",
        hint=f"install Chromium, Chrome or Edge, or {_INSTEAD}",
    )


async def to_pdf(html: str, browser: Path, *, seconds: float = PRINT_SECONDS) -> bytes:
    """Print a page that needs nothing else.

    Args:
        html: the whole file.
        browser: the program, as of `find_browser`.
        seconds: most time that it may take.

    Raises:
        ReportError: it does not start, takes too long, or prints nothing.
    """
    # A file that the ended browser still holds must not turn into an error of ours.
    with TemporaryDirectory(prefix="seekling-pdf-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        page, printed, log = (folder / part for part in ("report.html", "report.pdf", "stderr"))
        page.write_text(html, encoding="utf-8")
        sandbox = ["--no-sandbox"] if _is_root() else []
        where = (f"--user-data-dir={folder / 'profile'}", f"--print-to-pdf={printed}")
        await _run([str(browser), *_FLAGS, *sandbox, *where, page.as_uri()], log, seconds)
        with suppress(OSError):
            if (content := printed.read_bytes()).startswith(b"%PDF-"):
                return content
        told = log.read_text(encoding="utf-8", errors="replace").split("\n")
    reason = next((line for line in reversed(told) if line.strip()), "it does not say why")
    raise ReportError(
        f"{str(browser)!r} has printed no PDF: {terminal_line(reason, 300)}", hint=_INSTEAD
    )


async def _run(command: list[str], log: Path, seconds: float) -> None:
    """Run the browser to its end, in a process group that is gone afterwards."""
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    with log.open("wb") as stderr:
        try:
            process = await anyio.open_process(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=environment,
                start_new_session=True,
            )
        except OSError as exc:
            raise ReportError(
                f"{command[0]!r} does not start: {exc.strerror}", hint=_INSTEAD
            ) from exc
    try:
        with anyio.fail_after(seconds):
            await process.wait()
    except TimeoutError:
        raise ReportError(
            f"{command[0]!r} has printed no PDF in {seconds:.0f} seconds", hint=_INSTEAD
        ) from None
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with anyio.CancelScope(shield=True):
            await process.wait()


def _is_root() -> bool:
    """Whether the browser would refuse its sandbox: Linux has none for root."""
    return sys.platform == "linux" and os.geteuid() == 0
