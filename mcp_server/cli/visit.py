"""`seekling-mcp visit URL`: what a model would get, for people and scripts."""

import argparse
import json
from dataclasses import asdict

import anyio

from mcp_server.app import open_services
from mcp_server.cli.settings import load_settings
from mcp_server.config import ServerConfig
from mcp_server.errors import ConfigError
from mcp_server.tools import render
from mcp_server.visit.parts import cut
from mcp_server.visit.types import DEFAULT_MAX_CHARS, MAX_MAX_CHARS, Page


def run(options: argparse.Namespace) -> int:
    """Read one part of a page and print it."""
    max_chars = DEFAULT_MAX_CHARS if options.max_chars is None else options.max_chars
    if not 1 <= max_chars <= MAX_MAX_CHARS:
        raise ConfigError(f"--max-chars {max_chars} is out of range", hint=f"1 to {MAX_MAX_CHARS}")
    if options.start < 0:
        raise ConfigError(f"--start {options.start} is negative", hint="characters count from 0")
    page = anyio.run(_page, load_settings(options), options.url)
    part = cut(page.text, options.start, max_chars)
    if options.json:
        told = asdict(page) | {
            "text": part.text,
            "start": part.start,
            "end": part.end,
            "total_chars": part.total_chars,
        }
        print(json.dumps(told, ensure_ascii=False))
    else:
        print(render.page_text(page, part, with_links=options.links))
    return 0


async def _page(config: ServerConfig, url: str) -> Page:
    async with open_services(config) as services:
        return await services.visit.page(url)
