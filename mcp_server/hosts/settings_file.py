"""A host's settings file: read whole, replaced whole, with a backup of what was there."""

import fcntl
import os
import stat
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mcp_server.errors import UnusableSettings

MAX_BYTES = 50_000_000
"""Longest file that is read; Claude Code's, the longest of all, holds some megabytes."""
SECRET_MODE = 0o600
"""Readable for its owner alone."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A file as it was, or is to be.

    Attributes:
        data: its bytes; None: there is no such file.
        mode: its permission bits; None: `SECRET_MODE`, for a new file.
    """

    data: bytes | None
    mode: int | None = None

    @property
    def text(self) -> str:
        """The text, a byte order mark included; "" where there is no file.

        Raises:
            UnusableSettings: it is not UTF-8.
        """
        try:
            return (self.data or b"").decode()
        except UnicodeDecodeError as exc:
            raise UnusableSettings(f"no UTF-8: {exc.reason} at byte {exc.start}") from exc


def read_settings(path: Path) -> Kept:
    """The file as it is, through links.

    Raises:
        UnusableSettings: it cannot be read, is no plain file, or is longer than `MAX_BYTES`.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
            raise UnusableSettings("no plain file" if found.st_size <= MAX_BYTES else "too long")
        return Kept(path.read_bytes(), stat.S_IMODE(found.st_mode))
    except FileNotFoundError:
        return Kept(None)
    except OSError as exc:
        raise UnusableSettings(f"cannot be read: {exc.strerror or exc}") from exc


def backups(path: Path) -> Iterator[Path]:
    """The backups of a file, newest first.

    Raises:
        UnusableSettings: their folder cannot be listed.
    """
    real = path.resolve()
    prefix = f"{real.name}.seekling-backup-"
    try:
        others = list(real.parent.iterdir()) if real.parent.is_dir() else []
    except OSError as exc:
        raise UnusableSettings(f"its folder cannot be listed: {exc.strerror or exc}") from exc
    found = {
        int(number): other
        for other in others
        if other.name.startswith(prefix)
        and (number := other.name.removeprefix(prefix)).isdecimal()
        and len(number) < 10
    }
    for number in sorted(found, reverse=True):
        yield found[number]


def replace_settings(path: Path, before: Kept, after: Kept) -> Path | None:
    """Keep what was there in a backup, then put the new file in its place at once.

    Links stay: the file that they lead to is replaced, and its backup lies beside it.

    Args:
        path: the file.
        before: the file as it was read when the change was worked out.
        after: the file as it is to be; without data it is removed.

    Returns:
        The backup, or None where there was no file.

    Raises:
        UnusableSettings: somebody else changed the file meanwhile, or it cannot be written.
    """
    real = path.resolve()
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        with _alone(real.parent):
            if read_settings(real) != before:
                raise UnusableSettings("it changed just now; try again")
            backup = None if before.data is None else _keep(real, before)
            if after.data is None:
                real.unlink()
            else:
                _write(real, after.data, after.mode)
            _sync_folder(real.parent)
    except OSError as exc:
        raise UnusableSettings(f"cannot be written: {exc.strerror or exc}") from exc
    return backup


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Keep other processes of ours out of a folder meanwhile; hosts do not ask."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _keep(real: Path, before: Kept) -> Path:
    newest = next(backups(real), None)
    number = int(newest.name.rpartition("-")[2]) + 1 if newest else 1
    backup = real.with_name(f"{real.name}.seekling-backup-{number}")
    descriptor = os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET_MODE)
    _fill(descriptor, before.data or b"")
    backup.chmod(before.mode or SECRET_MODE)
    return backup


def _write(real: Path, data: bytes, mode: int | None) -> None:
    descriptor, name = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.", suffix=".new")
    new = Path(name)
    try:
        _fill(descriptor, data)
        new.chmod(mode or SECRET_MODE)
        new.replace(real)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _fill(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some systems cannot
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
