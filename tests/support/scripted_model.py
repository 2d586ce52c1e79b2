"""A model server for tests: real HTTP on loopback, replies from a script, faults on demand.

In a test::

    async with scripted_model([Reply(tool_calls=[("web_search", {"query": "x"})]),
                               Reply(text="done")]) as model:
        ...  # call model.base_url; look at model.requests

A script is a list of replies, used one by one, or a function from the request's JSON to a reply.
As a process, `python -m tests.support.scripted_model --port 0 --policy search-visit-echo` prints
its port as the first line on stdout and serves until it is ended.

The stream has the form of SGLang 0.5.23: a role chunk, reasoning, text, calls in fragments whose
`id` and `name` are null, a finish chunk, usage, `[DONE]`.
"""

import argparse
import json
import re
import ssl
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.tls import TLSStream

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model says, or how it fails. The first fault that is set decides."""

    text: str = ""
    reasoning: str = ""
    tool_calls: Sequence[tuple[str, Mapping[str, object] | str]] = ()
    """Names and arguments; arguments as a string are sent as they are."""
    finish_reason: str | None = None
    """None: "tool_calls" with calls, else "stop"."""

    is_silent: bool = False
    """Read the request and never answer."""
    hangs_up: bool = False
    """Read the request and close the connection."""
    status: int = 200
    """Other than 200: answer with this status and `body`."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Added to an answer with a `status` or a `raw` body."""
    body: str | bytes = ""
    """Of an answer with a `status`."""
    raw: bytes | None = None
    """Answer 200 with these bytes as the whole stream: garbage, or a recorded one."""
    is_full_in_stream: bool = False
    """Answer 200 and then, inside of the stream, that the queue is full (503)."""
    cut_after_bytes: int | None = None
    """Close the connection after so many bytes of the stream."""
    stall_after_bytes: int | None = None
    """Send so many bytes of the stream, then nothing more."""
    pause_seconds: float = 0.0
    """Between two chunks of the stream."""
    piece_chars: int = 5
    """How much text or arguments is in one chunk."""


Script = Sequence[Reply] | Callable[[Json], Reply]


@dataclass(slots=True)
class ScriptedModel:
    """A running server and what it was asked."""

    script: Script
    model: str = "scripted"
    api_key: str | None = None
    """When set, `/v1/…` needs it as a bearer token."""
    keeps_alive: bool = False
    """Whether a connection can be used again after a whole reply."""
    routes: Mapping[str, object] = field(default_factory=dict[str, object])
    """Replies by path, for GET and POST: an object sent as JSON, or a `Reply` with a `status`."""
    is_tls: bool = False
    port: int = 0
    requests: list[Json] = field(default_factory=list[Json])
    """Bodies of the chat-completion requests, in order of arrival."""
    aborts: list[str] = field(default_factory=list[str])
    """Request ids that were sent to `/abort_request`."""
    connections: int = 0
    """How many were accepted."""
    hang_ups: int = 0
    """How many the client closed, or tore down, before the reply was over."""
    running: int = 0
    """How many replies are being written now."""

    @property
    def base_url(self) -> str:
        origin = "https://localhost" if self.is_tls else "http://127.0.0.1"
        return f"{origin}:{self.port}/v1"

    def next_reply(self, request: Json) -> Reply:
        self.requests.append(request)
        if callable(self.script):
            return self.script(request)
        if len(self.requests) > len(self.script):
            return Reply(status=500, body='{"error": {"message": "the script is over"}}')
        return self.script[len(self.requests) - 1]


@asynccontextmanager
async def scripted_model(
    script: Script,
    *,
    model: str = "scripted",
    api_key: str | None = None,
    keeps_alive: bool = False,
    routes: Mapping[str, object] | None = None,
    tls: ssl.SSLContext | None = None,
    port: int = 0,
) -> AsyncGenerator[ScriptedModel]:
    """Serve a script on a loopback port (0: a free one) until the block is left.

    With `tls`, it speaks https at that port; its `base_url` then names "localhost".
    """
    server = ScriptedModel(
        script, model, api_key, keeps_alive, routes or {}, is_tls=tls is not None
    )
    failure: Exception | None = None
    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port) as listener:
        server.port = listener.extra(SocketAttribute.local_port)

        async def handle(raw: SocketStream) -> None:
            server.connections += 1
            # the client may go away at any time, or trust nobody
            with suppress(anyio.BrokenResourceError, anyio.EndOfStream, ssl.SSLError):
                async with raw:
                    stream = raw if tls is None else await _wrap(raw, tls)
                    while await _serve_one(server, stream):
                        pass

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, handle)
            try:
                yield server
            except Exception as exc:  # noqa: BLE001 - raised below, not wrapped in a group
                failure = exc
            finally:
                tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _wrap(stream: SocketStream, tls: ssl.SSLContext) -> TLSStream:
    return await TLSStream.wrap(
        stream, server_side=True, ssl_context=tls, standard_compatible=False
    )


async def _serve_one(server: ScriptedModel, stream: ByteStream) -> bool:
    """Answer one request; say whether the connection can be used again."""
    method, path, headers, body = await _read_request(stream)
    token = None if server.api_key is None else f"Bearer {server.api_key}"
    if token and path.startswith("/v1/") and headers.get("authorization") != token:
        await _send_whole(stream, 401, {"error": "Unauthorized"})
    elif path in server.routes:
        await _send_route(stream, server.routes[path])
    elif (method, path) == ("GET", "/v1/models"):
        listed = {"id": server.model, "object": "model", "owned_by": "scripted"}
        await _send_whole(stream, 200, {"object": "list", "data": [listed]})
    elif (method, path) == ("POST", "/abort_request"):
        server.aborts.append(json.loads(body)["rid"])
        await _send_whole(stream, 200, "")
    elif (method, path) == ("POST", "/v1/chat/completions"):
        request: Json = json.loads(body)
        server.running += 1
        try:
            return await _send_reply(server, stream, server.next_reply(request), request)
        finally:
            server.running -= 1
    else:
        await _send_whole(stream, 404, {"detail": "Not Found"})
    return False


async def _send_route(stream: ByteStream, answer: object) -> None:
    if isinstance(answer, Reply):
        if answer.is_silent:
            await anyio.sleep_forever()
        await _send_whole(stream, answer.status, answer.body, answer.headers)
    else:
        await _send_whole(stream, 200, answer)


async def _read_request(stream: ByteStream) -> tuple[str, str, dict[str, str], bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    request_line, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = request_line.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    while len(body) < int(headers.get("content-length", "0")):
        body += await stream.receive()
    return method, path, headers, body


async def _send_whole(
    stream: ByteStream, status: int, body: object, headers: Mapping[str, str] | None = None
) -> None:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    data = text.encode() if isinstance(text, str) else text
    fields = {"Content-Type": "application/json", "Content-Length": str(len(data))}
    await stream.send(_head(status, fields | dict(headers or {})) + data)


def _head(status: int, headers: Mapping[str, str], *, keeps_alive: bool = False) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted"]
    if not keeps_alive:
        lines.append("Connection: close")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _send_reply(
    server: ScriptedModel, stream: ByteStream, reply: Reply, request: Json
) -> bool:
    if reply.hangs_up:
        return False
    if reply.status != 200:
        await _send_whole(stream, reply.status, reply.body, reply.headers)
        return False
    try:
        return await _send_stream(server, stream, reply, request) and server.keeps_alive
    except (anyio.BrokenResourceError, anyio.EndOfStream):
        server.hang_ups += 1
        return False


async def _send_stream(
    server: ScriptedModel, stream: ByteStream, reply: Reply, request: Json
) -> bool:
    """Send a reply as a stream; say whether it is whole."""
    if reply.is_silent:
        await stream.receive()  # until the client hangs up
    fields = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}
    head = _head(200, fields | dict(reply.headers), keeps_alive=server.keeps_alive)
    await stream.send(head)
    sent = 0
    limits = [n for n in (reply.cut_after_bytes, reply.stall_after_bytes) if n is not None]
    for chunk in _body(reply, request):
        part = chunk[: min(limits) - sent] if limits else chunk
        sent += len(part)
        if part:
            await stream.send(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        if limits and sent >= min(limits):
            if reply.stall_after_bytes is not None:
                await stream.receive()  # until the client hangs up
            return False  # without the last chunk: the client sees a broken connection
        if reply.pause_seconds:
            await anyio.sleep(reply.pause_seconds)
    await stream.send(b"0\r\n\r\n")
    return True


def _body(reply: Reply, request: Json) -> Iterator[bytes]:
    """Make the stream, one event at a time."""
    if reply.raw is not None:
        yield reply.raw
        return
    if reply.is_full_in_stream:
        error = {"object": "error", "message": "The request queue is full."}
        yield _event({"error": error | {"type": "SERVICE_UNAVAILABLE", "code": 503}})
        yield b"data: [DONE]\n\n"
        return
    count = 0
    for delta in _deltas(reply, request):
        count += 1
        yield _event(_chunk(request, {"index": 0, "delta": delta, "finish_reason": None}))
    reason = reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")
    last = {"index": 0, "delta": {"reasoning_content": None}, "finish_reason": reason}
    yield _event(_chunk(request, last))
    usage = {"prompt_tokens": len(json.dumps(request["messages"])) // 4, "completion_tokens": count}
    yield _event(_chunk(request) | {"usage": usage})
    yield b"data: [DONE]\n\n"


def _deltas(reply: Reply, request: Json) -> Iterator[Json]:
    yield {"role": "assistant", "content": "", "reasoning_content": None}
    for piece in _pieces(reply.reasoning, reply.piece_chars):
        yield {"reasoning_content": piece}
    for piece in _pieces(reply.text, reply.piece_chars):
        yield {"role": None, "content": piece, "reasoning_content": None}
    for index, (name, arguments) in enumerate(reply.tool_calls):
        function: Json = {"name": name, "arguments": ""}
        call: Json = {"index": index, "type": "function", "function": function}
        call_id = f"call_{len(request['messages'])}_{index}"  # the same in every run
        yield {"tool_calls": [call | {"id": call_id}]}
        raw = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        for piece in _pieces(raw, reply.piece_chars):
            fragment: Json = {"id": None, "function": {"name": None, "arguments": piece}}
            yield {"tool_calls": [call | fragment]}


def _pieces(text: str, size: int) -> Iterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


def _chunk(request: Json, *choices: Json) -> Json:
    return {
        "id": request.get("rid", "scripted"),
        "object": "chat.completion.chunk",
        "model": request.get("model"),
        "choices": list(choices),
    }


def _event(value: object) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


def search_visit_echo(request: Json) -> Reply:
    r"""Search for the question, open the first result, answer with a quote of it.

    The answer is `\boxed{…}` around the first 300 characters of the last tool result after its
    header, which is everything up to the first empty line. Braces become parentheses. Without a
    `URL:` line in the search result, or once no tools are offered, it quotes what it has.
    """
    messages: list[Json] = request["messages"]
    asked = max(i for i, message in enumerate(messages) if message["role"] == "user")
    results = [message["content"] for message in messages[asked:] if message["role"] == "tool"]
    question = str(messages[asked]["content"]).strip().split("\n\n")[0]
    can_call = bool(request.get("tools"))
    if not results and can_call:
        call = ("web_search", {"query": question})
        return Reply(reasoning="I should search.", tool_calls=[call])
    url = re.search(r"^\W*URL:\W*([a-z]+://\S+)", results[0] if results else "", re.MULTILINE)
    if len(results) == 1 and url and can_call:
        call = ("web_visit", {"url": url[1].rstrip(">)")})
        return Reply(reasoning="I should read the first result.", tool_calls=[call])
    page = results[-1] if results else ""
    header, separator, text = page.partition("\n\n")
    quote = (text if separator else header).strip()[:300]
    return Reply(
        reasoning="The page says it.",
        text="\\boxed{" + quote.replace("{", "(").replace("}", ")") + "}",
        piece_chars=20,
    )


POLICIES: Mapping[str, Callable[[Json], Reply]] = {"search-visit-echo": search_visit_echo}


async def _serve(port: int, policy: str) -> None:
    async with scripted_model(POLICIES[policy], port=port) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a scripted model on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--policy", choices=sorted(POLICIES), required=True)
    arguments = parser.parse_args()
    anyio.run(_serve, arguments.port, arguments.policy)


if __name__ == "__main__":
    main()
