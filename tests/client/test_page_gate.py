"""A page that we serve opens for whoever has its token, and for no other site or program."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.responses import PlainTextResponse

from agent_client.pages.gate import PageGate, entry_address, new_token

TOKEN = "t" * 43
BASE = "http://127.0.0.1:8123"


@asynccontextmanager
async def browser(base: str = BASE, **options: object) -> AsyncGenerator[httpx.AsyncClient]:
    gate = PageGate(PlainTextResponse("inside"), token=TOKEN, **options)  # pyright: ignore[reportArgumentType]
    transport = httpx.ASGITransport(gate)
    async with httpx.AsyncClient(transport=transport, base_url=base) as client:
        yield client


async def test_the_address_with_the_token_lets_its_reader_in_for_good() -> None:
    async with browser() as client:
        first = await client.get(entry_address(BASE, TOKEN))
        assert (first.status_code, "inside" in first.text) == (200, False)
        cookie = first.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert (await client.get("/")).text == "inside"


async def test_the_token_leaves_the_address() -> None:
    async with browser() as client:
        entry = await client.get(entry_address(BASE, TOKEN))
        assert 'content="0;url=/"' in entry.text
        assert TOKEN not in entry.text
        assert entry.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/", "/?token=wrong", "/api", "/?token="])
async def test_without_the_token_nothing_is_shown(path: str) -> None:
    async with browser() as client:
        answer = await client.get(path)
        assert (answer.status_code, "inside" in answer.text) == (401, False)


async def test_the_cookie_of_another_server_of_this_machine_does_not_count() -> None:
    async with browser() as client:
        client.cookies.set("seekling-9000", TOKEN)
        assert (await client.get("/")).status_code == 401


async def test_a_token_in_a_form_that_is_sent_is_refused() -> None:
    async with browser() as client:
        assert (await client.post(f"/?token={TOKEN}")).status_code == 401


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9000"])
async def test_another_site_is_refused_even_with_the_cookie(origin: str) -> None:
    async with browser() as client:
        await client.get(entry_address(BASE, TOKEN))
        answer = await client.post("/", headers={"Origin": origin})
        assert (answer.status_code, answer.text) == (403, "another site may not use this page\n")
        assert (await client.post("/", headers={"Origin": BASE})).text == "inside"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8123", "", "127.0.0.1.evil.example"]
)
async def test_a_name_that_somebody_pointed_here_is_refused(host: str) -> None:
    async with browser() as client:
        answer = await client.get(f"/?token={TOKEN}", headers={"Host": host})
        assert answer.status_code == 421


@pytest.mark.parametrize("base", ["http://localhost:8123", "http://[::1]:8123", "http://box:8123"])
async def test_names_of_this_machine_and_those_allowed_are_its_own(base: str) -> None:
    async with browser(base, hosts=["box"]) as client:
        await client.get(entry_address(base, TOKEN))
        assert (await client.get("/")).text == "inside"


async def test_every_answer_keeps_out_of_frames_caches_and_other_sites() -> None:
    async with browser() as client:
        headers = (await client.get("/")).headers
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_tokens_are_long_and_differ() -> None:
    assert len(new_token()) >= 40
    assert new_token() != new_token()
