"""Downloading within limits."""

import zlib

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from mcp_server.errors import BlockedUrl, FetchError
from mcp_server.visit.fetch import FetchLimits, fetch
from mcp_server.visit.guard import Policy
from mcp_server.visit.transport import build_page_client
from mcp_server.visit.types import Resource
from tests.support.fake_web import (
    FakeWeb,
    Script,
    endless,
    gzip_bomb,
    gzip_bytes,
    raw,
    redirect,
    reply,
    serve,
    silent,
    trickle,
)

LIMITS = FetchLimits(deadline_seconds=5, max_wire_bytes=300_000, max_body_bytes=1_000_000)


async def get(
    web: FakeWeb, path: str, limits: FetchLimits = LIMITS, *, scheme: str = "http"
) -> Resource:
    policy = Policy(allowed_ports=frozenset({web.port}), allow_private=("127.0.0.1/32",))
    async with build_page_client(policy, user_agent="seekling-test/0") as http:
        url = web.url(path).replace("http:", f"{scheme}:")
        return await fetch(url, http=http, policy=policy, limits=limits)


async def failure(script: Script, limits: FetchLimits = LIMITS) -> FetchError:
    with anyio.fail_after(8):
        async with serve({"/": script}) as web:
            with pytest.raises(FetchError) as caught:
                await get(web, "/", limits)
    assert "127.0.0.1" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


async def test_a_page_comes_with_its_type_and_final_url() -> None:
    with anyio.fail_after(5):
        async with serve({"/": redirect("/next"), "/next": reply("<p>hi")}) as web:
            resource = await get(web, "/#part")
    assert resource.url == web.url("/#part")
    assert resource.final_url == web.url("/next")
    assert resource.body == b"<p>hi"
    assert resource.content_type == "text/html; charset=utf-8"
    assert resource.status == 200


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip_bytes(b"hello " * 1000)),
        ("x-gzip", gzip_bytes(b"hello " * 1000)),
        ("GZIP", gzip_bytes(b"hello " * 500) + gzip_bytes(b"hello " * 500) + b"padding"),
        ("deflate", zlib.compress(b"hello " * 1000)),
        ("deflate", zlib.compress(b"hello " * 1000)[2:-4]),
        ("identity", b"hello " * 1000),
    ],
    ids=["gzip", "x-gzip", "two members", "zlib", "raw deflate", "identity"],
)
async def test_a_compressed_page_is_unpacked(coding: str, body: bytes) -> None:
    script = reply(body, headers={"Content-Encoding": coding})
    with anyio.fail_after(5):
        async with serve({"/": script}) as web:
            assert (await get(web, "/")).body == b"hello " * 1000


async def test_a_gzip_bomb_is_refused() -> None:
    bomb = reply(gzip_bomb(30), headers={"Content-Encoding": "gzip"})
    assert "larger than 1,000,000 bytes" in str(await failure(bomb))


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "gzip, identity", "nonsense"])
async def test_a_coding_that_was_not_asked_for_is_refused(coding: str) -> None:
    body = gzip_bytes(gzip_bytes(b"x"))
    error = await failure(reply(body, headers={"Content-Encoding": coding}))
    assert "compressed" in str(error)


@pytest.mark.parametrize("body", [b"not gzip", gzip_bytes(b"hello" * 1000)[:-20]])
async def test_a_damaged_body_is_an_error_and_not_a_prefix(body: bytes) -> None:
    assert "damaged" in str(await failure(reply(body, headers={"Content-Encoding": "gzip"})))


async def test_an_endless_body_is_refused() -> None:
    assert "larger than 300,000 bytes" in str(await failure(endless))


async def test_a_large_content_length_is_refused_at_once() -> None:
    head = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\nx")
    assert "larger than 300,000 bytes" in str(await failure(head))


async def test_a_body_that_ends_early_is_an_error() -> None:
    error = await failure(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"))
    assert "malformed" in str(error)


@pytest.mark.parametrize("script", [silent, trickle], ids=["silent", "trickle"])
async def test_a_slow_page_ends_at_the_deadline(script: Script) -> None:
    error = await failure(script, FetchLimits(deadline_seconds=0.3))
    assert "within 0.3 seconds" in str(error)
    assert error.retryable


async def test_a_redirect_loop_ends() -> None:
    with anyio.fail_after(5):
        async with serve({"/": redirect("/")}) as web:
            with pytest.raises(FetchError, match="more than 5 times"):
                await get(web, "/")
    assert len(web.requests) == 6


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://localhost/",
        "http://2130706433/",
        "//[::ffff:10.0.0.1]/",
        "file:///etc/passwd",
        "https://user:secret@example.com/",
        "http://example.com:22/",
    ],
)
async def test_a_redirect_to_a_forbidden_place_is_blocked(location: str) -> None:
    with anyio.fail_after(5):
        async with serve({"/": redirect(location)}) as web:
            with pytest.raises(BlockedUrl, match="redirects to a URL that is not allowed"):
                await get(web, "/")


@pytest.mark.parametrize(
    "location", ["http://[::1", "http://a:b:c/", "http://\xff\xfe/", "//", "javascript:x"]
)
async def test_a_malformed_redirect_is_a_clean_error(location: str) -> None:
    with anyio.fail_after(5):
        async with serve({"/": redirect(location)}) as web:
            with pytest.raises((FetchError, BlockedUrl)) as caught:
                await get(web, "/")
    assert "\n" not in str(caught.value)


async def test_a_redirect_with_a_space_is_followed() -> None:
    with anyio.fail_after(5):
        async with serve({"/": redirect("/a b"), "/a%20b": reply("there")}) as web:
            assert (await get(web, "/")).body == b"there"


@pytest.mark.parametrize(
    ("status", "retryable", "hint"),
    [
        ("404 Not Found", False, "does not exist"),
        ("410 Gone", False, "does not exist"),
        ("403 Forbidden", False, "refuses automated readers"),
        ("401 Unauthorized", False, "refuses automated readers"),
        ("400 Bad Request", False, "try another result"),
        ("429 Too Many Requests", True, "try again later"),
        ("500 Internal Server Error", True, "try again later"),
        ("503 Service Unavailable", True, "try again later"),
        ("302 Found", False, "try another result"),
        ("599 Odd", True, "try again later"),
    ],
)
async def test_an_error_status_says_what_to_do(status: str, retryable: bool, hint: str) -> None:
    error = await failure(reply("no", status=status))
    assert error.status == int(status[:3])
    assert error.retryable is retryable
    assert hint in error.hint
    assert str(error).startswith(f"HTTP {status[:3]}")


@pytest.mark.parametrize(
    ("retry_after", "told"),
    [
        ("7", "wait 7 seconds"),
        ("3600", "wait more than 30 seconds"),
        ("Fri, 31 Dec 2999 23:59:59 GMT", "wait more than 30 seconds"),
        ("9" * 400, "wait more than 30 seconds"),
    ],
)
async def test_retry_after_is_told_but_clamped(retry_after: str, told: str) -> None:
    script = reply(status="429 Too Many Requests", headers={"Retry-After": retry_after})
    assert told in str(await failure(script))


@pytest.mark.parametrize("retry_after", ["-5", "soon", "0", "Fri, 31 Dec 1999 23:59:59 GMT"])
async def test_a_meaningless_retry_after_is_not_told(retry_after: str) -> None:
    script = reply(status="429 Too Many Requests", headers={"Retry-After": retry_after})
    assert str(await failure(script)) == "HTTP 429 Too Many Requests"


async def test_a_header_bomb_is_refused() -> None:
    bomb = raw(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 400_000 + b"\r\n\r\n")
    assert "malformed HTTP reply" in str(await failure(bomb))


async def test_a_tls_handshake_without_an_answer_ends_at_the_deadline() -> None:
    limits = FetchLimits(deadline_seconds=0.3)
    with anyio.fail_after(5):
        async with serve({}) as web:
            with pytest.raises(FetchError, match="did not answer within"):
                await get(web, "/", limits, scheme="https")


async def test_a_server_without_a_trusted_certificate_is_a_tls_failure() -> None:
    async def not_tls(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with anyio.fail_after(5):
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        web = FakeWeb(port=int(listener.extra(SocketAttribute.local_port)))
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, not_tls)
            with pytest.raises(FetchError, match="the secure connection failed"):
                await get(web, "/", scheme="https")
            tasks.cancel_scope.cancel()


async def test_a_closed_port_says_no_more_than_that() -> None:
    async with serve({}) as web:
        pass
    with pytest.raises(FetchError) as caught:
        await get(web, "/")
    assert str(caught.value) == "could not connect to the site"


async def test_a_url_that_may_not_be_fetched_sends_nothing() -> None:
    with anyio.fail_after(5):
        async with serve({"/": reply("secret")}) as web:
            policy = Policy()
            async with build_page_client(policy, user_agent="seekling-test/0") as http:
                with pytest.raises(BlockedUrl):
                    await fetch(web.url("/"), http=http, policy=policy, limits=LIMITS)
    assert web.requests == []
