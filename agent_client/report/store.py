"""The finished steps of a report, kept so that an interrupted one goes on where it was.

One JSON line per step, only ever appended. A step's key is made of all that it depends on, so a
step is taken from the file exactly when it would be asked the same way again: another topic, model
or profile finds nothing, another number of sections still finds the research. A torn or damaged
line is simply a step that is still owed. A line is with the operating system when `put` returns: it
outlives this process, though perhaps not a power cut.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from agent_client.errors import ReportError

MAX_LINE_BYTES = 64 * 1024 * 1024
"""A longer line is none of ours; it is skipped."""

T = TypeVar("T")


@cache
def _adapter(kind: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(kind)


def step_key(name: str, *inputs: object) -> str:
    """The key of a step: its name and a digest of the JSON of all that it depends on."""
    text = json.dumps(inputs, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return f"{name}:{hashlib.sha256(text.encode()).hexdigest()[:24]}"


class ReportStore:
    """Finished steps by key, in memory and, if given, in a file."""

    def __init__(self, file: BinaryIO | None = None) -> None:
        """Take in what the file holds; `open` is the way to a file that is locked."""
        self._file = file
        self._steps: dict[str, object] = dict(_read(file)) if file else {}
        self.kept = len(self._steps)
        """Steps that an earlier run has left."""

    @property
    def count(self) -> int:
        """Finished steps, those of an earlier run included."""
        return len(self._steps)

    @staticmethod
    @contextmanager
    def open(path: Path, *, fresh: bool = False) -> "Generator[ReportStore]":
        """Open the steps in a file, which is created with its folder when it is missing.

        Args:
            path: the file, of which one process at a time can have the use.
            fresh: forget what it holds.

        Raises:
            ReportError: it cannot be written, or another process works on the same report.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as exc:
            raise ReportError(f"{str(path)!r} cannot be written: {exc.strerror}") from exc
        with os.fdopen(descriptor, "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as exc:
                raise ReportError(
                    "another seekling is writing this report",
                    hint="wait for it, or stop it and run the same command again",
                ) from exc
            if fresh:
                file.truncate(0)
            yield ReportStore(file)

    def get(self, key: str, kind: type[T]) -> T | None:
        """The value of a finished step; None when it is still owed, or its line is damaged."""
        if key not in self._steps:
            return None
        try:
            return _adapter(kind).validate_python(self._steps[key])
        except ValidationError:
            return None

    def put(self, key: str, value: object) -> None:
        """Keep the value of a finished step: a dataclass, or what JSON can hold.

        Raises:
            ReportError: the disk is full or the file cannot be written any more.
        """
        plain = _adapter(type(value)).dump_python(value, mode="json")
        self._steps[key] = plain
        if self._file is None:
            return
        line = json.dumps({"step": key, "value": plain}, separators=(",", ":"))
        try:
            self._file.write(line.encode("ascii") + b"\n")
            self._file.flush()
        except OSError as exc:
            raise ReportError(f"the steps of the report cannot be kept: {exc.strerror}") from exc


def _read(file: BinaryIO) -> Iterator[tuple[str, object]]:
    """Every whole line; the file is left so that the next line starts on its own."""
    file.seek(0)
    line = b"\n"
    while piece := file.readline(MAX_LINE_BYTES):
        line = piece
        try:
            record: object = json.loads(piece)
        except (ValueError, RecursionError):  # torn, damaged, or not UTF-8
            continue
        if isinstance(record, dict):
            step = cast(dict[str, object], record)
            if isinstance(key := step.get("step"), str) and "value" in step:
                yield key, step["value"]
    if not line.endswith(b"\n"):
        file.seek(0, os.SEEK_END)
        file.write(b"\n")
        file.flush()
