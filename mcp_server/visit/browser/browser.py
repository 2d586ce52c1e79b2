"""Render pages that are empty until their scripts have run.

An installed Chromium does it, driven by Playwright (extra `browser`), in the last resort: a page
costs some half a second of CPU time, which is more than a hundred pages cost otherwise.

What a page may do: run scripts, and fetch more scripts, data and documents through our guarded
proxy (see `guarded_proxy`), which is its only way to the network. What it may not: reach a private
address, keep anything, see other pages, download, open windows, or use more time, memory and bytes
than `BrowserLimits` says.
"""

import importlib.util
import logging
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio
from anyio.abc import TaskGroup

from mcp_server.errors import ConfigError, FetchError
from mcp_server.visit.browser.guarded_proxy import BackendOf, GuardedProxy
from mcp_server.visit.guard import Policy, check_url
from mcp_server.visit.types import Resource

if TYPE_CHECKING:
    from mcp_server.visit.browser.process import Chromium

_logger = logging.getLogger(__name__)

_PROGRAMS = (
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
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
_TRY_ANOTHER = "try another result"
_WATCH_SECONDS = 0.25
_RESERVE_SECONDS = 1.0
"""Of the deadline, for taking the document of a page that is never done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserLimits:
    """What rendering may cost."""

    pages_at_once: int = 2
    """Others wait, within their deadlines."""
    settle_seconds: float = 8.0
    """How long a page may take to fill itself; then it is taken as it is."""
    max_wire_bytes: int = 20_000_000
    """Of one page with all its parts, as sent."""
    max_body_chars: int = 10_000_000
    """Of one rendered document."""
    max_process_memory_bytes: int = 1_000_000_000
    """Resident, of one of the browser's processes, such as the one that runs a page's scripts;
    checked four times a second where there is a /proc."""
    pages_per_browser: int = 100
    """Then a new browser takes over, so that leaks do not add up."""
    idle_seconds: float = 300.0
    """A browser that nobody needs is ended."""


def find_browser(named: str = "") -> Path:
    """Find an installed Chromium, Chrome or Edge.

    Args:
        named: path or name of the program, or "" for the usual ones.

    Raises:
        ConfigError: there is none.
    """
    if named:
        found = shutil.which(named)
        if found is None:
            raise ConfigError(f"the browser {named!r} is not a program that can be run")
        return Path(found)
    for program in (*_PROGRAMS, *_PLACES):
        found = shutil.which(program)
        if found is not None:
            return Path(found)
    raise ConfigError(
        f"no browser is installed (looked for {', '.join(_PROGRAMS)} and in the usual places)",
        hint="install Chromium, Chrome or Edge, or name the program in the setting 'browser'",
    )


class Browser:
    """Renders pages; an async context manager.

    The browser itself starts with the first page and ends when it is not needed for some time.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        backend_of: BackendOf,
        user_agent: str,
        executable: str = "",
        limits: BrowserLimits | None = None,
    ) -> None:
        """Check that rendering is possible here; nothing is started yet.

        Args:
            policy: judges the page and everything that it asks for.
            backend_of: builds the dial under the proxy, for example a `PinnedBackend`.
            user_agent: honest name of the program, with where to complain.
            executable: see `find_browser`.
            limits: what rendering may cost.

        Raises:
            ConfigError: Playwright or a browser is missing.
        """
        if importlib.util.find_spec("playwright") is None:
            raise ConfigError(
                "rendering pages needs the package 'playwright'",
                hint='run: pip install "seekling[browser]"',
            )
        self._executable = find_browser(executable)
        self._policy = policy
        self._user_agent = user_agent
        self._limits = limits or BrowserLimits()
        self._proxy = GuardedProxy(policy, backend_of)
        self._places = anyio.CapacityLimiter(self._limits.pages_at_once)
        self._current: _Life | None = None

    async def __aenter__(self) -> Self:
        self._tasks: TaskGroup = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._port: int = await self._tasks.start(self._proxy.serve)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._tasks.cancel_scope.cancel()
        try:
            return await self._tasks.__aexit__(exc_type, exc_value, traceback)
        except BaseExceptionGroup as group:
            if group.exceptions == (exc_value,):
                return False  # the caller's own error, which a task group wraps
            raise

    async def render(self, url: str, *, deadline_seconds: float) -> Resource:
        """Load a page, run its scripts, and give its document.

        Args:
            url: as a model wrote it; see `check_url` for what is repaired.
            deadline_seconds: includes waiting for a place and starting the browser.

        Returns:
            The document as a reader sees it, in UTF-8, without scripts, styles, frames and
            `<noscript>`; shadow roots stand in place. A page that is never done is given as it
            was when its time was up.

        Raises:
            BlockedUrl: the URL, or what it leads to, is not allowed.
            FetchError: the page did not come in time, is too large, or broke the browser.
        """
        target = str(check_url(url, self._policy))
        try:
            with anyio.fail_after(deadline_seconds) as scope:
                async with self._places, self._lease(url) as chromium:
                    resource = await self._render(chromium, target, scope.deadline)
        except TimeoutError:
            reason = f"the page was not rendered within {deadline_seconds:g} seconds"
            raise FetchError(url, reason, retryable=True, hint=_TRY_ANOTHER) from None
        return replace(resource, url=url)

    async def _render(self, chromium: "Chromium", url: str, deadline: float) -> Resource:
        from mcp_server.visit.browser.page import render_page

        limits = self._limits
        latest = anyio.current_time() + limits.settle_seconds
        with self._proxy.open_door(max_bytes=limits.max_wire_bytes) as door:
            return await render_page(
                chromium,
                url,
                door=door,
                user_agent=self._user_agent,
                settle_until=min(latest, deadline - _RESERVE_SECONDS),
                max_body_chars=limits.max_body_chars,
            )

    @asynccontextmanager
    async def _lease(self, url: str) -> AsyncGenerator["Chromium"]:
        """A running browser, started if need be, which stays until the block ends."""
        life = self._current
        if life is None or not life.can_serve or life.pages >= self._limits.pages_per_browser:
            life = self._current = _Life()
            self._tasks.start_soon(self._live, life)
        life.pages += 1
        life.leases += 1
        try:
            await life.has_started.wait()
            if life.chromium is None:
                raise FetchError(url, life.failure, hint=_TRY_ANOTHER)
            yield life.chromium
        finally:
            life.leases -= 1
            life.idle_since = anyio.current_time()

    async def _live(self, life: "_Life") -> None:
        """Own one browser from its start to its end."""
        from mcp_server.visit.browser.process import run_chromium

        try:
            async with run_chromium(self._executable, self._port) as chromium:
                life.chromium = chromium
                life.has_started.set()
                await self._watch(life, chromium)
                life.is_over = True  # before it closes, so that no page takes it meanwhile
        except Exception as exc:  # Playwright raises bare ones when its driver ends
            _logger.warning("the browser broke or did not start", exc_info=True)
            if "sandbox" in str(exc):
                life.failure = "the browser did not start: its sandbox does not work here"
        finally:
            life.is_over = True
            life.has_started.set()

    async def _watch(self, life: "_Life", chromium: "Chromium") -> None:
        """Return when the browser has broken or is not needed any more."""
        limits = self._limits
        while chromium.is_usable:
            if life.leases:
                await chromium.end_greedy_processes(limits.max_process_memory_bytes)
            elif life.pages >= limits.pages_per_browser or life.idle_seconds > limits.idle_seconds:
                return
            await anyio.sleep(_WATCH_SECONDS)


class _Life:
    """One browser process, from the wish for it to its end."""

    def __init__(self) -> None:
        self.has_started = anyio.Event()
        """Also set when it failed to."""
        self.chromium: Chromium | None = None
        self.failure = "the browser did not start"
        self.is_over = False
        self.pages = 0
        self.leases = 0
        self.idle_since = anyio.current_time()

    @property
    def can_serve(self) -> bool:
        return not self.is_over and (self.chromium is None or self.chromium.is_usable)

    @property
    def idle_seconds(self) -> float:
        return anyio.current_time() - self.idle_since
