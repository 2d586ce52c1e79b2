"""`seekling-mcp visit URL`: what a model would get, for people and scripts."""

import argparse
from dataclasses import asdict

import anyio

from mcp_server.app import open_services
from mcp_server.cli.json_output import print_json
from mcp_server.cli.settings import load_settings
from mcp_server.config import ServerConfig
from mcp_server.errors import ConfigError
from mcp_server.tools import render
from mcp_server.visit.reading.excerpt import Excerpt, Wanted, read
from mcp_server.visit.types import DEFAULT_MAX_CHARS, MAX_MAX_CHARS, Page


def run(options: argparse.Namespace) -> int:
    """Read a piece of a page and print it."""
    wanted = _wanted(options)
    page, excerpt = anyio.run(_read, load_settings(options), options.url, wanted, options.raw)
    if options.json:
        told = asdict(page) | {"total_chars": len(page.text)} | asdict(excerpt)
        print_json(told)
    elif options.raw:
        print(excerpt.text)
    else:
        print(render.page_text(page, excerpt, with_links=options.links))
    return 0


def _wanted(options: argparse.Namespace) -> Wanted:
    max_chars = DEFAULT_MAX_CHARS if options.max_chars is None else options.max_chars
    if not 1 <= max_chars <= MAX_MAX_CHARS:
        raise ConfigError(f"--max-chars {max_chars} is out of range", hint=f"1 to {MAX_MAX_CHARS}")
    if options.start < 0:
        raise ConfigError(f"--start {options.start} is negative", hint="characters count from 0")
    if options.max_tokens < 0:
        raise ConfigError(f"--max-tokens {options.max_tokens} is negative", hint="0 is no bound")
    if options.raw and (options.query or options.section):
        raise ConfigError("--raw shows the source, which has no sections or passages")
    return Wanted(
        start=options.start,
        max_chars=max_chars,
        max_tokens=options.max_tokens,
        section=options.section,
        query=options.query,
    )


async def _read(config: ServerConfig, url: str, wanted: Wanted, raw: bool) -> tuple[Page, Excerpt]:
    async with open_services(config) as services:
        if not raw:
            return await services.visit.read(url, wanted)
        page = await services.visit.source(url)
        return page, read(page.text, wanted)
