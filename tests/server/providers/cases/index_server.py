"""The reference agent's search server."""

import json
from collections.abc import Sequence

from mcp_server.errors import ProviderFailed
from mcp_server.search.providers.index_server import IndexServer
from tests.server.providers.contract import SECRET, Case, Refusal, Row


def reply(rows: Sequence[Row]) -> bytes:
    results = [
        {
            "url": row.url,
            "metadata": {"paper_title": row.title, "published": "2024-05-01"},
            "preview": row.preview,
            "id": f"d{rank}",
            "score": 12.5 - rank,
        }
        for rank, row in enumerate(rows)
    ]
    return json.dumps({"results": results}).encode()


CASE = Case(
    build=lambda http: IndexServer(http, "http://index.example:10000/", SECRET),
    reply=reply,
    empty=reply([]),
    sent={"page": lambda request: json.loads(request.content)["top_k"] == 15},
    text_of=lambda request: json.loads(request.content)["query"],
    refusals=[
        Refusal(
            status=503,
            body=b'{"detail": "busy: 256 requests are under way; try again in a moment"}',
            says="HTTP 503: busy",
            error=ProviderFailed,
            headers={"retry-after": "1"},
            retry_after_seconds=1.0,
        ),
        Refusal(
            status=422,
            body=b'{"detail": "top_k: Input should be less than or equal to 200"}',
            says="HTTP 422: top_k",
            error=ProviderFailed,
        ),
    ],
    malformed=[b'{"results": [{"url": "ftp://a.example/"}]}'],
    unconfigured=lambda http: IndexServer(http, "index.example"),
    setting="index_server_url",
)
