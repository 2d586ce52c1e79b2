"""The directory of a run: the names of its files, its lock, and how a file is opened or written."""

import errno
import os
import re
import shlex
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent_client.errors import EvaluationError, RunInUse, StorageFailed
from agent_client.sessions import journal
from agent_client.sessions.journal import FILE_MODE, LineFile

LOCK = ".lock"
MANIFEST = "run.json"
QUESTIONS = "questions.jsonl"
RECORDS = "records.jsonl"
GRADES = "grades.jsonl"
RESULTS = "results.jsonl"
REMARKS = "remarks.jsonl"
FOLDER_MODE = 0o700

_SEGMENT = re.compile(r"events-(\d{5,9})\.jsonl")
_UNFINISHED = ".new"
"""Ends the name of a file that is being written as a whole."""


def segment_name(number: int) -> str:
    """The file of this number; numbers count from 1."""
    return f"events-{number:05}.jsonl"


def segment_numbers(directory: Path) -> list[int]:
    """The numbers of the segments that are there, in order.

    Raises:
        OSError: the directory cannot be read.
    """
    found = (_SEGMENT.fullmatch(path.name) for path in directory.iterdir())
    return sorted(int(match[1]) for match in found if match)


def storage_failed(directory: Path, exc: Exception) -> StorageFailed:
    """What a failed write means for a run."""
    why = (exc.strerror if isinstance(exc, OSError) else "") or str(exc)
    remedy = "put that right"
    if isinstance(exc, OSError) and exc.errno in (errno.EMFILE, errno.ENFILE):
        remedy = "raise the limit of open files (ulimit -n), or ask fewer questions at once"
    return StorageFailed(
        f"run {str(directory)!r} cannot be written: {why}",
        hint=f"{remedy}, then go on with: seekling eval resume {shlex.quote(str(directory))}",
    )


@contextmanager
def writing(directory: Path) -> Generator[None]:
    """Turn a failed write into `StorageFailed`."""
    try:
        yield
    except OSError as exc:
        raise storage_failed(directory, exc) from exc


class DirectoryLock:
    """Keeps other writers out of a directory until `close`."""

    def __init__(self, directory: Path) -> None:
        """Take the lock.

        Raises:
            RunInUse: another process has it.
            OSError: the directory is not there or cannot be written.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        self._fd = os.open(directory / LOCK, flags, FILE_MODE)
        try:
            if not journal.try_to_lock(self._fd):
                raise _in_use(directory, self._fd)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        except BaseException:
            os.close(self._fd)
            raise

    def close(self) -> None:
        """Let the next writer in."""
        os.close(self._fd)


def _in_use(directory: Path, fd: int) -> RunInUse:
    written = os.pread(fd, 20, 0).strip()
    pid = int(written) if written.isdigit() else 0
    who = f"process {pid}" if pid else "another process"
    return RunInUse(
        f"run {str(directory)!r} is being written by {who}", pid=pid, hint="wait for it, or end it"
    )


def is_being_written(directory: Path) -> bool:
    """Whether a process has the lock of a directory."""
    try:
        return journal.is_being_written(directory / LOCK)
    except OSError:
        return False


def open_lines(directory: Path, name: str, *, is_new: bool = False) -> LineFile:
    """Open a file of lines for appending; what follows its last whole line is cut off.

    Args:
        directory: of the run.
        name: of the file.
        is_new: whether it may not exist.

    Raises:
        OSError: it cannot be opened, or somebody put a symbolic link in its place.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | (os.O_EXCL if is_new else 0)
    fd = os.open(directory / name, flags, FILE_MODE)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(f"{name!r} is no file")
    return LineFile(fd)


def write_whole(directory: Path, files: dict[str, bytes]) -> None:
    """Write files so that the last one is there only when all of them are, whole and on the disk.

    Raises:
        OSError: they cannot be written.
    """
    for name, data in reversed(files.items()):
        _write(directory / (name + _UNFINISHED), data)
    for name in files:
        (directory / (name + _UNFINISHED)).replace(directory / name)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write(path: Path, data: bytes) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
    with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor has no path
        file.write(data)
        file.flush()
        os.fsync(fd)


def check_is_empty(directory: Path) -> None:
    """See that a run may begin in a directory; leavings of one that never began do not matter.

    Raises:
        EvaluationError: it holds a run, or something else.
        OSError: it cannot be read.
    """
    names = {path.name for path in directory.iterdir()} - {LOCK}
    if MANIFEST in names:
        raise EvaluationError(
            f"{str(directory)!r} holds a run",
            hint=f"go on with it: seekling eval resume {shlex.quote(str(directory))};"
            " or name another --out",
        )
    unfinished = MANIFEST + _UNFINISHED
    if unfinished in names:
        names -= {unfinished, QUESTIONS + _UNFINISHED, QUESTIONS}
    if names:
        raise EvaluationError(
            f"{str(directory)!r} is not empty: it holds {min(names)!r}", hint="name another --out"
        )
