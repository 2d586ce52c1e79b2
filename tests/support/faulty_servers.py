"""Servers for an evaluation that fail now and then: a model, a judge, a search engine, its pages.

What each of them says follows from what it is asked and from nothing else, so that a run's verdicts
are known beforehand, and a failure that reaches an episode changes its answer. Which requests fail
is decided by what is asked, how often it was asked before, and a seed: by no order of arrival.

As a process, `python -m tests.support.faulty_servers MODEL_PORT JUDGE_PORT WEB_PORT [RATE
[PAUSE]]` prints the three addresses as one line and serves until it is ended; port 0 takes a free
one.
"""

import hashlib
import json
import re
import socket
import struct
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, urlsplit

import anyio
from anyio.abc import SocketAttribute, SocketStream

from agent_client.evaluation.question import Question
from tests.support.fake_web import reply
from tests.support.scripted_model import Json, Reply, scripted_model

MODEL_FAULTS = ("429", "500", "502", "503", "hang_up", "silent", "stall", "cut", "junk", "full")
JUDGE_FAULTS = MODEL_FAULTS
WEB_FAULTS = ("429", "500", "502", "503", "reset", "silent", "torn")
PAGE_FAULTS = ("429", "500", "502", "503", "reset", "silent")
_TOKEN = re.compile(r"tok-[0-9a-f]{8}")
_URL = re.compile(r"^URL: (\S+)$", re.MULTILINE)
_ASKED = re.compile(r"shelf (\d+)")
_STATUSES = {"429": "429 Slow", "500": "500 Oops", "502": "502 Bad", "503": "503 Busy"}


def token(number: int) -> str:
    """What stands on a page, and nowhere else."""
    return f"tok-{hashlib.sha256(str(number).encode()).hexdigest()[:8]}"


def questions(count: int) -> list[Question]:
    """Questions; of five the pages answer three rightly, one wrongly and one not at all."""
    return [
        Question(
            id=f"q{n}",
            question=f"Which token stands on shelf {n}?",
            answers=(token(n + 10**6 if n % 5 == 3 else n),),
            gold_pages=(f"/shelf/{n}",),
        )
        for n in range(count)
    ]


@dataclass(slots=True)
class Faults:
    """Which requests fail, and how."""

    rate: float = 0.0
    """Share of the requests, in [0, 1]."""
    seed: int = 1
    kinds: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {
            "model": MODEL_FAULTS,
            "judge": JUDGE_FAULTS,
            "search": WEB_FAULTS,
            "page": PAGE_FAULTS,
        }
    )
    asked: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    made: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """Faults by side and kind."""
    requests: Counter[str] = field(default_factory=Counter[str])
    """By side."""
    pause_seconds: float = 0.0
    """Of the model, between two pieces of a reply; most replies have about ten."""
    came: Callable[[str, int], None] = lambda side, count: None
    """Told of each request, before it is answered: its side, and how many it has had."""
    dead: set[str] = field(default_factory=set[str])
    """Sides that answer everything with HTTP 500."""

    def of(self, side: str, what: str) -> str:
        """The fault of a request; "" for none."""
        self.requests[side] += 1
        self.came(side, self.requests[side])
        if side in self.dead:
            return "500"
        key = (side, what)
        self.asked[key] += 1
        text = f"{self.seed}\n{side}\n{self.asked[key]}\n{what}"
        digest = hashlib.sha256(text.encode()).digest()
        if int.from_bytes(digest[:6], "big") >= self.rate * 2**48:
            return ""
        kinds = self.kinds.get(side, ())
        if not kinds:
            return ""
        kind = kinds[digest[6] % len(kinds)]
        self.made[side, kind] += 1
        return kind


def solve(request: Json) -> Reply:
    """Search the shelf, read the first hit while searching again, and say the token, if any."""
    messages: list[Json] = request["messages"]
    asked = next(str(m["content"]) for m in messages if m["role"] == "user")
    found = _ASKED.search(asked)
    number = found[1] if found else "?"
    results = [str(m["content"]) for m in messages if m["role"] == "tool"]
    turn = sum(m["role"] == "assistant" for m in messages)
    if turn == 0:
        return Reply(
            reasoning="I search.", tool_calls=[("web_search", {"query": f"shelf {number}"})]
        )
    if turn == 1:
        hits = _URL.findall(results[0])
        if not hits:
            return Reply(text="\\boxed{unknown: no hits}", piece_chars=30)
        calls = [
            ("web_visit", {"url": hits[0]}),
            ("web_search", {"query": f"shelf {number} once more"}),
        ]
        return Reply(reasoning="I read.", tool_calls=calls)
    if turn == 2:
        hits = _URL.findall(results[2]) if len(results) > 2 else []
        if not hits:
            return Reply(text="\\boxed{unknown: no second hits}", piece_chars=30)
        return Reply(tool_calls=[("web_visit", {"url": hits[0]})])
    tokens = [_TOKEN.findall(page) for page in (results[1], results[3])]
    said = " and ".join(dict.fromkeys(t for page in tokens for t in page))
    return Reply(text=f"The shelf holds it. \\boxed{{{said or 'unknown'}}}", piece_chars=30)


def judge(request: Json) -> Reply:
    """Grade as the prompt asks: by whether the tokens are the same."""
    prompt = str(request["messages"][-1]["content"])
    parts = re.findall(r"<(reference|answer)-[^>]*>\n(.*?)\n</", prompt, re.DOTALL)
    texts = {name: _TOKEN.findall(text) for name, text in parts}
    letter = "C" if not texts["answer"] else "A" if texts["answer"] == texts["reference"] else "B"
    return Reply(text=letter)


def _faulty(kind: str, whole: Reply) -> Reply:
    """A reply of a model that fails."""
    match kind:
        case "429":
            return Reply(status=429, body="slow down", headers={"Retry-After": "0"})
        case "500" | "502":
            return Reply(status=int(kind), body="<html>oops</html>")
        case "503":
            return Reply(status=503, body='{"error": {"message": "busy"}}')
        case "hang_up":
            return Reply(hangs_up=True)
        case "silent":
            return Reply(is_silent=True)
        case "stall":
            return Reply(text="a begin of many words " * 9, stall_after_bytes=700)
        case "cut":  # in the middle of the JSON of a chunk
            return Reply(text="a begin of many words " * 9, cut_after_bytes=777)
        case "junk":
            return Reply(raw=b'data: {"choices": [{"index": 0, "delta": {"con\n\ndata: [DONE]\n\n')
        case "full":
            return Reply(is_full_in_stream=True)
        case _:
            return whole


@dataclass(slots=True)
class FaultyServers:
    """Where they are."""

    faults: Faults
    model_url: str = ""
    judge_url: str = ""
    web_url: str = ""

    def environment(self) -> dict[str, str]:
        """Settings of `seekling-mcp` for this search engine and its pages, with short waits."""
        return {
            "SEEKLING_MCP_PROVIDERS": "searxng",
            "SEEKLING_MCP_SEARXNG_URL": self.web_url,
            "SEEKLING_MCP_ALLOW_PRIVATE": "127.0.0.1",
            "SEEKLING_MCP_ALLOW_PORTS": "any",
            "SEEKLING_MCP_PROVIDER_SECONDS": "1",
            "SEEKLING_MCP_SEARCH_SECONDS": "5",
            "SEEKLING_MCP_VISIT_SECONDS": "1",
            "SEEKLING_MCP_VISITS_PER_HOST": "64",
            "SEEKLING_MCP_MAX_VISITS": "64",
            "SEEKLING_MCP_RATE_LIMITS": "searxng=1000/s",
        }


@asynccontextmanager
async def faulty_servers(
    faults: Faults, ports: tuple[int, int, int] = (0, 0, 0)
) -> AsyncGenerator[FaultyServers]:
    """Serve all of them on loopback until the block is left."""

    def model(request: Json) -> Reply:
        messages = request["messages"]
        asked = next(str(m["content"]) for m in messages if m["role"] == "user")
        whole = replace(solve(request), pause_seconds=faults.pause_seconds)
        return _faulty(faults.of("model", f"{asked} {len(messages)}"), whole)

    def judging(request: Json) -> Reply:
        # The fence around an answer is another one each time.
        what = "".join(re.findall(r"shelf \d+", str(request["messages"][-1]["content"])))
        return _faulty(faults.of("judge", what), judge(request))

    async with AsyncExitStack() as stack:
        scripted = [
            await stack.enter_async_context(scripted_model(script, keeps_alive=True, port=port))
            for script, port in ((model, ports[0]), (judging, ports[1]))
        ]
        web_url = await stack.enter_async_context(_web(faults, ports[2]))
        yield FaultyServers(faults, scripted[0].base_url, scripted[1].base_url, web_url)


@asynccontextmanager
async def _web(faults: Faults, port: int) -> AsyncGenerator[str]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    origin = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"

    async def handle(stream: SocketStream) -> None:
        with suppress(anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError):
            async with stream:
                await _answer(stream, faults, origin)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        try:
            yield origin
        finally:
            tasks.cancel_scope.cancel()


async def _answer(stream: SocketStream, faults: Faults, origin: str) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive()
    target = urlsplit(head.split(b" ", 2)[1].decode())
    query = parse_qs(target.query).get("q", [""])[0]
    is_search = target.path == "/search"
    side, what = ("search", query) if is_search else ("page", target.path)
    kind = faults.of(side, what)
    if kind == "silent":
        await stream.receive()  # until the client hangs up
    elif kind == "reset":
        plain: socket.socket = stream.extra(SocketAttribute.raw_socket)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif kind == "torn":
        await reply('{"results": [{"url": "http', content_type="application/json")(stream)
    elif kind:
        headers = {"Retry-After": "0.2"} if kind == "429" else {}
        await reply("oops", status=_STATUSES[kind], headers=headers)(stream)
    elif is_search:
        await reply(_hits(origin, query), content_type="application/json")(stream)
    else:
        await reply(_page(target.path))(stream)


def _hits(origin: str, query: str) -> str:
    found = _ASKED.search(query)
    number = found[1] if found else "0"
    path = f"/page/{number}" if "once more" in query else f"/shelf/{number}"
    hit = {"url": origin + path, "title": f"Shelf {number}", "content": f"What shelf {number} has."}
    return json.dumps({"results": [hit]})


def _page(path: str) -> str:
    number = int(path.rpartition("/")[2])
    text = "Nothing is written here." if number % 5 == 4 else f"The token here is {token(number)}."
    return f"<html><title>Shelf {number}</title><body><p>{text}</p></body></html>"


async def _serve(ports: tuple[int, int, int], rate: float, pause_seconds: float) -> None:
    async with faulty_servers(Faults(rate=rate, pause_seconds=pause_seconds), ports) as servers:
        urls = (servers.model_url, servers.judge_url, servers.web_url)
        sys.stdout.write(" ".join(urls) + "\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


if __name__ == "__main__":
    model_port, judge_port, web_port = map(int, sys.argv[1:4])
    rate, pause = map(float, (*sys.argv[4:6], "0", "0")[:2])
    anyio.run(_serve, (model_port, judge_port, web_port), rate, pause)
