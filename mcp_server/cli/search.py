"""`seekling-mcp search QUERY`: what a model would get, for people and scripts."""

import argparse
import json
from dataclasses import asdict

import anyio

from mcp_server.app import open_services
from mcp_server.cli.settings import load_settings
from mcp_server.config import ServerConfig
from mcp_server.errors import ConfigError
from mcp_server.search.types import DEFAULT_LIMIT, MAX_LIMIT, SearchQuery, SearchResults
from mcp_server.tools import render


def run(options: argparse.Namespace) -> int:
    """Search once and print the results."""
    limit = DEFAULT_LIMIT if options.limit is None else options.limit
    if not 1 <= limit <= MAX_LIMIT:
        raise ConfigError(f"--limit {limit} is out of range", hint=f"use 1 to {MAX_LIMIT}")
    query = " ".join(options.query.split())
    if not query:
        raise ConfigError("the query is empty", hint="say what to look for")
    results = anyio.run(_search, load_settings(options), SearchQuery(text=query, limit=limit))
    if options.json:
        print(json.dumps(asdict(results), ensure_ascii=False))
    else:
        print(render.results_text(results))
    return 0


async def _search(config: ServerConfig, query: SearchQuery) -> SearchResults:
    async with open_services(config) as services:
        return await services.search.search(query)
