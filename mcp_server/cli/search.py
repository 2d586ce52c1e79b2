"""`seekling-mcp search QUERY`: what a model would get, for people and scripts."""

import argparse
from dataclasses import asdict

import anyio

from mcp_server.app import open_services
from mcp_server.cli.json_output import print_json
from mcp_server.cli.settings import load_settings
from mcp_server.config import ServerConfig
from mcp_server.search.operators import build_query
from mcp_server.search.types import (
    DEFAULT_LIMIT,
    DEFAULT_PREVIEW_CHARS,
    SearchQuery,
    SearchResults,
)
from mcp_server.tools import render


def run(options: argparse.Namespace) -> int:
    """Search once and print the results."""
    query = build_query(
        options.query,
        limit=DEFAULT_LIMIT if options.limit is None else options.limit,
        preview_chars=(
            DEFAULT_PREVIEW_CHARS if options.preview_chars is None else options.preview_chars
        ),
        include_domains=[name for name in options.site.split(",") if name.strip()],
        after=options.after,
        before=options.before,
        language=options.language,
        region=options.region,
        page=options.page,
    )
    results = anyio.run(_search, load_settings(options), query)
    if options.json:
        print_json(asdict(results))
    else:
        print(render.results_text(results))
    return 0


async def _search(config: ServerConfig, query: SearchQuery) -> SearchResults:
    async with open_services(config) as services:
        return await services.search.search(query)
