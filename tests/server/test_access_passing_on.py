"""A caller's token stays at the door: nothing behind it ever has the token to pass on."""

import json
import logging
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from mcp_server.access.callers import Callers
from tests.support.authorization_server import authorization_server
from tests.support.fake_web import FakeWeb, in_turn, reply, serve
from tests.support.guarded_server import Era, connected, guarded_server, oauth_door

STATIC = "canary-0123456789abcdef"
PAGE = "<html><title>Brindlewick</title><body><p>The lighthouse was built in 1871.</p></html>"


def found(web: FakeWeb) -> str:
    hit = {"url": web.url("/page"), "title": "Brindlewick", "content": "A lighthouse."}
    return json.dumps({"results": [hit]})


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_a_token_reaches_no_provider_no_page_no_log_and_no_result(
    tmp_path: Path, era: Era, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = tmp_path / "tokens"
    tokens.write_text(f"script {STATIC}\n")
    tokens.chmod(0o600)
    callers = Callers()
    told: list[str] = []
    async with AsyncExitStack() as stack:
        pages = await stack.enter_async_context(
            serve({"/page": reply(PAGE), "/broken": reply("no", status="500 Broken")})
        )
        answer = reply(found(pages), content_type="application/json")
        refusal = reply("no", status="403 Forbidden")
        provider = await stack.enter_async_context(
            serve({"/search": in_turn(answer, answer, refusal)})
        )
        issuer = await stack.enter_async_context(authorization_server())
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        url = await stack.enter_async_context(
            guarded_server(
                tmp_path,
                oauth_door(issuer, http, tokens=tokens),
                middleware=[callers.middleware()],
                providers=("searxng",),
                searxng_url=provider.url("/"),
                allow_private=("127.0.0.1",),
                allow_ports="any",
            )
        )
        canaries = [STATIC, issuer.token(url)]
        for number, token in enumerate(canaries):
            async with connected(url, token=token, era=era) as client:
                for name, arguments in (
                    ("web_search", {"query": f"lighthouse {number}"}),
                    ("web_visit", {"url": pages.url(f"/page?n={number}")}),
                    ("web_visit", {"url": pages.url("/broken")}),
                    ("web_visit", {"url": "http://127.0.0.2/"}),
                ):
                    result = await client.call_tool(name, arguments)
                    told.append(result.model_dump_json(by_alias=True))
                for number_again in range(2):
                    query = {"query": f"harbour {number} {number_again}"}
                    told.append((await client.call_tool("web_search", query)).model_dump_json())
        assert len(provider.requests) >= 3
        assert {"/page?n=0", "/page?n=1", "/broken"} <= set(pages.paths)
        told += [*provider.requests, *pages.requests, caplog.text, json.dumps(callers.snapshot())]
        told += issuer.asked
    assert "seekling/error" in "".join(told)
    for canary in canaries:
        for piece in (canary, canary.rpartition(".")[2]):  # the signature is enough to be a leak
            assert not [text for text in told if piece in text]
    assert not [
        text for text in (*provider.requests, *pages.requests) if "authorization" in text.lower()
    ]
