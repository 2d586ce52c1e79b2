"""What the agent itself costs: CPU per turn, turns per second, memory per episode.

A model server in another process answers without delay, so that what is measured is ours: the HTTP,
the parser, the loop with its guards, the tools' side, and the recording of every event. An episode
is a question, a search, five visits of pages of 10,000 characters, and an answer: seven turns.

    python tests/bench/agent_cost.py [--quick] [--runs N] [--cases NAME …]
    python tests/bench/agent_cost.py --guards     # what each guard costs
    python tests/bench/agent_cost.py --prefix     # how stable prompts are, by history policy

CPU is that of the client's process alone (`time.process_time`); the model server and, with real
MCP, the tool server have processes of their own; the tool server's CPU is a column of its own.
Memory per episode is how much the client's peak grows over that of one episode at a time. Each case
runs in a process of its own, `--runs` times; the medians are shown. Other work on the machine
raises CPU too (two threads of one core, caches), so the first line says how long a fixed piece of
Python takes before and after.
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream

VISITS = 5
TURNS = VISITS + 2
PAGE_CHARS = 10_000
PAGES = 600
"""In the index that the real tool server answers from."""
REASONING = "I should look at the next page, since what I have read so far is not enough. " * 5
FILLER = "The quick brown fox jumps over the lazy dog while the river flows to the sea. " * 140
NUDGE = "Search before you answer."
ROOT = Path(__file__).resolve().parents[2]
ME = (sys.executable, str(Path(__file__).resolve()))
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the table."""

    name: str
    concurrency: int
    wire: str = "chat"
    tools: str = "in-process"
    pieces: str = "whole"
    """`whole`: one event per reply; `tokens`: one per four characters, as servers stream."""
    records: bool = True
    http: str = "lean"
    profile: str = "default"


def url_of(episode: int, visit: int) -> str:
    """The page that an episode visits."""
    return f"https://pages.example/{(episode * VISITS + visit) % PAGES}"


# The model server: counts the results in a request, and answers with the next step.


def written_reply(body: bytes) -> tuple[str, str, str]:
    """Reasoning, tool name and arguments (as JSON), or reasoning, "" and the answer."""
    found = re.search(rb"episode (\d+)", body)
    episode = int(found.group(1)) if found else 0
    visits = int(told[1]) if (told := re.search(rb"after (\d+) visits", body)) else VISITS
    done = len(re.findall(rb'"role": ?"tool"', body)) + body.count(b"<tool_response>\\n")
    if done == 0 and b"too soon" in body and NUDGE.encode() not in body:
        return REASONING, "", "It is the fox."
    if done == 0:
        return REASONING, "web_search", json.dumps({"query": f"topic {episode}"})
    if done <= visits:
        return REASONING, "web_visit", json.dumps({"url": url_of(episode, done - 1)})
    return REASONING, "", f"It is the fox [{url_of(episode, 0)}]. \\boxed{{fox}}"


def chat_events(body: bytes, step: int) -> list[bytes]:
    """The stream of `/v1/chat/completions`, `step` characters a chunk."""
    reasoning, name, text = written_reply(body)
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in cut(reasoning, step)]
    if name:
        head = {"index": 0, "id": f"call_{len(body)}", "type": "function"}
        deltas.append({"tool_calls": [head | {"function": {"name": name, "arguments": ""}}]})
        deltas += [
            {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
            for piece in cut(text, step)
        ]
    else:
        deltas += [{"content": piece} for piece in cut(text, step)]
    events = [event({"choices": [{"index": 0, "delta": delta}]}) for delta in deltas]
    reason = "tool_calls" if name else "stop"
    events.append(event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
    usage = {"prompt_tokens": len(body) // 4, "completion_tokens": len(deltas)}
    return [*events, event({"choices": [], "usage": usage}), b"data: [DONE]\n\n"]


def chat_reply(body: bytes) -> bytes:
    """The same without a stream, for `agent_peer.py`."""
    reasoning, name, text = written_reply(body)
    message: dict[str, Any] = {"role": "assistant", "content": "" if name else text}
    message["reasoning_content"] = reasoning
    if name:
        function = {"name": name, "arguments": text}
        message["tool_calls"] = [
            {"id": f"call_{len(body)}", "type": "function", "function": function}
        ]
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": "tool_calls" if name else "stop",
    }
    counts = {"prompt_tokens": len(body) // 4, "completion_tokens": 100}
    usage = counts | {"total_tokens": len(body) // 4 + 100}
    head = {"id": "x", "object": "chat.completion", "created": 1, "model": "bench"}
    return json.dumps(head | {"choices": [choice], "usage": usage}).encode()


def generate_events(body: bytes, step: int) -> list[bytes]:
    """The stream of `/generate`: each event repeats the reply so far, eight tokens more each."""
    reasoning, name, text = written_reply(body)
    call = f'<tool_call>\n{{"name": "{name}", "arguments": {text}}}\n</tool_call>'
    whole = f"<think>\n{reasoning}\n</think>\n\n{call if name else text}"
    meta = {"id": "x", "prompt_tokens": len(body) // 4, "cached_tokens": 0}
    ends = [*range(step * 8, len(whole), step * 8), len(whole)]
    events: list[bytes] = []
    for end in ends:
        ids = list(range(1_000, 1_000 + end // 4 + 1))
        finish = {"type": "stop", "matched": 151645} if end == len(whole) else None
        told = meta | {"finish_reason": finish, "completion_tokens": len(ids)}
        events.append(event({"text": whole[:end], "output_ids": ids, "meta_info": told}))
    return [*events, b"data: [DONE]\n\n"]


def cut(text: str, step: int) -> list[str]:
    """The text in pieces."""
    return [text[start : start + step] for start in range(0, len(text), step)]


def event(value: object) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


async def serve_model(pieces: str) -> None:
    """Answer until the process is ended; the port is the first line of stdout."""
    step = 4 if pieces == "tokens" else 1_000_000

    async def handle(stream: SocketStream) -> None:
        async with stream:
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    try:
                        data += await stream.receive()
                    except (anyio.EndOfStream, anyio.BrokenResourceError):
                        return
                head, _, data = data.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                size = int(length.group(1)) if length else 0
                while len(data) < size:
                    data += await stream.receive()
                body, data = data[:size], data[size:]
                await answer(stream, head.split(b" ")[1], body)

    async def answer(stream: SocketStream, path: bytes, body: bytes) -> None:
        make = {b"/v1/chat/completions": chat_events, b"/generate": generate_events}.get(path)
        if make is None:
            await stream.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")
            return
        if not re.search(rb'"stream": ?true', body):
            told = chat_reply(body)
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
            await stream.send(b"Content-Length: %d\r\n\r\n%s" % (len(told), told))
            return
        start = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        events = make(body, step)
        await stream.send(start + b"Transfer-Encoding: chunked\r\n\r\n")
        # As a server that decodes many sequences: a few events at a time, each a chunk of its own.
        for group in range(0, len(events), 16):
            chunks = (b"%x\r\n%s\r\n" % (len(one), one) for one in events[group : group + 16])
            await stream.send(b"".join(chunks))
        await stream.send(b"0\r\n\r\n")

    async with await anyio.create_tcp_listener(local_host="127.0.0.1", backlog=1_024) as listener:
        print(listener.extra(SocketAttribute.local_port), flush=True)
        await listener.serve(handle)


# The client: one case in a process of its own.


class PagesInProcess:
    """Tools without a protocol between: the least that any tool can cost."""

    def __init__(self) -> None:
        from agent_client.conversation import ToolSpec

        def spec(name: str, argument: str) -> ToolSpec:
            properties = {argument: {"type": "string"}}
            schema = {"type": "object", "properties": properties, "required": [argument]}
            return ToolSpec(name, f"The tool {name}.", schema)

        self._specs = (spec("web_search", "query"), spec("web_visit", "url"))

    async def list_tools(self) -> Sequence[Any]:
        """Both tools, with schemas like the real ones."""
        return self._specs

    async def call(self, call: Any) -> Any:
        """A list of ten hits, or a page of 10,000 characters."""
        from agent_client.conversation import ToolResult

        await anyio.lowlevel.checkpoint()
        if call.name == "web_search":
            episode = int(str(call.arguments["query"]).rpartition(" ")[2])
            hits = (
                f"Index: {n}\nURL: {url_of(episode, n)}\nTitle: Page {n}\nPreview: {FILLER[:250]}"
                for n in range(10)
            )
            return ToolResult(call.id, call.name, "\n\n".join(hits))
        url = str(call.arguments["url"])
        mark, text = "untrusted-page-0123456789ab", FILLER[:PAGE_CHARS]
        shown = f"Title: {url}\nURL: {url}\n\n<{mark}>\n{text}\n</{mark}>"
        page = {"url": url, "final_url": url, "title": url, "start": 0, "end": len(text)}
        return ToolResult(call.id, call.name, shown, meta={"seekling/pages": [page]})


@asynccontextmanager
async def opened_tools(kind: str, index: str) -> AsyncGenerator[Any]:
    """The tools of a case."""
    if kind == "in-process":
        yield PagesInProcess()
        return
    from agent_client.tool_server.targets import StdioTarget
    from agent_client.toolbox import McpToolbox

    command = f"{sys.executable} -m mcp_server serve --providers local --index {index}"
    async with McpToolbox.open(StdioTarget.parse(command, ENVIRONMENT)) as tools:
        yield tools


@asynccontextmanager
async def opened_model(case: Case, port: int) -> AsyncGenerator[Any]:
    """The model client of a case."""
    import httpx

    from agent_client.model.chat_completions import ChatCompletions
    from agent_client.model.endpoint import Endpoint
    from agent_client.model.lean_http import LeanHttp
    from agent_client.model.qwen3_template import Qwen3Template
    from agent_client.model.raw_completions import RawCompletions
    from agent_client.model.transport import HttpxTransport

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with AsyncExitStack() as stack:
        if case.http == "httpx":
            http = await stack.enter_async_context(
                httpx.AsyncClient(trust_env=False, limits=limits)
            )
            transport: Any = HttpxTransport(http)
        else:
            transport = await stack.enter_async_context(LeanHttp())
        endpoint = Endpoint(transport=transport, base_url=f"http://127.0.0.1:{port}/v1")
        if case.wire == "raw":
            yield RawCompletions(endpoint=endpoint, model="bench", template=Qwen3Template())
        else:
            yield ChatCompletions(endpoint=endpoint, model="bench")


async def run_case(case: Case, port: int, index: str, episodes: int) -> dict[str, float]:
    """Run a case; its figures."""
    from agent_client.agent.agent import Agent
    from agent_client.profiles import load_profile
    from agent_client.sessions.store import SessionStore

    def no_one(_: object) -> None:
        return None

    prefixes: list[float] = []
    stored = Path(tempfile.mkdtemp(prefix="seekling-bench-"))
    store = SessionStore(stored)
    async with opened_tools(case.tools, index) as tools, opened_model(case, port) as model:
        agent = Agent(model=model, tools=tools, profile=load_profile(case.profile))

        async def episode(number: int) -> None:
            question = f"Which animal jumps in episode {number}?"
            if not case.records:
                outcome = await agent.ask(question, emit=no_one)
            else:
                with store.start("bench", warn=print) as session:
                    outcome = await agent.ask(question, emit=session.emit)
            assert outcome.short_answer == "fox", (outcome.answer, outcome.error)
            assert outcome.counts.turns == TURNS, outcome.counts
            prefixes.append(outcome.prefix.worst if outcome.prefix else 0.0)

        async def worker(numbers: Any) -> None:
            for number in numbers:
                await episode(number)

        for number in range(3):
            await episode(number)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        numbers = iter(range(1_000, 1_000 + episodes))
        served = children_cpu()
        cpu, wall = time.process_time(), time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for _ in range(case.concurrency):
                tasks.start_soon(worker, numbers)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        served = children_cpu() - served
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    turns = episodes * TURNS
    return {
        "cpu_ms_per_turn": 1_000 * cpu / turns,
        "server_ms_per_turn": 1_000 * served / turns,
        "turns_per_second": turns / wall,
        "mb_per_episode": (after - before) / 1_024 / max(1, case.concurrency - 1),
        "peak_mb": after / 1_024,
        "prefix_worst": min(prefixes),
        "stored_bytes_per_episode": size_of(stored) / (episodes + 3),
    }


def children_cpu() -> float:
    """CPU seconds of the processes that this one has started and that still run; Linux only."""
    ticks = 0
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def calibration() -> float:
    """Milliseconds for a fixed piece of Python: how busy the machine is."""
    started = time.process_time()
    sum(range(3_000_000))
    return 1_000 * (time.process_time() - started)


def size_of(folder: Path) -> int:
    """All bytes in a folder's records."""
    return sum(file.stat().st_size for file in folder.rglob("*.jsonl"))


# What each guard costs: the variants take turns in one process, so that other work on the machine
# hits all of them alike.


@dataclass(slots=True, kw_only=True)
class Variant:
    """A profile with one thing changed, and what its turns took."""

    name: str
    change: Callable[[Any], Any] = lambda profile: profile
    records: bool = True
    is_metered: bool = True
    ms_per_turn: list[float] = field(default_factory=list[float])


def _with_rules(**rules: Any) -> Callable[[Any], Any]:
    return lambda profile: replace(profile, rules=replace(profile.rules, **rules))


def _with_limits(**limits: Any) -> Callable[[Any], Any]:
    return lambda profile: replace(profile, limits=replace(profile.limits, **limits))


def variants() -> list[Variant]:
    """The default first."""
    return [
        Variant(name="default: all guards, recorded"),
        Variant(name="without the memory of calls", change=_with_rules(repeated_call="run")),
        Variant(name="without the check of addresses", change=_with_rules(unknown_urls="off")),
        Variant(
            name="without the check for the same reply",
            change=_with_rules(identical_reply_stops=False),
        ),
        Variant(name="every page cut to 8,000", change=_with_limits(result_chars=8_000)),
        Variant(name="without the prefix meter", is_metered=False),
        Variant(name="not recorded", records=False),
    ]


@dataclass(frozen=True, slots=True)
class Unmetered:
    """A chat model whose prompts are not known."""

    model: Any

    @property
    def name(self) -> str:
        """See `ModelClient.name`."""
        return self.model.name

    @property
    def context_tokens(self) -> int:
        """See `ModelClient.context_tokens`."""
        return self.model.context_tokens

    async def complete(self, request: Any, *, emit: Any) -> Any:
        """See `ModelClient.complete`."""
        from agent_client.model.wire import ChatReader, request_body

        body = request_body(request, model=self.model.model)
        return await self.model.endpoint.stream_reply(
            "chat/completions", body, lambda: ChatReader(request), emit=emit
        )


async def compare_guards(port: int, rounds: int) -> None:
    """Print what the turns of each variant take, and the difference to the default."""
    from agent_client.agent.agent import Agent
    from agent_client.profiles import load_profile
    from agent_client.sessions.store import SessionStore

    at_once, per_round = 32, 64
    store = SessionStore(Path(tempfile.mkdtemp(prefix="seekling-bench-")))
    compared = variants()
    async with opened_model(CASES[0], port) as model:
        tools = PagesInProcess()

        async def one_round(variant: Variant) -> None:
            shown = model if variant.is_metered else Unmetered(model)
            profile = variant.change(load_profile("default"))
            agent = Agent(model=shown, tools=tools, profile=profile)

            async def worker(numbers: Any) -> None:
                for number in numbers:
                    question = f"Which animal jumps in episode {number}?"
                    if variant.records:
                        with store.start("bench", warn=print) as session:
                            outcome = await agent.ask(question, emit=session.emit)
                    else:
                        outcome = await agent.ask(question)
                    assert outcome.counts.turns == TURNS, outcome

            numbers = iter(range(1_000, 1_000 + per_round))
            cpu = time.process_time()
            async with anyio.create_task_group() as tasks:
                for _ in range(at_once):
                    tasks.start_soon(worker, numbers)
            variant.ms_per_turn.append(1_000 * (time.process_time() - cpu) / per_round / TURNS)

        for number in range(rounds + 1):
            for variant in compared:
                await one_round(variant)
                if number == 0:
                    variant.ms_per_turn.clear()  # to warm up
    default = compared[0].ms_per_turn
    print("| variant | CPU ms/turn | µs/turn less than the default |\n|---|---|---|")
    for variant in compared:
        saved = statistics.median(
            base - own for base, own in zip(default, variant.ms_per_turn, strict=True)
        )
        median = statistics.median(variant.ms_per_turn)
        print(f"| {variant.name} | {median:.3f} | {1_000 * saved:+.0f} |")


# How stable prompts are: 30 turns with tools, then the answer, by history policy.

_PREFIX_VISITS = 29


def _policies() -> dict[str, tuple[str, Callable[[Any], Any], str]]:
    """Wire, change of the profile, and words behind the question, by the policy's name."""

    def history(kind: str, context: int = 0) -> Callable[[Any], Any]:
        return lambda profile: replace(
            profile,
            history=replace(profile.history, kind=kind),
            limits=replace(profile.limits, turns=40, context_tokens=context),
        )

    def nudging(profile: Any) -> Any:
        changed = history("append")(profile)
        prompts = replace(profile.prompts, nudge=NUDGE)
        return replace(changed, prompts=prompts, rules=replace(profile.rules, min_searches=1))

    return {
        "append, raw": ("raw", history("append"), ""),
        "append, chat": ("chat", history("append"), ""),
        "append, chat, a nudge at the start": ("chat", nudging, " Answer too soon."),
        "omit_old_results at 32,768 tokens, raw": ("raw", history("omit_old_results", 32_768), ""),
        "omit_old_results at 32,768 tokens, chat": (
            "chat",
            history("omit_old_results", 32_768),
            "",
        ),
        "drop_reasoning, chat": ("chat", history("drop_reasoning"), ""),
    }


async def compare_policies(port: int) -> None:
    """Print how much of the prompts repeats, with each policy."""
    from agent_client.agent.agent import Agent
    from agent_client.agent.prefix import PrefixMeter
    from agent_client.events import ModelReplied
    from agent_client.profiles import load_profile

    heads = ("history", "turns", "compactions", "between them", "worst", "all prompts", "worst")
    print(f"| {' | '.join(heads)} |")
    print("|---" * len(heads) + "|")
    for name, (wire, change, words) in _policies().items():
        meter = PrefixMeter()  # knows of no announcement: what a cache really sees

        def emit(event: object, meter: PrefixMeter = meter) -> None:
            if isinstance(event, ModelReplied):
                meter.add(event.reply.prompt, event.reply.completion)

        async with opened_model(replace(CASES[0], wire=wire), port) as model:
            profile = change(load_profile("default"))
            agent = Agent(model=model, tools=PagesInProcess(), profile=profile)
            question = f"Which animal jumps in episode 7, after {_PREFIX_VISITS} visits?{words}"
            outcome = await agent.ask(question, emit=emit)
        assert outcome.short_answer == "fox", outcome
        told, seen = outcome.prefix, meter.result()
        assert told is not None
        assert seen is not None
        shares = (told.mean, told.worst, seen.mean, seen.worst)
        percents = " | ".join(f"{100 * share:.1f} %" for share in shares)
        print(f"| {name} | {outcome.counts.turns} | {outcome.counts.compactions} | {percents} |")


CASES = (
    Case(name="chat-1", concurrency=1),
    Case(name="chat-32", concurrency=32),
    Case(name="chat-256", concurrency=256),
    Case(name="chat-256-not-recorded", concurrency=256, records=False),
    Case(name="chat-256-httpx", concurrency=256, http="httpx"),
    Case(name="chat-256-plain", concurrency=256, profile="plain"),
    Case(name="chat-256-tokens", concurrency=256, pieces="tokens"),
    Case(name="raw-1", concurrency=1, wire="raw"),
    Case(name="raw-32", concurrency=32, wire="raw"),
    Case(name="raw-256", concurrency=256, wire="raw"),
    Case(name="raw-256-tokens", concurrency=256, wire="raw", pieces="tokens"),
    Case(name="mcp-1", concurrency=1, tools="mcp"),
    Case(name="mcp-32", concurrency=32, tools="mcp"),
    Case(name="mcp-256", concurrency=256, tools="mcp"),
)


def build_pages(folder: Path) -> Path:
    """An index of the pages that the real tool server answers from."""
    source = folder / "pages.jsonl"
    lines = (
        {"url": url_of(0, n), "title": f"Page {n}", "text": f"topic {n}\n\n{FILLER[:PAGE_CHARS]}"}
        for n in range(PAGES)
    )
    source.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    command = [sys.executable, "-m", "mcp_server", "index", "build", str(source)]
    subprocess.run([*command, "--out", str(folder / "index")], check=True, capture_output=True)
    return folder / "index"


@contextmanager
def model_server(pieces: str) -> Generator[int]:
    """The model server in a process of its own; its port."""
    with subprocess.Popen(
        [*ME, "--serve", pieces], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.terminate()


def measured(case: Case, index: str, *, quick: bool) -> dict[str, float]:
    """Run a case and its model server in processes of their own."""
    episodes = {1: 40, 32: 256}.get(case.concurrency, 1_024) // (4 if quick else 1)
    with model_server(case.pieces) as port:
        told = json.dumps({"case": asdict(case), "index": index, "episodes": episodes})
        done = subprocess.run(
            [*ME, "--run", told, "--port", str(port)],
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            check=False,
        )
    if done.returncode:
        sys.exit(f"{case.name}: {done.stderr}")
    return json.loads(done.stdout)


def main() -> None:
    """Run the cases, or one part of one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", default=[], help="only these")
    parser.add_argument("--quick", action="store_true", help="a quarter of the episodes")
    parser.add_argument("--runs", type=int, default=1, help="of each case; the median counts")
    parser.add_argument("--guards", action="store_true", help="what each guard costs")
    parser.add_argument("--prefix", action="store_true", help="how stable prompts are")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        anyio.run(serve_model, options.serve)
        return
    if options.guards or options.prefix:
        with model_server("whole") as port:
            if options.guards:
                anyio.run(compare_guards, port, 4 if options.quick else 16)
            if options.prefix:
                anyio.run(compare_policies, port)
        return
    if options.run:
        told = json.loads(options.run)
        case = replace(CASES[0], **told["case"])
        figures = anyio.run(run_case, case, options.port, told["index"], told["episodes"])
        print(json.dumps(figures))
        return
    chosen = [case for case in CASES if not options.cases or case.name in options.cases]
    heads = ("case", "at once", "CPU ms/turn", "tool server", "turns/s", "MB/episode", "peak MB")
    print(f"A fixed piece of Python: {calibration():.0f} ms before", end="", flush=True)
    rows: list[str] = []
    with tempfile.TemporaryDirectory(prefix="seekling-bench-") as folder:
        needs_index = any(case.tools == "mcp" for case in chosen)
        index = str(build_pages(Path(folder))) if needs_index else ""
        for case in chosen:
            runs = [measured(case, index, quick=options.quick) for _ in range(options.runs)]
            row = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
            served = f"{row['server_ms_per_turn']:.2f}" if case.tools == "mcp" else ""
            rows.append(
                f"| {case.name} | {case.concurrency} | {row['cpu_ms_per_turn']:.2f} | {served}"
                f" | {row['turns_per_second']:,.0f} | {row['mb_per_episode']:.3f}"
                f" | {row['peak_mb']:.0f} | {100 * row['prefix_worst']:.1f} %"
                f" | {row['stored_bytes_per_episode'] / 1_000:.0f} |"
            )
    print(f", {calibration():.0f} ms after\n")
    print(f"| {' | '.join((*heads, 'prefix', 'kB stored'))} |")
    print("|---" * 9 + "|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
