"""Rows P1 to P6 and P9 to P12: keys, files, pipes and processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from tests.bench.machine import peak_mb_of
from tests.support.stdio_server import INITIALIZE, family, is_running
from tests.torture.case import (
    ERROR,
    MAX_GROWTH_MB,
    PAGE,
    REFUSED,
    Case,
    Result,
    Stage,
    judge_inside,
    outcome_of,
)
from tests.torture.shown_by_tests import shown_by
from tests.torture.site import Visitor, article, redirect, reply
from tests.torture.watched import Watched

_SECRET = "CANARY-key-5b1d"
_END_SECONDS = 5.0
_FIRST_VISIT_SECONDS = 3.0
_HUGE_LINE_BYTES = 64_000_000
_LOOKUPS = 15
"""One less than visits at the same time."""

Play = Callable[[Stage, Result], None]
"""Does it, and adds what was seen and what is wrong to a result."""


def cases() -> Iterator[Case]:
    """All of them."""
    for name, expected, play, needs_network in (
        ("P1.secrets", "in no answer and no log", _secrets, False),
        ("P2.cookies", "no cookie comes back", _cookies, False),
        ("P2.redirected-credentials", "none go to another host", _no_credentials, False),
        ("P3.failure-then-page", "clean error, then page", _fresh_after_failure, False),
        ("P4.planted-pickle", "page; nothing is run", _planted_pickle, False),
        ("P5.disposition", "page; no file", _disposition, False),
        ("P6.stdout", "nothing but messages", _stdout, False),
        ("P9.host-killed", "all processes gone in 5 s", _host_killed, False),
        ("P9.children", "no environment", _children, False),
        ("P10.first-visit", "page within 3 s", _first_visit, False),
        ("P11.junk", "answered or dropped", _junk, False),
        ("P11.line-of-64-MB", "an error, little memory", _huge_line, False),
        ("P12.closed-and-refused", "they look the same", _ports_look_alike, True),
        ("R11.others-go-on", "page within 2 s", _lookups_hang, True),
        ("R14.client-gone", "the site is left in 1 s", _client_gone, False),
        ("R12.200-at-once", "busy, and attentive", _two_hundred, False),
    ):
        quick = name in ("P1.secrets", "P11.junk", "P12.closed-and-refused")
        yield _case(name, expected, play, needs_network=needs_network, is_quick=quick)
    for name, files, which in (
        ("P1.logs", "tests/server/test_log.py", ""),
        ("P3.policies", "tests/server/test_cache.py", "policy or successful or must_not"),
        ("P4.architecture", "tests/test_architecture.py", "unpickled"),
        ("P5.names-of-files", "tests/client/test_sessions.py", "not_there or others_can"),
        ("P5.runs-of-strangers", "tests/client/viewer/test_run_of_a_stranger.py", ""),
        ("P6.wire", "tests/server/test_stdio_wire.py", ""),
    ):
        yield shown_by(name, files, which)


def _case(name: str, expected: str, play: Play, *, needs_network: bool, is_quick: bool) -> Case:
    def run(stage: Stage) -> Result:
        result = Result(name=name, expected=expected, outcome="")
        hits, started = len(stage.site.inner_hits), time.monotonic()
        play(stage, result)
        result.seconds = result.seconds or time.monotonic() - started
        judge_inside(result, "", stage.site.inner_hits[hits:])
        result.outcome = result.outcome or ("as expected" if result.is_good else "not so")
        return result

    return Case(
        name=name, expected=expected, run=run, needs_network=needs_network, is_quick=is_quick
    )


def _visit(server: Watched, url: str) -> tuple[str, str]:
    return outcome_of(server.answer(server.begin_call({"url": url}), 40))


def _secrets(stage: Stage, result: Result) -> None:
    """A key of ours is told to nobody; an address is repeated to its caller only as it came."""
    stage.site.scripts["/key"] = reply(article("A page that wants a key."))
    there, in_address = stage.site.url("/key"), "CANARY-in-an-address"
    told = ""
    with stage.server("--log-level", "debug", SERPER_API_KEY=_SECRET) as server:
        for url in (
            f"{there}?access_token={in_address}",
            f"{stage.site.url('/missing')}?api_key={in_address}",
            there.replace("://", f"://user:{in_address}@"),
            f"{stage.site.inner_url()}?sig={in_address}",
        ):
            text = _visit(server, url)[1]
            told += text if "@" in url else text.replace(url, "")
        log = server.logged()
    result.faults += [f"{word} is in the log" for word in (_SECRET, in_address) if word in log]
    if at := max(told.find(_SECRET), told.find(in_address)) + 1:
        result.faults.append(f"a secret is in an answer: {told[max(0, at - 100) : at + 40]}")
    if any(_SECRET in head for head in stage.site.heads):
        result.faults.append("a site was told a key")


def _cookies(stage: Stage, result: Result) -> None:
    page = article("Sets a cookie.")
    stage.site.scripts["/set"] = reply(page, Set_Cookie="id=1; Path=/; Max-Age=9999")
    stage.site.scripts["/set-and-go"] = reply(
        status="302 Found", Set_Cookie="hop=1; Path=/", Location="/ask"
    )
    stage.site.scripts["/ask"] = stage.site.scripts["/ask-again"] = reply(page)
    with stage.server() as server:
        for path in ("/set", "/ask", "/set-and-go", "/ask-again"):
            _visit(server, stage.site.url(path))
    heads = stage.site.heads_of("/ask")
    if not heads or any("cookie:" in head.lower() for head in heads):
        result.faults.append(f"asked {len(heads)} times, with a cookie")


def _no_credentials(stage: Stage, result: Result) -> None:
    stage.site.scripts["/hop"] = redirect(stage.site.url("/landed", "elsewhere"))
    stage.site.scripts["/landed"] = reply(article("Elsewhere."))
    with stage.server() as server:
        _visit(server, stage.site.url("/hop") + "?token=" + _SECRET)
    heads = stage.site.heads_of("/landed")
    given = ("authorization:", "cookie:", "referer:", _SECRET.lower())
    if not heads or any(word in head.lower() for head in heads for word in given):
        result.faults.append(f"told the other host: {heads}")


def _fresh_after_failure(stage: Stage, result: Result) -> None:
    asked: list[str] = []

    def broken_at_first(visitor: Visitor) -> None:
        asked.append(visitor.path)
        if len(asked) == 1:
            reply("broken", status="500 Oops", Cache_Control="max-age=9999")(visitor)
        else:
            reply(article("Mended."))(visitor)

    stage.site.scripts["/mended"] = broken_at_first
    with stage.server() as server:
        seen = [_visit(server, stage.site.url("/mended")) for _ in range(2)]
    result.outcome = ", then ".join(outcome for outcome, _ in seen)
    if result.outcome != f"{ERROR}, then {PAGE}":
        result.faults.append(str(seen))


def _planted_pickle(stage: Stage, result: Result) -> None:
    marker, cache = stage.folder / "was-run", stage.folder / "planted.db"
    planted = f"cposix\nsystem\n(S'touch {marker}'\ntR.".encode()  # runs it when it is unpickled
    for content in (planted, b"SQLite format 3\0" + planted * 50):
        cache.write_bytes(content)
        with stage.server("--page-cache", str(cache), is_warm=False) as server:
            outcome, text = _visit(server, stage.site.url("/warm"))
        if outcome != PAGE:
            result.faults.append(f"{outcome}: {text[:150]}")
    if marker.exists():
        result.faults.append("what was planted was run")


def _disposition(stage: Stage, result: Result) -> None:
    name = "../../../../tmp/torture-planted.txt"
    stage.site.scripts["/file"] = reply(
        article("Words follow. " * 20), Content_Disposition=f'attachment; filename="{name}"'
    )
    with stage.server() as server:
        outcome, text = _visit(server, stage.site.url("/file"))
    if outcome != PAGE or Path("/tmp/torture-planted.txt").exists():
        result.faults.append(f"{outcome}: {text[:150]}")


def _stdout(stage: Stage, result: Result) -> None:
    """Also after a call that never ended, and with the log at its loudest."""
    stage.site.scripts["/never"] = lambda visitor: visitor.pause(60)
    server = stage.start("--log-level", "debug")
    server.begin_call({"url": stage.site.url("/never")})
    _visit(server, stage.site.url("/nothing-here"))
    code = server.end()
    result.outcome = f"{len(server.garbage)} other lines, exit code {code}"
    if server.garbage or code != 0:
        result.faults.append(result.outcome + "".join(server.garbage[:1]))


_HOST = """
import subprocess, sys
server = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
open(sys.argv[1], "w").write(str(server.pid))
first = sys.stdin.buffer.readline()
while first:
    server.stdin.write(first)
    server.stdin.flush()
    first = sys.stdin.buffer.readline()
"""


def _host_killed(stage: Stage, result: Result) -> None:
    """The host dies without a word while a page is being read and another never comes."""
    hard = "<div " + " ".join(f"a{n}=b" for n in range(200_000)) + ">"
    stage.site.scripts["/hard"] = reply(hard)
    stage.site.scripts["/never"] = lambda visitor: visitor.pause(60)
    place = stage.folder / "pid"
    host = subprocess.Popen(
        [sys.executable, "-c", _HOST, str(place), *stage.command],
        stdin=subprocess.PIPE,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    assert host.stdin is not None
    started = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": INITIALIZE}
    calls = [{"url": stage.site.url(path)} for path in ("/warm", "/hard", "/never", "/hard?2")]
    messages: list[object] = [started, {"jsonrpc": "2.0", "method": "notifications/initialized"}]
    messages += [
        {
            "jsonrpc": "2.0",
            "id": number,
            "method": "tools/call",
            "params": {"name": "web_visit", "arguments": call},
        }
        for number, call in enumerate(calls, 1)
    ]
    host.stdin.write(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
    host.stdin.flush()
    pids = _family_when_busy(stage, place)
    host.kill()
    host.wait()
    killed = time.monotonic()
    while any(map(is_running, pids)) and time.monotonic() < killed + _END_SECONDS:
        time.sleep(0.02)
    left = [pid for pid in pids if is_running(pid)]
    result.outcome = f"{len(pids)} processes, gone after {time.monotonic() - killed:.1f} s"
    if left or len(pids) < 2:
        result.faults.append(f"{len(left)} of {len(pids)} live on")
    for pid in left:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _family_when_busy(stage: Stage, place: Path) -> list[int]:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        asked = stage.site.heads_of("/never")
        if asked and place.is_file() and len(pids := family(int(place.read_text()))) > 1:
            time.sleep(0.5)
            return pids
        time.sleep(0.05)
    return []


def _children(stage: Stage, result: Result) -> None:
    with stage.server(SERPER_API_KEY=_SECRET) as server:
        children = server.family()[1:]
        for pid in children:
            with suppress(OSError):
                if _SECRET.encode() in Path(f"/proc/{pid}/environ").read_bytes():
                    result.faults.append("a child has a key in its environment")
    result.outcome = f"{len(children)} children without keys"
    if not children:
        result.faults.append("no child was seen")


def _first_visit(stage: Stage, result: Result) -> None:
    with stage.server(is_warm=False) as server:
        started = time.monotonic()
        outcome, text = _visit(server, stage.site.url("/warm"))
        result.seconds = time.monotonic() - started
    result.outcome = outcome
    if outcome != PAGE:
        result.faults.append(text[:150])
    elif result.seconds > _FIRST_VISIT_SECONDS:
        result.faults.append(f"took {result.seconds:.1f} s")
        result.is_late_only = True


def _junk(stage: Stage, result: Result) -> None:
    call = '{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":%s}'
    lines = [
        b"GET / HTTP/1.1",
        b"\xff\xfe\x00\xc3\x28",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
        b'{"jsonrpc":"2.0","id":"x","method":5}',
        b'{"jsonrpc":"2.0","id":"y"}',
        b'{"jsonrpc":"2.0","id":1e999,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":' + b"9" * 5_000 + b',"method":"ping"}',
        b'{"jsonrpc":"2.0","id":"z","method":"no/such"}',
        b"",
        b"null",
        b"\0" * 10_000,
        (call % ('"s"', '{"name":"web_visit","arguments":{"url":"\\ud800"}}')).encode(),
        (call % ('"t"', '{"name":"web_visit","arguments":{"url":["http://127.0.0.1/"]}}')).encode(),
        (call % ('"u"', '{"name":"web_visit","arguments":{"url":{"a":1}}}')).encode(),
        (call % ('"v"', '{"name":"web_visit"}')).encode(),
        (call % ('"w"', '{"name":"\\udfff","arguments":[]}')).encode(),
        (
            call % ('"q"', '{"name":"web_search","arguments":{"query":"%s"}}' % ("a" * 500_000))
        ).encode(),
    ]
    with stage.server() as server:
        for line in lines:
            server.send(line + b"\n")
            if not server.is_alive():
                result.faults.append(f"no answer after {line[:60]!r}")
                break
        if server.garbage:
            result.faults.append(f"garbage on stdout: {server.garbage[0]!r}")
    result.outcome = f"{len(lines)} lines, the server goes on" if result.is_good else "it ended"


def _huge_line(stage: Stage, result: Result) -> None:
    with stage.server() as server:
        server.send(b"x" * _HUGE_LINE_BYTES + b"\n")
        is_alive = server.ask("ping", seconds=20) is not None
        result.growth_mb = max(0.0, peak_mb_of(server.process.pid) - server.base_mb)
    result.outcome = "the server goes on" if is_alive else "no answer"
    if not is_alive or result.growth_mb > MAX_GROWTH_MB:
        result.faults.append(f"{result.outcome}, {result.growth_mb:.0f} MB more")


def _ports_look_alike(stage: Stage, result: Result) -> None:
    """What an inner address answers must not depend on what is there."""
    texts: set[str] = set()
    longest = 0.0
    with stage.server() as server:
        for url in (
            "http://127.0.0.1:8080/",
            "http://10.9.9.9:8443/",
            "http://private.pub.example:8080/",
            "http://ten.pub.example:8443/",
            "http://127.0.0.1/",
            "http://192.168.7.7/",
        ):
            started = time.monotonic()
            outcome, text = _visit(server, url)
            longest = max(longest, time.monotonic() - started)
            texts.add(text)
            if outcome != REFUSED:
                result.faults.append(f"{url}: {outcome}: {text[:100]}")
    result.outcome = f"one text for all, within {longest:.2f} s"
    if len(texts) > 1:
        result.faults.append(f"they differ: {sorted(texts)}")


def _lookups_hang(stage: Stage, result: Result) -> None:
    """Names whose server never answers; others are looked up as if nothing were."""
    stage.site.scripts["/good"] = reply(article("A good page."))
    with stage.server() as server:
        for number in range(_LOOKUPS):
            server.begin_call({"url": f"http://hang.a{number}.example/"})
        time.sleep(0.5)
        started = time.monotonic()
        outcome, text = _visit(server, stage.site.url("/good", "good-name"))
        result.seconds = time.monotonic() - started
    result.outcome = f"{outcome} beside {_LOOKUPS} look-ups that hang"
    if outcome != PAGE:
        result.faults.append(text[:150])
    elif result.seconds > 2:
        result.faults.append(f"took {result.seconds:.1f} s")
        result.is_late_only = True


def _client_gone(stage: Stage, result: Result) -> None:
    stage.site.scripts["/held"] = lambda visitor: visitor.pause(60)
    server = stage.start()
    server.begin_call({"url": stage.site.url("/held")})
    until = time.monotonic() + 10
    while not stage.site.heads_of("/held") and time.monotonic() < until:
        time.sleep(0.02)
    ended = time.monotonic()
    server.end()
    while "/held" not in stage.site.left_at and time.monotonic() < ended + 5:
        time.sleep(0.02)
    waited = stage.site.left_at.get("/held", ended + 5) - ended
    result.outcome = f"the site was left after {waited:.2f} s"
    if waited > 1:
        result.faults.append(result.outcome)
        result.is_late_only = waited < 5


def _two_hundred(stage: Stage, result: Result) -> None:
    """Over stdio; four of one host at a time, 64 wait, the others are told at once."""
    stage.site.scripts["/mute"] = lambda visitor: visitor.pause(60)
    with stage.server("--visit-seconds", "4") as server:
        before = time.monotonic()
        numbers = [
            server.begin_call({"url": f"{stage.site.url('/mute')}?{number}"})
            for number in range(199)
        ]
        watch = server.watched_call({"url": f"{stage.site.url('/mute')}?last"}, give_up_seconds=20)
        answers = [outcome_of(server.answer(number, 20)) for number in numbers]
        answers.append(outcome_of(watch.answer))
        busy = sum(text.startswith("busy") for _, text in answers)
        result.seconds = time.monotonic() - before
        result.growth_mb, result.tree_mb = watch.growth_mb, watch.tree_mb
        result.ping_seconds = watch.ping_seconds
        if any(outcome != ERROR for outcome, _ in answers) or busy < 100:
            result.faults.append(f"{busy} busy, {sorted({outcome for outcome, _ in answers})}")
        if watch.tree_mb > 200 or watch.growth_mb > MAX_GROWTH_MB or not server.is_alive():
            result.faults.append(f"{watch.tree_mb:.0f} MB, {watch.growth_mb:.0f} MB more")
        elif watch.ping_seconds > 1:
            result.faults.append(f"a ping waited {watch.ping_seconds:.1f} s")
            result.is_late_only = True
    result.outcome = f"{busy} of 200 told that it is busy"
