"""`seekling-mcp doctor`, as a person runs it."""

import json
import sys
from pathlib import Path
from typing import Any

import anyio

from tests.support.fake_web import FakeWeb, reply, serve
from tests.support.tools_server import build_small_index

SCRIPT = str(Path(sys.executable).with_name("seekling-mcp"))
KEY = "sesame-4711-sesame"
HITS = {"results": [{"url": "https://a.example/", "title": "A", "content": "a"}]}


async def doctor(*arguments: str, environment: dict[str, str]) -> tuple[int, str, str]:
    with anyio.fail_after(120):
        done = await anyio.run_process([SCRIPT, "doctor", *arguments], check=False, env=environment)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def findings(told: str) -> dict[str, dict[str, Any]]:
    sections = json.loads(told)["sections"]
    return {found["check"]: found for section in sections for found in section["findings"]}


def searches(web: FakeWeb) -> int:
    return sum(path.startswith("/search") for path in web.paths)


async def test_a_server_that_works_is_told_so_and_nobody_outside_is_asked(tmp_path: Path) -> None:
    environment = {
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "BRAVE_API_KEY": KEY,
        "SEEKLING_MCP_SEARCH_MODE": "fanout",
    }
    async with serve({"/search": reply(json.dumps(HITS))}) as web:
        own = ["--index", str(build_small_index(tmp_path)), "--searxng-url", web.url("")]
        code, told, err = await doctor(*own, "--offline", "--json", environment=environment)
    found = findings(told)
    assert [name for name, each in found.items() if each["outcome"] == "problem"] == []
    assert (code, json.loads(told)["outcome"], err) == (0, "ok", "")
    assert KEY not in told
    assert found["environment"]["told"] == "SEEKLING_MCP_SEARCH_MODE, BRAVE_API_KEY"
    assert found["flags"]["told"] == "--index --searxng-url"
    assert found["providers"]["told"] == "brave -> searxng -> local -> duckduckgo"
    for era in ("2025-11-25", "2026-07-28"):
        assert found[f"MCP {era}"]["told"].startswith("2 tools: web_search, web_visit; ")
        assert found[f"MCP {era}"]["seconds"] > 0
    assert found["brave"]["outcome"] == found["duckduckgo"]["outcome"] == "skipped"
    assert found["searxng"]["told"] == "answered: 1 result"
    assert searches(web) == 1
    assert found["local"]["told"].startswith("no results for")
    assert found["page"]["outcome"] == "skipped"
    assert found["page reader"]["outcome"] == found["encyclopedia"]["outcome"] == "ok"
    assert found["index"]["told"].startswith("3 documents in ")


async def test_wrong_settings_end_it_in_one_line_after_what_is_known(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "SEEKLING_MCP_PROVIDER": "x"}
    code, told, err = await doctor(environment=environment)
    assert code == 2
    assert told.startswith("installation\n  ok       python ")
    assert "\x1b" not in told
    assert err.count("\n") == 1
    assert "did you mean 'SEEKLING_MCP_PROVIDERS'?" in err
