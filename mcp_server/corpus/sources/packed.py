"""Read a file that may be gzip, bzip2, xz or zstd, from a place that another process remembered.

Packed data cannot be entered anywhere but at the start of a member. Many large dumps have many:
WARC files one for each record, multistream bzip2 dumps one for each hundred pages. So a place is
named by the member that it is in and the bytes into that: reading on costs unpacking the rest of
one member. In a file with one member that is everything before the place.

The readers of the standard library are not used: they take what is cut short between two members
for whole, and xz and zstd files may ask them for gigabytes of memory.
"""

import bz2
import io
import lzma
import sys
import zlib
from collections import deque
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from mcp_server.errors import CorpusError

_READ_BYTES = 128 * 1024
_BUFFER_BYTES = 256 * 1024
_XZ_MEMORY_BYTES = 256 * 1024 * 1024
"""`xz -9`, the strongest setting, needs 65 MiB to be read."""
_ZSTD_WINDOW_LOG = 27
"""128 MiB, what `zstd --long` and `zstd --ultra -22` write."""
_MAGIC_BYTES = 6


class Place(NamedTuple):
    """A place in a file."""

    member: int
    """Where the member starts that the place is in: bytes from the start of the file."""
    inside: int
    """Bytes into what the member unpacks to."""

    def __str__(self) -> str:
        """The place as part of a cursor."""
        return f"{self.member}+{self.inside}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` wrote; "" is the start of the file.

        Raises:
            CorpusError: the text is something else.
        """
        member, _, inside = (text or "0+0").partition("+")
        if not (member.isdecimal() and inside.isdecimal()):
            raise CorpusError(f"{text[:40]!r} is no place in this source")
        return cls(int(member), int(inside))


class _Decoder(Protocol):
    """One member; the shape of the standard library's bounded decompressors."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _GzipDecoder:
    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
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
        piece = self._inflater.decompress(self._inflater.unconsumed_tail + data, max_length)
        self._is_full = len(piece) == max_length or bool(self._inflater.unconsumed_tail)
        return piece


def _open_xz() -> _Decoder:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)


def _open_zstd() -> _Decoder:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdDecompressor(
        options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
    )


_CODECS: tuple[tuple[bytes, Callable[[], _Decoder]], ...] = (
    (b"\x1f\x8b", _GzipDecoder),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\x00", _open_xz),
    (b"\x28\xb5\x2f\xfd", _open_zstd),
    # A zstd frame without data, such as the one with which `pzstd` starts.
    *((bytes((kind, 0x2A, 0x4D, 0x18)), _open_zstd) for kind in range(0x50, 0x60)),
)


def _codec_of(head: bytes) -> Callable[[], _Decoder] | None:
    return next((codec for magic, codec in _CODECS if head.startswith(magic)), None)


class _Unpacker(io.RawIOBase):
    """The unpacked bytes of all members from one on, as a stream."""

    def __init__(self, file: io.BufferedIOBase, member: int) -> None:
        self._file = file
        self.fed = member
        """Bytes of the file that the decoders were given; between two, the next one's start."""
        self._held = b""
        self._decoder: _Decoder | None = None
        self._unpacked = 0
        self._members: deque[tuple[int, int]] = deque()
        """Where members start: in what was unpacked since `member`, and in the file."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        while self._decoder is not None or self._open_next():
            assert self._decoder is not None
            data = b""
            if self._decoder.needs_input:
                data = self._held or self._file.read(_READ_BYTES)
                self._held = b""
                if not data:
                    raise EOFError("the packed data ends early")
                self.fed += len(data)
            piece = self._decoder.decompress(data, len(buffer))
            if self._decoder.eof:
                self._held = self._decoder.unused_data
                self.fed -= len(self._held)
                self._decoder = None
            if piece:
                buffer[: len(piece)] = piece
                self._unpacked += len(piece)
                return len(piece)
        return 0

    def place_of(self, unpacked: int) -> Place:
        """Where in the file a byte is that is not before the one of the last call."""
        while len(self._members) > 1 and self._members[1][0] <= unpacked:
            self._members.popleft()
        start, member = self._members[0]
        return Place(member, unpacked - start)

    def _open_next(self) -> bool:
        """Start the next member; False at the end of the file."""
        while len(self._held) < _MAGIC_BYTES and (more := self._file.read(_READ_BYTES)):
            self._held += more
        padding = len(self._held) - len(self._held.lstrip(b"\0"))
        if padding:  # tapes and some writers of gzip and xz fill blocks up
            self._held = self._held[padding:]
            self.fed += padding
            return self._open_next() if self._held else self._skip_padding()
        if not self._held:
            return False
        codec = _codec_of(self._held)
        if codec is None:
            raise OSError("there is something else after the packed data")
        if self._members and self._members[-1][0] == self._unpacked:
            self._members.pop()
        self._members.append((self._unpacked, self.fed))
        self._decoder = codec()
        return True

    def _skip_padding(self) -> bool:
        while piece := self._file.read(_READ_BYTES):
            if piece.strip(b"\0"):
                self._held = piece
                return self._open_next()
            self.fed += len(piece)
        return False


class PackedFile:
    """An open file whose bytes are read unpacked; a context manager."""

    def __init__(self, path: Path, start: Place = Place(0, 0)) -> None:  # noqa: B008 - immutable
        """Open a file and go to a place in it.

        Args:
            path: the file; whether it is packed is decided by its first bytes.
            start: the start of the file, or what `position` told.

        Raises:
            CorpusError: the file cannot be read, is damaged, or ends before `start`.
        """
        with damage_named(path), ExitStack() as on_failure:
            self._file = on_failure.enter_context(io.BufferedReader(io.FileIO(path), _BUFFER_BYTES))
            codec = _codec_of(self._file.read(_MAGIC_BYTES))
            self._unpacker: _Unpacker | None = None
            self.bytes = self._file
            """What is there from `start` on; its errors are those of `damage_named`."""
            if codec is None:
                self._before = start.member + start.inside
                self._file.seek(self._before)
            else:
                self._before = start.inside
                self._file.seek(start.member)
                self._unpacker = _Unpacker(self._file, start.member)
                self.bytes = io.BufferedReader(self._unpacker, _BUFFER_BYTES)
                self._skip(start.inside)
            on_failure.pop_all()

    def position(self, count: int) -> tuple[Place, int]:
        """Where the reader is who took the first `count` bytes from `bytes`.

        Args:
            count: not less than in the last call.

        Returns:
            The place, and how far the file itself has been read, in bytes, for progress.
        """
        count += self._before
        if self._unpacker is None:
            return Place(count, 0), count
        return self._unpacker.place_of(count), self._unpacker.fed

    def _skip(self, count: int) -> None:
        while count:
            piece = self.bytes.read(min(count, _BUFFER_BYTES))
            if not piece:
                raise EOFError("it is shorter than it was")
            count -= len(piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@contextmanager
def damage_named(path: Path) -> Generator[None]:
    """Turn what reading packed or plain bytes raises into a `CorpusError` that names the file."""
    try:
        yield
    except OSError as exc:
        raise CorpusError(f"cannot read {str(path)!r}: {exc.strerror or exc}") from exc
    except (EOFError, zlib.error, lzma.LZMAError, ValueError) as exc:
        raise CorpusError(f"cannot read {str(path)!r}: {exc}") from exc
    except Exception as exc:
        if type(exc).__name__ != "ZstdError":  # its module is imported for zstd files only
            raise
        raise CorpusError(f"cannot read {str(path)!r}: {exc}") from exc


def unpacked_head(path: Path, count: int) -> bytes:
    """The first bytes of a file, unpacked.

    Raises:
        CorpusError: the file cannot be read.
    """
    with damage_named(path), PackedFile(path) as file:
        return file.bytes.read(count)
