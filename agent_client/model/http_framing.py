"""Take the bytes of HTTP/1.1 replies apart: the head, and the three ways to frame a body.

The rules are those of RFC 9112. Nothing here waits or reads; bytes are fed in pieces of any size.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from agent_client.model.transport import BadHttp

MAX_HEAD_BYTES = 65_536
"""Bound of the status line and the header fields together."""

_MAX_LINE_BYTES = 1_024
_MAX_TRAILER_BYTES = 16_384
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: |$)")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LENGTH = re.compile(r"[0-9]{1,15}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?\r?")


@dataclass(frozen=True, slots=True)
class Head:
    """The status and the header fields of a reply."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name; values of a name that occurs several times are joined by ", "."""
    keeps_alive: bool
    """Whether the connection can be used again after the body."""


class Body(Protocol):
    """Takes the bytes of a connection and gives those of the body."""

    is_done: bool
    surplus: bytes
    """What came after the end of the body."""

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the connection; give the bytes of the body in them.

        Raises:
            BadHttp: the framing is broken.
        """
        ...

    def end(self) -> bool:
        """Whether the body may end here, where the connection ended."""
        ...


def split_head(data: bytes) -> tuple[Head, bytes] | None:
    """Read a head and give what follows it; None while it is not complete.

    Raises:
        BadHttp: it is not the head of an HTTP/1 reply, or too long.
    """
    end = _END_OF_HEAD.search(data)
    if end is None or end.start() > MAX_HEAD_BYTES:
        if len(data) > MAX_HEAD_BYTES:
            raise BadHttp(f"a head of over {MAX_HEAD_BYTES:,} bytes")
        if not b"HTTP/1.".startswith(data[:7]):
            raise BadHttp("the reply does not begin like HTTP/1")
        return None
    status_line, *lines = data[: end.start()].decode("latin-1").split("\n")
    match = _STATUS_LINE.match(status_line.rstrip("\r").encode("latin-1"))
    if match is None:
        raise BadHttp("the reply has no HTTP/1 status line")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise BadHttp("the reply has a broken header line")
        name, value = name.lower(), value.strip(" \t\r")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    options = {option.strip() for option in headers.get("connection", "").lower().split(",")}
    keeps_alive = match[1] == b"1" and "close" not in options
    return Head(int(match[2]), headers, keeps_alive), data[end.end() :]


def body_of(head: Head) -> Body:
    """Choose how the body after a head is framed.

    Raises:
        BadHttp: the head contradicts itself, or names an encoding that we did not ask for.
    """
    if (encoding := head.headers.get("content-encoding", "identity").lower()) != "identity":
        raise BadHttp(f"the reply is encoded as {encoding[:40]!r}, which was not asked for")
    if head.status in (204, 304):
        return LengthBody(0)
    coding = head.headers.get("transfer-encoding")
    if coding is not None:
        if coding.lower() != "chunked":
            raise BadHttp(f"the transfer encoding {coding[:40]!r} is unknown")
        return ChunkedBody()
    length = head.headers.get("content-length")
    if length is None:
        return UnframedBody()
    sizes = {size.strip() for size in length.split(",")}
    if len(sizes) != 1 or not _LENGTH.fullmatch(size := sizes.pop()):
        raise BadHttp(f"the content length {length[:40]!r} is no number")
    return LengthBody(int(size))


class LengthBody:
    """A body of a length that is told before."""

    def __init__(self, length: int) -> None:
        self.is_done = length == 0
        self.surplus = b""
        self._missing = length

    def feed(self, data: bytes) -> bytes:
        """See `Body.feed`."""
        part, self.surplus = data[: self._missing], data[self._missing :]
        self._missing -= len(part)
        self.is_done = self._missing == 0
        return part

    def end(self) -> bool:
        """See `Body.end`."""
        return self.is_done


class UnframedBody:
    """A body that ends with its connection."""

    def __init__(self) -> None:
        self.is_done = False
        self.surplus = b""

    def feed(self, data: bytes) -> bytes:
        """See `Body.feed`."""
        return data

    def end(self) -> bool:
        """See `Body.end`."""
        self.is_done = True
        return True


class ChunkedBody:
    """A body in chunks, each with its size before it, and a last one of size 0."""

    def __init__(self) -> None:
        self.is_done = False
        self.surplus = b""
        self._pending = b""
        """A line that is not complete."""
        self._missing = 0
        """Bytes of the current chunk that did not come yet."""
        self._is_in_trailer = False
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """See `Body.feed`."""
        if self._missing > len(data):  # the middle of a large chunk
            self._missing -= len(data)
            return data
        data, self._pending = self._pending + data, b""
        parts: list[bytes] = []
        position = 0
        while not self.is_done:
            if self._missing:
                part = data[position : position + self._missing]
                parts.append(part)
                position += len(part)
                self._missing -= len(part)
                if self._missing:
                    break
                if data.startswith(b"\r\n", position):
                    position += 2
            end = data.find(b"\n", position)
            if end < 0:
                break
            self._take_line(data[position:end])
            position = end + 1
        if self.is_done:
            self.surplus = data[position:]
        else:
            self._pending = data[position:]
            if len(self._pending) > _MAX_LINE_BYTES:
                raise BadHttp("an endless line where a chunk should begin")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _take_line(self, line: bytes) -> None:
        if self._is_in_trailer:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > _MAX_TRAILER_BYTES:
                raise BadHttp("an endless trailer")
            self.is_done = line in (b"", b"\r")
        elif line not in (b"", b"\r"):  # else the end of the line that closes the chunk before
            if len(line) > _MAX_LINE_BYTES:
                raise BadHttp("an endless line where a chunk should begin")
            self._missing = _chunk_size(line)
            self._is_in_trailer = self._missing == 0

    def end(self) -> bool:
        """See `Body.end`."""
        return self.is_done


@lru_cache(maxsize=1024)  # the chunks of a token stream have few different sizes
def _chunk_size(line: bytes) -> int:
    size = _CHUNK_SIZE.fullmatch(line)
    if size is None:
        raise BadHttp("a chunk without its size")
    return int(size[1], 16)
