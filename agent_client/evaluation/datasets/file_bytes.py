"""A data file's bytes, unpacked, after a look at whether they are data at all."""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

from agent_client.errors import DatasetError

MAX_BYTES = 1024**3
"""Of a file, packed and unpacked. The largest official one, 2WikiMultihopQA's training set, has
0.7 GB."""

_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"
_LFS_START = b"version https://git-lfs"
_UTF16_STARTS = (b"\xff\xfe", b"\xfe\xff")
_HEAD_BYTES = 512


@dataclass(frozen=True, slots=True)
class FileBytes:
    """What a file holds."""

    path: Path
    content: bytes
    """Unpacked."""
    digest: str
    """SHA-256 of the file as it is on disk, 64 hexadecimal digits."""

    @property
    def is_parquet(self) -> bool:
        """Whether it is a Parquet file."""
        return self.content.startswith(_PARQUET_MAGIC)

    @property
    def suffix(self) -> str:
        """Of its name in lower case, without `.gz`: `.csv`; "" where there is none."""
        name = self.path.name.lower().removesuffix(".gz")
        return Path(name).suffix

    def text(self) -> str:
        """The content as text, without a byte order mark.

        Raises:
            DatasetError: it is not UTF-8.
        """
        try:
            return self.content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = self.content.count(b"\n", 0, error.start) + 1
            is_utf16 = self.content.startswith(_UTF16_STARTS)
            raise DatasetError(
                f"{self.path}: {'it is UTF-16' if is_utf16 else f'line {line} is not UTF-8'}",
                hint="save it as UTF-8, for instance with `iconv -t UTF-8`",
            ) from None


def read_bytes(path: Path) -> FileBytes:
    """Read a file whole.

    Raises:
        DatasetError: it cannot be read or unpacked, is larger than `MAX_BYTES`, is empty, or is a
            page or a pointer in place of the data.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _too_large(path)
        packed = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: it cannot be read: {error.strerror or error}") from error
    content = _unpacked(path, packed) if packed.startswith(_GZIP_MAGIC) else packed
    _refuse_what_is_no_data(path, content)
    return FileBytes(path, content, hashlib.sha256(packed).hexdigest())


def _unpacked(path: Path, packed: bytes) -> bytes:
    try:
        with gzip.open(path) as file:
            content = file.read(MAX_BYTES + 1)
    except (EOFError, OSError, zlib.error) as error:
        reason = "it ends too early" if isinstance(error, EOFError) else str(error)
        raise DatasetError(
            f"{path}: it cannot be unpacked after {len(packed):,} bytes: {reason}",
            hint="fetch it again; `gzip -t` tells whether it is whole",
        ) from error
    if len(content) > MAX_BYTES:
        raise _too_large(path)
    return content


def _too_large(path: Path) -> DatasetError:
    return DatasetError(
        f"{path}: it has more than {MAX_BYTES:,} bytes",
        hint="name a file with the questions that are to be asked only",
    )


def _refuse_what_is_no_data(path: Path, content: bytes) -> None:
    start = content[:_HEAD_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise DatasetError(f"{path}: it is empty")
    if start.startswith(_LFS_START):
        raise DatasetError(
            f"{path}: it is a git-LFS pointer, not the data",
            hint="`git lfs pull` in its repository fetches the data",
        )
    if start.startswith(b"<"):
        raise DatasetError(
            f"{path}: it is a web page, not data",
            hint="fetch the file itself: on the hub its address has /resolve/ instead of /blob/",
        )
