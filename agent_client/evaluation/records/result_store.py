"""What tools returned, each once, by the SHA-256 of what it says."""

import hashlib
import mmap
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from agent_client.conversation import ToolCall, ToolResult
from agent_client.evaluation.records.run_directory import RESULTS, open_lines
from agent_client.sessions.journal import LineFile, open_to_read
from agent_client.sessions.lenient_json import canonical, decoded

MAX_RESULT_BYTES = 256 * 2**20
"""A longer line is none of ours."""
_DIGEST = re.compile(rb"[0-9a-f]{64}")
_HEAD = b'{"sha256":"'
_BODY = b'","result":'
_DIGEST_AT = len(_HEAD)
_BODY_AT = _DIGEST_AT + 64 + len(_BODY)


class _Stored(msgspec.Struct):
    text: str
    is_error: bool
    meta: Mapping[str, Any]


_DECODER = msgspec.json.Decoder(_Stored)


class ResultStore:
    """The file `results.jsonl`: a line per result, `{"sha256":…,"result":…}`.

    The result is canonical JSON of text, `is_error` and meta, and the digest is that of its bytes,
    which is checked at reading: a damaged result counts as missing. One file, since a file of its
    own for each of a hundred thousand results takes 25 times the time to write, and makes a run
    slow to copy. Where each one stands is found by looking at the beginnings of all lines, once:
    30 ms for 300 MB.
    """

    def __init__(self, directory: Path) -> None:
        """Use the results of a directory; nothing is created before something is stored.

        Args:
            directory: of the run, or of a recording. One store at a time writes it.
        """
        self._directory = directory
        self._places: dict[bytes, tuple[int, int]] = {}
        """By digest the first byte of a line, and its length."""
        self._whole = set[bytes]()
        """Digests of what was written or checked here."""
        self._seen_bytes = 0
        self._file: LineFile | None = None

    def put(self, result: ToolResult) -> str:
        """Store a result; its digest, 64 hexadecimal digits.

        Call id and tool name are left out: other calls return the same.

        Raises:
            OSError: it cannot be written.
            ValueError: it cannot be written as JSON, such as lists nested a thousand deep.
        """
        try:
            data = canonical(_Stored(result.text, result.is_error, result.meta))
        except (TypeError, RecursionError) as exc:
            raise ValueError(f"a result of {result.name[:80]!r} is no JSON: {exc}") from exc
        digest = hashlib.sha256(data).hexdigest()
        if self._file is None:
            self._file = open_lines(self._directory, RESULTS)
            self._look()
        key = bytes.fromhex(digest)
        if key not in self._whole and self._read(key) is None:
            line = b"".join((_HEAD, digest.encode(), _BODY, data, b"}"))
            offset = self._file.end
            self._file.append(line)
            self._places[key], self._seen_bytes = (offset, len(line)), self._file.end
        self._whole.add(key)
        return digest

    def get(self, digest: str, call: ToolCall) -> ToolResult | None:
        """The result of this digest, as the answer to a call; None where it is missing or damaged.

        Args:
            digest: 64 hexadecimal digits; anything else is missing.
            call: whose id and name the result gets.
        """
        if not _DIGEST.fullmatch(digest.encode("utf-8", "replace")):
            return None
        data = self._read(bytes.fromhex(digest))
        if data is None:
            return None
        try:
            stored = decoded(data, _DECODER)
        except (ValueError, TypeError, RecursionError):
            return None
        return ToolResult(call.id, call.name, stored.text, stored.is_error, stored.meta)

    @property
    def cut_bytes(self) -> int:
        """What was cut off the end of the file when the first result was stored."""
        return self._file.cut_bytes if self._file else 0

    @property
    def is_deleted(self) -> bool:
        """Whether nobody will find what is stored."""
        return self._file is not None and self._file.is_deleted

    def close(self) -> None:
        """End the file; what is stored afterwards opens it again."""
        if self._file:
            self._file.close()
        self._file = None

    def _read(self, key: bytes) -> bytes | None:
        """The canonical JSON of a result; None where it is missing or not what it was."""
        if key not in self._places and self._file is None:  # else everything there is known
            self._look()
        place = self._places.get(key)
        if place is None:
            return None
        offset, length = place
        with suppress(OSError):
            fd = self._opened()
            try:
                line = os.pread(fd, length, offset)
            finally:
                os.close(fd)
            data = line[_BODY_AT:-1]
            if hashlib.sha256(data).digest() == key:
                return data
        del self._places[key]  # so that it is stored again
        return None

    def _look(self) -> None:
        """Find where the results stand that were written since the last look."""
        with suppress(OSError, ValueError):  # ValueError: an empty file cannot be mapped
            fd = self._opened()
            try:
                with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as file:
                    self._look_at(file)
            finally:
                os.close(fd)

    def _look_at(self, file: mmap.mmap) -> None:
        start = self._seen_bytes
        while (end := file.find(b"\n", start)) >= 0:
            digest = file[start + _DIGEST_AT : start + _DIGEST_AT + 64]
            if (
                _BODY_AT < end - start <= MAX_RESULT_BYTES
                and file[start : start + _DIGEST_AT] == _HEAD
                and _DIGEST.fullmatch(digest)
            ):
                self._places[bytes.fromhex(digest.decode())] = (start, end - start)
            start = end + 1
        self._seen_bytes = start

    def _opened(self) -> int:
        return open_to_read(self._directory / RESULTS, os.O_NOFOLLOW)
