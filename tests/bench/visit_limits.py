"""What a visit cannot be faster than: the bytes over a plain socket, the parser, an empty call."""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

from selectolax.lexbor import LexborHTMLParser

from mcp_server.errors import ExtractionError
from mcp_server.extract import SourceInfo, extract
from tests.bench.visit_peers import Visitor, bare_command
from tests.bench.visit_round import (
    AT_ONCE,
    CACHED_CALLS,
    Figures,
    Wanted,
    drive,
    measure_start,
)
from tests.bench.visit_site import SIZES_KB, Pages, Site
from tests.support.stdio_server import StdioServer

SOCKET = "raw socket loop"
PARSER = "parser alone"
EXTRACTOR = "extractor in-process"
NOOP = "no-op call of a bare SDK server"
_CALLS = {17: 60, 67: 40, 460: 10}
_CHUNK_BYTES = 262_144
_T = TypeVar("_T")
_NOOP = Visitor(bare_command(), "noop", lambda _: {})


@dataclass(slots=True)
class Limits:
    """CPU milliseconds by limit and by what was read: one value per round."""

    cpu_ms: dict[tuple[str, str], list[float]] = field(
        default_factory=dict[tuple[str, str], list[float]]
    )
    noop: Figures = field(default_factory=Figures)
    """Of the bare server: its calls stand under `noop`."""

    def add(self, limit: str, kind: str, value: float) -> None:
        """Take one round's value."""
        self.cpu_ms.setdefault((limit, kind), []).append(value)


def measure_limits(site: Site, pages: Pages, number: int, real: range, into: Limits) -> None:
    """One round of all limits.

    Args:
        site: where the pages are.
        pages: the same pages in this process.
        number: of the round, from 0.
        real: numbers of the real pages of this round.
        into: gets the figures.
    """
    wanted: Mapping[str, Sequence[str]] = {
        **{str(size): [site.made(size, n) for n in range(_CALLS[size])] for size in SIZES_KB},
        **({"real": [site.real(number, n) for n in real]} if real else {}),
    }
    for kind, urls in wanted.items():
        into.add(SOCKET, kind, _cpu_ms_each(fetch, urls))
        bodies = [pages.body(f"GET {urlsplit(url).path} ".encode()) or b"" for url in urls]
        into.add(PARSER, kind, _cpu_ms_each(LexborHTMLParser, bodies))
        into.add(EXTRACTOR, kind, _cpu_ms_each(_extract, bodies))
    began = time.perf_counter()
    server = StdioServer(_NOOP.command)
    try:
        measure_start(server, began, into.noop)
        for at_once in (1, AT_ONCE):
            nothing = [Wanted("", "ok")] * CACHED_CALLS
            into.noop.add("noop", at_once, drive(server, _NOOP, nothing, at_once=at_once))
    finally:
        server.end()


def fetch(url: str) -> int:
    """Read a page with a socket and nothing else; how many bytes came, with the head."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 80)) as connection:
        connection.sendall(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        received = connection.recv(_CHUNK_BYTES)
        head, _, body = received.partition(b"\r\n\r\n")
        left = int(head.lower().partition(b"content-length: ")[2].split()[0]) - len(body)
        while left > 0:
            left -= len(connection.recv(_CHUNK_BYTES))
    return len(head)


def _extract(body: bytes) -> None:
    with suppress(ExtractionError):
        extract(body, SourceInfo(url="", media_type="text/html", charset="utf_8"))


def _cpu_ms_each(work: Callable[[_T], object], items: Sequence[_T]) -> float:
    work(items[0])
    before = time.process_time()
    for item in items:
        work(item)
    return (time.process_time() - before) * 1e3 / len(items)
