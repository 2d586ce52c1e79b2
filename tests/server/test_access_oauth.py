"""Our server before a real OAuth server, over HTTP: the whole flow, and what is refused."""

import base64
import hmac
import json
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import httpx2  # noqa: TID251 - the SDK's client takes no other
import pytest
from cryptography.hazmat.primitives import serialization
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from mcp.types import TextContent
from pydantic import AnyUrl

from mcp_server.access import jwt_tokens
from mcp_server.access.callers import Callers
from mcp_server.access.opening import build_door
from mcp_server.errors import ConfigError
from mcp_server.services import ServiceSource
from tests.support.authorization_server import (
    SCOPE,
    AuthorizationServer,
    SigningKey,
    authorization_server,
)
from tests.support.guarded_server import Era, connected, guarded_server, oauth_door
from tests.support.tools_server import NoServices

STATIC = "script-0123456789abcdef"
CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/list",
    "params": {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    },
}
HEADERS = {
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/list",
}


@dataclass
class Person:
    """Keeps what his client is given, and consents to everything."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None
    returned: str = ""

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info

    async def open_browser(self, url: str) -> None:
        async with httpx.AsyncClient(trust_env=False) as browser:
            self.returned = (await browser.get(url)).headers["location"]

    async def come_back(self) -> AuthorizationCodeResult:
        query = parse_qs(urlsplit(self.returned).query)
        return AuthorizationCodeResult(code=query["code"][0], state=query["state"][0])

    def login(self, url: str) -> httpx2.Auth:
        metadata = OAuthClientMetadata(
            client_name="test", redirect_uris=[AnyUrl("http://127.0.0.1:1/callback")]
        )
        return OAuthClientProvider(url, metadata, self, self.open_browser, self.come_back)


@dataclass
class World:
    """An OAuth server, our server that trusts it, and a caller without any help."""

    issuer: AuthorizationServer
    url: str
    http: httpx.AsyncClient

    async def send(self, token: str | None, params: dict[str, str] | None = None) -> httpx.Response:
        headers = HEADERS | ({} if token is None else {"Authorization": f"Bearer {token}"})
        return await self.http.post(self.url, json=CALL, headers=headers, params=params)

    @property
    def metadata_url(self) -> str:
        return self.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")


@asynccontextmanager
async def world(
    folder: Path,
    *,
    callers: Callers | None = None,
    tokens: Path | None = None,
    source: ServiceSource | None = None,
) -> AsyncGenerator[World]:
    async with AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(authorization_server())
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        url = await stack.enter_async_context(
            guarded_server(
                folder,
                oauth_door(issuer, http, tokens=tokens),
                middleware=[callers.middleware()] if callers else [],
                source=source,
            )
        )
        yield World(issuer, url, http)


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_a_client_that_knows_our_url_alone_logs_in_and_searches(
    tmp_path: Path, era: Era
) -> None:
    callers, person = Callers(), Person()
    async with world(tmp_path, callers=callers) as here:
        async with connected(here.url, auth=person.login(here.url), era=era) as client:
            result = await client.call_tool("web_search", {"query": "who designed the lighthouse"})
        assert isinstance(result.content[0], TextContent)
        assert "Brindlewick" in result.content[0].text
        assert here.issuer.resources == [here.url]  # RFC 8707: what the token is for
        assert here.issuer.asked[0].startswith("/.well-known/oauth-authorization-server")
        assert {"/register", "/authorize", "/token", "/jwks"} <= set(here.issuer.asked)
    assert callers.snapshot().keys() == {"oauth:ann"}
    assert person.tokens is not None
    assert person.tokens.scope == SCOPE


async def test_strangers_are_told_how_to_get_a_token(tmp_path: Path) -> None:
    async with world(tmp_path, source=NoServices()) as here:
        refused = await here.send(None)
        assert refused.status_code == 401
        challenge = refused.headers["www-authenticate"]
        assert challenge.startswith("Bearer ")
        assert f'resource_metadata="{here.metadata_url}"' in challenge
        assert f'scope="{SCOPE}"' in challenge
        told = (await here.http.get(here.metadata_url)).json()
        assert told["resource"] == here.url
        assert told["authorization_servers"] == [here.issuer.issuer]
        assert told["scopes_supported"] == [SCOPE]
        assert told["bearer_methods_supported"] == ["header"]


def hs256_with_public_key(issuer: AuthorizationServer, audience: str) -> str:
    def part(content: bytes) -> bytes:
        return base64.urlsafe_b64encode(content).rstrip(b"=")

    key = issuer.keys[0]
    pem = key.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head = json.dumps({"alg": "HS256", "kid": key.kid, "typ": "at+jwt"}).encode()
    signed = part(head) + b"." + part(json.dumps(issuer.claims(audience)).encode())
    return (signed + b"." + part(hmac.digest(pem, signed, "sha256"))).decode()


def unsigned(issuer: AuthorizationServer, audience: str) -> str:
    _, body, _ = issuer.token(audience).split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
    return f"{head}.{body}."


async def test_a_token_that_is_not_good_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path, source=NoServices()) as here:
        issuer, url, now = here.issuer, here.url, int(time.time())
        assert (await here.send(issuer.token(url))).status_code == 200
        assert (await here.send(issuer.token(url + "/"))).status_code == 200
        head, body, signature = issuer.token(url).split(".")
        stranger = SigningKey.make("first")
        bad = {
            "foreign audience": issuer.token("https://other.example/mcp"),
            "our host only": issuer.token(url.removesuffix("/mcp")),
            "no audience": issuer.token(url, aud=None),
            "wrong issuer": issuer.token(url, iss="https://evil.example"),
            "expired": issuer.token(url, exp=now - 1),
            "without end": issuer.token(url, exp=None),
            "not yet valid": issuer.token(url, nbf=now + 3_600),
            "alg none": unsigned(issuer, url),
            "HS256 by the public key": hs256_with_public_key(issuer, url),
            "key of a stranger": issuer.sign(issuer.claims(url), stranger),
            "unknown kid": issuer.sign(issuer.claims(url), kid="other"),
            "tampered": f"{head}.{body[:-4]}AAAA.{signature}",
            "oversized": issuer.token(url, extra="x" * jwt_tokens.MAX_TOKEN_CHARS),
            "garbage": "garbage",
        }
        for what, token in bad.items():
            refused = await here.send(token)
            assert refused.status_code == 401, what
            challenge = refused.headers["www-authenticate"]
            assert f'resource_metadata="{here.metadata_url}"' in challenge, what
            assert token not in refused.text + challenge, what
        for scheme in ("Basic", "DPoP", "Token"):
            headers = HEADERS | {"Authorization": f"{scheme} {issuer.token(url)}"}
            assert (await here.http.post(url, json=CALL, headers=headers)).status_code == 401
        assert (await here.send(issuer.token(url))).status_code == 200


async def test_a_token_without_the_scope_is_told_which_it_lacks(tmp_path: Path) -> None:
    async with world(tmp_path, source=NoServices()) as here:
        for scope in ("other", "searching", None):
            refused = await here.send(here.issuer.token(here.url, scope=scope))
            assert refused.status_code == 403
            challenge = refused.headers["www-authenticate"]
            assert 'error="insufficient_scope"' in challenge
            assert f'scope="{SCOPE}"' in challenge
            assert f'resource_metadata="{here.metadata_url}"' in challenge


async def test_a_token_in_the_address_is_never_accepted(tmp_path: Path) -> None:
    async with world(tmp_path, source=NoServices()) as here:
        token = here.issuer.token(here.url)
        for name in ("access_token", "token", "authorization"):
            assert (await here.send(None, {name: token})).status_code == 401
        form = await here.http.post(here.url, data={"access_token": token}, headers=HEADERS)
        assert form.status_code == 401


async def test_while_no_keys_can_be_had_callers_are_asked_to_come_back(tmp_path: Path) -> None:
    async with world(tmp_path, source=NoServices()) as here:
        here.issuer.is_down = True
        refused = await here.send(here.issuer.token(here.url))
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert "www-authenticate" not in refused.headers
        assert (await here.send("garbage")).status_code == 401
        asked = len(here.issuer.asked)
        assert (await here.send(here.issuer.token(here.url))).status_code == 503
        assert len(here.issuer.asked) == asked  # not asked again for every caller


async def test_tokens_of_a_file_are_good_beside_those_of_the_issuer(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"script {STATIC}\n")
    tokens.chmod(0o600)
    callers = Callers()
    async with world(tmp_path, callers=callers, tokens=tokens) as here:
        for token in (STATIC, here.issuer.token(here.url)):
            async with connected(here.url, token=token) as client:
                assert not (await client.call_tool("web_search", {"query": "Voss"})).is_error
        assert (await here.send(STATIC[:-1])).status_code == 401
    assert callers.snapshot().keys() == {"script", "oauth:ann"}


ISSUER = "https://as.example"
PUBLIC = "https://search.corp.example/mcp"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"issuer": ISSUER}, "needs 'public_url'"),
        ({"issuer": "as.example", "public_url": PUBLIC}, "'oauth_issuer' is not a URL"),
        ({"issuer": "http://as.example", "public_url": PUBLIC}, "'oauth_issuer' is not a URL"),
        ({"issuer": ISSUER, "public_url": "http://search.example/mcp"}, "'public_url' is not"),
        ({"issuer": ISSUER, "public_url": PUBLIC + "?x=1"}, "'public_url' is not a URL"),
        ({"issuer": ISSUER, "public_url": PUBLIC, "jwks_url": "keys"}, "'oauth_jwks_url' is not"),
        (
            {"issuer": ISSUER, "public_url": PUBLIC, "jwks_url": "http://127.0.0.1/keys"},
            "must be https",
        ),
        ({"issuer": ISSUER, "public_url": PUBLIC, "scopes": ['a"b']}, "is not a scope"),
        ({"issuer": ISSUER, "public_url": PUBLIC, "scopes": ["a b"]}, "is not a scope"),
        ({"jwks_url": ISSUER}, "'oauth_jwks_url' needs 'oauth_issuer'"),
        ({"scopes": ["search"], "token_file": Path("absent")}, "'oauth_scopes' needs"),
        ({"token_file": Path("absent")}, "token file 'absent'"),
        ({"token_file": Path("absent"), "issuer": ISSUER, "public_url": PUBLIC}, "token file"),
    ],
)
def test_settings_that_cannot_be_meant_open_no_door(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build_door(http=httpx.AsyncClient(), **settings)  # pyright: ignore[reportArgumentType]


def test_without_settings_there_is_no_door() -> None:
    assert build_door(http=httpx.AsyncClient(), public_url=PUBLIC) is None
