"""F15 to F18: tool servers that die, stand still, talk nonsense, refuse, over stdio and HTTP."""

import http.server
import json
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.torture.agent.fault_case import Seen, fault
from tests.torture.agent.model_faults import clean_end
from tests.torture.agent.odd_tools import answer
from tests.torture.agent.programs import Program
from tests.torture.agent.stage import Stage, answer_of, counts_of, model_on, research

CALL_SECONDS = 3
PING_SECONDS = 5
START_SECONDS = 30
RETURN_SECONDS = 15
"""How long a server at a URL may be away in the middle of a run."""


def _works_on(behaviour: str, stage: Stage, seen: Seen, *, calls: int, errors: int) -> Program:
    """A question at which the tool server misbehaves once is answered all the same.

    Args:
        behaviour: of the server.
        stage: of the case.
        seen: of the case.
        calls: how often the server must be asked.
        errors: how many calls must be told to the model as failed.
    """
    with model_on(research) as model:
        program = stage.ask(
            model, tools=behaviour, environment={"SEEKLING_LIMITS_TOOL_SECONDS": str(CALL_SECONDS)}
        )
        code = program.end()
    seen.expect(code == 0 and bool(answer_of(program).get("answer")), f"exit {code}: {program.err}")
    asked, failed = len(stage.calls()), counts_of(program).get("tool_errors")
    seen.expect(asked == calls, f"the server was asked {asked} times, not {calls}")
    seen.expect(failed == errors, f"{failed} failed calls, not {errors}")
    seen.tell(f"answered; {asked} calls at the server, {failed} told as failed")
    clean_end(program, seen, stage.ordinary_mb)
    return program


def _seconds(program: Program) -> float:
    return float((answer_of(program).get("timings") or {}).get("tools_seconds", 0.0))


@fault("F15", "it exits in a call", "started again in 3 s, the call made once more")
def dies(stage: Stage, seen: Seen) -> None:
    program = _works_on("die", stage, seen, calls=3, errors=0)
    seen.within(_seconds(program), 3, "all calls took")


@fault("F15", "it exits in every call", "two tries a call, an end that names it, no loop")
def always_dies(stage: Stage, seen: Seen) -> None:
    with model_on(research) as model:
        program = stage.ask(model, tools="always_die")
        code = program.end()
    seen.expect(len(stage.calls()) <= 8, f"asked {len(stage.calls())} times")
    seen.tell(f"exit {code} after {len(stage.calls())} calls")
    clean_end(program, seen, stage.ordinary_mb)


@fault("F15", "it stands still (SIGSTOP) in a call", "found by the call's deadline and a ping")
def stands_still(stage: Stage, seen: Seen) -> None:
    program = _works_on("stop", stage, seen, calls=2, errors=1)
    seen.within(_seconds(program), CALL_SECONDS + PING_SECONDS + 3, "all calls took")


@fault("F15", "it prints junk before each answer", "the junk is passed over")
def prints_junk(stage: Stage, seen: Seen) -> None:
    program = _works_on("junk", stage, seen, calls=2, errors=0)
    seen.within(_seconds(program), 3, "all calls took")


@fault("F15", "it closes stdout and lives on", "ended and started again, the call made once more")
def closes_stdout(stage: Stage, seen: Seen) -> None:
    program = _works_on("close", stage, seen, calls=3, errors=0)
    seen.within(_seconds(program), CALL_SECONDS + PING_SECONDS + 3, "all calls took")


@fault("F16", "it grows to 2 GB and is killed for it", "started again, the call made once more")
def grows(stage: Stage, seen: Seen) -> None:
    program = _works_on("grow", stage, seen, calls=3, errors=0)
    seen.within(_seconds(program), 5, "all calls took")


def _refused(program: Program, seen: Seen, stage: Stage, limit: float, *says: str) -> None:
    """It ends with one error, in time."""
    code = program.end()
    error = str(answer_of(program).get("error") or answer_of(program))
    seen.within(time.monotonic() - program.started, limit, f"exit {code} after")
    seen.expect(code not in (0, 3), f"exit {code}")
    for word in says:
        seen.expect(word in error + program.err, f"does not say {word!r}: {error[:200]}")
    seen.tell(error[:160])
    clean_end(program, seen, stage.ordinary_mb)


@fault("F17", "it never answers initialize", "an error in 30 s, with what it wrote on stderr")
def never_initialises(stage: Stage, seen: Seen) -> None:
    with model_on(research) as model:
        program = stage.ask(model, tools="silent")
        _refused(program, seen, stage, START_SECONDS + 15, "I am still thinking")
        seen.expect(not model.requests, "the model was asked")


@fault("F17", "it speaks a protocol version that nobody knows", "an error at once")
def wrong_version(stage: Stage, seen: Seen) -> None:
    with model_on(research) as model:
        _refused(stage.ask(model, tools="version"), seen, stage, 20, "1999-01-01")
        seen.expect(not model.requests, "the model was asked")


@fault("F17", "its tools are others after it was started again", "refused: never called")
def changed_tools(stage: Stage, seen: Seen) -> None:
    with model_on(research) as model:
        program = stage.ask(model, tools="changed")
        _refused(program, seen, stage, 20, "other tools")
    seen.expect(len(stage.calls()) == 1, f"{len(stage.calls())} calls: the new tools were called")


@dataclass
class OddHttp:
    """A tool server over HTTP that misbehaves in calls."""

    behaviour: str
    url: str = ""
    calls: int = 0
    asked: list[str] = field(default_factory=list[str])

    def reply(self, message: Mapping[str, Any]) -> tuple[int, bytes] | None:
        """Status and body; None closes the connection without an answer."""
        method, params = str(message["method"]), dict(message.get("params") or {})
        self.asked.append(method)
        if "id" not in message:
            return 202, b""
        if self.behaviour == "401" and self.calls:
            return 401, b"{}"
        if method == "tools/call":
            self.calls += 1
            if self.behaviour.isdecimal() and (self.calls == 1 or self.behaviour == "413"):
                return int(self.behaviour), b"{}"
            if self.behaviour == "dies" and self.calls == 1:
                return None
            if self.behaviour == "2 MB":
                text = "Title: Lighthouse\n\n" + "It was designed by Mara Voss. " * 70_000
                result = {"content": [{"type": "text", "text": text}]}
                return 200, _whole(message, {"result": result})
        return 200, _whole(message, answer(method, params))


def _whole(message: Mapping[str, Any], reply: Mapping[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply}).encode()


@contextmanager
def odd_http(behaviour: str) -> Generator[OddHttp]:
    """Serve it on loopback."""
    odd = OddHttp(behaviour)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            reply = odd.reply(json.loads(body))
            if reply is None:
                self.close_connection = True
                return
            self.send_response(reply[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply[1])))
            self.end_headers()
            self.wfile.write(reply[1])

        def do_GET(self) -> None:
            self.send_error(405)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    odd.url = f"http://127.0.0.1:{server.server_port}/mcp"
    try:
        yield odd
    finally:
        server.shutdown()
        server.server_close()


def _over_http(behaviour: str, stage: Stage, seen: Seen, *, most_calls: int) -> None:
    """Whatever it does in the first call, the question ends well and soon."""
    with odd_http(behaviour) as odd, model_on(research) as model:
        program = stage.ask(model, "--json", "--mcp", odd.url)
        code = program.end()
    seen.expect(code == 0 and bool(answer_of(program).get("answer")), f"exit {code}: {program.err}")
    seen.expect(odd.calls <= most_calls, f"{odd.calls} calls")
    failed = counts_of(program).get("tool_errors")
    seen.within(_seconds(program), 5, f"answered; {odd.calls} calls, {failed} told as failed, in")
    clean_end(program, seen, stage.ordinary_mb)


@fault(
    "F18", "the HTTP server hangs up in a call", "handled: the call made again or told as failed"
)
def http_dies(stage: Stage, seen: Seen) -> None:
    _over_http("dies", stage, seen, most_calls=4)


@fault("F18", "HTTP 413 to every call", "the model is told that the calls failed")
def http_too_large(stage: Stage, seen: Seen) -> None:
    _over_http("413", stage, seen, most_calls=4)


@fault("F18", "HTTP 421 to a call", "connected to anew, the call made once more")
def http_misdirected(stage: Stage, seen: Seen) -> None:
    _over_http("421", stage, seen, most_calls=4)


@fault("F18", "a result of 2 MB", "cut to what a model can read")
def http_long_result(stage: Stage, seen: Seen) -> None:
    _over_http("2 MB", stage, seen, most_calls=2)


@fault("F18", "HTTP 401 from the first call on", "an end that says why, no loop")
def http_unauthorised(stage: Stage, seen: Seen) -> None:
    with odd_http("401") as odd, model_on(research) as model:
        program = stage.ask(model, "--json", "--mcp", odd.url)
        _refused(program, seen, stage, RETURN_SECONDS + 10, "token")
        seen.expect(odd.calls <= 2, f"{odd.calls} calls")
