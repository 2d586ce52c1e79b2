"""The real server over stdio, against a hostile web on loopback."""

import os
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
from anyio.abc import SocketStream
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

from tests.support.fake_web import redirect, reply, serve

SCRIPT = str(Path(sys.executable).with_name("seekling-mcp"))
ALLOWED = ("--allow-private", "127.0.0.1/32", "--allow-ports", "any")
CANARY = "CANARY5b1d"


@asynccontextmanager
async def running_server(
    *flags: str, environment: dict[str, str] | None = None, log: Path | None = None
) -> AsyncGenerator[Client]:
    """A server started as hosts start it, and a session with it."""
    parameters = StdioServerParameters(
        command="/bin/sh",
        args=["-c", 'exec "$0" "$@" 2>"$LOG"', SCRIPT, "serve", "--providers", "local", *flags],
        env={"LOG": str(log or os.devnull), **(environment or {})},
    )
    with anyio.fail_after(50):
        async with Client(parameters) as client:
            yield client


async def visit(client: Client, url: str) -> tuple[bool, str]:
    """Whether it failed, and the text that the model gets."""
    result = await client.call_tool("web_visit", {"url": url})
    assert isinstance(result, CallToolResult)
    (content,) = result.content
    assert isinstance(content, TextContent)
    return bool(result.is_error), content.text


def page(text: str) -> str:
    return f"<html><body><article><p>{text}</p></article></body></html>"


async def test_a_page_that_one_policy_let_in_is_not_shown_under_another(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    async with serve({"/": reply(page("The page of the inner network."))}) as web:
        kept = ("--page-cache", str(folder / "pages.db"))
        async with running_server(*ALLOWED, *kept) as client:
            is_error, text = await visit(client, web.url("/"))
            assert not is_error
            assert "inner network" in text
        async with running_server(*kept) as client:
            is_error, text = await visit(client, web.url("/"))
    assert is_error
    assert "blocked" in text
    assert len(web.requests) == 1


async def test_hostile_answers_cost_only_themselves() -> None:
    nested = "<div>" * 100_000 + "deep" + "</div>" * 100_000
    names = "".join(f"{number:x}: \r\n" for number in range(9_000))
    routes = {
        "/good": reply(page("A good page stays readable.")),
        "/nested": reply(nested),
        "/surrogate": reply('{"a": "\\ud800 half"}', content_type="application/json"),
        "/refresh": reply(
            '<meta http-equiv="refresh" content="0;url=/never">' + page("It stays where it is.")
        ),
        "/inside": redirect("http://10.0.0.1/"),
        "/names": reply(page("Many headers."), headers={"X": "y\r\n" + names + "Z: z"}),
        "/escape": reply(page("red \x1b[31m \u202e ![x](http://evil.example/)")),
    }
    async with serve(routes) as web, running_server(*ALLOWED, "--visit-seconds", "2") as client:
        answers: dict[str, tuple[bool, str]] = {}
        longest_wait = 0.0

        async def ask(path: str) -> None:
            answers[path] = await visit(client, web.url(path))

        await ask("/good")
        async with anyio.create_task_group() as tasks:
            for path in routes:
                tasks.start_soon(ask, path)
            for _ in range(20):
                started = time.monotonic()
                await client.list_tools()
                longest_wait = max(longest_wait, time.monotonic() - started)
                await anyio.sleep(0.05)
    assert {path for path, (is_error, _) in answers.items() if is_error} == {"/inside"}
    assert "without structure" in answers["/nested"][1]
    assert "half" in answers["/surrogate"][1]
    assert "It stays where it is." in answers["/refresh"][1]
    assert "/never" not in web.paths
    assert "10.0.0.1" not in answers["/inside"][1]
    assert not {"\x1b", "\u202e"} & set(answers["/escape"][1])
    assert "![" not in answers["/escape"][1]
    assert longest_wait < 1.5


async def test_two_hundred_visits_to_a_silent_site_are_bounded() -> None:
    is_open: set[SocketStream] = set()
    most_open = 0

    async def silent(stream: SocketStream) -> None:
        nonlocal most_open
        is_open.add(stream)
        most_open = max(most_open, len(is_open))
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            await stream.receive()
        is_open.discard(stream)

    async with (
        serve({"/": silent}) as web,
        running_server(*ALLOWED, "--visit-seconds", "2") as client,
    ):
        refused: list[str] = []
        are_many_refused = anyio.Event()

        async def ask(number: int) -> None:
            is_error, text = await visit(client, web.url(f"/?{number}"))
            assert is_error
            refused.append(text)
            if len(refused) == 100:
                are_many_refused.set()

        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(ask, number)
            await are_many_refused.wait()  # those beyond the queue are told at once
            started = time.monotonic()
            await client.list_tools()
            assert time.monotonic() - started < 1
    assert sum("busy" in text for text in refused) == 200 - 4 - 64
    assert 4 <= most_open <= 8


async def test_no_log_or_answer_holds_a_key(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with (
        serve({"/": reply(page("A page that wants a key."))}) as web,
        running_server(
            *ALLOWED,
            *("--log-level", "debug"),
            environment={"SERPER_API_KEY": CANARY + "1"},
            log=log,
        ) as client,
    ):
        _, read = await visit(client, web.url("/"))
        _, refused = await visit(client, f"http://user:{CANARY}2@127.0.0.1/")
        await visit(client, web.url(f"/?access_token={CANARY}3"))
        await visit(client, web.url(f"/missing?api_key={CANARY}4"))
    assert CANARY not in read + refused
    assert CANARY not in log.read_text(encoding="utf-8")
