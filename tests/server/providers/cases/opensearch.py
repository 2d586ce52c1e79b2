import json
from collections.abc import Sequence
from typing import Any, cast

import httpx

from mcp_server.errors import ProviderBlocked, ProviderFailed
from mcp_server.search.providers.opensearch import MAX_QUERY_CHARS, OpenSearch
from tests.server.providers.contract import SECRET, Case, Refusal, Row

URL = "https://search.example:9200/wiki"


def reply(rows: Sequence[Row], *, timed_out: bool = False, failed: int = 0) -> bytes:
    hits: list[dict[str, object]] = [
        {
            "_index": "wiki-gen-1",
            "_id": f"doc {rank}#0",
            "_score": 12.5 - rank,
            "_source": {
                "doc": f"doc {rank}",
                "url": row.url,
                "title": row.title,
                "published": "2024-05-17",
            },
            "highlight": {"text": [row.preview]},
            "fields": {"doc": [f"doc {rank}"]},
        }
        for rank, row in enumerate(rows)
    ]
    whole = {
        "took": 7,
        "timed_out": timed_out,
        "_shards": {"total": 3, "successful": 3 - failed, "skipped": 0, "failed": failed},
        "hits": {"max_score": 12.5, "hits": hits},
    }
    return json.dumps(whole).encode()


def error(kind: str, reason: str, status: int) -> bytes:
    cause = {"type": kind, "reason": reason}
    return json.dumps({"error": {"root_cause": [cause], **cause}, "status": status}).encode()


def body_of(request: httpx.Request) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads(request.content))


def filters_by_site(request: httpx.Request) -> bool:
    wanted = {"terms": {"host": ["nasa.gov", "esa.int"]}}
    return wanted in body_of(request)["query"]["bool"]["filter"]


def excludes(request: httpx.Request) -> bool:
    barred = body_of(request)["query"]["bool"]["must_not"]
    return barred == {"terms": {"host": ["pinterest.com", "quora.com"]}}


def filters_by_date(request: httpx.Request) -> bool:
    wanted = {"range": {"published": {"gte": "2024-02-29", "lt": "2025-01-01"}}}
    return wanted in body_of(request)["query"]["bool"]["filter"]


ONE = [Row("https://a.example/1", "Alpha", "First.")]

CASE = Case(
    build=lambda http: OpenSearch(http, URL, api_key=SECRET),
    reply=reply,
    empty=reply([]),
    sent={
        "site": filters_by_site,
        "exclude": excludes,
        "dates": filters_by_date,
        "page": lambda request: body_of(request)["from"] == 10,
    },
    text_of=lambda request: body_of(request)["query"]["bool"]["must"]["multi_match"]["query"],
    refusals=[
        Refusal(
            status=404,
            body=error("index_not_found_exception", "no such index [wiki]", 404),
            says="no such index",
            error=ProviderFailed,
        ),
        Refusal(
            status=429,
            body=error("rejected_execution_exception", "queue capacity = 1000", 429),
            says="overloaded",
        ),
        Refusal(
            status=403,
            body=error("security_exception", "no permissions for [indices:data/read/search]", 403),
            says="refused",
            error=ProviderBlocked,
        ),
        Refusal(
            status=503,
            body=error("search_phase_execution_exception", "all shards failed", 503),
            says="HTTP 503",
            error=ProviderFailed,
        ),
        Refusal(status=200, body=reply(ONE, failed=1), says="1 of 3 shards", error=ProviderFailed),
        Refusal(status=200, body=reply([], failed=2), says="2 of 3 shards", error=ProviderFailed),
        Refusal(status=200, body=reply(ONE, timed_out=True), says="part", error=ProviderFailed),
    ],
    malformed=[b'{"hits": {"hits": []}}', b'{"took": 1, "timed_out": false, "hits": {"hits": []}}'],
    unconfigured=lambda http: OpenSearch(http, ""),
    setting="opensearch_url",
    max_text_chars=MAX_QUERY_CHARS,
)
