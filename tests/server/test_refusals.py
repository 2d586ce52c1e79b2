"""What a site sends instead of a page."""

import time
from collections.abc import Mapping
from email.utils import format_datetime

import anyio
import brotli
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.errors import FetchError
from mcp_server.visit.fetching.fetch import fetch
from mcp_server.visit.fetching.refusals import retry_after_seconds
from mcp_server.visit.fetching.transport import build_page_client
from mcp_server.visit.guard import Policy
from tests.support.fake_web import Script, accept, gzip_bomb, raw, reply
from tests.support.fetching import LIMITS, failure, get, resource_of


@pytest.mark.parametrize(
    ("status", "retryable", "hint"),
    [
        ("404 Not Found", False, "does not exist"),
        ("410 Gone", False, "does not exist"),
        ("403 Forbidden", False, "refuses automated readers"),
        ("401 Unauthorized", False, "users who have logged in"),
        ("402 Payment Required", False, "paying readers"),
        ("406 Not Acceptable", False, "refuses automated readers"),
        ("451 Unavailable For Legal Reasons", False, "legal reasons"),
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


@given(st.one_of(st.text(max_size=40), st.datetimes().map(format_datetime), st.integers().map(str)))
def test_whatever_retry_after_says_is_a_wait_of_at_most_a_day_or_nothing(value: str) -> None:
    seconds = retry_after_seconds(value)
    assert seconds is None or 0 < seconds <= 86_400


async def test_a_server_that_does_not_speak_tls_is_a_tls_failure() -> None:
    with anyio.fail_after(5):
        async with accept(raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as web:
            with pytest.raises(FetchError, match="the secure connection failed"):
                await get(web, "/", scheme="https")


@pytest.mark.parametrize(
    ("error", "told", "retryable"),
    [
        (httpx.ConnectTimeout(""), "could not connect to the site", True),
        (httpx.ReadTimeout(""), "the site did not answer in time", True),
        (httpx.RemoteProtocolError("10.0.0.1"), "the site sent a malformed HTTP reply", False),
        (httpx.ReadError("[Errno 104] 10.0.0.1"), "the connection broke", True),
    ],
)
async def test_a_failure_of_the_network_is_told_without_its_details(
    error: httpx.HTTPError, told: str, retryable: bool
) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    async with httpx.AsyncClient(transport=httpx.MockTransport(fail)) as http:
        with anyio.fail_after(5), pytest.raises(FetchError, match=told) as caught:
            await fetch("https://example.com/", http=http, policy=Policy(), limits=LIMITS)
    assert caught.value.retryable is retryable
    assert "10.0.0.1" not in str(caught.value)


CHALLENGE = "<html><head><title>Just a moment...</title><script>window._cf_chl_opt={}</script>"
LONG_TEXT = "<p>" + "A page with much to read, about how bot walls work. " * 100


@pytest.mark.parametrize(
    ("status", "body", "headers", "told"),
    [
        ("403 Forbidden", CHALLENGE, {}, "HTTP 403, bot wall (Cloudflare)"),
        ("403 Forbidden", "", {"cf-mitigated": "challenge"}, "HTTP 403, bot wall (Cloudflare)"),
        (
            "403 Forbidden",
            "<script>var dd={'host':'geo.captcha-delivery.com/'}</script>",
            {},
            "HTTP 403, bot wall (DataDome)",
        ),
        ("403 Forbidden", "<div id=px-captcha>", {}, "HTTP 403, bot wall (PerimeterX)"),
        ("429 Too Many Requests", "<p>Solve this CAPTCHA", {}, "HTTP 429, bot wall"),
        ("503 Service Unavailable", CHALLENGE, {}, "HTTP 503, bot wall (Cloudflare)"),
        ("202 Accepted", "", {"x-amzn-waf-action": "challenge"}, "HTTP 202, bot wall (AWS)"),
        ("200 OK", CHALLENGE, {}, "HTTP 200, bot wall (Cloudflare)"),
        (
            "200 OK",
            "<script src=/.within.website/x/cmd/anubis/static/js/main.mjs></script>",
            {},
            "HTTP 200, bot wall (Anubis)",
        ),
    ],
)
async def test_a_bot_wall_is_named(
    status: str, body: str, headers: Mapping[str, str], told: str
) -> None:
    error = await failure(reply(body, status=status, headers=headers))
    assert str(error) == told
    assert "try another result" in error.hint
    assert error.status == int(status[:3])
    assert not error.retryable


async def test_a_compressed_bot_wall_is_named() -> None:
    wall = reply(
        brotli.compress(CHALLENGE.encode()),
        status="403 Forbidden",
        headers={"Content-Encoding": "br"},
    )
    assert "bot wall" in str(await failure(wall))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (CHALLENGE + "</script>" + LONG_TEXT, "text/html"),
        (CHALLENGE, "text/plain"),
        ("<form><div class=g-recaptcha></div>Write to us", "text/html"),
        ("<script src=https://js.datadome.co/tags.js></script><div id=root>", "text/html"),
        ("<title>Just a moment... | A film</title><p>1979, 94 minutes", "text/html"),
    ],
    ids=["an article about walls", "plain text", "a contact form", "an app", "a film"],
)
async def test_a_page_with_marks_of_a_bot_wall_is_a_page(body: str, content_type: str) -> None:
    resource, _ = await resource_of({"/": reply(body, content_type=content_type)})
    assert resource.body == body.encode()


@pytest.mark.parametrize(
    "script",
    [
        reply("x" * 200_000, status="403 Forbidden"),
        reply(b"not gzip", status="403 Forbidden", headers={"Content-Encoding": "gzip"}),
        reply(b"x", status="403 Forbidden", headers={"Content-Encoding": "rot13"}),
        reply(gzip_bomb(30), status="403 Forbidden", headers={"Content-Encoding": "gzip"}),
        raw(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nhalf"),
    ],
    ids=["long", "damaged", "unknown coding", "bomb", "cut short"],
)
async def test_a_refusal_with_a_hostile_body_is_still_told(script: Script) -> None:
    assert str(await failure(script)) == "HTTP 403 Forbidden"


async def test_searching_markup_for_a_bot_wall_takes_linear_time() -> None:
    for tag in ("<script", "<style", "<", "<a ", "</script"):
        body = CHALLENGE + (tag * 65_000)[: 64_000 - len(CHALLENGE)]
        started = time.process_time()
        assert "bot wall" in str(await failure(reply(body)))
        assert time.process_time() - started < 2


async def answer_of_the_web(
    status: int, url: str, *, policy: Policy | None = None, body: str = ""
) -> FetchError:
    """What fetching a public page says when the web answers with this status, 0 for no host."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, stream=httpx.ByteStream(body.encode()))

    async def resolve(host: str, port: int) -> list[str]:
        return []

    policy = policy or Policy()
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(answer))
        if status
        else build_page_client(policy, user_agent="seekling-test/0", resolver=resolve)
    ) as http:
        with pytest.raises(FetchError) as caught:
            await fetch(url, http=http, policy=policy, limits=LIMITS)
    return caught.value


@pytest.mark.parametrize("status", [404, 410, 500, 503, 0])
async def test_an_archived_copy_is_offered_for_a_page_that_is_gone(status: int) -> None:
    error = await answer_of_the_web(status, "https://example.com/a?b=c")
    assert "visit https://web.archive.org/web/2/https://example.com/a?b=c" in error.hint


@pytest.mark.parametrize("status", [400, 401, 403, 429, 451])
async def test_no_archived_copy_is_offered_for_a_page_that_is_refused(status: int) -> None:
    assert "archive" not in (await answer_of_the_web(status, "https://example.com/")).hint


async def test_no_archived_copy_is_offered_behind_a_bot_wall() -> None:
    error = await answer_of_the_web(503, "https://example.com/", body=CHALLENGE)
    assert "archive" not in error.hint


@pytest.mark.parametrize("status", [404, 0])
@pytest.mark.parametrize("url", ["https://wiki.internal/plan", "https://wiki.example.com/plan"])
async def test_the_archive_is_never_told_of_a_page_that_may_be_private(
    url: str, status: int
) -> None:
    policy = Policy(allow_private=("wiki.internal", "10.0.0.0/8"))
    error = await answer_of_the_web(status, url, policy=policy)
    assert "archive" not in error.hint


async def test_a_private_peer_is_never_offered_from_the_archive() -> None:
    assert "archive" not in (await failure(reply(status="404 Not Found"))).hint


async def test_the_archive_is_not_asked_about_itself_or_about_endless_urls() -> None:
    for url in ("https://web.archive.org/web/2/https://a.com/", "https://a.com/" + "a" * 500):
        assert "archived copy" not in (await answer_of_the_web(404, url)).hint
