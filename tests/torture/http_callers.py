"""Rows P7, P8 and R12 over HTTP: who may call, and how much."""

import http.client
import json
import re
import select
import subprocess
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.bench.machine import resident_mb_of
from tests.support.stdio_server import INITIALIZE
from tests.torture.case import MAX_GROWTH_MB, Case, Result, Stage
from tests.torture.shown_by_tests import shown_by

_TOKENS = {"ann": "ann-secret-0123456789", "bob": "bob-secret-9876543210"}
_ACCEPT = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
}
_START_SECONDS = 30.0
_MANY = 1_000


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    text: str


@dataclass(frozen=True, slots=True)
class _Served:
    process: subprocess.Popen[bytes]
    port: int

    def ask(
        self,
        body: object = None,
        *,
        method: str = "POST",
        path: str = "/mcp",
        **headers: str,
    ) -> _Answer:
        """One request; names of headers are written with underscores, None as body is a ping."""
        data = body if isinstance(body, bytes) else json.dumps(body or _PING).encode()
        named = _ACCEPT | {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body=data, headers=named)
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return _Answer(answer.status, told, answer.read(100_000).decode("utf-8", "replace"))
        except ConnectionError:
            return _Answer(0, {}, "")
        finally:
            connection.close()


_PING = {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {}}
_BEGIN = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": INITIALIZE}


@contextmanager
def _serving(stage: Stage, *flags: str, with_tokens: bool) -> Generator[_Served]:
    tokens = stage.folder / "tokens"
    tokens.write_text("".join(f"{name} {token}\n" for name, token in _TOKENS.items()))
    tokens.chmod(0o600)
    given = ("--token-file", str(tokens)) if with_tokens else ()
    command = [*stage.command, "--transport", "http", "--port", "0", "--json", *given, *flags]
    with (stage.folder / "http.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
        said = process.stdout.readline() if ready else b""
        found = re.search(rb":(\d{1,5})/", said)
        if found is None:
            raise TimeoutError(f"no address: {said!r}")
        yield _Served(process, int(found[1]))
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()


def cases() -> Iterator[Case]:
    """All of them."""
    for name, expected, run in (
        ("P7.who-may-call", "421, 403, 401, 400, 413", _doors),
        ("P7.without-a-token-on-loopback", "421, 403, 400, 413", _open_doors),
        ("P7.open-to-all-without-a-token", "exit code 2", _no_start),
        ("P8.session-of-another", "404", _foreign_session),
        ("R12.1000-strangers", "401, no memory", _strangers),
        ("R12.1000-sessions", "bounded, little memory", _sessions),
    ):
        yield Case(name=name, expected=expected, run=run, is_quick=name == "P7.who-may-call")
    for name, files, which in (
        ("P7.listening", "tests/server/test_http_listening.py", "needs_a_token or does_not_read"),
        ("P7.hostile-callers", "tests/e2e/test_http_hostile.py", ""),
        ("P8.audience", "tests/server/test_access_jwt.py", "claims or signature or changed"),
        ("P8.oauth", "tests/server/test_access_oauth.py", ""),
        ("P8.passing-on", "tests/server/test_access_passing_on.py", ""),
        ("R12.places", "tests/server/test_http_callers.py", "take_all or strangers or sessions"),
    ):
        yield shown_by(name, files, which)


def _result(name: str, expected: str, wanted: Mapping[str, tuple[int, int]]) -> Result:
    """Of statuses that were wanted and seen."""
    seen = ", ".join(dict.fromkeys(str(status) for _, status in wanted.values()))
    result = Result(name=name, expected=expected, outcome=seen)
    result.faults = [
        f"{what}: {status}, not {right}"
        for what, (right, status) in wanted.items()
        if status != right
    ]
    return result


def _bodies(served: _Served, token: str) -> dict[str, tuple[int, int]]:
    ann = {"Authorization": token} if token else {}
    wanted: dict[str, tuple[int, int]] = {}
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "[::2]"):
        wanted[f"host {host}"] = (421, served.ask(Host=host, **ann).status)
    for page in ("https://evil.example", "null", "http://localhost:3000", "file://", "http://a b"):
        wanted[f"origin {page}"] = (403, served.ask(Origin=page, **ann).status)
    plain = served.ask(b"{}", Content_Type="text/plain", **ann)
    wanted["plain text"] = (400, plain.status)
    wanted["5 MB"] = (413, served.ask(b" " * 5_000_000, **ann).status)
    wanted["200,000 brackets"] = (400, served.ask(b"[" * 200_000, **ann).status)
    wanted["health"] = (200, served.ask(method="GET", path="/health").status)
    return wanted


def _doors(stage: Stage) -> Result:
    with _serving(stage, with_tokens=True) as served:
        token = f"Bearer {_TOKENS['ann']}"
        wanted = _bodies(served, token)
        for what, headers in {
            "no token": {},
            "a wrong token": {"Authorization": "Bearer ann-secret-012345678X"},
            "half a token": {"Authorization": token[:-3]},
            "a long token": {"Authorization": "Bearer " + "a" * 7_000},
            "basic": {"Authorization": "Basic YW5uOmE="},
            "an empty one": {"Authorization": "Bearer "},
        }.items():
            wanted[what] = (401, served.ask(**headers).status)
        in_address = served.ask(method="GET", path=f"/status?access_token={_TOKENS['ann']}")
        wanted["a token in the address"] = (401, in_address.status)
    return _result("P7.who-may-call", "421, 403, 401, 400, 413", wanted)


def _open_doors(stage: Stage) -> Result:
    with _serving(stage, with_tokens=False) as served:
        wanted = _bodies(served, "")
    return _result("P7.without-a-token-on-loopback", "421, 403, 400, 413", wanted)


def _no_start(stage: Stage) -> Result:
    wanted: dict[str, tuple[int, int]] = {}
    for host in ("0.0.0.0", "::", "192.168.1.5"):
        command = [*stage.command, "--transport", "http", "--port", "0", "--host", host]
        try:
            code = subprocess.run(command, check=False, capture_output=True, timeout=20).returncode
        except subprocess.TimeoutExpired:
            code = -1
        wanted[host] = (2, code)
    return _result("P7.open-to-all-without-a-token", "exit code 2", wanted)


def _foreign_session(stage: Stage) -> Result:
    with _serving(stage, with_tokens=True) as served:
        ann, bob = (f"Bearer {_TOKENS[name]}" for name in ("ann", "bob"))
        session = served.ask(_BEGIN, Authorization=ann).headers.get("mcp-session-id", "")
        held = {"Mcp_Session_Id": session, "Mcp_Protocol_Version": "2025-11-25"}
        wanted = {
            f"bob's {method}": (404, served.ask(method=method, Authorization=bob, **held).status)
            for method in ("POST", "GET", "DELETE")
        }
        wanted["ann's own"] = (200, served.ask(Authorization=ann, **held).status)
        made_up = served.ask(Authorization=ann, **(held | {"Mcp_Session_Id": "0" * 32}))
        wanted["a made-up one"] = (404, made_up.status)
    return _result("P8.session-of-another", "404", wanted)


def _strangers(stage: Stage) -> Result:
    with _serving(stage, with_tokens=True) as served:
        served.ask(_BEGIN)
        before, started = resident_mb_of(served.process.pid), time.monotonic()
        statuses = {served.ask(_BEGIN).status for _ in range(_MANY)}
        grown = resident_mb_of(served.process.pid) - before
        known = served.ask(Authorization=f"Bearer {_TOKENS['ann']}", **_session_of(served))
    result = Result(
        name="R12.1000-strangers",
        expected="401, no memory",
        outcome=f"{sorted(statuses)}, who has a token is served",
        seconds=time.monotonic() - started,
        growth_mb=max(0.0, grown),
    )
    if statuses != {401} or grown > 10 or known.status != 200:
        result.faults.append(f"{statuses}, {grown:.0f} MB, {known.status}")
    return result


def _session_of(served: _Served) -> dict[str, str]:
    begun = served.ask(_BEGIN, Authorization=f"Bearer {_TOKENS['ann']}")
    session = begun.headers.get("mcp-session-id", "")
    return {"Mcp_Session_Id": session, "Mcp_Protocol_Version": "2025-11-25"}


def _sessions(stage: Stage) -> Result:
    """Begun and left, by whoever is on this machine; more than 200 are not kept here."""
    with _serving(stage, "--max-sessions", "200", with_tokens=False) as served:
        served.ask(_BEGIN)
        before, started = resident_mb_of(served.process.pid), time.monotonic()
        statuses = [served.ask(_BEGIN).status for _ in range(_MANY)]
        grown = resident_mb_of(served.process.pid) - before
        health = served.ask(method="GET", path="/health").status
    kept = statuses.count(200)
    result = Result(
        name="R12.1000-sessions",
        expected="bounded, little memory",
        outcome=f"{kept} of {_MANY} begun, the others {sorted(set(statuses) - {200})}",
        seconds=time.monotonic() - started,
        growth_mb=max(0.0, grown),
    )
    if grown > MAX_GROWTH_MB or health != 200 or 0 in statuses:
        result.faults.append(f"{grown:.0f} MB more, health {health}")
    return result
