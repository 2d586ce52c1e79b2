"""DuckDuckGo's page of results without scripts, read by the `ddgs` library."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import cast
from urllib.parse import parse_qs

import anyio.from_thread
import httpx

from mcp_server.search.providers.duckduckgo import (
    BLOCKED_SECONDS,
    MAX_QUERY_CHARS,
    DuckDuckGo,
    Engine,
    library_engine,
)
from tests.server.providers.contract import Case, Refusal, Row

ENDPOINT = "https://html.duckduckgo.com/html/"
REGIONS = "".join(f'<option value="r{number}-xx">Region {number}</option>' for number in range(70))
HEAD = f"""<!DOCTYPE html>
<html><head><title>moons at DuckDuckGo</title></head><body>
<form action="/html/" method="post"><input name="q" type="text" value="moons">
<select name="kl">{REGIONS}</select></form>
"""
FOOT = '<div class="nav-link"><form action="/html/"><input value="Next"></form></div></body></html>'


@dataclass
class Answer:
    status_code: int
    text: str


def result(row: Row) -> str:
    href = "" if row.url is None else f' href="{escape(row.url)}"'
    title, preview = escape(row.title or ""), escape(row.preview or "")
    return f"""<div class="result results_links web-result"><div class="links_main result__body">
<h2 class="result__title"><a rel="nofollow" class="result__a"{href}>{title}</a></h2>
<div class="result__extras"><div class="result__extras__url"><span class="result__icon"> </span>
<a class="result__url" href="#">a.example</a><span>&nbsp; &nbsp; 2024-05-01T16:53:00.0000000</span>
</div></div>
<a class="result__snippet"{href}>{preview}</a><div class="clear"></div></div></div>
"""


def reply(rows: Sequence[Row]) -> bytes:
    return (HEAD + "".join(result(row) for row in rows) + FOOT).encode("utf-8", "replace")


def build(http: httpx.AsyncClient) -> DuckDuckGo:
    """The provider with the library's own form and parser, and this client in place of its own."""

    def make(seconds: float) -> Engine:
        real = library_engine(seconds)

        async def post(data: object) -> Answer:
            form = cast(dict[str, str], data)
            response = await http.post(ENDPOINT, data=form, follow_redirects=False)
            return Answer(response.status_code, response.text)

        def send(data: object) -> Answer:
            return anyio.from_thread.run(post, data)

        return Engine(payload=real.payload, send=send, rows=real.rows)

    return DuckDuckGo(engine=make)


def sent(request: httpx.Request, name: str) -> str:
    return parse_qs(request.content.decode(), keep_blank_values=True).get(name, [""])[0]


CASE = Case(
    build=build,
    reply=reply,
    empty=f'{HEAD}<div class="no-results">No results.</div>{FOOT}'.encode(),
    sent={
        "site": lambda request: "(site:nasa.gov OR site:esa.int)" in sent(request, "q"),
        "exclude": lambda request: "-site:pinterest.com -site:quora.com" in sent(request, "q"),
        "dates": lambda request: sent(request, "df") == "2024-02-29..2024-12-31",
        "language": lambda request: sent(request, "l") == "de-de",
        "region": lambda request: sent(request, "l") == "at-de",
        "page": lambda request: sent(request, "s") == "10",
    },
    text_of=lambda request: sent(request, "q"),
    refusals=[
        Refusal(status=202, body=b"", says="bot check", retry_after_seconds=BLOCKED_SECONDS),
        Refusal(status=202, body=reply([]), says="bot check", retry_after_seconds=BLOCKED_SECONDS),
        Refusal(
            status=200,
            body=b'<form id="challenge-form" action="//duckduckgo.com/anomaly.js"></form>',
            says="bot check",
            retry_after_seconds=BLOCKED_SECONDS,
        ),
    ],
    malformed=[reply([])],  # no result and no word that there is none
    by_library=True,
    is_json=False,
    default_retry_seconds=BLOCKED_SECONDS,
    max_text_chars=MAX_QUERY_CHARS,
)
