"""Tokens of an OAuth server, by the verifier alone; its keys come from a scripted server."""

import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import anyio
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from mcp_server.access.door import ProtectedResource
from mcp_server.access.issuer_keys import (
    FETCH_SECONDS,
    FRESH_SECONDS,
    KEPT_SECONDS,
    MAX_REPLY_BYTES,
    RETRY_SECONDS,
    IssuerKeys,
    metadata_urls,
)
from mcp_server.access.jwt_tokens import LEEWAY_SECONDS, MAX_TOKEN_CHARS, JwtVerifier
from mcp_server.errors import KeysUnavailable
from tests.support.authorization_server import AuthorizationServer, SigningKey

ISSUER = "https://as.example/tenant"
RESOURCE = "https://search.corp.example/mcp"
JWKS_URL = "https://as.example/keys"
METADATA_URL = "https://as.example/.well-known/oauth-authorization-server/tenant"

Reply = Callable[[], httpx.Response]


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class World:
    """An issuer whose pages are scripted, and the verifier of a server that trusts it."""

    def __init__(
        self, *, jwks_url: str = JWKS_URL, issuer: str = ISSUER, key: SigningKey | None = None
    ) -> None:
        self.issuer = AuthorizationServer(issuer=issuer, keys=[key or SigningKey.make("first")])
        self.clock = Clock()
        self.asked: list[str] = []
        self.pages: dict[str, Reply] = {JWKS_URL: self.keys_page}
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.keys = IssuerKeys(issuer, http=self.http, jwks_url=jwks_url, clock=self.clock)
        resource = ProtectedResource(url=RESOURCE, issuer=issuer, scopes=("search",))
        self.verifier = JwtVerifier(resource, self.keys)

    def keys_page(self) -> httpx.Response:
        return as_json({"keys": [key.jwk for key in self.issuer.keys]})

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        await anyio.lowlevel.checkpoint()
        page = self.pages.get(str(request.url))
        return page() if page else httpx.Response(404)

    async def accepts(self, token: str) -> bool:
        return await self.verifier.verify_token(token) is not None


def as_json(content: object) -> httpx.Response:
    """A reply that streams, as those of the network do."""

    return streamed(json.dumps(content).encode())


def streamed(content: bytes) -> httpx.Response:
    async def body() -> AsyncGenerator[bytes]:
        yield content

    return httpx.Response(200, content=body())


def unreachable() -> httpx.Response:
    raise httpx.ConnectError("no route")


def segment(content: Mapping[str, object] | bytes) -> str:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "algorithm",
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"],
)
async def test_a_token_of_the_issuer_names_the_caller(algorithm: str) -> None:
    world = World(key=SigningKey.make("first", algorithm))
    token = world.issuer.token(RESOURCE)
    caller = await world.verifier.verify_token(token)
    assert caller is not None
    assert (caller.client_id, caller.subject, caller.scopes) == ("an-app", "ann", ["search"])
    assert caller.resource == RESOURCE
    assert caller.claims == {"iss": ISSUER}
    assert token not in caller.model_dump_json()


GOOD_CHANGES: list[dict[str, Any]] = [
    {"aud": [RESOURCE]},
    {"aud": ["https://other.example", RESOURCE + "/"]},
    {"iat": None},
    {"iat": time.time() + LEEWAY_SECONDS - 10},
    {"nbf": time.time() + LEEWAY_SECONDS - 10},
    {"client_id": None, "azp": "an-app"},
    {"client_id": None},
    {"sub": None},
    {"extra": {"nested": [1, 2]}},
]


@pytest.mark.parametrize("changes", GOOD_CHANGES, ids=range(len(GOOD_CHANGES)))
async def test_a_token_may_differ_in_what_is_free(changes: dict[str, Any]) -> None:
    world = World()
    assert await world.accepts(world.issuer.token(RESOURCE, **changes))


BAD_CHANGES: list[dict[str, Any]] = [
    {"aud": "https://other.example/mcp"},
    {"aud": "https://search.corp.example"},
    {"aud": RESOURCE + "/more"},
    {"aud": []},
    {"aud": ["https://other.example/mcp"]},
    {"aud": {RESOURCE: True}},
    {"aud": None},
    {"iss": ISSUER + "/"},
    {"iss": "https://evil.example"},
    {"iss": [ISSUER]},
    {"iss": None},
    {"exp": time.time() - 1},
    {"exp": None},
    {"exp": "9999999999"},
    {"exp": True},
    {"exp": -1},
    {"exp": float("nan")},
    {"exp": float("inf")},
    {"exp": 10**400},
    {"nbf": time.time() + LEEWAY_SECONDS + 86_400},
    {"nbf": "soon"},
    {"iat": time.time() + LEEWAY_SECONDS + 86_400},
    {"sub": None, "client_id": None},
    {"sub": 7},
    {"sub": ""},
    {"sub": "a" * 257},
    {"sub": "ann\nbob"},
    {"client_id": "app\u202e"},
    {"scope": {"search": True}},
]


@pytest.mark.parametrize("changes", BAD_CHANGES, ids=range(len(BAD_CHANGES)))
async def test_a_signed_token_with_wrong_claims_is_refused(changes: dict[str, Any]) -> None:
    world = World()
    claims: dict[str, Any] = world.issuer.claims(RESOURCE, **changes)
    head = {"alg": "ES256", "kid": "first", "typ": "at+jwt"}
    signed = jwt.PyJWS().encode(
        json.dumps(claims).encode(), world.issuer.keys[0].private, "ES256", headers=head
    )
    assert not await world.accepts(signed)


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "search other"}, ["search", "other"]),
        ({"scope": None, "scp": "search other"}, ["search", "other"]),
        ({"scope": None, "scp": ["search", "other"]}, ["search", "other"]),
        ({"scope": "searching"}, ["searching"]),
        ({"scope": ""}, []),
        ({"scope": None}, []),
    ],
)
async def test_scopes_are_whole_words_in_any_usual_claim(
    claims: dict[str, Any], scopes: list[str]
) -> None:
    world = World()
    caller = await world.verifier.verify_token(world.issuer.token(RESOURCE, **claims))
    assert caller is not None
    assert caller.scopes == scopes


@pytest.mark.parametrize(
    ("header", "is_good"),
    [
        ({"typ": None}, True),
        ({"typ": "JWT"}, True),
        ({"typ": "application/at+jwt"}, True),
        ({"kid": None}, True),
        ({"typ": "logout+jwt"}, False),
        ({"typ": "dpop+jwt"}, False),
        ({"typ": 7}, False),
        ({"kid": "second"}, False),
        ({"crit": ["b64"], "b64": True}, False),
        ({"jwk": {"kty": "oct", "k": "AAAA"}, "jku": "https://evil.example/keys"}, True),
    ],
)
async def test_the_header_may_say_little(header: dict[str, Any], is_good: bool) -> None:
    world = World()
    token = world.issuer.sign(world.issuer.claims(RESOURCE), **header)
    assert await world.accepts(token) is is_good
    assert set(world.asked) <= {JWKS_URL}  # whatever it says, keys come from the issuer


async def test_of_several_keys_a_token_must_name_its_own() -> None:
    world = World()
    world.issuer.keys.append(SigningKey.make("second"))
    for key in world.issuer.keys:
        claims = world.issuer.claims(RESOURCE)
        assert await world.accepts(world.issuer.sign(claims, key))
        assert not await world.accepts(world.issuer.sign(claims, key, kid=None))


async def test_a_public_key_is_never_taken_for_a_shared_secret() -> None:
    world = World(key=SigningKey.make("first", "RS256"))
    public = world.issuer.keys[0].private.public_key()
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for algorithm, hash_name in (("HS256", "sha256"), ("HS512", "sha512")):
        for typ in ("JWT", "at+jwt"):
            head = segment({"alg": algorithm, "kid": "first", "typ": typ})
            signed = f"{head}.{segment(world.issuer.claims(RESOURCE))}"
            mac = hmac.new(pem, signed.encode(), hash_name).digest()
            assert not await world.accepts(f"{signed}.{segment(mac)}")
    assert world.asked == []


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, 7, ["ES256"]])
async def test_a_token_without_a_signature_is_refused(algorithm: object) -> None:
    world = World()
    head = segment({"alg": algorithm, "kid": "first"})
    for signature in ("", "AAAA"):
        assert not await world.accepts(
            f"{head}.{segment(world.issuer.claims(RESOURCE))}.{signature}"
        )


async def test_a_key_is_used_with_its_own_algorithm_only() -> None:
    world = World(key=SigningKey.make("first", "RS256"))
    same_key = SigningKey.make("first", "PS256")
    assert not await world.accepts(world.issuer.sign(world.issuer.claims(RESOURCE), same_key))


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"key_ops": ["sign"]},
        {"kty": "oct", "k": "AAAA"},
        {"crv": "P-384"},
        {"x": 7},
        {"x": "AAAA"},
    ],
)
async def test_a_key_for_something_else_is_not_used(change: dict[str, object]) -> None:
    world = World()
    world.pages[JWKS_URL] = lambda: as_json({"keys": [world.issuer.keys[0].jwk | change]})
    assert not await world.accepts(world.issuer.token(RESOURCE))


async def test_a_short_rsa_key_is_not_used() -> None:
    private = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
    world = World()
    jwk = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True) | {"kid": "first"}
    world.pages[JWKS_URL] = lambda: as_json({"keys": [jwk]})
    head, body = segment({"alg": "RS256", "kid": "first"}), world.issuer.claims(RESOURCE)
    signed = f"{head}.{segment(body)}"
    signature = RSAAlgorithm(RSAAlgorithm.SHA256).sign(signed.encode(), private)
    assert not await world.accepts(f"{signed}.{segment(signature)}")


async def test_a_token_that_was_changed_is_refused() -> None:
    world = World()
    head, body, signature = world.issuer.token(RESOURCE).split(".")
    other = segment(world.issuer.claims(RESOURCE, sub="bob"))
    for changed in (
        f"{head}.{other}.{signature}",
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{body}.{signature}.{signature}",
        f"{head}.{body}.{signature}" + "=" * 8,
    ):
        assert not await world.accepts(changed)


async def test_junk_is_refused_before_anything_is_fetched() -> None:
    world = World()
    deep = b'{"alg":' + b"[" * 5_000 + b"]" * 5_000 + b"}"
    long = world.issuer.token(RESOURCE, extra="x" * MAX_TOKEN_CHARS)
    for junk in ("", ".", "..", "a.b.c", "é.é.é", "\udcff", f"{segment(deep)}.AAAA.AAAA", long):
        assert not await world.accepts(junk)
    assert world.asked == []


@settings(max_examples=40)
@given(st.text(max_size=60), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
async def test_any_text_is_refused_without_an_error(text: str, header: dict[str, str]) -> None:
    world = World()
    assert not await world.accepts(text)
    assert not await world.accepts(f"{segment(header | {'alg': 'ES256'})}.{segment(b'{}')}.AAAA")


async def test_a_payload_that_is_no_object_is_refused() -> None:
    world = World()
    key = world.issuer.keys[0]
    for payload in (b"[]", b"7", b"{", b"\xff", b"[" * 9_000, b'{"exp":' + b"9" * 5_000 + b"}"):
        token = jwt.PyJWS().encode(payload, key.private, "ES256", headers={"kid": "first"})
        assert not await world.accepts(token)


async def test_a_new_key_works_at_once_and_a_removed_one_when_keys_are_fetched_again() -> None:
    world = World()
    first, second = world.issuer.keys[0], SigningKey.make("second")
    old = world.issuer.token(RESOURCE)
    assert await world.accepts(old)
    world.issuer.keys.append(second)
    new = world.issuer.token(RESOURCE)
    world.clock.now += RETRY_SECONDS
    assert await world.accepts(new)
    assert await world.accepts(old)
    assert len(world.asked) == 2
    world.issuer.keys.remove(first)
    world.clock.now += FRESH_SECONDS
    assert not await world.accepts(old)
    assert await world.accepts(new)
    assert len(world.asked) == 3


async def test_invented_key_names_do_not_make_us_hammer_the_issuer() -> None:
    world = World()
    claims = world.issuer.claims(RESOURCE)
    for number in range(50):
        assert not await world.accepts(world.issuer.sign(claims, kid=f"key-{number}"))
        world.clock.now += 1.0
    assert len(world.asked) == 50 / RETRY_SECONDS


async def test_keys_are_fetched_once_for_all_that_wait() -> None:
    world = World()
    token, results = world.issuer.token(RESOURCE), list[bool]()

    async def check() -> None:
        results.append(await world.accepts(token))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(check)
    assert results == [True] * 20
    assert world.asked == [JWKS_URL]


async def test_who_has_a_known_key_does_not_wait_for_fresh_ones() -> None:
    world = World()
    token = world.issuer.token(RESOURCE)
    assert await world.accepts(token)
    world.clock.now += FRESH_SECONDS
    entered, hold = anyio.Event(), anyio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        entered.set()
        await hold.wait()
        return world.keys_page()

    world.http._transport = httpx.MockTransport(slow)  # pyright: ignore[reportPrivateUsage]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.accepts, token)
        await entered.wait()
        with anyio.fail_after(FETCH_SECONDS / 2):
            assert await world.accepts(token)
        hold.set()


async def test_known_keys_are_used_for_a_while_when_the_issuer_is_away() -> None:
    world = World()
    token = world.issuer.token(RESOURCE)
    assert await world.accepts(token)
    world.pages[JWKS_URL] = unreachable
    world.clock.now += KEPT_SECONDS - 1
    assert await world.accepts(token)
    world.clock.now += RETRY_SECONDS
    with pytest.raises(KeysUnavailable):
        await world.accepts(token)
    world.pages[JWKS_URL] = world.keys_page
    world.clock.now += RETRY_SECONDS
    assert await world.accepts(token)


async def test_an_unknown_key_is_no_wrong_token_while_the_issuer_is_away() -> None:
    world = World()
    assert await world.accepts(world.issuer.token(RESOURCE))
    world.issuer.keys.append(SigningKey.make("second"))
    new = world.issuer.token(RESOURCE)
    world.pages[JWKS_URL] = unreachable
    world.clock.now += RETRY_SECONDS
    with pytest.raises(KeysUnavailable):
        await world.accepts(new)
    world.pages[JWKS_URL] = world.keys_page
    world.clock.now += RETRY_SECONDS
    assert await world.accepts(new)


BAD_REPLIES: list[Reply] = [
    unreachable,
    lambda: httpx.Response(500),
    lambda: httpx.Response(302, headers={"Location": "https://evil.example/keys"}),
    lambda: httpx.Response(302, headers={"Location": "https://\r\n"}),
    lambda: as_json([]),
    lambda: as_json({"keys": [{}] * 101}),
    lambda: as_json({"keys": [], "more": "x" * MAX_REPLY_BYTES}),
    lambda: streamed(b"["),
]


@pytest.mark.parametrize("bad", BAD_REPLIES, ids=range(len(BAD_REPLIES)))
async def test_an_issuer_that_gives_no_keys_says_nothing_about_the_token(
    bad: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.pages[JWKS_URL] = bad
    token = world.issuer.token(RESOURCE)
    for _ in range(3):
        with pytest.raises(KeysUnavailable) as failed:
            await world.accepts(token)
        assert 1 <= failed.value.retry_after_seconds <= RETRY_SECONDS
    assert world.asked == [JWKS_URL]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert token not in caplog.text
    world.pages[JWKS_URL] = world.keys_page
    world.clock.now += RETRY_SECONDS
    assert await world.accepts(token)


def metadata(**changes: object) -> Reply:
    return lambda: as_json({"issuer": ISSUER, "jwks_uri": JWKS_URL} | changes)


@pytest.mark.parametrize("where", metadata_urls(ISSUER))
async def test_the_keys_are_found_by_the_metadata_of_the_issuer(where: str) -> None:
    world = World(jwks_url="")
    world.pages[where] = metadata()
    assert await world.accepts(world.issuer.token(RESOURCE))
    assert world.asked[-2:] == [where, JWKS_URL]


def test_metadata_are_looked_for_where_the_standards_say() -> None:
    assert metadata_urls(ISSUER) == (
        METADATA_URL,
        "https://as.example/.well-known/openid-configuration/tenant",
        "https://as.example/tenant/.well-known/openid-configuration",
    )
    assert metadata_urls("https://as.example/") == (
        "https://as.example/.well-known/oauth-authorization-server",
        "https://as.example/.well-known/openid-configuration",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": ISSUER + "/"},
        {"issuer": "https://evil.example"},
        {"jwks_uri": "http://as.example/keys"},
        {"jwks_uri": "http://127.0.0.1/keys"},
        {"jwks_uri": "file:///keys"},
        {"jwks_uri": 7},
    ],
)
async def test_metadata_of_others_or_without_safe_keys_are_not_used(
    changes: dict[str, object],
) -> None:
    world = World(jwks_url="")
    world.pages[METADATA_URL] = metadata(**changes)
    with pytest.raises(KeysUnavailable):
        await world.accepts(world.issuer.token(RESOURCE))
    assert world.asked == list(metadata_urls(ISSUER)) or world.asked == [METADATA_URL]


async def test_the_reason_of_a_refusal_is_in_the_log_without_the_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    world = World()
    token = world.issuer.token("https://other.example/mcp")
    assert not await world.accepts(token)
    assert "for another server: 'https://other.example/mcp'" in caplog.text
    assert token not in caplog.text
    assert hashlib.sha256(token.encode()).hexdigest() not in caplog.text
