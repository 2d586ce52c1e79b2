"""A fake of SGLang's raw side for tests: `/generate`, `/v1/completions` and `/tokenize` over HTTP.

It has a tokenizer, a toy that keeps the traps of real ones: some pairs of characters are one token
in a text that is tokenized, but two where the model wrote them. And it has a prefix cache, so that
its `cached_tokens` are those of a real server that was asked the same.

In a test::

    async with scripted_generate(["<think>\nhm\n</think>\n\nParis."]) as server:
        ...  # call server.base_url; look at server.requests and server.prompts
"""

import json
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
from anyio.abc import SocketAttribute, SocketStream

Json = dict[str, Any]

SPECIAL = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>")
MERGED = ("\n\n", "th", "er", ">\n", " a", '": "')
FIRST_SPECIAL, FIRST_MERGED = 2_000_000, 3_000_000
_SPLIT = re.compile(f"({'|'.join(map(re.escape, SPECIAL))})")
_MERGE = re.compile("|".join(map(re.escape, MERGED)))


def tokenize(text: str) -> list[int]:
    """Give the ids that the tokenizer makes of a text: control tokens first, then merges."""
    ids: list[int] = []
    for part in _SPLIT.split(text):
        if part in SPECIAL:
            ids.append(FIRST_SPECIAL + SPECIAL.index(part))
            continue
        start = 0
        for match in _MERGE.finditer(part):
            ids += map(ord, part[start : match.start()])
            ids.append(FIRST_MERGED + MERGED.index(match[0]))
            start = match.end()
        ids += map(ord, part[start:])
    return ids


def written(text: str) -> list[int]:
    """Give the ids in which the model writes a text: it never uses the merges."""
    parts = _SPLIT.split(text)
    return [
        token for part in parts for token in (tokenize(part) if part in SPECIAL else map(ord, part))
    ]


def detokenize(ids: Sequence[int]) -> str:
    """Give the text of some ids."""
    return "".join(
        MERGED[token - FIRST_MERGED]
        if token >= FIRST_MERGED
        else SPECIAL[token - FIRST_SPECIAL]
        if token >= FIRST_SPECIAL
        else chr(token)
        for token in ids
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What the model writes, or how it fails."""

    text: str = ""
    finish: Literal["stop", "length", "abort"] = "stop"
    abort_status: int | None = None
    """Of an abort; None is one without a reason, as after `/abort_request`."""
    error: Json | None = None
    """Sent as an event instead of the end."""
    has_ids: bool = True
    ends_early: bool = False
    """Close the connection before the last event."""
    stalls: bool = False
    """Send the first event and nothing more."""
    is_cumulative: bool = True
    """False is SGLang's `--incremental-streaming-output`."""
    keeps_stop: bool = False
    """Send the stop as text, too, as a server that was asked not to trim it."""


Script = Sequence[str | Written] | Callable[[str], str]


@dataclass(slots=True)
class ScriptedGenerate:
    """A running server and what it was asked."""

    script: Script
    tokenizer: Callable[[str], object] | None
    port: int = 0
    requests: list[Json] = field(default_factory=list[Json])
    """Bodies of the generation requests."""
    prompts: list[str] = field(default_factory=list[str])
    """What the model was given to continue, as text, whatever way it came."""
    tokenized: list[str] = field(default_factory=list[str])
    """The texts that `/tokenize` was asked for."""
    aborts: list[str] = field(default_factory=list[str])
    seen: list[list[int]] = field(default_factory=list[list[int]])
    """The prefix cache: all sequences so far."""
    stalled: anyio.Event = field(default_factory=anyio.Event)
    """Set when a reply stalls."""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def next_written(self, request: Json, prompt: list[int]) -> Written:
        self.requests.append(request)
        self.prompts.append(detokenize(prompt))
        if callable(self.script):
            return Written(text=self.script(self.prompts[-1]))
        reply = self.script[len(self.requests) - 1]
        return Written(text=reply) if isinstance(reply, str) else reply

    def cached_tokens(self, prompt: list[int]) -> int:
        best = max((_common(sequence, prompt) for sequence in self.seen), default=0)
        return min(best, len(prompt) - 1)  # the last token is always computed


def _common(some: list[int], others: list[int]) -> int:
    if others[: len(some)] == some:
        return len(some)
    pairs = enumerate(zip(some, others, strict=False))
    return next((i for i, (a, b) in pairs if a != b), len(others))


@asynccontextmanager
async def scripted_generate(
    script: Script, *, tokenizer: Callable[[str], object] | None = tokenize
) -> AsyncGenerator[ScriptedGenerate]:
    """Serve a script on a free loopback port until the block is left.

    `tokenizer` gives the `tokens` that `/tokenize` tells; None answers 404.
    """
    server = ScriptedGenerate(script, tokenizer)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        server.port = listener.extra(SocketAttribute.local_port)

        async def handle(stream: SocketStream) -> None:
            async with stream:
                with suppress(anyio.BrokenResourceError, anyio.EndOfStream):
                    await _serve_one(server, stream)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, handle)
            try:
                yield server
            finally:
                tasks.cancel_scope.cancel()


async def _serve_one(server: ScriptedGenerate, stream: SocketStream) -> None:
    path, body = await _read_request(stream)
    if path == "/tokenize" and server.tokenizer is not None:
        server.tokenized.append(body["prompt"])
        ids = server.tokenizer(body["prompt"])
        await _send(stream, 200, {"tokens": ids, "max_model_len": 131_072})
    elif path == "/abort_request":
        server.aborts.append(body["rid"])
        await _send(stream, 200, "")
    elif path in ("/generate", "/v1/completions"):
        key = "prompt" if path == "/v1/completions" else "text"
        given = body.get("input_ids") or body[key]
        prompt: list[int] = tokenize(given) if isinstance(given, str) else given
        reply = server.next_written(body, prompt)
        events = _generated if path == "/generate" else _completed
        await _stream(stream, reply, list(events(server, reply, body, prompt)), server.stalled)
    else:
        await _send(stream, 404, {"detail": "Not Found"})


def _generated(
    server: ScriptedGenerate, reply: Written, request: Json, prompt: list[int]
) -> Iterator[Json]:
    """Make the events of `/generate`, as SGLang 0.5.23 sends them."""
    ids, finish = _ids_and_finish(reply)
    cached = server.cached_tokens(prompt)
    server.seen.append(prompt + ids)
    step = request["sampling_params"].get("stream_interval", 1)
    sent = sent_chars = 0
    for end in [*range(1, len(ids), step), len(ids)]:
        is_last = end == len(ids)
        meta = {
            "id": request.get("rid"),
            "finish_reason": finish if is_last else None,
            "prompt_tokens": len(prompt),
            "completion_tokens": end,
            "cached_tokens": cached,
        }
        text = reply.text if is_last else detokenize(ids[:end])
        whole = {"text": text, "output_ids": ids[:end]}
        new = {"text": text[sent_chars:], "output_ids": ids[sent:end]}
        event = (whole if reply.is_cumulative else new) | {"meta_info": meta}
        if not reply.has_ids:
            del event["output_ids"]
        yield event
        sent, sent_chars = end, len(text)


def _completed(
    server: ScriptedGenerate, reply: Written, request: Json, prompt: list[int]
) -> Iterator[Json]:
    """Make the events of `/v1/completions`, in the form of vLLM and SGLang."""
    ids, finish = _ids_and_finish(reply)
    cached = server.cached_tokens(prompt)
    server.seen.append(prompt + ids)
    shown = reply.text + (SPECIAL[1] if reply.keeps_stop and reply.finish == "stop" else "")
    for at in range(0, len(shown), 5):
        choice: Json = {"index": 0, "text": shown[at : at + 5], "finish_reason": None}
        if at == 0 and reply.has_ids and request.get("return_token_ids"):
            choice["token_ids"] = ids
        yield {"object": "text_completion", "choices": [choice]}
    last = {"index": 0, "text": "", "finish_reason": finish["type"]}
    yield {"object": "text_completion", "choices": [last]}
    usage = {
        "prompt_tokens": len(prompt),
        "completion_tokens": len(ids),
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    yield {"object": "text_completion", "choices": [], "usage": usage}


def _ids_and_finish(reply: Written) -> tuple[list[int], Json]:
    ids = written(reply.text)
    if reply.finish == "stop":
        return [*ids, FIRST_SPECIAL + 1], {"type": "stop", "matched": FIRST_SPECIAL + 1}
    if reply.finish == "length":
        return ids, {"type": "length", "length": len(ids)}
    status = {"status_code": reply.abort_status, "err_type": None}
    return ids, {"type": "abort", "message": "The request queue is full."} | status


async def _stream(
    stream: SocketStream, reply: Written, events: list[Json], stalled: anyio.Event
) -> None:
    await stream.send(_head(200, "Content-Type: text/event-stream", "Transfer-Encoding: chunked"))
    if reply.ends_early or reply.error:
        del events[-1]
    lines = [json.dumps(event) for event in [*events, *([reply.error] if reply.error else [])]]
    for line in [*lines, *([] if reply.ends_early else ["[DONE]"])]:
        data = f"data: {line}\n\n".encode()
        await stream.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        if reply.stalls:
            stalled.set()
            await anyio.sleep_forever()
    await stream.send(b"0\r\n\r\n")


async def _read_request(stream: SocketStream) -> tuple[str, Json]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    while len(body) < int(length[1] if length else 0):
        body += await stream.receive()
    return head.decode().split(" ", 2)[1], json.loads(body)


async def _send(stream: SocketStream, status: int, body: object) -> None:
    data = json.dumps(body).encode()
    fields = ("Content-Type: application/json", f"Content-Length: {len(data)}")
    await stream.send(_head(status, *fields) + data)


def _head(status: int, *fields: str) -> bytes:
    return "\r\n".join(
        [f"HTTP/1.1 {status} Scripted", "Connection: close", *fields, "", ""]
    ).encode()
