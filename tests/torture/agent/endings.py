"""F7 to F9: the person, the terminal or a supervisor ends a program."""

import signal
import time
from typing import Literal

from tests.support.scripted_model import Json, Reply, ScriptedModel
from tests.support.stalled_site import stalled_site
from tests.torture.agent.fault_case import Seen, fault
from tests.torture.agent.model_faults import clean_end
from tests.torture.agent.programs import Program, wait_until
from tests.torture.agent.stage import (
    SEARCH,
    Stage,
    in_a_thread,
    json_lines,
    model_on,
    reach,
)

STREAM = Reply(text="word " * 1_000, pause_seconds=0.05)
EXIT_SECONDS = 5.0
ABORT_SECONDS = 3.0


def _ended(
    stage: Stage,
    seen: Seen,
    program: Program,
    model: ScriptedModel,
    *,
    code: int,
    by: signal.Signals,
) -> None:
    """Signal a program in a stream, and check how it goes."""
    reach(lambda: model.running > 0, "the stream")
    time.sleep(0.5)
    rids = {request["rid"] for request in model.requests}
    sent = program.signal(by)
    wait_until(lambda: model.hang_ups > 0, EXIT_SECONDS)
    seen.within(time.monotonic() - sent, 1, "hung up after")
    got = program.end()
    seen.within(time.monotonic() - sent, EXIT_SECONDS, f"exit {got} after")
    seen.expect(got == code, f"exit {got}: {program.err[-200:]}")
    seen.expect(set(model.aborts) >= rids, f"{len(rids)} asked, aborted {model.aborts}")
    seen.expect(wait_until(lambda: model.running == 0, ABORT_SECONDS), "it still generates")
    clean_end(program, seen, stage.ordinary_mb)
    try:
        lines = [line for path in stage.folder.rglob("*.jsonl") for line in json_lines(path)]
        seen.tell(f"aborted by its id, {len(lines)} stored lines whole")
    except ValueError as exc:
        seen.expect(is_so=False, what=f"a stored line is torn: {exc}")


@fault("F7", "Ctrl-C in a stream of 1,000 tokens", "exit 130 in 5 s, hung up and aborted")
def interrupted_question(stage: Stage, seen: Seen) -> None:
    with model_on(lambda _: STREAM) as model:
        program = stage.ask(model, "--format", "text")
        _ended(stage, seen, program, model, code=130, by=signal.SIGINT)


@fault("F7", "Ctrl-C in an evaluation of 8 streams", "exit 130 in 5 s, all aborted; goes on")
def interrupted_evaluation(stage: Stage, seen: Seen) -> None:
    stall = [True]
    with model_on(lambda _: STREAM if stall[0] else Reply(text=r"\boxed{Mara Voss}")) as model:
        program = stage.evaluate(model, 8)
        reach(lambda: model.running == 8, "all streams")
        _ended(stage, seen, program, model, code=130, by=signal.SIGINT)
        stall[0] = False
        again = stage.resume(model, "--mcp", stage.odd_tools(""))
        seen.expect(again.end() == 0, f"resume: {again.err[-200:]}")
    done = {record["id"]: record["status"] for record in stage.records()}
    seen.expect(list(done.values()) == ["ok"] * 8, f"after resume: {done}")


@fault("F8", "Ctrl-C while a page never comes", "the page is hung up on, no process is left")
def interrupted_visit(stage: Stage, seen: Seen) -> None:
    with in_a_thread(stalled_site()) as site:

        def script(_: Json) -> Reply:
            return Reply(tool_calls=[("web_visit", {"url": site.url})])

        with model_on(script) as model:
            program = stage.ask(
                model,
                "--json",
                "--urls",
                "off",
                "--mcp",
                "seekling-mcp serve",
                environment=stage.real_tools()
                | {
                    "SEEKLING_MCP_ALLOW_PRIVATE": "127.0.0.1",
                    "SEEKLING_MCP_ALLOW_PORTS": "any",
                },
            )
            reach(site.asked.is_set, "the visit")
            children = len(program.descendants())
            sent = program.signal(signal.SIGINT)
            is_left = wait_until(site.left.is_set, EXIT_SECONDS)
            seen.expect(is_left, "the page was not hung up on")
            seen.within(time.monotonic() - sent, 1, "the page is hung up on after")
            code = program.end()
            seen.within(time.monotonic() - sent, EXIT_SECONDS, f"exit {code} after")
            seen.expect(code == 130, f"exit {code}")
    clean_end(program, seen, stage.ordinary_mb)
    seen.tell(f"of {children} processes 0 left")


@fault("F9", "two Ctrl-C, the model's server deaf to aborts", "exit 130 within 1 s of the second")
def interrupted_twice(stage: Stage, seen: Seen) -> None:
    with model_on(lambda _: STREAM, routes={"/abort_request": Reply(is_silent=True)}) as model:
        program = stage.ask(model, "--format", "text")
        reach(lambda: model.running > 0, "the stream")
        time.sleep(0.3)
        program.signal(signal.SIGINT)
        time.sleep(0.3)
        sent = program.signal(signal.SIGINT)
        code = program.end()
        seen.within(time.monotonic() - sent, 1, f"exit {code} after the second:")
        seen.expect(code == 130, f"exit {code}: {program.err[-200:]}")
    clean_end(program, seen, stage.ordinary_mb)


def _by(number: signal.Signals, kind: Literal["ask", "eval"], stage: Stage, seen: Seen) -> None:
    with model_on(lambda _: STREAM) as model:
        program = stage.ask(model) if kind == "ask" else stage.evaluate(model, 4)
        _ended(stage, seen, program, model, code=128 + number, by=number)


@fault("F9", "SIGTERM to a question", "exit 143 in 5 s, hung up and aborted")
def terminated_question(stage: Stage, seen: Seen) -> None:
    _by(signal.SIGTERM, "ask", stage, seen)


@fault("F9", "SIGHUP to a question", "exit 129 in 5 s, hung up and aborted")
def hung_up_question(stage: Stage, seen: Seen) -> None:
    _by(signal.SIGHUP, "ask", stage, seen)


@fault("F9", "SIGTERM to an evaluation", "exit 143 in 5 s, hung up and aborted")
def terminated_evaluation(stage: Stage, seen: Seen) -> None:
    _by(signal.SIGTERM, "eval", stage, seen)


@fault("F9", "SIGTERM in a tool call that hangs", "exit 143 in 5 s, the server is gone")
def terminated_call(stage: Stage, seen: Seen) -> None:
    with model_on(lambda _: SEARCH) as model:
        program = stage.ask(model, "--json", tools="hang")
        reach(lambda: bool(stage.calls()), "the call")
        sent = program.signal(signal.SIGTERM)
        code = program.end()
        seen.within(time.monotonic() - sent, EXIT_SECONDS, f"exit {code} after")
        seen.expect(code == 143, f"exit {code}")
    clean_end(program, seen, stage.ordinary_mb)
