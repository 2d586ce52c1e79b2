"""The folder of an index: who may write to it, and the generations in it."""

import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from mcp_server.corpus.storage.manifest import MANIFEST, Manifest
from mcp_server.errors import CorpusError

LOCK = ".lock"
MIN_FREE_BYTES = 1_000_000
"""A disk with less free space is called full: segments are written in blocks about this large."""
_POLL_SECONDS = 0.05


@contextmanager
def writing(directory: Path, *, wait_seconds: float = 0.0) -> Generator[None]:
    """Be the only writer of an index; the lock ends with the process, however that ends.

    Args:
        directory: made when missing, removed again when it is empty in the end.
        wait_seconds: how long to wait for another writer.

    Raises:
        CorpusError: another process writes to it, it holds something else, or it cannot be made.
    """
    check_target(directory)
    was_there = directory.exists()
    lock = _locked(directory, time.monotonic() + wait_seconds)
    try:
        yield
    finally:
        # Removed while it is held: who waits for it looks whether it is still in the folder.
        (directory / LOCK).unlink(missing_ok=True)
        os.close(lock)
        if not was_there:
            with suppress(OSError):  # it is not empty
                directory.rmdir()


def _locked(directory: Path, deadline: float) -> int:
    path = directory / LOCK
    while True:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise cannot_write(directory, exc.strerror or str(exc)) from exc
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            continue  # who held the lock has removed the folder meanwhile
        except OSError as exc:
            raise cannot_write(directory, exc.strerror or str(exc)) from exc
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, lock):
                return lock
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(lock)
                raise CorpusError(
                    f"another process is building or changing the index at {str(directory)!r}",
                    hint="wait until it is done; searching goes on meanwhile",
                    retryable=True,
                ) from None
            time.sleep(_POLL_SECONDS)
        except OSError as exc:
            os.close(lock)
            raise cannot_write(directory, exc.strerror or str(exc)) from exc
        os.close(lock)


def _is_at(path: Path, lock: int) -> bool:
    """Whether the open lock is the file in the folder, not one that was removed since."""
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except FileNotFoundError:
        return False


def check_target(directory: Path) -> None:
    """Refuse to put an index where something else is.

    Raises:
        CorpusError: it is a file, or a folder with other files in it.
    """
    if directory.is_file():
        raise CorpusError(f"{str(directory)!r} is a file", hint="--out names a folder")
    if directory.is_dir() and not (directory / MANIFEST).exists():
        others = [entry.name for entry in directory.iterdir() if not _is_ours(entry.name)]
        if others:
            raise CorpusError(
                f"{str(directory)!r} holds other files ({others[0]!r}), not an index",
                hint="name an empty or a new folder with --out",
            )


def _is_ours(name: str) -> bool:
    return name.startswith("gen-") or name in {LOCK, f".{MANIFEST}.new"}


def new_generation(directory: Path) -> Path:
    """Make a folder for a new generation.

    Raises:
        CorpusError: it cannot be made.
    """
    folder = directory / f"gen-{uuid.uuid4().hex[:12]}"
    try:
        folder.mkdir()
    except OSError as exc:
        raise cannot_write(directory, exc.strerror or str(exc)) from exc
    return folder


def unfinished_generations(directory: Path) -> list[Path]:
    """The folders that no manifest names: what builds left that did not come to their end."""
    current = current_generation(directory)
    return sorted(
        folder for folder in directory.glob("gen-*") if folder.is_dir() and folder.name != current
    )


def current_generation(directory: Path) -> str:
    """The generation that the manifest names; "" when there is none or it cannot be read."""
    try:
        return Manifest.model_validate_json((directory / MANIFEST).read_bytes()).generation
    except (OSError, ValueError):
        return ""


def reason_of(exc: Exception, folder: Path) -> str:
    """Why a write failed: tantivy says of one that failed in its thread only that it was killed."""
    if "os error 28" in str(exc) or shutil.disk_usage(folder).free < MIN_FREE_BYTES:
        return "no space left on device"
    return (str(exc).splitlines() or [""])[0][:200]


def cannot_write(directory: Path, reason: str) -> CorpusError:
    """The error of an index that cannot be written."""
    return CorpusError(
        f"cannot write the index at {str(directory)!r}: {reason}",
        hint="an index that was there is untouched; make room, or choose a writable folder",
    )
