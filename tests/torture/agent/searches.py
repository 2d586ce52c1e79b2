"""F19: search engines that are busy, exhausted, slow or not themselves."""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketAttribute, SocketStream

from tests.support.fake_web import reply
from tests.torture.agent.fault_case import Seen, fault
from tests.torture.agent.model_faults import clean_end
from tests.torture.agent.stage import (
    Stage,
    answer_of,
    in_a_thread,
    model_on,
    research,
    results_in,
    settled,
)

PROVIDER_SECONDS = 2
SEARCH_SECONDS = 12.0
STOP_SECONDS = 150.0
"""Until a run without search has stopped by itself: one search waits for its providers in vain."""
QUOTA = json.dumps({"error": "Your monthly quota is exhausted.", "results": []})
ANSWERS: dict[str, tuple[str, str, str]] = {
    "429": ("slow down", "429 Slow", "text/plain"),
    "quota": (QUOTA, "200 OK", "application/json"),
    "html": ("<html><body>Are you human?</body></html>", "200 OK", "text/html"),
    "empty": ('{"results": []}', "200 OK", "application/json"),
    "garbage": ('{"results": [{"url": 7}, null, "x", {"url": "', "200 OK", "application/json"),
    "500": ("oops", "500 Oops", "text/plain"),
}
"""Body, status and media type."""


@dataclass
class OddEngine:
    """A search engine with the interface of SearXNG."""

    behaviour: str
    url: str = ""
    asked: list[float] = field(default_factory=list[float])


@asynccontextmanager
async def odd_engine(behaviour: str) -> AsyncGenerator[OddEngine]:
    """Serve it on loopback."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    engine = OddEngine(behaviour)
    scheme = "https" if behaviour == "tls" else "http"
    engine.url = f"{scheme}://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"

    async def handle(stream: SocketStream) -> None:
        with suppress(anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError):
            async with stream:
                await stream.receive()
                engine.asked.append(time.monotonic())
                if engine.behaviour == "slow":
                    await anyio.sleep(30)
                body, status, kind = ANSWERS.get(engine.behaviour, ANSWERS["500"])
                await reply(body, status=status, content_type=kind)(stream)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        try:
            yield engine
        finally:
            tasks.cancel_scope.cancel()


def _settings(engine: OddEngine, stage: Stage, providers: str) -> dict[str, str]:
    return stage.real_tools() | {
        "SEEKLING_MCP_PROVIDERS": providers,
        "SEEKLING_MCP_SEARXNG_URL": engine.url,
        "SEEKLING_MCP_PROVIDER_SECONDS": str(PROVIDER_SECONDS),
    }


def _falls_back(behaviour: str, stage: Stage, seen: Seen) -> None:
    """The second provider answers in place of the first, and the result says so."""
    with in_a_thread(odd_engine(behaviour)) as engine, model_on(research) as model:
        environment = _settings(engine, stage, "searxng,local")
        program = stage.ask(model, "--json", "--mcp", "seekling-mcp serve", environment=environment)
        code = program.end()
        results = [text for request in model.requests for text in results_in(request)]
    found = results[0] if results else ""
    seen.expect(code == 0, f"exit {code}: {program.err[-200:]}")
    seen.expect("facts.example/lighthouse" in found, f"no fallback: {found[:200]!r}")
    seen.expect(bool(engine.asked) or behaviour == "tls", "the first one was not asked")
    seen.expect(len(engine.asked) <= 3, f"asked {len(engine.asked)} times")
    seconds = float((answer_of(program).get("timings") or {}).get("tools_seconds", 99))
    seen.within(seconds, SEARCH_SECONDS, f"the other one answered ({len(engine.asked)} tries), in")
    clean_end(program, seen, stage.ordinary_mb)


@fault("F19", "HTTP 429 to every search", "the other provider answers")
def busy(stage: Stage, seen: Seen) -> None:
    _falls_back("429", stage, seen)


@fault("F19", "a body about the quota, with HTTP 200", "the other provider answers")
def quota(stage: Stage, seen: Seen) -> None:
    _falls_back("quota", stage, seen)


@fault("F19", "a page for people instead of JSON", "the other provider answers")
def html(stage: Stage, seen: Seen) -> None:
    _falls_back("html", stage, seen)


@fault("F19", "no hits", "the other provider answers")
def empty(stage: Stage, seen: Seen) -> None:
    _falls_back("empty", stage, seen)


@fault("F19", "torn JSON of wrong types", "the other provider answers")
def garbage(stage: Stage, seen: Seen) -> None:
    _falls_back("garbage", stage, seen)


@fault("F19", "30 s until it answers", "the other provider answers in time")
def slow(stage: Stage, seen: Seen) -> None:
    _falls_back("slow", stage, seen)


@fault("F19", "no TLS where there should be", "the other provider answers")
def tls(stage: Stage, seen: Seen) -> None:
    _falls_back("tls", stage, seen)


@fault(
    "F19",
    "all providers are dead all run",
    f"stops by itself within {STOP_SECONDS:g} s, nothing is graded; goes on later",
)
def all_dead(stage: Stage, seen: Seen) -> None:
    flags = ("--mcp", "seekling-mcp serve", "--grader", "exact")
    with in_a_thread(odd_engine("500")) as engine, model_on(research) as model:
        started = time.monotonic()
        program = stage.evaluate(
            model, 6, *flags, "--concurrency", "2", environment=_settings(engine, stage, "searxng")
        )
        code = program.end(2 * STOP_SECONDS)
        seen.within(time.monotonic() - started, STOP_SECONDS, "stopped by itself after")
        seen.expect(code in (3, 5), f"exit {code}: {program.err[-200:]}")
        said = program.out + program.err
        seen.expect("searxng" in said, f"does not say what is dead: {said[-300:]!r}")
        seen.expect("eval resume" in said, f"does not say how to go on: {said[-300:]!r}")
        seen.expect(not settled(stage.records()), f"settled: {settled(stage.records())}")
        grades = stage.run_directory / "grades.jsonl"
        seen.expect(not grades.exists() or not grades.read_bytes(), "something was graded")
        seen.tell(f"exit {code}, nothing graded")
        clean_end(program, seen, stage.ordinary_mb)
        again = stage.resume(model, *flags[:2], "--force", environment=stage.real_tools())
        code = again.end()
    seen.expect(code == 0, f"resume ends with {code}: {again.err[-200:]}")
    found = settled(stage.records())
    seen.expect(list(found.values()) == [1] * 6, f"after resume: {found}")
    seen.tell("with a provider that works resume settles all 6")
