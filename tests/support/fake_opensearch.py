"""A small search cluster on loopback that speaks what we use of OpenSearch's HTTP API.

Its replies have the shapes that OpenSearch 2 and 3 and Elasticsearch 8 and 9 document. It ranks by
BM25 without stemming. Faults are put in beforehand, each for the next request that fits.
"""

import base64
import gzip
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import anyio
import h11
import httpx
from anyio.abc import SocketAttribute, SocketStream

Json = dict[str, Any]
WORD = re.compile(r"\w+")
BULK_THREAD_POOL = "rejected execution of coordinating operation [coordinating_and_primary_bytes=1]"


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request."""

    path_end: str
    """Only for requests whose path ends so."""
    status: int = 0
    """Answer this and do nothing; 0 for another fault."""
    body: bytes = b""
    drop: bool = False
    """Store half of a bulk, then cut the connection without a reply."""
    rejects: Callable[[str, Json], tuple[int, str] | None] | None = None
    """For an `_id` and its fields: status and type of an error of this item of a bulk."""


@dataclass(slots=True)
class Index:
    settings: Json
    mappings: Json
    stored: dict[str, Json] = field(default_factory=dict[str, Json])
    seen: dict[str, Json] = field(default_factory=dict[str, Json])
    """What a search sees: what was stored before the last refresh."""


class Dropped(Exception):
    """The connection is to be cut."""


@dataclass
class FakeOpenSearch:
    credentials: str = ""
    """`user:password`; "" asks for none."""
    max_bytes: int = 100_000_000
    """Of a bulk before decompression."""
    port: int = 0
    indexes: dict[str, Index] = field(default_factory=dict[str, Index])
    aliases: dict[str, set[str]] = field(default_factory=lambda: defaultdict[str, set[str]](set))
    faults: list[Fault] = field(default_factory=list[Fault])
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Method and path of every request."""
    bulk_bytes: list[int] = field(default_factory=list[int])
    """Sizes of the bulks after decompression."""
    failed_shards: int = 0
    bulk_came: Callable[[], None] = lambda: None
    """Called at the start of each bulk."""
    is_slow: bool = False
    """Whether searches run into their timeout."""

    def url(self, index: str) -> str:
        return f"http://127.0.0.1:{self.port}/{index}"

    def transport(self) -> httpx.MockTransport:
        """The same cluster without sockets."""

        def handle(request: httpx.Request) -> httpx.Response:
            try:
                status, body = self.answer(
                    request.method, str(request.url), dict(request.headers), request.content
                )
            except Dropped:
                raise httpx.RemoteProtocolError("dropped", request=request) from None
            return httpx.Response(status, stream=httpx.ByteStream(body))

        return httpx.MockTransport(handle)

    def answer(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        parts = urlsplit(target)
        path = unquote(parts.path).strip("/")
        self.asked.append((method, path))
        fault = next((f for f in self.faults if path.endswith(f.path_end)), None)
        if fault is not None:
            self.faults.remove(fault)
            if fault.status:
                return fault.status, fault.body
        wanted = f"Basic {base64.b64encode(self.credentials.encode()).decode()}"
        if self.credentials and headers.get("authorization") != wanted:
            return 401, b"Unauthorized"
        if path.endswith("_bulk") and len(body) > self.max_bytes:
            return 413, b""
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        status, reply = self._route(method, path, parse_qs(parts.query), body, fault)
        return status, json.dumps(reply).encode()

    def _route(
        self, method: str, path: str, params: Mapping[str, list[str]], body: bytes, fault: Any
    ) -> tuple[int, Json]:
        *names, last = path.split("/")
        name = names[-1] if names else ""
        if method == "POST" and last == "_bulk":
            return self._bulk(name, body, params, fault)
        given: Json = json.loads(body) if body else {}
        match method, last:
            case "POST", "_aliases":
                return self._switch(given["actions"])
            case "GET", alias if name == "_alias":
                found = {index: {"aliases": {alias: {}}} for index in self.aliases.get(alias, ())}
                missing = {"error": f"alias [{alias}] missing", "status": 404}
                return (200, found) if found else (404, missing)
            case "PUT", _ if not names:
                return self._create(last, given)
            case _:
                pass
        targets = self._resolve(name)
        if not targets:
            return error(404, "index_not_found_exception", f"no such index [{name}]")
        index = self.indexes[targets[0]]
        match method, last:
            case "GET", "_mapping":
                return 200, {t: {"mappings": self.indexes[t].mappings} for t in targets}
            case "PUT", "_mapping":
                index.mappings.update(given)
                return 200, {"acknowledged": True}
            case "PUT", "_settings":
                index.settings["index"].update(given["index"])
                return 200, {"acknowledged": True}
            case "POST", "_refresh":
                index.seen = dict(index.stored)
                return 200, {"_shards": {"total": 1, "successful": 1, "failed": 0}}
            case "GET", "_count":
                return 200, {"count": len(index.seen), "_shards": self._shards()}
            case "POST", "_search":
                return 200, self._search([self.indexes[t] for t in targets], given)
            case _:
                return error(405, "illegal_argument_exception", f"{method} {path}")

    def _resolve(self, name: str) -> list[str]:
        return [name] if name in self.indexes else sorted(self.aliases.get(name, ()))

    def _create(self, name: str, given: Json) -> tuple[int, Json]:
        if name in self.indexes:
            return error(400, "resource_already_exists_exception", f"index [{name}]")
        self.indexes[name] = Index(given["settings"], given["mappings"])
        return 200, {"acknowledged": True, "shards_acknowledged": True, "index": name}

    def _switch(self, actions: list[dict[str, Json]]) -> tuple[int, Json]:
        for action in actions:
            ((_, given),) = action.items()
            if given["index"] not in self.indexes:
                return error(404, "index_not_found_exception", given["index"])
        for action in actions:
            ((kind, given),) = action.items()
            if kind == "add":
                self.aliases[given["alias"]].add(given["index"])
            elif kind == "remove":
                self.aliases[given["alias"]].discard(given["index"])
            else:
                del self.indexes[given["index"]]
                for named in self.aliases.values():
                    named.discard(given["index"])
        return 200, {"acknowledged": True}

    def _bulk(
        self, name: str, body: bytes, params: Mapping[str, list[str]], fault: Fault | None
    ) -> tuple[int, Json]:
        self.bulk_bytes.append(len(body))
        self.bulk_came()
        index = self.indexes.setdefault(name, Index({"index": {}}, {}))  # as the real one does
        lines = body.split(b"\n")
        if lines.pop() != b"":
            return error(400, "illegal_argument_exception", "must be terminated by a newline")
        pairs = list(zip(lines[::2], lines[1::2], strict=True))
        if fault and fault.drop:
            pairs = pairs[: len(pairs) // 2]
        items = [self._store(index, json.loads(a), json.loads(b), fault) for a, b in pairs]
        if fault and fault.drop:
            raise Dropped
        assert "items.*.status" in params["filter_path"][0]
        return 200, {
            "errors": any("error" in item["index"] for item in items),
            "items": items,
        }

    def _store(self, index: Index, action: Json, source: Json, fault: Fault | None) -> Json:
        id_: str = action["index"]["_id"]
        refused = fault.rejects(id_, source) if fault and fault.rejects else None
        unknown = set(source) - set(index.mappings.get("properties", source))
        if len(id_.encode()) > 512:
            refused = 400, "id is too long, must be no longer than 512 bytes"
        elif unknown and index.mappings.get("dynamic") == "strict":
            refused = 400, f"mapping set to strict, dynamic introduction of {unknown}"
        if refused:
            status, reason = refused
            return {"index": {"status": status, "error": {"type": "x", "reason": reason}}}
        result = 200 if id_ in index.stored else 201
        index.stored[id_] = source
        return {"index": {"status": result}}

    def _shards(self) -> Json:
        total = 2 + self.failed_shards
        return {"total": total, "successful": 2, "skipped": 0, "failed": self.failed_shards}

    def _search(self, indexes: Sequence[Index], body: Json) -> Json:
        entries = {id_: doc for index in indexes for id_, doc in index.seen.items()}
        scored = [(s, i, d) for i, d, s in rank(entries, body["query"]) if s is not None]
        if "sort" in body:
            keys = [next(iter(key)) for key in body["sort"]]
            rows = sorted((([d[k] for k in keys], 0.0, i, d) for _, i, d in scored))
            rows = [row for row in rows if row[0] > body.get("search_after", [])]
        else:
            rows = sorted((([-s], s, i, d) for s, i, d in scored), key=lambda row: (row[0], row[2]))
        if "collapse" in body:
            first = {row[3][body["collapse"]["field"]]: row for row in reversed(rows)}
            rows = [row for row in rows if first[row[3][body["collapse"]["field"]]] is row]
        start = body.get("from", 0)
        hits = [self._hit(row, body) for row in rows[start : start + body["size"]]]
        return {
            "took": 1,
            "timed_out": self.is_slow,
            "_shards": self._shards(),
            "hits": {"max_score": hits[0]["_score"] if hits else None, "hits": hits},
        }

    def _hit(self, row: tuple[list[Any], float, str, Json], body: Json) -> Json:
        key, score, id_, source = row
        hit: Json = {
            "_index": "x",
            "_id": id_,
            "_score": None if "sort" in body else score,
            "_source": {name: source[name] for name in body["_source"] if name in source},
        }
        if "sort" in body:
            hit["sort"] = key
        for name, options in body.get("highlight", {}).get("fields", {}).items():
            hit["highlight"] = {name: [source[name][: options["fragment_size"]]]}
        return hit


def error(status: int, kind: str, reason: str) -> tuple[int, Json]:
    cause = {"type": kind, "reason": reason}
    return status, {"error": {"root_cause": [cause], **cause}, "status": status}


def rank(entries: Mapping[str, Json], query: Json) -> list[tuple[str, Json, float | None]]:
    """Every entry with its score; None where the query does not match."""
    if "term" in query:
        ((name, value),) = query["term"].items()
        return [(i, d, 1.0 if value in listed(d.get(name)) else None) for i, d in entries.items()]
    given = query["bool"]
    words = WORD.findall(given["must"]["multi_match"]["query"].lower())
    fields: list[str] = given["must"]["multi_match"]["fields"]
    counts = {
        (i, f): Counter(WORD.findall(d[f].lower())) for i, d in entries.items() for f in fields
    }
    scores: dict[str, float] = defaultdict(float)
    for name in fields:
        lengths = {i: sum(counts[i, name].values()) for i in entries}
        usual = sum(lengths.values()) / max(1, len(lengths)) or 1
        for word in words:
            having = [i for i in entries if word in counts[i, name]]
            weight = math.log(1 + (len(entries) - len(having) + 0.5) / (len(having) + 0.5))
            for i in having:
                times = counts[i, name][word]
                scores[i] += weight * times / (times + 1.2 * (0.25 + 0.75 * lengths[i] / usual))
    return [
        (i, d, scores[i] if i in scores and passes(d, given) else None) for i, d in entries.items()
    ]


def passes(doc: Json, given: Json) -> bool:
    barred = given["must_not"]["terms"]["host"]
    if set(barred) & set(doc["host"]):
        return False
    for condition in given["filter"]:
        if "terms" in condition:
            if not set(condition["terms"]["host"]) & set(doc["host"]):
                return False
        else:
            bounds = condition["range"]["published"]
            day = doc.get("published", "")
            if not day or not bounds.get("gte", "") <= day < bounds.get("lt", "9999"):
                return False
    return True


def listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else [value]


@asynccontextmanager
async def serving(cluster: FakeOpenSearch) -> AsyncGenerator[FakeOpenSearch]:
    """The cluster on a port of loopback."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    cluster.port = listener.extra(SocketAttribute.local_port)

    async def serve(stream: SocketStream) -> None:
        with suppress(anyio.BrokenResourceError, anyio.EndOfStream, Dropped):
            async with stream:
                await _converse(cluster, stream)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield cluster
        tasks.cancel_scope.cancel()
    await listener.aclose()


async def _converse(cluster: FakeOpenSearch, stream: SocketStream) -> None:
    connection = h11.Connection(h11.SERVER)
    while True:
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive())
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return
        assert head is not None
        headers = {name.decode(): value.decode() for name, value in head.headers}
        status, reply = cluster.answer(
            head.method.decode(), head.target.decode(), headers, bytes(body)
        )
        sent = [("Content-Length", str(len(reply))), ("Content-Type", "application/json")]
        out = connection.send(h11.Response(status_code=status, headers=sent)) or b""
        out += connection.send(h11.Data(data=reply)) or b""
        await stream.send(out + (connection.send(h11.EndOfMessage()) or b""))
        connection.start_next_cycle()
