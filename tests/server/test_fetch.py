"""Downloading within limits."""

import sys
import time
import zlib
from collections.abc import Mapping
from dataclasses import replace

import anyio
import anyio.lowlevel
import brotli
import pytest
from anyio.abc import SocketStream

from mcp_server.errors import BlockedUrl, FetchError
from mcp_server.visit.fetching.fetch import FetchLimits, fetch
from mcp_server.visit.fetching.transport import build_page_client
from mcp_server.visit.guard import Policy
from mcp_server.visit.types import Resource
from tests.support.fake_web import (
    Script,
    endless,
    gzip_bomb,
    gzip_bytes,
    hang_up,
    in_turn,
    raw,
    redirect,
    reply,
    serve,
    silent,
    trickle,
)
from tests.support.fetching import LIMITS, failure, get, resource_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


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
        ("br", brotli.compress(b"hello " * 1000)),
        ("zstd", zstd.compress(b"hello " * 1000)),
        ("identity", b"hello " * 1000),
    ],
    ids=["gzip", "x-gzip", "two members", "zlib", "raw deflate", "br", "zstd", "identity"],
)
async def test_a_compressed_page_is_unpacked(coding: str, body: bytes) -> None:
    script = reply(body, headers={"Content-Encoding": coding})
    with anyio.fail_after(5):
        async with serve({"/": script}) as web:
            assert (await get(web, "/")).body == b"hello " * 1000


@pytest.mark.parametrize(
    ("coding", "bomb"),
    [
        ("gzip", gzip_bomb(30)),
        ("deflate", zlib.compress(bytes(30_000_000), 1)),
        ("br", brotli.compress(bytes(30_000_000), quality=1)),
        ("zstd", zstd.compress(bytes(30_000_000))),
    ],
    ids=["gzip", "deflate", "br", "zstd"],
)
async def test_a_bomb_is_refused(coding: str, bomb: bytes) -> None:
    script = reply(bomb, headers={"Content-Encoding": coding})
    assert "larger than 1,000,000 bytes" in str(await failure(script))


@pytest.mark.parametrize("coding", ["gzip, gzip", "br, gzip", "gzip, identity", "nonsense"])
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
    assert "cut short" in str(error)
    assert error.retryable


async def drip_head(stream: SocketStream) -> None:
    """A head without an end, a line now and then."""
    await stream.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await stream.send(b"X: y\r\n")
        await anyio.sleep(0.02)


@pytest.mark.parametrize(
    "script", [silent, trickle, drip_head], ids=["silent", "trickle", "dripping head"]
)
async def test_a_slow_page_ends_at_the_deadline(script: Script) -> None:
    error = await failure(script, FetchLimits(deadline_seconds=0.3))
    assert "within 0.3 seconds" in str(error)
    assert error.retryable


async def test_a_name_server_that_never_answers_ends_at_the_deadline() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        await anyio.sleep_forever()
        return []

    limits = FetchLimits(deadline_seconds=0.1)
    async with build_page_client(Policy(), user_agent="seekling-test/0", resolver=resolve) as http:
        with anyio.fail_after(5), pytest.raises(FetchError, match=r"within 0\.1 seconds"):
            await fetch("https://example.com/", http=http, policy=Policy(), limits=limits)


async def test_five_redirects_are_followed_and_no_more() -> None:
    chain = {f"/{number}": redirect(f"/{number + 1}") for number in range(1, 7)}
    routes = chain | {"/7": reply("the end")}
    resource, _ = await resource_of(routes, "/2")
    assert resource.body == b"the end"
    with anyio.fail_after(5):
        async with serve(routes) as web:
            with pytest.raises(FetchError, match="more than 5 times"):
                await get(web, "/1")


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


async def test_a_header_bomb_is_refused() -> None:
    bomb = raw(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 400_000 + b"\r\n\r\n")
    assert "malformed HTTP reply" in str(await failure(bomb))


async def test_many_headers_cost_no_more_than_few() -> None:
    names = "".join(f"{number:x}:\r\n" for number in range(11_500))
    cookies = f"Set-Cookie: a=b\r\nSet-Cookie2: {'a,' * 40_000}\r\n"
    for lines in (names, cookies):
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{lines}\r\n"
        started = time.process_time()
        resource, _ = await resource_of({"/": raw(head.encode() + b"<p>hi")})
        assert resource.body == b"<p>hi"
        assert time.process_time() - started < 1


async def test_interim_answers_without_end_are_refused() -> None:
    async def flood(stream: SocketStream) -> None:
        while True:
            await stream.send(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 500)

    assert str(await failure(flood)) == "the site sends headers without end"


async def test_a_few_interim_answers_are_passed_over() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" * 10
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nread"
    resource, _ = await resource_of({"/": raw(hints + answer)})
    assert resource.body == b"read"


async def test_a_page_in_pieces_of_a_byte_is_refused() -> None:
    async def crumbs(stream: SocketStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await stream.send(b"1\r\na\r\n" * 5_000)

    # It takes a second of the processor, and on a busy machine many of the clock.
    patient = replace(LIMITS, deadline_seconds=60)
    assert "too many small pieces" in str(await failure(crumbs, patient))


async def test_a_page_in_tiny_pieces_lets_other_calls_have_their_turn() -> None:
    pieces = 10_000
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    body = b"1\r\na\r\n" * pieces + b"0\r\n\r\n"
    script = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    with anyio.fail_after(60):
        async with serve({"/": script}) as web, anyio.create_task_group() as others:
            others.start_soon(take_turns)
            resource = await get(web, "/", replace(LIMITS, deadline_seconds=50))
            others.cancel_scope.cancel()
            assert resource.body == b"a" * pieces
    assert turns > pieces / 32  # all of them came in a few reads of the socket


async def test_a_tls_handshake_without_an_answer_ends_at_the_deadline() -> None:
    limits = FetchLimits(deadline_seconds=0.3)
    with anyio.fail_after(5):
        async with serve({}) as web:
            with pytest.raises(FetchError, match="did not answer within"):
                await get(web, "/", limits, scheme="https")


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


async def test_the_headers_of_the_answer_come_with_the_page() -> None:
    page = reply("x", headers={"ETag": '"1"', "Vary": "Accept", "VARY": "Cookie"})
    resource, _ = await resource_of({"/": page})
    assert resource.headers["etag"] == '"1"'
    assert resource.headers["vary"] == "Accept, Cookie"


async def revalidate(
    routes: Mapping[str, Script], validators: Mapping[str, str], *, other_host: bool = False
) -> tuple[Resource, list[str]]:
    """Ask for `/` with validators; `/` of the other host is where a redirect may lead."""
    async with serve(routes) as web:
        if other_host:
            routes = {"/": redirect(web.url("/", host="localhost"))}
        async with serve(routes) as first:
            policy = Policy(
                allowed_ports=frozenset({web.port, first.port}),
                allow_private=("127.0.0.1/32", "localhost"),
            )
            async with build_page_client(policy, user_agent="seekling-test/0") as http:
                resource = await fetch(
                    first.url("/"), http=http, policy=policy, limits=LIMITS, validators=validators
                )
            return resource, [*first.requests, *web.requests]


async def test_a_copy_that_is_still_good_is_not_sent_again() -> None:
    with anyio.fail_after(5):
        resource, requests = await revalidate(
            {"/": reply(status="304 Not Modified", headers={"ETag": '"1"'})},
            {"If-None-Match": '"1"', "If-Modified-Since": "Mon, 23 Nov 2026 00:00:00 GMT"},
        )
    assert (resource.status, resource.body) == (304, b"")
    assert 'if-none-match: "1"' in requests[0].lower()
    assert "if-modified-since: mon, 23 nov 2026" in requests[0].lower()


async def test_a_copy_that_has_changed_is_sent() -> None:
    with anyio.fail_after(5):
        resource, _ = await revalidate({"/": reply("new")}, {"If-None-Match": '"1"'})
    assert (resource.status, resource.body) == (200, b"new")


async def test_validators_are_not_sent_to_another_host() -> None:
    with anyio.fail_after(5):
        resource, requests = await revalidate(
            {"/": reply("there")}, {"If-None-Match": '"1"'}, other_host=True
        )
    assert resource.body == b"there"
    assert ["if-none-match" in head.lower() for head in requests] == [True, False]


@pytest.mark.parametrize(
    "validators",
    [{"If-None-Match": "a\r\nX: y"}, {"If-None-Match": "ü"}, {"ETag": "a" * 9}, {"Cookie": "a=b"}],
)
async def test_validators_that_are_none_are_not_sent(validators: Mapping[str, str]) -> None:
    with anyio.fail_after(5):
        _, requests = await revalidate({"/": reply("page")}, validators)
    assert not any(f"\r\n{name.lower()}:" in requests[0].lower() for name in (*validators, "x"))


async def test_an_unasked_not_modified_is_an_error() -> None:
    assert (await failure(reply(status="304 Not Modified"))).status == 304


async def test_a_short_wait_that_the_site_asks_for_is_kept() -> None:
    busy = reply(status="503 Service Unavailable", headers={"Retry-After": "1"})
    started_at = anyio.current_time()
    resource, web = await resource_of({"/": in_turn(busy, reply("back"))})
    assert resource.body == b"back"
    assert len(web.requests) == 2
    assert anyio.current_time() - started_at >= 1


@pytest.mark.parametrize("retry_after", ["4", "11", "3600"])
async def test_a_wait_that_does_not_fit_into_the_deadline_is_reported(retry_after: str) -> None:
    busy = reply(status="429 Too Many Requests", headers={"Retry-After": retry_after})
    with anyio.fail_after(3.9):  # less than the shortest wait
        async with serve({"/": in_turn(busy, reply("back"))}) as web:
            with pytest.raises(FetchError, match="asks to wait") as caught:
                await get(web, "/", FetchLimits(deadline_seconds=4.9))
    assert caught.value.retry_after_seconds == float(retry_after)
    assert len(web.requests) == 1


async def test_a_wait_that_does_not_fit_into_the_callers_deadline_is_reported() -> None:
    busy = reply(status="429 Too Many Requests", headers={"Retry-After": "2"})
    async with serve({"/": busy}) as web:
        with anyio.fail_after(2.5), pytest.raises(FetchError, match="wait 2 seconds"):
            await get(web, "/")
    assert len(web.requests) == 1


async def test_a_connection_that_breaks_before_the_answer_is_tried_once_more() -> None:
    resource, web = await resource_of({"/": in_turn(hang_up, reply("back"))})
    assert resource.body == b"back"
    assert len(web.requests) == 2


async def test_a_connection_that_breaks_again_is_an_error() -> None:
    with anyio.fail_after(5):
        async with serve({"/": hang_up}) as web:
            with pytest.raises(FetchError, match="the connection broke") as caught:
                await get(web, "/")
    assert caught.value.retryable
    assert len(web.requests) == 2


async def test_an_answer_that_breaks_off_is_not_asked_for_again() -> None:
    with anyio.fail_after(5):
        half = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        async with serve({"/": half}) as web:
            with pytest.raises(FetchError, match="cut short"):
                await get(web, "/")
    assert len(web.requests) == 1


async def test_a_site_that_sends_too_slowly_is_given_up() -> None:
    limits = FetchLimits(deadline_seconds=5, patience_seconds=0.3)
    with anyio.fail_after(4):
        error = await failure(trickle, limits)
    assert str(error) == "the site sends the page too slowly"
    assert error.retryable


async def test_a_site_that_sends_slowly_but_fast_enough_is_read() -> None:
    async def steady(stream: SocketStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1200\r\n\r\n")
        for _ in range(12):
            await stream.send(b"x" * 100)
            await anyio.sleep(0.1)

    limits = FetchLimits(deadline_seconds=20, patience_seconds=1, min_bytes_per_second=200)
    with anyio.fail_after(20):
        async with serve({"/": steady}) as web:
            assert len((await get(web, "/", limits)).body) == 1200


async def test_a_cancelled_fetch_hangs_up_at_once() -> None:
    asked, hung_up = anyio.Event(), anyio.Event()

    async def watch(stream: SocketStream) -> None:
        asked.set()
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        hung_up.set()

    with anyio.fail_after(5):
        async with serve({"/": watch}) as web, anyio.create_task_group() as tasks:
            tasks.start_soon(get, web, "/")
            await asked.wait()
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True), anyio.fail_after(4):
                await hung_up.wait()
