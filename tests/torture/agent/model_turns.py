"""F20: models that do what a model should not."""

import itertools
from collections.abc import Callable

from agent_client.agent.loop import ANSWER_TRIES
from tests.support.scripted_model import Json, Reply
from tests.torture.agent.fault_case import Seen, fault
from tests.torture.agent.model_faults import clean_end
from tests.torture.agent.stage import (
    ANSWER,
    SEARCH,
    Stage,
    answer_of,
    counts_of,
    model_on,
    results_in,
)

MAX_TURNS = 12
_numbers = itertools.count()


def _asked(script: Callable[[Json], Reply], stage: Stage, seen: Seen) -> list[str]:
    """Ask such a model; it ends in order. Returns the last results that it was given."""
    with model_on(script) as model:
        program = stage.ask(model, "--json", "--max-turns", str(MAX_TURNS))
        code = program.end()
    seen.expect(code in (0, 3), f"exit {code}: {program.err[-200:]}")
    turns = counts_of(program).get("turns", 0)
    seen.expect(0 < turns < MAX_TURNS + ANSWER_TRIES, f"{turns} turns")
    reason = answer_of(program).get("stop_reason")
    counts = counts_of(program)
    seen.tell(f"exit {code} ({reason}), {turns} turns, {counts.get('tool_calls')} calls")
    clean_end(program, seen, stage.ordinary_mb)
    return results_in(model.requests[-1])


def _once(call: Reply) -> Callable[[Json], Reply]:
    """The reply, then an answer."""
    return lambda request: call if not _said(request) else Reply(text=ANSWER)


def _said(request: Json) -> bool:
    return any(message["role"] == "assistant" for message in request["messages"])


@fault(
    "F20",
    "it never stops calling, each time for something else",
    f"asked for its answer in turn {MAX_TURNS} and {ANSWER_TRIES - 1} times again, then ended",
)
def endless_calls(stage: Stage, seen: Seen) -> None:
    def script(_: Json) -> Reply:
        return Reply(tool_calls=[("web_search", {"query": f"what about {next(_numbers)}?"})])

    _asked(script, stage, seen)
    seen.expect(len(stage.calls()) < MAX_TURNS, f"{len(stage.calls())} calls were run")


@fault("F20", "the same call 20 times", "run once, the loop is seen and ended")
def the_same_call(stage: Stage, seen: Seen) -> None:
    _asked(lambda _: SEARCH, stage, seen)
    seen.expect(len(stage.calls()) == 1, f"{len(stage.calls())} calls were run")


@fault("F20", "a tool that does not exist", "told which exist")
def unknown_tool(stage: Stage, seen: Seen) -> None:
    results = _asked(_once(Reply(tool_calls=[("rm_rf", {"path": "/"})])), stage, seen)
    seen.expect(bool(results) and "web_search" in results[-1], f"told {results}")
    seen.expect(not stage.calls(), f"the server was asked: {stage.calls()}")


@fault("F20", "arguments that are no JSON", "told so, or repaired; never an exception")
def broken_arguments(stage: Stage, seen: Seen) -> None:
    results = _asked(_once(Reply(tool_calls=[("web_search", '{"query": }{]"')])), stage, seen)
    seen.expect(bool(results) and "rror" in results[-1], f"told {results}")
    seen.expect(not stage.calls(), f"the server was asked: {stage.calls()}")


@fault("F20", "an argument of 1 MB", "refused, the server is not asked")
def long_argument(stage: Stage, seen: Seen) -> None:
    call = Reply(tool_calls=[("web_search", {"query": "x" * 1_000_000})], piece_chars=10_000)
    results = _asked(_once(call), stage, seen)
    seen.expect(bool(results) and "rror" in results[-1], f"told {str(results)[:200]}")
    seen.expect(not stage.calls(), "the server was asked")


@fault("F20", "a call inside of its thoughts", "not run")
def call_in_thoughts(stage: Stage, seen: Seen) -> None:
    written = '<tool_call>\n{"name": "web_search", "arguments": {"query": "x"}}\n</tool_call>'
    _asked(lambda _: Reply(text=f"<think>I could say {written} now.</think>{ANSWER}"), stage, seen)
    seen.expect(not stage.calls(), f"the server was asked: {stage.calls()}")


@fault("F20", "50 calls at once", "each has its result, those beyond the bound an error")
def fifty_calls(stage: Stage, seen: Seen) -> None:
    calls = [("web_search", {"query": f"number {n}"}) for n in range(50)]
    results = _asked(_once(Reply(tool_calls=calls, piece_chars=100)), stage, seen)
    refused = sum("rror" in result for result in results)
    seen.expect(len(results) == 50, f"{len(results)} results")
    seen.expect(len(stage.calls()) + refused == 50, f"{len(stage.calls())} run, {refused} refused")
    seen.tell(f"{len(stage.calls())} run, {refused} refused")


@fault("F20", "deeply nested arguments", "told so; never an exception")
def deep_arguments(stage: Stage, seen: Seen) -> None:
    deep = '{"query": ' + "[" * 5_000 + "]" * 5_000 + "}"
    _asked(_once(Reply(tool_calls=[("web_search", deep)], piece_chars=1_000)), stage, seen)
    seen.expect(not stage.calls(), "the server was asked")
