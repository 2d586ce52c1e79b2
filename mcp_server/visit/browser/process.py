"""Start the installed Chromium with its doors shut, and end it with all its processes.

Needs the extra `browser`; `mcp_server.visit.browser` imports this module when it renders.
"""

import logging
import os
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import anyio
from playwright.async_api import Browser as PlaywrightBrowser
from playwright.async_api import (
    BrowserContext,
    CDPSession,
    Playwright,
    ViewportSize,
    async_playwright,
)
from playwright.async_api import Error as PlaywrightError

from mcp_server.visit.browser.guarded_proxy import Door

_logger = logging.getLogger(__name__)

_LAUNCH_SECONDS = 20.0
_STEP_SECONDS = 5.0
"""For what a healthy browser does in a few hundredths of a second."""
_ENVIRONMENT = ("HOME", "LANG", "PATH", "TMPDIR", "USER", "XDG_RUNTIME_DIR")
"""All that the browser gets of ours: API keys are none of its business."""
_VIEWPORT: ViewportSize = {"width": 1280, "height": 3_000}
"""Tall, since many pages load a part of theirs only when it comes into view."""

_FLAGS = (
    # Every name is resolved by the proxy. Look-ups of our own would tell the network what a page
    # asks for, and be a way around the guard.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--disable-quic",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--block-new-web-contents",
    # What has no text is not loaded. Style sheets are: bundlers refuse to run scripts whose style
    # sheet is missing.
    "--blink-settings=imagesEnabled=false",
    "--disable-remote-fonts",
    # All frames of a page in one process, which is watched: a page shares its context with no
    # other, so that there is nothing to keep apart, and frames are not a way to more memory.
    "--disable-site-isolation-trials",
    "--disable-gpu",
    "--disable-3d-apis",
    "--js-flags=--max-old-space-size=256",
)
_UNWANTED_DEFAULTS = (
    # Playwright drives pages that it trusts; these take away what stops a page that floods.
    "--disable-ipc-flooding-protection",
    "--disable-popup-blocking",
    "--enable-unsafe-swiftshader",
)


class Chromium:
    """A running browser."""

    def __init__(self, browser: PlaywrightBrowser, devtools: CDPSession, proxy_url: str) -> None:
        """Take over a browser that has been started; see `run_chromium`."""
        self._browser = browser
        self._devtools = devtools
        self._proxy_url = proxy_url
        self._is_stuck = False

    @property
    def is_usable(self) -> bool:
        """Whether the browser runs and has not failed to do what it was told."""
        return self._browser.is_connected() and not self._is_stuck

    @asynccontextmanager
    async def open_context(self, door: Door, *, user_agent: str) -> AsyncGenerator[BrowserContext]:
        """Make a context that shares nothing with others and goes through `door`.

        Raises:
            PlaywrightError: the browser has ended.
            TimeoutError: the browser is stuck.
        """
        # Shielded, because a context whose making or closing is cancelled would be left behind.
        with self._in_time():
            context = await self._browser.new_context(
                proxy={
                    "server": self._proxy_url,
                    "username": door.name,
                    "password": door.password,
                },
                user_agent=user_agent,
                locale="en",
                viewport=_VIEWPORT,
                reduced_motion="reduce",
                accept_downloads=False,
                service_workers="block",
            )
        try:
            yield context
        finally:
            with suppress(PlaywrightError, TimeoutError), self._in_time():
                await context.close()

    @contextmanager
    def _in_time(self) -> Generator[None]:
        """Bound a step which a healthy browser does in hundredths of a second.

        Raises:
            TimeoutError: the browser is stuck, and not usable any more.
        """
        try:
            with anyio.fail_after(_STEP_SECONDS, shield=True):
                yield
        except TimeoutError:
            _logger.warning("the browser does not do what it is told and is replaced")
            self._is_stuck = True
            raise

    async def end_greedy_processes(self, max_bytes: int) -> None:
        """Kill processes of the browser whose resident memory is larger.

        It is nearly always the renderer of one page, which crashes while the others live on. A
        page that fills the browser's own process, with blobs for example, costs the browser.
        """
        processes: list[dict[str, Any]] = []
        with anyio.move_on_after(_STEP_SECONDS), suppress(PlaywrightError):
            processes = await _process_info(self._devtools)
        for process in processes:
            pid = int(process["id"])
            if _resident_bytes(pid) > max_bytes:
                _logger.warning("a page in the browser used too much memory and was ended")
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@asynccontextmanager
async def run_chromium(executable: Path, proxy_port: int) -> AsyncGenerator[Chromium]:
    """Run a browser whose only way to the network is the proxy; end it with all its processes.

    When this process dies, Playwright's driver sees its pipe close and ends the browser; when
    the driver dies too, the browser sees its own pipe close and ends itself.

    Raises:
        PlaywrightError: it does not start, or not in time.
    """
    proxy_url = f"http://127.0.0.1:{proxy_port}"
    async with _run_driver() as driver:
        browser = await driver.chromium.launch(
            executable_path=executable,
            chromium_sandbox=_can_sandbox(),
            # Without a password: what the browser wants for itself is refused.
            proxy={"server": proxy_url},
            args=_FLAGS,
            ignore_default_args=_UNWANTED_DEFAULTS,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            timeout=_LAUNCH_SECONDS * 1_000,
        )
        devtools = await browser.new_browser_cdp_session()
        process_group = await _pid_of(devtools)  # Playwright makes it a group of its own
        try:
            yield Chromium(browser, devtools, proxy_url)
        finally:
            await _end(browser, process_group)


@asynccontextmanager
async def _run_driver() -> AsyncGenerator[Playwright]:
    manager = async_playwright()
    # Shielded, because a driver whose start is cancelled would be left behind.
    with anyio.fail_after(_LAUNCH_SECONDS, shield=True):
        driver = await manager.__aenter__()
    try:
        yield driver
    finally:
        with anyio.move_on_after(_STEP_SECONDS, shield=True):
            await manager.__aexit__()


async def _process_info(devtools: CDPSession) -> list[dict[str, Any]]:
    """The browser's processes, each with `id` and `type`."""
    reply = cast(dict[str, Any], await devtools.send("SystemInfo.getProcessInfo"))
    return reply["processInfo"]


async def _pid_of(devtools: CDPSession) -> int:
    processes = await _process_info(devtools)
    return next(int(process["id"]) for process in processes if process["type"] == "browser")


async def _end(browser: PlaywrightBrowser, process_group: int) -> None:
    with anyio.move_on_after(_STEP_SECONDS, shield=True), suppress(PlaywrightError):
        await browser.close()
        return
    _logger.warning("the browser did not close and was killed")
    with suppress(ProcessLookupError):
        os.killpg(process_group, signal.SIGKILL)


def _can_sandbox() -> bool:
    """Chromium's sandbox needs another user than root, or the browser does not start."""
    if os.geteuid() != 0:
        return True
    _logger.warning("running as root: pages are rendered without the browser's sandbox")
    return False


def _resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where the system has no /proc or the process has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
