"""One case: what is done to the server, what has to come of it, and what did."""

import re
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.torture.names import NameServer
from tests.torture.network import is_inside
from tests.torture.site import CANARY, Script, Site, article, reply
from tests.torture.watched import Watch, Watched

MAX_GROWTH_MB = 50.0
MAX_PING_SECONDS = 1.0
MAX_RESULT_CHARS = 400_000
SLACK_SECONDS = 15.0
"""How much longer than allowed an answer is waited for, to say how late it was."""
_LEFT_SECONDS = 5.0
"""How long a site is watched for being left after a cancel."""
REFUSED, ERROR, PAGE = "refused", "clean error", "page"
SKIPPED = "SKIPPED"
WARM_PATH = "/warm"

_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"
    "\ud800-\udfff\U000e0000-\U000e007f]|!\\["
)
"""In no answer: terminal control, bidi, invisible tags, halves of characters, live images."""


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of a case."""

    name: str
    expected: str
    outcome: str
    seconds: float | None = None
    growth_mb: float | None = None
    tree_mb: float | None = None
    ping_seconds: float | None = None
    faults: list[str] = field(default_factory=list[str])
    is_late_only: bool = False
    """Whether all that is wrong is a time: a busy machine can do that, and it is tried again."""
    tries: int = 1

    @property
    def is_good(self) -> bool:
        """Whether all is as it must be, or was not tried."""
        return not self.faults


@dataclass
class Stage:
    """Where cases are played: the hostile web, the name server, the servers under test."""

    folder: Path
    site: Site
    names: NameServer | None
    command: tuple[str, ...]
    tool: str = "web_visit"
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of each server."""
    servers: int = 0

    def start(self, *flags: str, is_warm: bool = True, **environment: str) -> Watched:
        """A server of its own, which has already read a page if it is to be warm."""
        self.servers += 1
        log = self.folder / f"server-{self.servers}.log"
        environment = {**self.environment, **environment}
        server = Watched((*self.command, *flags), log, environment, self.tool)
        if is_warm:
            server.warm_up(self.site.url(WARM_PATH))
        return server

    @contextmanager
    def server(self, *flags: str, is_warm: bool = True, **environment: str) -> Generator[Watched]:
        """The same, ended at the end of the block."""
        server = self.start(*flags, is_warm=is_warm, **environment)
        try:
            yield server
        finally:
            server.end()


@dataclass(frozen=True, kw_only=True)
class Case:
    """Something that is done in its own way."""

    name: str
    expected: str
    run: Callable[[Stage], Result]
    needs_network: bool = False
    """Whether it needs a network of our own."""
    is_quick: bool = False
    """Whether it is part of a quick run."""

    def play(self, stage: Stage) -> Result:
        """Do it, if it can be done here."""
        if self.needs_network and not is_inside():
            return Result(name=self.name, expected=self.expected, outcome=f"{SKIPPED}: needs root")
        return self.run(stage)


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A page that is visited."""

    name: str
    script: Script | None = None
    """How the hostile web answers at `/NAME`."""
    url: str = ""
    """What is visited instead."""
    host: str = "www"
    tls: bool = False
    expected: tuple[str, ...] = (PAGE,)
    has: tuple[str, ...] = ()
    """What the answer must hold."""
    lacks: tuple[str, ...] = ()
    within_seconds: float = 15.0
    arguments: Mapping[str, object] = field(default_factory=dict[str, object])
    cancel_after_seconds: float | None = None
    needs_network: bool = False
    is_quick: bool = False

    @property
    def path(self) -> str:
        """Where the hostile web has it."""
        return f"/{self.name}"

    def play(self, stage: Stage, server: Watched) -> Result:
        """Visit it."""
        expected = " or ".join(self.expected)
        if self.needs_network and not is_inside():
            return Result(name=self.name, expected=expected, outcome=f"{SKIPPED}: needs root")
        url = self.url or stage.site.url(self.path, self.host, tls=self.tls)
        hits = len(stage.site.inner_hits)
        stage.site.left_at.pop(self.path, None)
        watch = server.watched_call(
            {"url": url, **self.arguments},
            give_up_seconds=self.within_seconds + SLACK_SECONDS,
            cancel_after_seconds=self.cancel_after_seconds,
        )
        outcome, text = outcome_of(watch.answer, has_ended=server.has_ended)
        result = Result(
            name=self.name,
            expected=expected,
            outcome=outcome,
            seconds=watch.seconds,
            growth_mb=watch.growth_mb,
            tree_mb=watch.tree_mb,
            ping_seconds=watch.ping_seconds,
        )
        if self.cancel_after_seconds is None:
            self._judge_answer(result, text)
        judge_server(result, watch, server, within_seconds=self.within_seconds)
        judge_inside(result, text, stage.site.inner_hits[hits:])
        if self.cancel_after_seconds is not None:
            self._judge_cancel(result, stage.site, watch)
        return result

    def _judge_cancel(self, result: Result, site: Site, watch: Watch) -> None:
        """A call that nobody waits for any more must let go of the site; it has no answer."""
        result.expected = "the site is left within 1 s"
        if watch.cancelled_at is None:
            result.outcome = "it was over before it was cancelled"
            result.faults.append(result.outcome)
            return
        until = watch.cancelled_at + _LEFT_SECONDS
        while self.path not in site.left_at and time.monotonic() < until:
            time.sleep(0.02)
        waited = site.left_at.get(self.path, until) - watch.cancelled_at
        result.outcome = f"left {waited:.2f} s after the cancel"
        if not 0 <= waited <= 1:
            result.faults.append(result.outcome)
            result.is_late_only = 1 < waited < _LEFT_SECONDS

    def _judge_answer(self, result: Result, text: str) -> None:
        if result.outcome not in self.expected:
            result.faults.append(f"{result.outcome}: {text[:150]!r}")
        result.faults += [f"lost {word!r}" for word in self.has if word not in text]
        result.faults += [f"shows {word!r}" for word in self.lacks if word in text]
        if len(text) > MAX_RESULT_CHARS:
            result.faults.append(f"{len(text):,} characters long")
        if harmful := _HARMFUL.search(text):
            result.faults.append(f"holds {harmful[0]!r}")


def outcome_of(answer: Mapping[str, Any] | None, *, has_ended: bool = False) -> tuple[str, str]:
    """What an answer is, and its text."""
    if answer is None:
        return ("the server ended" if has_ended else "NO ANSWER"), ""
    result = answer.get("result")
    if result is None:
        return "protocol error", str(answer.get("error"))
    text = "\n".join(str(part.get("text", "")) for part in result.get("content", ()))
    if not result.get("isError"):
        return PAGE, text
    return (REFUSED if text.startswith("blocked") else ERROR), text


def judge_server(result: Result, watch: Watch, server: Watched, *, within_seconds: float) -> None:
    """It was in time, small, attentive, silent on stdout, and is still there."""
    before = len(result.faults)
    if watch.seconds > within_seconds:
        result.faults.append(f"took {watch.seconds:.1f} s of {within_seconds:g}")
    if watch.ping_seconds > MAX_PING_SECONDS:
        result.faults.append(f"a ping waited {watch.ping_seconds:.1f} s")
    is_late = len(result.faults) > before
    if watch.growth_mb > MAX_GROWTH_MB:
        result.faults.append(f"grew by {watch.growth_mb:.0f} MB")
    if server.garbage:
        result.faults.append(f"garbage on stdout: {server.garbage[0]!r}")
    if not server.is_alive():
        result.faults.append("does not answer any more")
    result.is_late_only = (
        is_late
        and not before
        and all(fault.startswith(("took", "a ping")) for fault in result.faults)
    )


def judge_inside(result: Result, text: str, hits: list[str]) -> None:
    """Nothing of the inner page came back, and nobody asked for it either."""
    if CANARY in text:
        result.faults.append("LEAK: the inner page came back")
    if hits:
        result.faults.append(f"LEAK: the inner network was dialled at {hits[0]}")


def new_stage(folder: Path, command: tuple[str, ...]) -> Stage:
    """The hostile web and, in a network of our own, its name server."""
    site = Site(folder)
    site.scripts[WARM_PATH] = reply(article("A warm welcome to an ordinary page. " * 20))
    return Stage(folder, site, NameServer() if is_inside() else None, command)
