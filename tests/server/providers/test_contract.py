"""The contract of a search provider, checked for each: the matrix provider x case.

The replies have the shapes that the providers document; `cases/` has one file for each.
"""

import base64
import gzip
import importlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import httpx
import pytest

from mcp_server.errors import ConfigError, ProviderBlocked, ProviderError, ProviderFailed
from mcp_server.search.providers import PROVIDERS
from mcp_server.search.types import (
    OPERATORS,
    Operator,
    ProviderReply,
    SearchHit,
    SearchProvider,
    SearchQuery,
)
from tests.server.providers.contract import OPERATOR_QUERIES, SECRET, Case, Refusal, Row

HERE = Path(__file__).parent
PROVIDER_FILES = HERE.parents[2] / "mcp_server" / "search" / "providers"


def load(name: str) -> Case:
    return importlib.import_module(f"tests.server.providers.cases.{name}").CASE


CASES = {path.stem: load(path.stem) for path in sorted((HERE / "cases").glob("*.py"))}
ON_THE_WIRE = [name for name, case in CASES.items() if not case.by_library]
JSON = [name for name, case in CASES.items() if case.is_json]

QUERY = SearchQuery(text="moons of Uranus", limit=5)
TWO = (Row("https://a.example/1", "Alpha", "First."), Row("https://b.example/2", "Beta", "Second."))
HOSTILE = (
    "<script>alert(1)</script>Moons <b>of</b> \u202eUranus\u2069\x1b[31m\x00 &amp; rings\n"
    '<img src="x" onerror="alert(1)">\u200b'
)
MAX_FIELD_CHARS = 4_000

Handler = Callable[[httpx.Request], httpx.Response]
Headers = Mapping[str, str]


def replying(body: bytes, status: int = 200, headers: Headers | None = None) -> Handler:
    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100_000):
            yield body[start : start + 100_000]

    return lambda _: httpx.Response(status, content=stream(), headers=headers)


def answering(case: Case, body: bytes) -> Handler:
    return replying(body, headers=case.headers)


def failing(error: type[httpx.HTTPError], text: str) -> Handler:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error(text)

    return fail


async def search(case: Case, handler: Handler, query: SearchQuery = QUERY) -> ProviderReply:
    transport = httpx.MockTransport(handler)
    async with httpx.AsyncClient(transport=transport, follow_redirects=True) as http:
        return await case.build(http).search(query)


async def error_of(case: Case, handler: Handler, what: object) -> ProviderError:
    try:
        reply = await search(case, handler)
    except ProviderError as error:
        return error
    pytest.fail(f"{what}: gave {len(reply.hits)} hits and no error")


def build(case: Case) -> SearchProvider:
    return case.build(httpx.AsyncClient(transport=httpx.MockTransport(replying(b""))))


async def hits_of(case: Case, rows: Sequence[Row], query: SearchQuery = QUERY) -> list[SearchHit]:
    return list((await search(case, answering(case, case.reply(rows)), query)).hits)


async def requests_of(case: Case, query: SearchQuery) -> list[httpx.Request]:
    seen: list[httpx.Request] = []

    def record(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answering(case, case.empty)(request)

    assert not (await search(case, record, query)).hits
    assert seen
    return seen


def test_every_provider_is_registered_and_every_one_of_the_web_has_a_case() -> None:
    files = {path.stem for path in PROVIDER_FILES.glob("*.py") if not path.stem.startswith("_")}
    assert files == set(PROVIDERS)
    assert files - {"local"} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_name_and_operators_are_what_the_case_says(name: str) -> None:
    provider = build(CASES[name])
    assert provider.name == name
    assert provider.operators == set(CASES[name].sent)
    assert provider.operators <= set(OPERATORS)


# --- what is found -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
async def test_hits_come_in_the_provider_s_order_up_to_the_limit(name: str) -> None:
    rows = [Row(f"https://{n}.example/page", f"Title {n}", f"Preview {n}.") for n in range(12)]
    hits = await hits_of(CASES[name], rows)
    assert [hit.title for hit in hits] == [f"Title {n}" for n in range(5)]
    assert all(f"Preview {n}." in hit.preview for n, hit in enumerate(hits))
    assert len({hit.url for hit in hits}) == 5
    if CASES[name].keeps_urls:
        assert [hit.url for hit in hits] == [row.url for row in rows[:5]]


@pytest.mark.parametrize("name", CASES)
async def test_an_empty_reply_is_no_hits_and_no_error(name: str) -> None:
    case = CASES[name]
    assert list((await search(case, answering(case, case.empty))).hits) == []


ODD_ROWS = [
    Row(None, "No address", "It has no URL."),
    Row("javascript:alert(1)", "Script", "A URL that nobody may open."),
    Row("https://c.example/3", None, "It has no title."),
    Row("https://c.example/3", "No preview", None),
    Row("https://c.example/3", "", ""),
]


@pytest.mark.parametrize("name", CASES)
async def test_an_odd_row_does_not_cost_the_others(name: str) -> None:
    for odd in ODD_ROWS:
        hits = await hits_of(CASES[name], [TWO[0], odd, TWO[1]])
        assert [hit.title for hit in hits if hit.title in ("Alpha", "Beta")] == ["Alpha", "Beta"]
        assert all(hit.url and not hit.url.startswith("javascript") for hit in hits), odd


@pytest.mark.parametrize("name", JSON)
async def test_a_field_of_the_wrong_type_costs_its_row_at_most(name: str) -> None:
    case = CASES[name]
    whole = json.loads(case.reply(TWO))
    body = b""
    transport = httpx.MockTransport(lambda request: answering(case, body)(request))
    async with httpx.AsyncClient(transport=transport) as http:
        provider = case.build(http)
        paths = list(leaves(whole))
        assert any(row_path(whole, path, "Alpha") for path in paths)
        for path in paths:
            is_of_first_row = path[:-1] == row_path(whole, path, "Alpha")
            for wrong in (None, 5, [], {}):
                body = json.dumps(with_value(whole, path, wrong)).encode()
                try:
                    titles = [hit.title for hit in (await provider.search(QUERY)).hits]
                except ProviderError:
                    titles = None
                if is_of_first_row:
                    assert titles is not None, f"{path} = {wrong!r} cost the whole reply"
                    assert "Beta" in titles, f"{path} = {wrong!r}"


JsonPath = tuple[str | int, ...]


def leaves(value: object, path: JsonPath = ()) -> Iterator[JsonPath]:
    """The paths of all values that hold no others."""
    for key, inner in items(value):
        if isinstance(inner, dict | list):
            yield from leaves(cast(object, inner), (*path, key))
        else:
            yield (*path, key)


def items(value: object) -> list[tuple[str | int, object]]:
    if isinstance(value, dict):
        return list(cast(dict[str | int, object], value).items())
    return list(enumerate(cast(list[object], value))) if isinstance(value, list) else []


def row_path(whole: object, path: JsonPath, title: str) -> JsonPath | None:
    """The path of the object that holds the leaf, if it has this title among its values."""
    holder = whole
    for key in path[:-1]:
        holder = cast(dict[str | int, object], holder)[key]
    return path[:-1] if any(inner == title for _, inner in items(holder)) else None


def with_value(whole: object, path: JsonPath, value: object) -> object:
    copy: object = json.loads(json.dumps(whole))
    holder = copy
    for key in path[:-1]:
        holder = cast(dict[str | int, object], holder)[key]
    cast(dict[str | int, object], holder)[path[-1]] = value
    return copy


# --- hostile text --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
async def test_hostile_text_comes_out_as_plain_text(name: str) -> None:
    row = Row("https://a.example/1", HOSTILE, HOSTILE)
    (hit,) = await hits_of(CASES[name], [row])
    for text in (hit.title, hit.preview):
        assert "Moons of Uranus" in text
        assert text.isprintable()
        assert not any(mark in text for mark in ("<script", "<b>", "<img", "alert(1)", "&amp;"))


@pytest.mark.parametrize("name", CASES)
async def test_text_of_a_megabyte_is_cut(name: str) -> None:
    long = "word " * 200_000
    for row in (Row("https://a.example/1", long, ""), Row("https://a.example/1", "", long)):
        hits = await hits_of(CASES[name], [row, TWO[1]])
        assert "Beta" in [hit.title for hit in hits]
        assert all(len(hit.title) <= MAX_FIELD_CHARS for hit in hits)
        assert all(len(hit.preview) <= MAX_FIELD_CHARS for hit in hits)


@pytest.mark.parametrize("name", JSON)
async def test_a_character_that_cannot_be_encoded_does_not_leave_the_provider(name: str) -> None:
    row = Row("https://a.example/1", "Lone \ud800surrogate", "Lone \udfffsurrogate")
    hits = await hits_of(CASES[name], [row, TWO[1]])
    assert "Beta" in [hit.title for hit in hits]
    assert all((hit.title + hit.preview).encode() for hit in hits)


# --- refusals and breakdowns ---------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
async def test_a_refusal_is_blocked_and_never_empty(name: str) -> None:
    for status in (401, 403, 429):
        error = await error_of(CASES[name], replying(b"{}", status), status)
        assert type(error) is ProviderBlocked, status
        assert error.provider == name
        assert error.reason


RETRY_AFTER: Sequence[tuple[Headers, float | None]] = [
    ({}, None),
    ({"retry-after": "17"}, 17.0),
    ({"retry-after": "-5"}, 0.0),
    ({"retry-after": "1e9"}, 3_600.0),
    (
        {"retry-after": "Wed, 21 Oct 2026 07:29:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"},
        90.0,
    ),
    ({"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}, 3_600.0),
    ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ({"retry-after": "soon"}, None),
    ({"retry-after": "nan"}, None),
    ({"retry-after": "Wed, 99 Foo 99999999999999999999 07:28:00 GMT"}, None),
]


@pytest.mark.parametrize("name", CASES)
async def test_a_rate_limit_says_when_to_come_back(name: str) -> None:
    case = CASES[name]
    for headers, seconds in RETRY_AFTER:
        error = await error_of(case, replying(b"{}", 429, headers), headers)
        expected = case.default_retry_seconds if seconds is None or case.by_library else seconds
        assert error.retry_after_seconds == expected, headers
        assert error.retryable, headers


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        pytest.param(name, refusal, id=f"{name}-{refusal.status}-{refusal.says[:30]}")
        for name, case in CASES.items()
        for refusal in case.refusals
    ],
)
async def test_a_provider_s_own_error_codes_keep_their_meaning(name: str, refusal: Refusal) -> None:
    handler = replying(refusal.body, refusal.status, refusal.headers)
    with pytest.raises(ProviderError, match=refusal.says) as caught:
        await search(CASES[name], handler)
    assert type(caught.value) is refusal.error
    assert caught.value.retry_after_seconds == refusal.retry_after_seconds


@pytest.mark.parametrize("name", CASES)
async def test_a_breakdown_of_the_provider_is_a_failure(name: str) -> None:
    for status in (500, 502, 504):
        error = await error_of(CASES[name], replying(b"<h1>Bad Gateway</h1>", status), status)
        assert type(error) is ProviderFailed, status
        assert error.retryable, status


@pytest.mark.parametrize("name", CASES)
async def test_an_overloaded_provider_is_never_empty(name: str) -> None:
    error = await error_of(CASES[name], replying(b"", 503, {"retry-after": "30"}), 503)
    assert error.retryable


@pytest.mark.parametrize("name", CASES)
async def test_a_redirect_is_not_followed(name: str) -> None:
    for status in (301, 302, 307, 308):
        hosts: list[str] = []

        def redirect(
            request: httpx.Request, status: int = status, hosts: list[str] = hosts
        ) -> httpx.Response:
            hosts.append(request.url.host)
            return replying(b"", status, {"location": "http://127.0.0.1/steal"})(request)

        await error_of(CASES[name], redirect, status)
        assert hosts
        assert "127.0.0.1" not in hosts


@pytest.mark.parametrize("name", CASES)
async def test_a_timeout_is_a_failure(name: str) -> None:
    for kind in (httpx.ReadTimeout, httpx.ConnectTimeout, httpx.PoolTimeout):
        error = await error_of(CASES[name], failing(kind, "10.1.2.3 timed out"), kind)
        assert type(error) is ProviderFailed
        assert "time" in error.reason
        assert "10.1.2.3" not in str(error)
        assert error.retryable


@pytest.mark.parametrize("name", CASES)
async def test_a_network_error_is_a_failure_without_details_of_the_network(name: str) -> None:
    for kind in (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
        error = await error_of(CASES[name], failing(kind, "10.1.2.3 refused"), kind)
        assert type(error) is ProviderFailed
        assert "could not be reached" in error.reason
        assert "10.1.2.3" not in str(error)


MALFORMED = {
    "HTML": b"<html><body>Please log in to the network</body></html>",
    "list": b"[]",
    "null": b"null",
    "number": b"5",
    "string": b'"ok"',
    "object": b"{}",
    "other object": b'{"status": "ok"}',
    "nothing": b"",
    "no text": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "wrong type": b'{"results": 5, "organic": 5, "web": 5, "data": 5, "items": 5, "hits": 5}',
}


@pytest.mark.parametrize("name", CASES)
async def test_a_malformed_reply_is_a_failure(name: str) -> None:
    case = CASES[name]
    whole = case.reply(TWO)
    bodies = {**MALFORMED, "cut off": whole[: len(whole) // 2]}
    bodies |= {f"own {number}": body for number, body in enumerate(case.malformed)}
    for kind, body in bodies.items():
        if body != case.empty:  # some providers say with an empty list that they found nothing
            error = await error_of(case, answering(case, body), kind)
            assert type(error) is ProviderFailed, kind


# --- on the wire ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ON_THE_WIRE)
async def test_a_huge_reply_is_a_failure(name: str) -> None:
    with pytest.raises(ProviderFailed, match="too large"):
        await search(CASES[name], answering(CASES[name], b" " * 5_000_000))


@pytest.mark.parametrize("name", ON_THE_WIRE)
async def test_a_compressed_reply_is_read_though_nobody_asked_for_it(name: str) -> None:
    case = CASES[name]
    packed = gzip.compress(case.reply(TWO), mtime=0)
    handler = replying(packed, headers={**case.headers, "content-encoding": "gzip"})
    assert [hit.title for hit in (await search(case, handler)).hits] == ["Alpha", "Beta"]


BOMB = gzip.compress(b" " * 50_000_000, compresslevel=1, mtime=0)


BADLY_PACKED = [
    ("gzip", BOMB, "too large"),
    ("gzip", BOMB[:1_000], "cannot be decoded"),
    ("gzip", b'{"results": []}', "cannot be decoded"),
    ("x-unheard-of", b"", "cannot be decoded"),
]


@pytest.mark.parametrize("name", ON_THE_WIRE)
async def test_a_badly_compressed_reply_is_a_failure(name: str) -> None:
    for coding, body, reason in BADLY_PACKED:
        handler = replying(body, headers={"content-encoding": coding})
        error = await error_of(CASES[name], handler, coding)
        assert type(error) is ProviderFailed
        assert reason in error.reason


# --- what is asked -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "operator"),
    [
        pytest.param(name, operator, id=f"{name}-{operator}")
        for name, case in CASES.items()
        for operator in case.sent
    ],
)
async def test_an_operator_goes_out_in_the_provider_s_own_way(
    name: str, operator: Operator
) -> None:
    case = CASES[name]
    is_sent = case.sent[operator]
    assert any(map(is_sent, await requests_of(case, OPERATOR_QUERIES[operator])))
    plain = await requests_of(case, SearchQuery(text="moons", limit=5))
    assert not any(map(is_sent, plain)), "it goes out unasked, or the check sees nothing"


TEXTS = [
    'the "largest moon" of {Uranus} & its \\ neighbours? #1 100% a+b=c',
    "Miranda\nUmbriel\tOberon\r\nTitania",
    "Луна 天王星の衛星 ܐܪܡܝܐ 🪐 naïve",
]


@pytest.mark.parametrize("name", CASES)
async def test_words_arrive_as_they_are_written(name: str) -> None:
    case = CASES[name]
    for text in TEXTS:
        asked = await requests_of(case, SearchQuery(text=text, limit=5))
        (sent,) = {case.text_of(request) for request in asked} - {""}
        words = [word for word in text.split() if word.isalnum()]
        assert words
        assert all(word in sent for word in words), text


@pytest.mark.parametrize("name", CASES)
async def test_a_long_query_is_shortened_and_not_refused(name: str) -> None:
    case = CASES[name]
    for text in ("moon " * 2_000, "m" * 10_000):
        asked = await requests_of(case, SearchQuery(text=text, limit=5))
        sent = {case.text_of(request) for request in asked} - {""}
        assert sent
        assert all(len(words) <= case.max_text_chars for words in sent)
        assert all(text[:4] in words for words in sent)


# --- keys and settings ---------------------------------------------------------------------------


def carries_key(request: httpx.Request) -> bool:
    words = " ".join(request.headers.values()).split()
    packed = [word for word in words if word.isalnum() or word.endswith("=")]
    texts = words + [base64.b64decode(word + "==").decode("utf-8", "replace") for word in packed]
    return any(SECRET in text for text in texts)


@pytest.mark.parametrize("name", CASES)
async def test_a_key_is_never_shown(name: str) -> None:
    case = CASES[name]
    assert SECRET not in repr(build(case))
    asked = await requests_of(case, QUERY)
    assert not any(SECRET in str(request.url) for request in asked)
    if not any(map(carries_key, asked)):
        return  # it takes none
    echo = json.dumps({"message": f"bad key {SECRET}", "error": {"detail": SECRET}}).encode()
    handlers = [
        *(replying(echo, status) for status in (200, 302, 400, 401, 403, 404, 422, 429, 500)),
        failing(httpx.ConnectError, f"no route, key {SECRET}"),
        failing(httpx.ReadTimeout, f"slow, key {SECRET}"),
    ]
    for number, handler in enumerate(handlers):
        error = await error_of(case, handler, number)
        assert SECRET not in "".join((str(error), repr(error), error.hint, error.reason)), number


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.unconfigured])
def test_a_provider_without_its_setting_says_which(name: str) -> None:
    build_without = CASES[name].unconfigured
    assert build_without is not None
    with pytest.raises(ConfigError, match=name) as caught:
        build_without(httpx.AsyncClient(transport=httpx.MockTransport(replying(b""))))
    assert CASES[name].setting in caught.value.hint
