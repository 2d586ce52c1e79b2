import json
from collections.abc import Sequence

from mcp_server.errors import ProviderFailed
from mcp_server.search.providers.anserini import MAX_QUERY_BYTES, Anserini
from tests.server.providers.contract import Case, Refusal, Row


def reply(rows: Sequence[Row]) -> bytes:
    candidates: list[dict[str, object]] = [
        {
            "docid": f"d{rank}",
            "score": round(9.1234 - rank, 4),
            "rank": rank,
            "doc": {"contents": row.preview, "title": row.title, "url": row.url},
        }
        for rank, row in enumerate(rows, start=1)
    ]
    whole = {"api": "v1", "index": "wiki", "query": {"text": "x"}, "candidates": candidates}
    return json.dumps(whole).encode()


CASE = Case(
    build=lambda http: Anserini(http, "http://lucene.example:8080/v1/wiki"),
    reply=reply,
    empty=reply([]),
    sent={"page": lambda request: request.url.params["hits"] == "15"},
    text_of=lambda request: request.url.params["query"],
    refusals=[
        Refusal(
            status=400,
            body=b'{"error":"Unable to open index: nosuch"}',
            says="no such index",
            error=ProviderFailed,
        ),
    ],
    malformed=[b'{"error": "Document not found: 5"}'],
    unconfigured=lambda http: Anserini(http, ""),
    setting="anserini_url",
    max_text_chars=MAX_QUERY_BYTES,
)
