"""F1 to F6: the model's server dies, is silent, breaks off, is busy, refuses."""

import signal
import time
from email.utils import formatdate

from tests.support.scripted_model import Json, Reply
from tests.torture.agent.fault_case import Seen, fault
from tests.torture.agent.programs import Program, wait_until
from tests.torture.agent.stage import (
    ANSWER,
    SEARCH,
    Stage,
    answer_of,
    counts_of,
    model_on,
    reach,
    research,
)

LONG = "word " * 1_000
DOWN_SECONDS = 5.0
CLEAN_SECONDS = 5.0
_UTF8_CUT = b'data: {"choices": [{"index": 0, "delta": {"content": "caf\xc3'
_JSON_CUT = b'data: {"choices": [{"index": 0, "delta": {"con'


@fault("F1", "killed before the first token, back after 5 s", "asked again; the same conversation")
def killed_before_the_first_token(stage: Stage, seen: Seen) -> None:
    with model_on(lambda _: Reply(is_silent=True)) as silent:
        program = stage.ask(silent)
        reach(lambda: bool(silent.requests), "the first request")
    time.sleep(DOWN_SECONDS)
    with model_on(research, port=silent.port) as model:
        _answered(program, seen, stage)
    retries = counts_of(program).get("retries", 0)
    seen.tell(f"{retries} retries")
    seen.expect(retries >= 1, "no retry in the record")
    asked = [(r["messages"][0]["role"], len(r["messages"])) for r in model.requests]
    first = silent.requests[0]["messages"]
    seen.expect(model.requests[0]["messages"] == first, "another conversation")
    seen.expect(asked == [("system", 2), ("system", 4), ("system", 6)], f"messages {asked}")


@fault("F2", "killed after 50 tokens", "what came is dropped, asked again")
def killed_in_an_answer(stage: Stage, seen: Seen) -> None:
    _killed_in(Reply(text=LONG, pause_seconds=0.01), stage, seen)


@fault("F2", "killed inside a tool call", "the half call is never run")
def killed_in_a_call(stage: Stage, seen: Seen) -> None:
    half = {"query": "HALF " * 400}
    _killed_in(Reply(tool_calls=[("web_search", half)], pause_seconds=0.01), stage, seen)


def _killed_in(reply: Reply, stage: Stage, seen: Seen) -> None:
    with model_on(lambda _: reply) as dying:
        program = stage.ask(dying)
        reach(lambda: dying.running > 0, "the first reply")
        time.sleep(1.0)  # some of its tokens
    with model_on(research, port=dying.port) as model:
        _answered(program, seen, stage)
    said = str([request["messages"] for request in model.requests])
    seen.expect("word word" not in said and "HALF" not in said, "a part of the reply is kept")
    seen.expect("HALF" not in str(stage.calls()), "the half call was run")
    seen.tell(f"{len(stage.calls())} calls run, none of them half")


@fault("F3", "accepts and is silent", "given up at the time limits, aborted on the server")
def silent_model(stage: Stage, seen: Seen) -> None:
    with model_on(lambda _: Reply(is_silent=True)) as model:
        program = stage.ask(
            model,
            "--json",
            "--timeout",
            "2",
            environment={"SEEKLING_LIMITS_ANSWER_SECONDS": "2"},
        )
        reach(lambda: bool(model.requests), "the request")
        asked = time.monotonic()
        code = program.end()
        seen.within(time.monotonic() - asked, 4 + 2, f"exit {code} after limits of 2 + 2 s:")
        rids = {request["rid"] for request in model.requests}
        seen.expect(code != 0, "a silent model has answered")
        seen.expect(rids == set(model.aborts), f"{len(rids)} asked, {len(model.aborts)} aborted")
        seen.expect(wait_until(lambda: model.running == 0, 3), "it is still generating")
    _clean(program, seen, stage)


def _garbled(raw: bytes, stage: Stage, seen: Seen) -> None:
    with model_on(lambda _: Reply(raw=raw)) as model:
        program = stage.ask(model)
        reach(lambda: bool(model.requests), "the request")
        asked = time.monotonic()
        code = program.end()
        seen.within(time.monotonic() - asked, CLEAN_SECONDS, f"exit {code} after")
        seen.expect(code != 0, "garbage is an answer")
        seen.expect(len(model.requests) < 10, f"asked {len(model.requests)} times")
    seen.expect("error" in answer_of(program), "no error in the JSON")
    seen.tell(str(answer_of(program).get("error"))[:90])
    _clean(program, seen, stage)


@fault("F4", "the stream ends inside a character", "a clean error in 5 s")
def cut_in_a_character(stage: Stage, seen: Seen) -> None:
    _garbled(_UTF8_CUT, stage, seen)


@fault("F4", "the stream ends inside its JSON", "a clean error in 5 s")
def cut_in_json(stage: Stage, seen: Seen) -> None:
    _garbled(_JSON_CUT + b"\n\ndata: [DONE]\n\n", stage, seen)


@fault("F4", "a junk line", "a clean error in 5 s")
def junk_line(stage: Stage, seen: Seen) -> None:
    _garbled(b"data: \xff\xfe\x00 no JSON\n\ndata: [DONE]\n\n", stage, seen)


@fault("F4", "a line of 10 MB", "a clean error in 5 s, no memory")
def long_line(stage: Stage, seen: Seen) -> None:
    _garbled(b"data: " + b"x" * 10_000_000, stage, seen)


def _busy(first: Reply, stage: Stage, seen: Seen, most_seconds: float) -> None:
    """A model that is busy once: how long is waited."""
    times: list[float] = []

    def script(_: Json) -> Reply:
        times.append(time.monotonic())
        return first if len(times) == 1 else Reply(text=ANSWER)

    with model_on(script) as model:
        program = stage.ask(model)
        _answered(program, seen, stage)
    retries = counts_of(program).get("retries")
    seen.expect(len(times) == 2 and retries == 1, f"{len(times)} requests, {retries} retries")
    seen.within(times[-1] - times[0], most_seconds, "asked again after")


@fault("F5", "429, Retry-After: 2", "asked again after 2 s")
def wait_two(stage: Stage, seen: Seen) -> None:
    _busy(Reply(status=429, headers={"Retry-After": "2"}), stage, seen, 4)
    seen.expect("after 1." not in " ".join(seen.told), "too early")


@fault("F5", "429, Retry-After: -1", "asked again at once")
def wait_a_negative_time(stage: Stage, seen: Seen) -> None:
    _busy(Reply(status=429, headers={"Retry-After": "-1"}), stage, seen, 1)


@fault("F5", "429, Retry-After: a date in 3 s", "asked again then")
def wait_for_a_date(stage: Stage, seen: Seen) -> None:
    # The head is made when the request comes: programs take a second or more to start.
    def script(_: Json) -> Reply:
        date = formatdate(time.time() + 3, usegmt=True)
        return Reply(status=429, headers={"Retry-After": date})

    times: list[float] = []

    def both(request: Json) -> Reply:
        times.append(time.monotonic())
        return script(request) if len(times) == 1 else Reply(text=ANSWER)

    with model_on(both) as model:
        _answered(stage.ask(model), seen, stage)
    seen.expect(len(times) == 2, f"{len(times)} requests")
    seen.expect(times[-1] - times[0] > 1, "too early")
    seen.within(times[-1] - times[0], 5, "asked again after")


@fault("F5", "429, Retry-After: 3600", "waits for 60 s at most, and can be interrupted")
def wait_an_hour(stage: Stage, seen: Seen) -> None:
    with model_on(lambda _: Reply(status=429, headers={"Retry-After": "3600"})) as model:
        program = stage.ask(model, "--format", "jsonl")
        reach(lambda: '"note"' in program.out, "the note that it waits")
        note = next(line for line in program.out.splitlines() if '"note"' in line)
        seen.expect("60 s" in note, f"waits otherwise: {note}")
        sent = program.signal(signal.SIGINT)
        code = program.end()
        seen.expect(code == 130, f"exit {code}")
        seen.within(time.monotonic() - sent, CLEAN_SECONDS, "'60 s' announced; Ctrl-C ends it in")
    _clean(program, seen, stage)


@fault("F5", "500, 502, 503, then well", "the fourth try answers, 3 retries in the record")
def passing_errors(stage: Stage, seen: Seen) -> None:
    replies = [*(Reply(status=status, body="oops") for status in (500, 502, 503))]
    with model_on([*replies, Reply(text=ANSWER)]) as model:
        program = stage.ask(model)
        _answered(program, seen, stage)
    retries = counts_of(program).get("retries")
    seen.expect((len(model.requests), retries) == (4, 3), f"{retries} retries in the record")
    seen.tell(f"{retries} retries")


@fault("F6", "401", "one request, a clear error")
def unauthorised(stage: Stage, seen: Seen) -> None:
    with model_on(lambda _: Reply(status=401, body='{"message": "no key"}')) as model:
        program = stage.ask(model)
        code = program.end()
    seen.expect(code != 0 and len(model.requests) == 1, f"{len(model.requests)} requests")
    seen.tell(f"exit {code}, 1 request: {str(answer_of(program).get('error'))[:90]}")
    _clean(program, seen, stage)


@fault("F6", "400, the context is too long", "shortened, then answered")
def context_too_long(stage: Stage, seen: Seen) -> None:
    body = '{"message": "The input (9999 tokens) is longer than the maximum context length."}'

    def script(request: Json) -> Reply:
        is_full = len(request["messages"]) >= 6 and "too_long" not in seen.told
        if is_full:
            seen.told.append("too_long")
            return Reply(status=400, body=body)
        return research(request)

    with model_on(script) as model:
        program = stage.ask(model)
        code = program.end()
    seen.expect(len(model.requests) <= 6, f"{len(model.requests)} requests")
    seen.expect(code in (0, 3), f"exit {code}: {program.err[:200]}")
    seen.told[:] = [f"exit {code} after {len(model.requests)} requests"]
    _clean(program, seen, stage)


@fault("F6", "400, every context is too long", "bounded, a clear end")
def every_context_too_long(stage: Stage, seen: Seen) -> None:
    body = '{"message": "The input (9999 tokens) is longer than the maximum context length."}'
    with model_on(
        lambda r: SEARCH if len(r["messages"]) < 3 else Reply(status=400, body=body)
    ) as model:
        program = stage.ask(model)
        code = program.end()
    seen.expect(len(model.requests) <= 10, f"{len(model.requests)} requests")
    seen.expect(code != 0, "an answer from nothing")
    why = answer_of(program).get("stop_reason") or answer_of(program).get("error")
    seen.tell(f"exit {code} after {len(model.requests)} requests: {str(why)[:90]}")
    _clean(program, seen, stage)


def _answered(program: Program, seen: Seen, stage: Stage) -> None:
    """It ends with the answer of the script."""
    code = program.end()
    answer = answer_of(program).get("answer", "")
    seen.expect(code == 0 and "Mara Voss" in answer, f"exit {code}: {program.err[-200:]}")
    seen.tell("answered")
    _clean(program, seen, stage)


def _clean(program: Program, seen: Seen, stage: Stage) -> None:
    clean_end(program, seen, stage.ordinary_mb)


def clean_end(program: Program, seen: Seen, ordinary_mb: float = 0.0) -> None:
    """No traceback, nothing left running, and no memory where that is judged (not 0)."""
    seen.expect("Traceback" not in program.err, f"a traceback: {program.err[-300:]}")
    left = program.left()
    seen.expect(not left, f"{len(left)} processes are left")
    if ordinary_mb:
        seen.held(program.peak_mb, ordinary_mb)
