"""A file of lines that only grows: one writer at a time, and never half a line left behind.

The rules are those of any record that has to survive a `kill -9`, a full disk and a power cut:

- A line is whole when it ends in a newline. What follows the last newline, and a block of NULs that
  a file system leaves at the end after a power cut, is cut off before the next line is appended;
  who only reads leaves it out.
- Lines go out with one `write` each batch, so that they survive the end of the process. A power cut
  may cost the last seconds: to wait for the disk after each run would hold up all others.
- A `write` that fails is undone, so that the file ends in a whole line.
- `flock` keeps a second writer out. Each opening writes a line with the process id, which is how
  the second one learns who the first is.
"""

import errno
import fcntl
import json
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from agent_client.errors import SessionError

FILE_MODE = 0o600
"""Questions are private: nobody else reads them."""
MAX_LINE_BYTES = 256 * 2**20
"""A longer line is read as its beginning, which is no JSON and so counts as unreadable."""
_BLOCK_BYTES = 65_536
_BOM = b"\xef\xbb\xbf"
_LOCK_WAITS_SECONDS = (0.005, 0.02, 0.0)
"""A reader that asks whether a file is being written holds it for a moment."""
_OPENED = re.compile(rb'\{"opened":\{"pid":(\d{1,10})')


class LineFile:
    """A file of lines that is open for appending; who opened it keeps other writers out.

    Attributes:
        cut_bytes: what was cut off its end when it was opened; 0 where the last writer ended well.
        end: bytes of the file; where the next line begins.
    """

    def __init__(self, fd: int) -> None:
        """Cut off what follows the last whole line.

        Args:
            fd: open for reading and appending; closed by `close`, and here if it fails.

        Raises:
            OSError: it cannot be read or cut.
        """
        self._fd = fd
        try:
            size = os.fstat(fd).st_size
            self.end = _end_of_last_line(fd, size)
            self.cut_bytes = size - self.end
            if self.cut_bytes:
                os.ftruncate(fd, self.end)
        except OSError:
            os.close(fd)
            raise

    def append(self, *lines: bytes) -> None:
        """Write lines at the end, all or none of them.

        Args:
            lines: each without its newline; JSON, which has no newline inside.

        Raises:
            OSError: nothing was written: the disk is full, say.
        """
        data = memoryview(b"\n".join((*lines, b"")))
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._fd, self.end)
            raise
        self.end += written

    @property
    def is_deleted(self) -> bool:
        """Whether nobody will find what is written: that is no error to the system."""
        return os.fstat(self._fd).st_nlink == 0

    def close(self) -> None:
        """End it."""
        os.close(self._fd)


class Journal:
    """The one writer of a file of lines.

    Attributes:
        cut_bytes: what was cut off its end when it was opened; 0 where the last writer ended well.
        is_new: whether it held no line before.
        opened_at: ISO 8601 in UTC.
    """

    def __init__(self, path: Path, opening: Mapping[str, object]) -> None:
        """Open a file, or create it, and lock it until `close`.

        Args:
            path: its directory exists.
            opening: JSON values; the line that this opening writes, beside process id and time.

        Raises:
            SessionError: another process writes it, or it cannot be opened or written.
        """
        try:
            self._file = LineFile(_open_locked(path))
        except OSError as exc:
            raise SessionError(f"cannot write {str(path)!r}: {exc.strerror}") from exc
        self.cut_bytes, self.is_new = self._file.cut_bytes, self._file.end == 0
        self.opened_at = now_iso()
        opened = {"opened": {"pid": os.getpid(), "at": self.opened_at}} | dict(opening)
        try:
            self.append(json.dumps(opened, separators=(",", ":")).encode())
        except OSError as exc:
            self.close()
            raise SessionError(f"cannot write {str(path)!r}: {exc.strerror}") from exc

    def append(self, *lines: bytes) -> None:
        """Write lines at the end, all or none of them; takes and raises what `LineFile` does."""
        self._file.append(*lines)

    def close(self) -> None:
        """Let the next writer in."""
        self._file.close()


def now_iso() -> str:
    """This moment as ISO 8601 in UTC, to the millisecond."""
    second, millisecond = divmod(time.time_ns() // 1_000_000, 1_000)
    return f"{_iso_second(second)}.{millisecond:03}Z"


@lru_cache(maxsize=4)
def _iso_second(second: int) -> str:
    """A second since 1970; a busy program writes hundreds of lines in each."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def open_to_read(path: Path, flags: int = 0) -> int:
    """Open a file that somebody else may have made; its descriptor.

    A pipe would be waited for without end, a device would be read without end.

    Args:
        path: of the file.
        flags: besides `os.O_RDONLY`.

    Raises:
        OSError: the file is not there, cannot be read, or is none but a pipe or a device.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return fd


def read_lines(path: Path) -> Iterator[bytes]:
    """The whole lines of a file, without line ends; empty ones are left out.

    It takes no lock: what another process is just writing ends the file a line earlier.

    Raises:
        OSError: the file is not there, cannot be read, or is none but a pipe or a device.
    """
    with open(open_to_read(path), "rb") as file:
        if file.read(len(_BOM)) != _BOM:
            file.seek(0)
        while line := file.readline(MAX_LINE_BYTES):
            rest = line
            while rest and not rest.endswith(b"\n"):
                rest = file.readline(MAX_LINE_BYTES)
            if rest and (stripped := line.strip(b"\r\n\0 ")):
                yield stripped


def read_ends(path: Path, max_bytes: int) -> tuple[list[bytes], list[bytes]]:
    """The whole lines within the first and within the last bytes of a file.

    Raises:
        OSError: the file is not there or cannot be read.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(fd).st_size
        head = os.pread(fd, max_bytes, 0)
        tail = head if size <= max_bytes else os.pread(fd, max_bytes, size - max_bytes)
    finally:
        os.close(fd)
    first = head.removeprefix(_BOM).split(b"\n")[:-1]
    last = tail.rstrip(b"\0").split(b"\n")[0 if size <= max_bytes else 1 : -1]
    return first, last


def is_being_written(path: Path) -> bool:
    """Whether a process has the file open for writing.

    Raises:
        OSError: the file is not there or cannot be read.
    """
    fd = open_to_read(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def delete(path: Path) -> None:
    """Delete a file that nobody writes.

    Raises:
        SessionError: a process is writing it.
        OSError: it is not there or cannot be deleted.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        _lock(fd, path)
        path.unlink()
    finally:
        os.close(fd)


def _open_locked(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    while True:
        fd = os.open(path, flags, FILE_MODE)
        try:
            _lock(fd, path)
        except BaseException:
            os.close(fd)
            raise
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)  # deleted between the two calls: make a new one


def try_to_lock(fd: int) -> bool:
    """Keep other writers out until the file is closed; False where another one is at it."""
    for wait_seconds in _LOCK_WAITS_SECONDS:
        with suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(wait_seconds)
    return False


def _lock(fd: int, path: Path) -> None:
    if try_to_lock(fd):
        return
    pid = _last_writer(path)
    who = f"process {pid}" if pid else "another process"
    raise SessionError(f"{path.name!r} is being written by {who}", hint="wait for it, or end it")


def _last_writer(path: Path) -> int:
    """The process that opened the file last; 0 where no line tells."""
    pid = 0
    for line in read_lines(path):
        if found := _OPENED.match(line):
            pid = int(found[1])
    return pid


def _end_of_last_line(fd: int, size: int) -> int:
    position, only_nuls = size, True
    while position:
        start = max(0, position - _BLOCK_BYTES)
        block = os.pread(fd, position - start, start)
        if only_nuls:
            block = block.rstrip(b"\0")
            only_nuls = not block
        newline = block.rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        position = start
    return 0
