"""A page that we serve opens for whoever has its token, and for no other site or program."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from agent_client.pages.gate import PageGate, entry_address, new_token

TOKEN = "t" * 43
CODE = "c" * 43
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


async def test_the_code_of_a_browsers_command_line_lets_in_once() -> None:
    gate = PageGate(PlainTextResponse("inside"), token=TOKEN, code=CODE)
    transport = httpx.ASGITransport(gate)
    async with (
        httpx.AsyncClient(transport=transport, base_url=BASE) as user,
        httpx.AsyncClient(transport=transport, base_url=BASE) as reader_of_command_lines,
    ):
        assert (await user.get(entry_address(BASE, CODE))).status_code == 200
        late = await reader_of_command_lines.get(entry_address(BASE, CODE))
        assert (late.status_code, "set-cookie" in late.headers) == (401, False)
        assert (await reader_of_command_lines.get("/")).status_code == 401
        assert (await user.get("/")).text == "inside"
        assert (await user.get(entry_address(BASE, CODE))).status_code == 200  # Back, or a reload


async def test_without_a_code_an_empty_one_lets_nobody_in() -> None:
    async with browser() as client:
        for path in ("/?token=", "/?token=%00", "/?token"):
            assert (await client.get(path)).status_code == 401


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


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
async def test_a_page_of_another_port_can_lead_here_and_load_nothing(site: str) -> None:
    async with browser() as client:
        await client.get(entry_address(BASE, TOKEN))
        loads = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
        assert (await client.get("/", headers=loads)).status_code == 403
        leads = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
        assert (await client.get("/", headers=leads)).text == "inside"
        own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
        assert (await client.get("/", headers=own)).text == "inside"


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_nothing_but_requests_reaches_what_is_behind(kind: str) -> None:
    reached = list[str]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope["type"])

    async def receive() -> Message:
        raise AssertionError("nothing is asked for")

    async def send(message: Message) -> None:
        raise AssertionError(f"nothing is told: {message}")

    await PageGate(app, token=TOKEN)({"type": kind}, receive, send)
    assert reached == []


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
