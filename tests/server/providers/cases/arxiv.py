"""arXiv's Atom API, after its user's manual."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

import httpx

from mcp_server.errors import ProviderFailed
from mcp_server.search.providers.arxiv import MAX_QUERY_CHARS, STOP_WORDS, ArXiv
from tests.server.providers.contract import Case, Refusal, Row

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom">
  <link href="http://arxiv.org/api/query?search_query%3Dall%3Amoons" rel="self"/>
  <title type="html">ArXiv Query: search_query=all:moons&amp;id_list=&amp;start=0</title>
  <id>http://arxiv.org/api/cHxbiOdZaP56ODnBPIenZhzg5f8</id>
  <updated>2026-11-22T00:00:00-05:00</updated>
  <opensearch:totalResults xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">TOTAL</opensearch:totalResults>
  <opensearch:startIndex xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">0</opensearch:startIndex>
"""
ENTRY = """  <entry>
    {id}
    <updated>2024-06-01T10:00:00Z</updated>
    <published>2024-05-01T17:59:59Z</published>
    {title}
    {summary}
    <author><name>Jane Doe</name></author>
    <arxiv:comment xmlns:arxiv="http://arxiv.org/schemas/atom">12 pages</arxiv:comment>
    <link href="http://arxiv.org/abs/2405.00000v2" rel="alternate" type="text/html"/>
    <link title="pdf" href="http://arxiv.org/pdf/2405.00000v2" rel="related"/>
    <category term="astro-ph.EP" scheme="http://arxiv.org/schemas/atom"/>
  </entry>
"""


def element(name: str, text: str | None) -> str:
    return "" if text is None else f"<{name}>{escape(text)}</{name}>"


def feed(entries: str, total: int) -> bytes:
    return (HEAD.replace("TOTAL", str(total)) + entries + "</feed>\n").encode("utf-8", "replace")


def reply(rows: Sequence[Row]) -> bytes:
    entries = [
        ENTRY.format(
            id=element("id", row.url and f"http://arxiv.org/abs/2405.{number:05}v2"),
            title=element("title", row.title),
            summary=element("summary", row.preview),
        )
        for number, row in enumerate(rows)
    ]
    return feed("".join(entries), 1_234)


def words(request: httpx.Request) -> str:
    """The words asked for, and those that are left out since they stand in every paper."""
    return " ".join((request.url.params["search_query"], *STOP_WORDS))


ERROR = ENTRY.format(
    id="<id>http://arxiv.org/api/errors#incorrect_id_format_for_1</id>",
    title="<title>Error</title>",
    summary="<summary>incorrect id format for 1</summary>",
)

CASE = Case(
    build=lambda http: ArXiv(http),
    reply=reply,
    empty=feed("", 0),
    sent={
        "dates": lambda request: (
            "submittedDate:[202402290000 TO 202412312359]" in request.url.params["search_query"]
        ),
        "page": lambda request: request.url.params["start"] == "10",
    },
    text_of=words,
    refusals=[
        Refusal(status=200, body=feed(ERROR, 1), says="incorrect id format", error=ProviderFailed),
        Refusal(status=429, body=b"Rate exceeded.", says="rate limit"),
        Refusal(
            status=503,
            body=b"Retry later",
            says="HTTP 503",
            error=ProviderFailed,
            headers={"retry-after": "5"},
            retry_after_seconds=5.0,
        ),
        Refusal(  # seen in the wild: papers are counted and none is sent
            status=200, body=feed("", 1_234), says="sent none", error=ProviderFailed
        ),
    ],
    malformed=[b"<html><feed/></html>", feed("<entry><title>No place</title></entry>", 1)],
    keeps_urls=False,
    is_json=False,
    max_text_chars=2 * MAX_QUERY_CHARS,
)
