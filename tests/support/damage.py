"""Damage files of an index as a disk would."""

from pathlib import Path


def rewrite(file: Path, content: bytes) -> None:
    """Put other bytes in the place of a file.

    As a new file, not within the old one: that may still be mapped into this process, which the
    system ends when it reads a part that is gone.
    """
    file.unlink()
    file.write_bytes(content)
