"""Search-R1's retrieval server, with the further fields that its descendants send."""

import json
from collections.abc import Sequence

from mcp_server.search.providers.retriever import Retriever
from tests.server.providers.contract import SECRET, Case, Row


def reply(rows: Sequence[Row]) -> bytes:
    found = [
        {
            "document": {
                "id": str(rank),
                "contents": f'"{row.title or ""}"\n{row.preview or ""}',
                "title": row.title,
                "url": row.url,
            },
            "score": 0.875 - rank / 100,
        }
        for rank, row in enumerate(rows)
    ]
    return json.dumps({"result": [found]}).encode()


CASE = Case(
    build=lambda http: Retriever(http, "http://retriever.example:8000/retrieve", SECRET),
    reply=reply,
    empty=reply([]),
    sent={"page": lambda request: json.loads(request.content)["topk"] == 15},
    text_of=lambda request: json.loads(request.content)["queries"][0],
    malformed=[b'{"result": []}', b'{"result": [[], []]}', b'{"result": [[{"document": {}}]]}'],
    unconfigured=lambda http: Retriever(http, ""),
    setting="retriever_url",
)
