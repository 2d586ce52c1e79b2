"""Writes a file in place of another in one step: whoever reads it sees the old or the new one."""

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

NEW_FILE_MODE = 0o666
"""Permissions of a file that anybody may read, less what the process's umask takes away."""
_BUFFER_BYTES = 1 << 20


@contextmanager
def replacing(path: Path, *, mode: int = NEW_FILE_MODE) -> Generator[BinaryIO]:
    """Write a new file, which takes the place of `path` when the block ends without an error.

    In a folder that others write to, nobody can know the name of the unfinished file, or put a
    link there that leads to another one. A link at `path` is replaced, not followed.

    Args:
        path: in a folder that exists.
        mode: permissions of the new file, less the process's umask.

    Raises:
        OSError: it cannot be written; what stood there is still there.
    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        descriptor = os.open(unfinished, flags, mode)
        with open(descriptor, "wb", _BUFFER_BYTES) as file:  # noqa: PTH123 - a descriptor has no path
            yield file
            file.flush()
            os.fsync(descriptor)
        unfinished.replace(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
