"""The lean HTTP client on real sockets, and httpx behind the same port where they must agree."""

import itertools
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream

from agent_client.model import lean_http
from agent_client.model.http_framing import (
    MAX_HEAD_BYTES,
    ChunkedBody,
    LengthBody,
    UnframedBody,
    body_of,
    split_head,
)
from agent_client.model.lean_http import LeanHttp
from agent_client.model.transport import (
    BadHttp,
    CannotConnect,
    HttpRequest,
    HttpxTransport,
    LinkBroken,
    Transport,
)
from tests.support.certificates import Authority
from tests.support.scripted_model import Reply, ScriptedModel, scripted_model

CHAT = b'{"messages": []}'


async def _read(transport: Transport, url: str, content: bytes = CHAT) -> tuple[int, bytes]:
    headers = {"Content-Type": "application/json"}
    request = HttpRequest(method="POST", url=url, headers=headers, content=content)
    async with transport.send(request) as reply:
        body = b"".join([chunk async for chunk in reply.chunks()])
    return reply.status, body


async def _ask(transport: Transport, server: ScriptedModel) -> bytes:
    status, body = await _read(transport, f"{server.base_url}/chat/completions")
    assert status == 200
    return body


# --- connections ----------------------------------------------------------------------------------


async def test_a_connection_is_used_again_after_a_whole_reply() -> None:
    with anyio.fail_after(10):
        async with (
            scripted_model([Reply(text="a b c " * 99)] * 3, keeps_alive=True) as server,
            LeanHttp() as lean,
        ):
            bodies = {await _ask(lean, server) for _ in range(3)}
    assert (len(bodies), server.connections) == (1, 1)


async def test_a_connection_is_not_used_again_when_the_server_says_so() -> None:
    with anyio.fail_after(10):
        async with scripted_model([Reply(text="a")] * 2) as server, LeanHttp() as lean:
            await _ask(lean, server)
            await _ask(lean, server)
    assert server.connections == 2


async def test_a_reply_that_is_left_early_takes_its_connection_with_it() -> None:
    with anyio.fail_after(10):
        script = [Reply(text="a " * 99_999), Reply(text="b")]
        async with scripted_model(script, keeps_alive=True) as server, LeanHttp() as lean:
            url = f"{server.base_url}/chat/completions"
            request = HttpRequest(method="POST", url=url, headers={}, content=CHAT)
            async with lean.send(request) as reply:
                async for _ in reply.chunks():
                    break
            assert b"b" in await _ask(lean, server)
    assert (server.connections, server.hang_ups) == (2, 1)


async def test_streams_side_by_side_have_connections_of_their_own() -> None:
    with anyio.fail_after(10):
        async with (
            scripted_model(lambda _: Reply(text="a b c"), keeps_alive=True) as server,
            LeanHttp() as lean,
        ):
            for _ in range(2):
                async with anyio.create_task_group() as tasks:
                    for _ in range(20):
                        tasks.start_soon(_ask, lean, server)
    assert server.connections == 20


async def test_a_connection_that_was_closed_while_idle_is_replaced() -> None:
    with anyio.fail_after(10):
        async with LeanHttp() as lean:
            async with scripted_model([Reply(text="a")], keeps_alive=True) as server:
                await _ask(lean, server)
            again = scripted_model([Reply(text="b")], keeps_alive=True, port=server.port)
            async with again as server:
                assert b"b" in await _ask(lean, server)
    assert server.connections == 1


async def test_a_connection_that_is_closed_by_the_next_request_is_replaced_once() -> None:
    """The server gives up an idle connection in the moment in which it is used."""
    script = [Reply(text="a"), Reply(hangs_up=True), Reply(text="b"), Reply(hangs_up=True)]
    with anyio.fail_after(10):
        async with scripted_model(script, keeps_alive=True) as server, LeanHttp() as lean:
            await _ask(lean, server)
            assert b"b" in await _ask(lean, server)
            server.script = [*script, Reply(hangs_up=True)]
            with pytest.raises(LinkBroken):
                await _ask(lean, server)
    assert server.connections == 3


async def test_an_old_connection_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean_http, "IDLE_SECONDS", -1.0)
    with anyio.fail_after(10):
        async with (
            scripted_model([Reply(text="a")] * 3, keeps_alive=True) as server,
            LeanHttp() as lean,
        ):
            for _ in range(3):
                await _ask(lean, server)
    assert server.connections == 3


async def test_a_new_connection_that_is_closed_is_broken() -> None:
    with anyio.fail_after(10):
        async with scripted_model([Reply(hangs_up=True)] * 2) as server, LeanHttp() as lean:
            with pytest.raises(LinkBroken):
                await _ask(lean, server)
    assert len(server.requests) == 1


async def test_an_address_of_ip_version_6_is_reached_and_named() -> None:
    async def handle(stream: SocketStream) -> None:
        async with stream:
            head = await stream.receive()
            host = next(line for line in head.split(b"\r\n") if line.startswith(b"Host"))
            await stream.send(b"HTTP/1.0 200 OK\r\n\r\n" + host)

    with anyio.fail_after(10):
        async with (
            await anyio.create_tcp_listener(local_host="::1") as listener,
            anyio.create_task_group() as tasks,
            LeanHttp() as lean,
        ):
            port = listener.extra(SocketAttribute.local_port)
            tasks.start_soon(listener.serve, handle)
            got = await _read(lean, f"http://[::1]:{port}/a")
            assert got == (200, f"Host: [::1]:{port}".encode())
            tasks.cancel_scope.cancel()


# --- TLS ------------------------------------------------------------------------------------------


async def test_https_is_spoken_and_its_connection_kept(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = authority.server_context("localhost")
    script = [Reply(text="a")] * 2
    with anyio.fail_after(10):
        async with (
            scripted_model(script, tls=tls, keeps_alive=True) as server,
            LeanHttp(lambda: ssl.create_default_context(cafile=authority.file)) as lean,
        ):
            await _ask(lean, server)
            await _ask(lean, server)
    assert server.connections == 1


async def test_the_file_of_trusted_certificates_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    tls = authority.server_context("localhost")
    with anyio.fail_after(10):
        async with scripted_model([Reply(text="a")], tls=tls) as server, LeanHttp() as lean:
            assert await _ask(lean, server)


@pytest.mark.parametrize("host", ["localhost", "elsewhere.test"], ids=["unknown issuer", "name"])
async def test_a_certificate_that_proves_nothing_ends_it(tmp_path: Path, host: str) -> None:
    authority = Authority(tmp_path)
    tls = authority.server_context(host, is_self_signed=host == "localhost")
    with anyio.fail_after(10):
        async with (
            scripted_model([Reply(text="a")], tls=tls) as server,
            LeanHttp(lambda: ssl.create_default_context(cafile=authority.file)) as lean,
        ):
            with pytest.raises(CannotConnect, match="not trusted") as caught:
                await _ask(lean, server)
    assert caught.value.is_permanent
    assert server.requests == []


async def test_a_server_without_tls_is_no_https_server() -> None:
    with anyio.fail_after(10):
        async with (
            _raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url,
            LeanHttp(ssl.create_default_context) as lean,
        ):
            with pytest.raises(CannotConnect):
                await _read(lean, url.replace("http", "https", 1))


# --- requests that are not sent -------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "ftp://h/", "http://", "http://h:99999/", "http://h/a b", "http://é\x00/"],
)
async def test_what_is_no_url_is_a_permanent_failure(url: str) -> None:
    async with LeanHttp() as lean:
        with pytest.raises(CannotConnect) as caught:
            await _read(lean, url)
    assert caught.value.is_permanent


@pytest.mark.parametrize("value", ["a\r\nX: b", "a\nb", "é", "\x00"])
async def test_a_header_cannot_smuggle_another_one(value: str) -> None:
    request = HttpRequest(method="GET", url="http://127.0.0.1:1/", headers={"Authorization": value})
    async with LeanHttp() as lean:
        with pytest.raises(CannotConnect, match="forbids") as caught:
            async with lean.send(request):
                pass
    assert value not in str(caught.value)


# --- replies, by both clients ---------------------------------------------------------------------


@asynccontextmanager
async def _lean() -> AsyncGenerator[Transport]:
    async with LeanHttp() as lean:
        yield lean


@asynccontextmanager
async def _httpx() -> AsyncGenerator[Transport]:
    # loading the certificates would take longer than a test
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:
        yield HttpxTransport(http)


NewTransport = Callable[[], AbstractAsyncContextManager[Transport]]
both = pytest.mark.parametrize("new_transport", [_lean, _httpx], ids=["lean", "httpx"])


@asynccontextmanager
async def _raw_server(answer: bytes) -> AsyncGenerator[str]:
    """Give every request the same bytes, then close the connection."""

    async def handle(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(answer)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, handle)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/"
        tasks.cancel_scope.cancel()


READABLE = {
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2;x=y\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\n\r\n",
    "with a length": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "until the end": b"HTTP/1.0 200 OK\r\n\r\nabc",
    "after an interim reply": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\nContent-Length: 3"
    b"\r\n\r\nabc",
    "line feeds only": b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
    "a length said twice": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
}


@both
@pytest.mark.parametrize("answer", READABLE.values(), ids=READABLE)
async def test_a_body_is_read_however_it_is_framed(
    answer: bytes, new_transport: NewTransport
) -> None:
    with anyio.fail_after(10):
        async with _raw_server(answer) as url, new_transport() as transport:
            assert await _read(transport, url) == (200, b"abc")


BROKEN = {
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", BadHttp),
    "a bad status": (b"HTTP/1.1 abc\r\n\r\n", BadHttp),
    "no length": (b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nabc", BadHttp),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", BadHttp),
    "a bad chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc", BadHttp),
    "an endless head": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, BadHttp),
    "a cut head": (b"HTTP/1.1 200 OK\r\nX", LinkBroken),
    "a cut body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", LinkBroken),
    "a cut chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", LinkBroken),
}


@both
@pytest.mark.parametrize(("answer", "kind"), BROKEN.values(), ids=BROKEN)
async def test_a_broken_reply_is_an_error(
    answer: bytes, kind: type[Exception], new_transport: NewTransport
) -> None:
    with anyio.fail_after(10):
        async with _raw_server(answer) as url, new_transport() as transport:
            with pytest.raises(kind):
                await _read(transport, url)


# --- framing, without a network -------------------------------------------------------------------


def test_a_chunked_body_is_read_wherever_it_is_cut() -> None:
    raw = b"4\r\ndata\r\nA;name=x\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nnext"
    for cuts in itertools.combinations(range(len(raw) + 1), 2):
        body = ChunkedBody()
        edges = [0, *cuts, len(raw)]
        parts = [raw[start:end] for start, end in itertools.pairwise(edges)]
        got = b""
        while parts and not body.is_done:
            got += body.feed(parts.pop(0))
        assert got == b"data0123456789"
        assert body.surplus + b"".join(parts) == b"next"


def test_a_head_is_read_wherever_it_is_cut() -> None:
    raw = b"HTTP/1.1 200 OK\r\nA: 1\r\nB:2\r\na:  3\r\n\r\n"
    for end in range(len(raw)):
        assert split_head(raw[:end]) is None
    read = split_head(raw + b"body")
    assert read is not None
    head, rest = read
    assert (head.status, head.headers, rest) == (200, {"a": "1, 3", "b": "2"}, b"body")
    assert head.keeps_alive


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", LengthBody),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 3\r\n\r\n",
            ChunkedBody,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n", UnframedBody),
    ],
)
def test_the_framing_is_chosen_by_the_head(head: bytes, kind: type[object]) -> None:
    read = split_head(head)
    assert read is not None
    assert isinstance(body_of(read[0]), kind)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1e3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
    ],
)
def test_a_head_that_is_not_understood_is_an_error(head: bytes) -> None:
    with pytest.raises(BadHttp):
        read = split_head(head)
        assert read is not None
        body_of(read[0])


@pytest.mark.parametrize(
    "raw",
    [
        b"x" * 9_999,
        b"+5\r\n",
        b"0x5\r\n",
        b"5_0\r\n",
        b"f" * 16 + b"\r\n",
        b"0\r\n" + b"X: y\r\n" * 9_999,
    ],
)
def test_a_chunk_that_is_none_is_an_error(raw: bytes) -> None:
    with pytest.raises(BadHttp):
        ChunkedBody().feed(raw)


def test_what_is_held_back_of_a_head_is_bounded() -> None:
    with pytest.raises(BadHttp, match="65,536"):
        split_head(b"HTTP/1.1 200 OK\r\n" + b"a" * MAX_HEAD_BYTES)
