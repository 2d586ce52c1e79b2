"""Copy a local index into a cluster, so that a kill at any moment loses nothing.

Each state of the local index becomes an index of its own, `NAME-GENERATION-COMMIT`, and `NAME` is
an alias that is switched over when all passages are in and counted: readers never see half an
index. How far the copy has come is kept in the target itself, in `_meta` of its mapping: it is
there on whatever machine the copy goes on, and gone where the target is gone. It is moved forward
only over passages that the cluster has acknowledged; those after it are sent again, and replace
themselves.
"""

import gzip
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from pydantic import BaseModel, ValidationError

from mcp_server.clean import clean_line
from mcp_server.corpus.cluster.address import META_KEY, entry, entry_id, index_body
from mcp_server.corpus.cluster.client import MAX_ATTEMPTS, Cluster, TooLarge
from mcp_server.corpus.types import Passage
from mcp_server.errors import ConfigError, CorpusError

MAX_BATCH_BYTES = 5_000_000
"""Of a request before compression; a longer passage goes alone."""
MAX_BATCH_PASSAGES = 2_000
CONCURRENT_REQUESTS = 2
GZIP_LEVEL = 1
"""Takes text to about 40 % at a quarter of the time of level 6."""
CHECKPOINT_SECONDS = 10.0
"""Between two notes of how far the copy has come; each is a change of the cluster's state."""
LAYOUT = 1
"""Raised when entries change so that a copy cannot be gone on with."""

_RETRIED_ITEM_STATUSES = frozenset({429, 502, 503, 504})
_SHOWN_ITEMS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSource:
    """A local index as it is at one moment."""

    snapshot: str
    """Changes whenever the content does; lower-case letters, digits and `-`."""
    order: str
    """Changes with the order of the passages, which may be another one for the same content."""
    language: str
    """One of `schema.LANGUAGES`."""
    passages: int
    """How many there are."""
    read: Callable[[int], Iterator[tuple[int, Passage]]]
    """Gives the passages after a position, each with its own; -1 starts at the beginning.
    Positions rise. May raise `CorpusError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushPlan:
    """How the target is to be."""

    shards: int = 1
    """Primary shards, 1 or more; fixed when the target is made."""
    replicas: int = 1
    """Copies of each shard once all is in, 0 or more."""
    delete_old: bool = False
    """Whether to delete the indexes that the alias named before, if a push made them."""

    def __post_init__(self) -> None:
        if not 1 <= self.shards <= 1_024 or not 0 <= self.replicas <= 100:
            raise ConfigError("--shards takes 1 to 1024, --replicas 0 to 100")


@dataclass(frozen=True, slots=True, kw_only=True)
class PushProgress:
    """How far a copy has come."""

    passages: int
    """Acknowledged by the cluster, those of earlier runs included."""
    total: int
    sent: int
    """Acknowledged in this run."""
    seconds: float
    """Of this run."""

    @property
    def seconds_left(self) -> float | None:
        """Estimated from this run's rate; None before the first reply."""
        left = self.total - self.passages
        return self.seconds * max(0, left) / self.sent if self.sent else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PushReport:
    """What a finished copy did."""

    index: str
    """The index that the alias names now."""
    alias: str
    passages: int
    sent: int
    """In this run; fewer than `passages` when it went on with an earlier one."""
    replaced: tuple[str, ...]
    """What the alias named before."""
    deleted: tuple[str, ...]
    seconds: float


class _Meta(BaseModel):
    """What the target knows of its copy."""

    layout: int
    snapshot: str
    order: str
    after: int = -1
    """Position of the last passage before which all are acknowledged."""
    passages: int = 0
    """How many that is."""
    is_complete: bool = False


class _ItemResult(BaseModel):
    status: int
    error: Mapping[str, object] | None = None


class _BulkReply(BaseModel):
    errors: bool
    items: list[dict[str, _ItemResult]]


@dataclass(frozen=True, slots=True)
class _Batch:
    number: int
    """0 for the first of this run."""
    last: int
    """Position of its last passage."""
    entries: list[tuple[str, bytes]]
    """`_id`, and the two lines of each passage."""


async def push(
    source: PushSource,
    cluster: Cluster,
    plan: PushPlan,
    *,
    progress: Callable[[PushProgress], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> PushReport:
    """Copy `source` into the cluster and let the alias of the address name it.

    A copy that was broken off goes on where it was; one that is complete is not sent again.

    Raises:
        ConfigError: the alias is the name of an index.
        CorpusError: the cluster refused, went away, lost or rejected passages, or the local index
            is damaged. The alias then names what it named before.
    """
    started = clock()
    alias = cluster.address.index
    old = await _named_by(cluster, alias)
    target = f"{alias}-{source.snapshot}"
    meta = await _open_target(cluster, target, source, plan)
    before = meta.passages
    if not meta.is_complete:
        load = _Load(source, cluster, target, meta, progress, clock)
        await load.run()
        await _finish(cluster, target, source, plan)
    others = tuple(sorted(old - {target}))
    deleted = await _switch(cluster, target, others, plan) if target not in old or others else ()
    return PushReport(
        index=target,
        alias=alias,
        passages=source.passages,
        sent=0 if meta.is_complete else source.passages - before,
        replaced=others,
        deleted=deleted,
        seconds=clock() - started,
    )


async def _named_by(cluster: Cluster, alias: str) -> set[str]:
    """The indexes that the alias names.

    Raises:
        ConfigError: it is no alias, but an index.
    """
    named = await cluster.call("GET", f"_alias/{alias}")
    if named is not None:
        return set(named)
    if await cluster.call("GET", f"{alias}/_mapping") is not None:
        raise ConfigError(
            f"{alias!r} is an index in this cluster, not an alias",
            hint=f"push to another name, or delete the index {alias!r} first",
        )
    return set()


async def _open_target(cluster: Cluster, target: str, source: PushSource, plan: PushPlan) -> _Meta:
    """Make the target, or read how far an earlier copy came."""
    reply = await cluster.call("GET", f"{target}/_mapping")
    if reply is None:
        meta = _new_meta(source)
        body = index_body(shards=plan.shards, language=source.language, meta=meta.model_dump())
        await cluster.call("PUT", target, body)
        return meta
    meta = _read_meta(reply, target)
    if meta is None or (meta.layout, meta.snapshot) != (LAYOUT, source.snapshot):
        raise CorpusError(
            f"the index {target!r} is there, but not as this version makes it",
            hint=f"delete {target!r} in the cluster and push again",
        )
    if meta.order != source.order and not meta.is_complete:
        return _new_meta(source)  # the noted position means nothing: all are sent again
    return meta


def _new_meta(source: PushSource) -> _Meta:
    return _Meta(layout=LAYOUT, snapshot=source.snapshot, order=source.order)


def _read_meta(reply: Mapping[str, object], target: str) -> _Meta | None:
    """Our notes in the reply to `GET TARGET/_mapping`; None where there are none."""
    found: object = reply
    for key in (target, "mappings", "_meta", META_KEY):
        found = found.get(key) if _is_object(found) else None
    try:
        return _Meta.model_validate(found)
    except ValidationError:
        return None


def _is_object(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, Mapping)


async def _write_meta(cluster: Cluster, target: str, meta: _Meta) -> None:
    body = {"_meta": {META_KEY: meta.model_dump()}}
    if await cluster.call("PUT", f"{target}/_mapping", body) is None:
        raise _gone(target)


def _gone(target: str) -> CorpusError:
    return CorpusError(f"the index {target!r} was deleted meanwhile", hint="push again")


async def _finish(cluster: Cluster, target: str, source: PushSource, plan: PushPlan) -> None:
    """Count the passages and change the settings from loading to serving."""
    await cluster.call("POST", f"{target}/_refresh")
    reply = await cluster.call("GET", f"{target}/_count")
    if reply is None:
        raise _gone(target)
    if reply.get("count") != source.passages:
        raise CorpusError(
            f"the index {target!r} holds {reply.get('count')} passages instead of"
            f" {source.passages:,}",
            hint=f"something else changed it: delete {target!r} in the cluster and push again",
        )
    settings = {"index": {"number_of_replicas": plan.replicas, "refresh_interval": None}}
    await cluster.call("PUT", f"{target}/_settings", settings)
    done = _new_meta(source).model_copy(update={"passages": source.passages, "is_complete": True})
    await _write_meta(cluster, target, done)


async def _switch(
    cluster: Cluster, target: str, others: tuple[str, ...], plan: PushPlan
) -> tuple[str, ...]:
    """Let the alias name the target alone, in one step with the deletion of the others."""
    alias = cluster.address.index
    deleted: list[str] = []
    actions: list[dict[str, object]] = []
    for other in others:
        reply = await cluster.call("GET", f"{other}/_mapping") if plan.delete_old else None
        if reply is not None and _read_meta(reply, other):
            actions.append({"remove_index": {"index": other}})
            deleted.append(other)
        else:
            actions.append({"remove": {"index": other, "alias": alias}})
    actions.append({"add": {"index": target, "alias": alias}})
    if await cluster.call("POST", "_aliases", {"actions": actions}) is None:
        raise _gone(target)
    return tuple(deleted)


@dataclass
class _Load:
    """The copying itself: one reader, a few writers, and a note of how far all before is in."""

    source: PushSource
    cluster: Cluster
    target: str
    meta: _Meta
    progress: Callable[[PushProgress], None]
    clock: Callable[[], float]
    started: float = 0.0
    noted: float = 0.0
    """When the position was last noted in the target."""
    sent: int = 0
    acknowledged: dict[int, _Batch] = field(default_factory=dict[int, _Batch])
    """Batches that are in while an earlier one is not."""
    next_number: int = 0
    """The first batch that is not in."""

    async def run(self) -> None:
        """Send all passages after the noted position.

        Raises:
            CorpusError: see `push`; the first one, when several requests failed.
        """
        self.started = self.noted = self.clock()
        send, receive = anyio.create_memory_object_stream[_Batch](0)
        try:
            async with anyio.create_task_group() as tasks:
                for _ in range(CONCURRENT_REQUESTS):
                    tasks.start_soon(self._write, receive.clone())
                receive.close()
                await self._read(send)
        except BaseExceptionGroup as group:
            error = group.subgroup(CorpusError)
            if error is None:
                raise
            raise _first(error) from group

    async def _read(self, send: MemoryObjectSendStream[_Batch]) -> None:
        batches = _batches(self.source.read(self.meta.after))
        async with send:
            # Reading waits for the disk and packing takes the processor: both in a thread.
            while (batch := await anyio.to_thread.run_sync(next, batches, None)) is not None:
                await send.send(batch)

    async def _write(self, receive: MemoryObjectReceiveStream[_Batch]) -> None:
        async with receive:
            async for batch in receive:
                await self._send(batch.entries)
                await self._acknowledge(batch)

    async def _acknowledge(self, batch: _Batch) -> None:
        self.sent += len(batch.entries)
        self.acknowledged[batch.number] = batch
        after, passages = self.meta.after, self.meta.passages
        while (done := self.acknowledged.pop(self.next_number, None)) is not None:
            self.next_number += 1
            after, passages = done.last, passages + len(done.entries)
        self.meta = self.meta.model_copy(update={"after": after, "passages": passages})
        now = self.clock()
        self.progress(
            PushProgress(
                passages=passages + sum(len(b.entries) for b in self.acknowledged.values()),
                total=self.source.passages,
                sent=self.sent,
                seconds=now - self.started,
            )
        )
        if now - self.noted >= CHECKPOINT_SECONDS:
            self.noted = now
            await _write_meta(self.cluster, self.target, self.meta)

    async def _send(self, entries: list[tuple[str, bytes]]) -> None:
        """Send entries until the cluster has all of them.

        Raises:
            CorpusError: it rejects one for good, or stays too busy.
        """
        for attempt in range(MAX_ATTEMPTS):
            if attempt:
                await self.cluster.wait(attempt)
            try:
                results = await self._bulk(entries)
            except TooLarge as exc:
                if len(entries) == 1:
                    raise CorpusError(f"passage {entries[0][0]!r}: {exc}", hint=exc.hint) from exc
                half = len(entries) // 2
                await self._send(entries[:half])
                await self._send(entries[half:])
                return
            failed = [(e, r) for e, r in zip(entries, results, strict=True) if r.status >= 300]
            rejected = [pair for pair in failed if pair[1].status not in _RETRIED_ITEM_STATUSES]
            if rejected:
                raise _rejection(rejected)
            if not failed:
                return
            entries = [pair[0] for pair in failed]
        raise CorpusError(
            f"the cluster is too busy: {len(entries):,} passages were put off {MAX_ATTEMPTS} times",
            hint="what was sent is kept: run the same command again to go on",
            retryable=True,
        )

    async def _bulk(self, entries: list[tuple[str, bytes]]) -> list[_ItemResult]:
        body = await anyio.to_thread.run_sync(_packed, entries)
        wanted = "errors,items.*.status,items.*.error.type,items.*.error.reason"
        request = self.cluster.http.build_request(
            "POST",
            self.cluster.address.url(f"{self.target}/_bulk?filter_path={wanted}"),
            content=body,
            headers={
                **self.cluster.headers,
                "Content-Type": "application/x-ndjson",
                "Content-Encoding": "gzip",
            },
        )
        status, reply = await self.cluster.send(request)
        if status == 404:
            raise _gone(self.target)
        try:
            items = _BulkReply.model_validate(reply).items
        except ValidationError:
            items = []
        results = [result for item in items for result in item.values()]
        if len(results) != len(entries):
            raise CorpusError("the cluster's reply to _bulk is not what it documents")
        return results


def _batches(passages: Iterator[tuple[int, Passage]]) -> Iterator[_Batch]:
    entries: list[tuple[str, bytes]] = []
    size = number = 0
    last = -1
    for position, passage in passages:
        id_ = entry_id(passage)
        lines = _line({"index": {"_id": id_}}) + _line(entry(passage))
        if entries and (size + len(lines) > MAX_BATCH_BYTES or len(entries) >= MAX_BATCH_PASSAGES):
            yield _Batch(number, last, entries)
            entries, size, number = [], 0, number + 1
        entries.append((id_, lines))
        size += len(lines)
        last = position
    if entries:
        yield _Batch(number, last, entries)


def _line(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _packed(entries: list[tuple[str, bytes]]) -> bytes:
    return gzip.compress(b"".join(lines for _, lines in entries), GZIP_LEVEL, mtime=0)


def _rejection(rejected: list[tuple[tuple[str, bytes], _ItemResult]]) -> CorpusError:
    told = "; ".join(
        f"{clean_line(entry_id_, 100)!r}: "
        + clean_line(f"{(result.error or {}).get('reason', '')} (HTTP {result.status})", 300)
        for (entry_id_, _), result in rejected[:_SHOWN_ITEMS]
    )
    return CorpusError(
        f"the cluster rejected {len(rejected):,} passages of a request: {told}",
        hint="nothing was switched over; what was sent is kept, so a push goes on from there",
    )


def _first(group: BaseExceptionGroup[CorpusError]) -> CorpusError:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
