"""The parent's side of a child process that reads documents; `child` describes what they say."""

import codecs
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from mcp_server.clean import joined
from mcp_server.errors import ExtractionError
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.visit.types import Metadata

MAX_DOCUMENTS = 1_000
MAX_PEAK_BYTES = 256 * 1024 * 1024
"""A child that has read more, or has grown larger, is replaced: native code may leak."""

_EXTRA_CPU_SECONDS = 1.0
"""So that it is the parent that ends a slow child, as long as there is a parent."""
_RECEIVED_BYTES = 256 * 1024
_MAX_HEAD_BYTES = 256 * 1024
_MAX_TEXT_BYTES = 40_000_000
"""Twice the largest page: Markdown and indented JSON are longer than their source."""
_KEPT_BYTES = 2_000_000
_MAX_LINE_CHARS = 1_000
_MAX_NOTES = 50

_T = TypeVar("_T")


@dataclass(slots=True)
class Document:
    """A body on its way to a child; once it is sent, only its start is kept.

    So that the body, its text as bytes and its text are not held at the same time: each can have
    20 MB. Who wants that must keep no other reference to the body.
    """

    body: bytes

    def is_sent(self) -> None:
        """Let go of all but the first two million bytes, which do for what needs no child."""
        self.body = self.body[:_KEPT_BYTES]


class ChildFailed(Exception):
    """The child did not start, died, was too slow or said something that it should not."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a child made of one document."""

    outcome: Extracted | ExtractionError
    cpu_seconds: float
    peak_bytes: int
    """The most memory that the child has ever held."""


class ChildProcess:
    """A running child and our end of the socket that is its stdin and stdout.

    `kill` may be called by any thread; the rest by one thread at a time. `end` has to be called.
    """

    def __init__(self) -> None:
        """Start the process.

        Raises:
            ChildFailed: the system refused.
        """
        self._documents = 0
        self._peak_bytes = 0
        # A socket and not two pipes, for its time limits on sending and receiving.
        self._socket, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-S", "-m", "mcp_server.extract.workers.child"],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL,
                    env={"PYTHONPATH": _import_path()},
                    start_new_session=True,  # Ctrl-C in a terminal is for us alone
                )
            except OSError as exc:
                self._socket.close()
                raise ChildFailed(f"its process did not start: {exc.strerror}") from exc

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    @property
    def is_worn(self) -> bool:
        """Whether the child has done enough and should be replaced."""
        return self._documents >= MAX_DOCUMENTS or self._peak_bytes > MAX_PEAK_BYTES

    def kill(self) -> None:
        """Kill the process; what waits for its reply fails."""
        self._process.kill()

    def end(self) -> None:
        """Kill the process, wait until it is gone and close our end."""
        self._process.kill()
        self._process.wait()
        self._socket.close()

    def ask(self, document: Document, info: SourceInfo, *, deadline_seconds: float) -> Reply:
        """Have one document read. Blocks.

        Raises:
            ChildFailed: there was no valid reply in time. The child has to be ended, or a late
                reply would answer the next document.
        """
        give_up_at = time.monotonic() + deadline_seconds
        request = {
            "url": info.url,
            "media_type": info.media_type,
            "charset": info.charset,
            "body_bytes": len(document.body),
            "cpu_seconds": deadline_seconds + _EXTRA_CPU_SECONDS,
        }
        try:
            self._socket.settimeout(deadline_seconds)
            self._socket.sendall(json.dumps(request).encode("ascii") + b"\n")
            self._socket.sendall(document.body)
            document.is_sent()
            head, rest = self._receive_head(give_up_at)
            texts = self._receive_texts(rest, _sizes(head), give_up_at)
            reply = _checked_reply(head, texts)
        except TimeoutError:
            raise ChildFailed("it took too long") from None
        except (OSError, EOFError):
            raise ChildFailed("it broke its process") from None
        except (ValueError, TypeError, LookupError, RecursionError):
            raise ChildFailed("its process gave a malformed reply") from None
        self._documents += 1
        self._peak_bytes = reply.peak_bytes
        return reply

    def _receive_head(self, give_up_at: float) -> tuple[dict[str, Any], bytearray]:
        """The first line of the reply, and what came with it."""
        received = bytearray()
        while b"\n" not in received:
            if len(received) > _MAX_HEAD_BYTES:
                raise ValueError("a head without end")
            received += self._receive(give_up_at)
        line, _, rest = received.partition(b"\n")
        head = json.loads(line)
        return _typed(head, dict), rest

    def _receive_texts(self, rest: bytearray, sizes: Sequence[int], give_up_at: float) -> list[str]:
        """Texts of so many bytes each, decoded as they come."""
        texts = [joined(self._pieces(rest, size, give_up_at)) for size in sizes]
        if rest:
            raise ValueError("more text than announced")
        return texts

    def _pieces(self, rest: bytearray, size: int, give_up_at: float) -> Iterator[str]:
        """One text of `size` bytes: what has come of it, which is taken out of `rest`, and more."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while size:
            if not rest:
                rest += self._receive(give_up_at)
            piece = rest[:size]
            del rest[:size]
            size -= len(piece)
            yield decoder.decode(piece, final=not size)

    def _receive(self, give_up_at: float) -> bytes:
        self._socket.settimeout(max(0.001, give_up_at - time.monotonic()))
        received = self._socket.recv(_RECEIVED_BYTES)
        if not received:
            raise EOFError
        return received


def _import_path() -> str:
    """Our own import path, without the current directory."""
    own = str(Path(__file__).resolve().parents[2])
    entries = [entry for entry in sys.path if Path(entry).is_absolute()]
    return os.pathsep.join(dict.fromkeys([*entries, own]))


# A child has read hostile bytes, so that what it says is not trusted either.


def _sizes(head: dict[str, Any]) -> tuple[int, ...]:
    """In bytes, of the texts that follow a head."""
    if "text_bytes" not in head:
        return ()
    sizes = tuple(_typed(head[name], int) for name in ("text_bytes", "plain_text_bytes"))
    if min(sizes) < 0 or sum(sizes) > _MAX_TEXT_BYTES:
        raise ValueError("a text of impossible length")
    return sizes


def _checked_reply(head: dict[str, Any], texts: Sequence[str]) -> Reply:
    if "failure" in head:
        raise ChildFailed(f"its extractor raised {_line(head['failure'])}")
    return Reply(
        outcome=_checked_error(head["error"]) if "error" in head else _extracted(head, texts),
        cpu_seconds=_typed(head["cpu_seconds"], float),
        peak_bytes=_typed(head["peak_bytes"], int),
    )


def _checked_error(error: dict[str, Any]) -> ExtractionError:
    return ExtractionError(
        _line(error["message"]),
        hint=_line(error["hint"]),
        retryable=_typed(error["retryable"], bool),
    )


def _extracted(head: dict[str, Any], texts: Sequence[str]) -> Extracted:
    text, plain_text = texts
    metadata = head["metadata"]
    return Extracted(
        title=_line(head["title"]),
        text=text,
        plain_text=plain_text,
        has_inline_links=_typed(head["has_inline_links"], bool),
        needs_javascript=_typed(head["needs_javascript"], bool),
        notes=tuple(_line(note) for note in _typed(head["notes"], list)[:_MAX_NOTES]),
        metadata=Metadata(
            **{field.name: _line(metadata[field.name]) for field in fields(Metadata)}
        ),
    )


def _line(value: object) -> str:
    return _typed(value, str)[:_MAX_LINE_CHARS]


def _typed(value: object, kind: type[_T]) -> _T:
    if type(value) is not kind:
        raise TypeError(f"not a {kind.__name__}")
    return value
