"""A model server for `agent_episode.py` that answers without delay, in a process of its own.

    python -m tests.bench.agent_model whole|tokens      # the first line it prints is its port

It counts the results in a request and answers with the next step, in the form that the request
asks for: Seekling's two wires, and what the peers send. `whole` puts a reply into one event,
`tokens` four characters into each, as servers stream.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import anyio
from anyio.abc import SocketAttribute, SocketStream

from tests.bench.agent_episode import ENVIRONMENT, VISITS, url_of

REASONING = "I should look at the next page, since what I have read so far is not enough. " * 5
NUDGE = "Search before you answer."
TOKEN_CHARS = 4
_RESULTS = (
    b'"role":"tool"',
    b'"role": "tool"',
    rb"<tool_response>\n",
    b'"text":"Observation:',
    b'"text": "Observation:',
)
"""How a result looks: of a tool call, in a raw prompt, and as smolagents tells it. Counted one by
one, as that is much faster than a regex in the 60 kB of a request."""
_RECEIVE_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class ModelServer:
    """A model server that runs."""

    port: int
    pid: int


def written_reply(body: bytes) -> tuple[str, str, str]:
    """Reasoning, tool name and arguments (as JSON), or reasoning, "" and the answer."""
    found = re.search(rb"episode (\d+)", body)
    episode = int(found.group(1)) if found else 0
    told = re.search(rb"after (\d+) visits", body) if b" visits" in body else None
    visits = int(told[1]) if told else VISITS
    done = sum(map(body.count, _RESULTS))
    if done == 0 and b"too soon" in body and NUDGE.encode() not in body:
        return REASONING, "", "It is the fox."
    if done == 0:
        return REASONING, "web_search", json.dumps({"query": f"topic {episode}"})
    if done <= visits:
        return REASONING, "web_visit", json.dumps({"url": url_of(episode, done - 1)})
    answer = f"It is the fox [{url_of(episode, 0)}]. \\boxed{{fox}}"
    if b'"final_answer"' in body:
        return REASONING, "final_answer", json.dumps({"answer": answer})
    return REASONING, "", answer


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
    """The same without a stream."""
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
    step = TOKEN_CHARS if pieces == "tokens" else 1_000_000

    async def handle(stream: SocketStream) -> None:
        async with stream:
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    try:
                        data += await stream.receive(_RECEIVE_BYTES)
                    except (anyio.EndOfStream, anyio.BrokenResourceError):
                        return
                head, _, data = data.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                size = int(length.group(1)) if length else 0
                while len(data) < size:
                    data += await stream.receive(_RECEIVE_BYTES)
                body, data = data[:size], data[size:]
                await answer(stream, head.split(b" ")[1], body, step)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1", backlog=1_024) as listener:
        print(listener.extra(SocketAttribute.local_port), flush=True)
        await listener.serve(handle)


async def answer(stream: SocketStream, path: bytes, body: bytes, step: int) -> None:
    """Send the reply to one request."""
    make = {b"/v1/chat/completions": chat_events, b"/generate": generate_events}.get(path)
    if make is None:
        await stream.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")
        return
    if b'"stream":true' not in body and b'"stream": true' not in body:
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


@contextmanager
def model_server(pieces: str = "whole") -> Generator[ModelServer]:
    """The model server in a process of its own."""
    with subprocess.Popen(
        [sys.executable, __file__, pieces], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as server:
        assert server.stdout is not None
        try:
            yield ModelServer(int(server.stdout.readline()), server.pid)
        finally:
            server.terminate()


def run_peer(about: str | None, run: Callable[[int, int, int], dict[str, float]]) -> None:
    """Run an agent's episodes and print the figures: a line for a person, then JSON.

    Args:
        about: the program's text.
        run: takes the model server's port, how many episodes run at once, and how many there are.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--episodes", type=int, default=64)
    parser.add_argument("--port", type=int, help="of a model server; one is started without it")
    options = parser.parse_args()
    if options.port:
        figures = run(options.port, options.at_once, options.episodes)
    else:
        with model_server() as model:
            figures = run(model.port, options.at_once, options.episodes)
    print(
        f"{options.at_once} at once: {figures['cpu_ms_per_turn']:.2f} ms CPU/turn,"
        f" {figures['turns_per_second']:,.0f} turns/s,"
        f" {figures['mb_per_episode']:.3f} MB per episode"
    )
    print(json.dumps(figures))


if __name__ == "__main__":
    anyio.run(serve_model, sys.argv[1])
