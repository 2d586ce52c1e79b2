"""Undo the content coding of a body without ever holding more than the limit.

httpx decodes a whole network chunk at once: 2.6 KB of nested gzip become 1 GiB of memory before a
caller sees the first byte. Here each decompressor is asked for small pieces and stopped at the
limit.
"""

import io
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_PIECE_BYTES = 256 * 1024
_MAX_MEMBERS = 1_000
"""Of one body. Opening one costs far more than its 9 bytes; honest writers use very few."""
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_ZSTD_WINDOW_LOG = 23
"""8 MiB, the most that RFC 9659 lets a web server ask of its readers."""
_ZSTD_HEAD_BYTES = 18
"""The longest header of a frame (RFC 8878, 3.1.1.1), with its magic number."""


class TooLarge(Exception):
    """The decoded body is longer than the limit."""


class DamagedBody(Exception):
    """The body is not what its Content-Encoding says, or ends early."""


class UnknownCoding(Exception):
    """The body has a coding that was not asked for, or more than one."""


class _Stream(Protocol):
    """One compressed stream, read in bounded pieces; the shape of `ZstdDecompressor`."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _ZlibStream:
    def __init__(self, window: int) -> None:
        self._inflater = zlib.decompressobj(window)
        self._is_full = False

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def needs_input(self) -> bool:
        return not self._is_full

    @property
    def unused_data(self) -> bytes:
        return self._inflater.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        decoded = self._inflater.decompress(self._inflater.unconsumed_tail + data, max_length)
        # A full piece can leave output behind even when all input is taken.
        self._is_full = len(decoded) == max_length or bool(self._inflater.unconsumed_tail)
        return decoded


class _DeflateStream:
    """`deflate` should be a zlib stream; some servers send raw deflate."""

    unused_data = b""  # whatever follows is padding, which browsers ignore too

    def __init__(self) -> None:
        self._stream: _ZlibStream | None = None

    @property
    def eof(self) -> bool:
        return self._stream is not None and self._stream.eof

    @property
    def needs_input(self) -> bool:
        return self._stream is None or self._stream.needs_input

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if self._stream is None:
            is_zlib = data[0] & 0x0F == 8
            self._stream = _ZlibStream(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        return self._stream.decompress(data, max_length)


class _BrotliStream:
    unused_data = b""  # the library refuses what follows the end

    def __init__(self) -> None:
        self._decoder = brotli.Decompressor()

    @property
    def eof(self) -> bool:
        return self._decoder.is_finished()

    @property
    def needs_input(self) -> bool:
        return self._decoder.can_accept_more_data()

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Decode; a piece can be up to twice as long as it should, for the library's blocks."""
        return self._decoder.process(data, output_buffer_limit=max_length)


class _ZstdStream:
    """One frame, or one that carries no data.

    The library compares what a frame declares to hold with what it held, but not where the frame
    comes in pieces and ends in an empty block.
    """

    def __init__(self) -> None:
        limits: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        self._decoder = zstd.ZstdDecompressor(options=limits)
        self._head = b""
        self._decoded_bytes = 0

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return self._decoder.needs_input

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if room := _ZSTD_HEAD_BYTES - len(self._head):
            self._head += data[:room]
        decoded = self._decoder.decompress(data, max_length)
        self._decoded_bytes += len(decoded)
        if self.eof:
            declared = zstd.get_frame_info(self._head).decompressed_size
            if declared not in (None, self._decoded_bytes):
                raise DamagedBody
        return decoded


@dataclass(frozen=True, slots=True)
class _Coding:
    open_stream: Callable[[], _Stream]
    member_starts: tuple[bytes, ...] = ()
    """First bytes of a further stream in the same body; anything else is padding."""
    may_be_padded: bool = True


_CODINGS: Mapping[str, _Coding] = {
    "gzip": _Coding(lambda: _ZlibStream(_GZIP_WINDOW), (b"\x1f\x8b",)),
    "deflate": _Coding(_DeflateStream),
    "br": _Coding(_BrotliStream, may_be_padded=False),
    "zstd": _Coding(
        _ZstdStream,
        # A frame, or one of the sixteen kinds of frame that carry no data.
        (b"\x28\xb5\x2f\xfd", *(bytes((kind, 0x2A, 0x4D, 0x18)) for kind in range(0x50, 0x60))),
    ),
}
_FAULTS = (zlib.error, brotli.error, zstd.ZstdError, EOFError)

ACCEPT_ENCODING = ", ".join(_CODINGS)
"""What may be asked for: the value of the request header."""


class BodyDecoder:
    """Collects one body, decoded from at most one content coding."""

    def __init__(self, content_encoding: str, *, max_bytes: int) -> None:
        """Start a body.

        Args:
            content_encoding: the header as sent, or "".
            max_bytes: of the decoded body.

        Raises:
            UnknownCoding: the header names another coding, or several.
        """
        name = content_encoding.strip().lower().removeprefix("x-")
        if name not in ("", "identity", *_CODINGS):
            raise UnknownCoding(name[:40])
        self._coding = _CODINGS.get(name)
        self._stream = self._coding.open_stream() if self._coding else None
        self._max_bytes = max_bytes
        self._body = io.BytesIO()
        self._held = b""
        self._members = 0
        self._is_started = False
        self._is_over = False

    @property
    def decoded(self) -> bytes:
        """What is decoded so far, at most `max_bytes`."""
        return self._body.getvalue()  # without a copy, unlike bytes(bytearray)

    @property
    def decoded_bytes(self) -> int:
        """How much is decoded so far."""
        return self._body.tell()

    def feed(self, data: bytes) -> None:
        """Take the next bytes from the wire.

        Raises:
            TooLarge: the decoded body passes the limit.
            DamagedBody: the bytes cannot be decoded.
        """
        for _ in self.steps(data):
            pass

    def steps(self, data: bytes) -> Iterator[None]:
        """The same in steps of at most 512 KiB of decoded bytes, between which others may work.

        All of them have to be taken. Raises as `feed`.
        """
        if self._coding is None:
            self._append(data)
            yield
            return
        try:
            for piece in self._pieces(self._coding, data):
                self._append(piece)
                yield
        except _FAULTS:
            raise DamagedBody from None

    def finish(self) -> bytes:
        """The whole decoded body.

        Raises:
            DamagedBody: the coded body ends early.
        """
        if self._is_started and self._stream is not None:
            raise DamagedBody
        return self.decoded

    def _pieces(self, coding: _Coding, data: bytes) -> Iterator[bytes]:
        data = self._held + data
        self._held = b""
        while data and not self._is_over:
            if self._stream is None:
                if any(
                    len(data) < len(start) and start.startswith(data)
                    for start in coding.member_starts
                ):
                    self._held = data  # too short to tell
                    return
                self._stream = self._open_next(coding, data)
                continue
            self._is_started = True
            yield self._stream.decompress(data, _PIECE_BYTES)
            while not (self._stream.eof or self._stream.needs_input):
                yield self._stream.decompress(b"", _PIECE_BYTES)
            data = b""
            if self._stream.eof:
                data = self._stream.unused_data
                self._stream = None

    def _open_next(self, coding: _Coding, data: bytes) -> _Stream | None:
        """The next member of the body, or None if what follows the last one is no member."""
        if data.startswith(coding.member_starts):
            self._members += 1
            if self._members >= _MAX_MEMBERS:
                raise DamagedBody
            return coding.open_stream()
        if not coding.may_be_padded:
            raise DamagedBody
        self._is_over = True
        return None

    def _append(self, data: bytes) -> None:
        room = self._max_bytes - self._body.tell()
        self._body.write(data[:room])
        if len(data) > room:
            raise TooLarge
