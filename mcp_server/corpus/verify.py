"""Check an index on disk: its files against their checksums, then its documents."""

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import tantivy

from mcp_server.corpus.storage.manifest import (
    META,
    Manifest,
    committed,
    damaged,
    read_manifest,
)
from mcp_server.corpus.storage.snapshot import Snapshot

SAMPLE_PASSAGES = 1_000
"""Read by a quick check, spread evenly over the index."""
_BATCH_PASSAGES = 10_000
_CHUNK_BYTES = 4 * 1024 * 1024

# tantivy ends each of its files with a footer: JSON with the CRC-32 of what is before it, the
# length of the JSON and a magic number, both as 32-bit little-endian numbers.
_FOOTER_MAGIC = 1337
_MAX_FOOTER_BYTES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What was checked; an index with a fault raises instead."""

    manifest: Manifest
    files: int
    """Files whose checksums were compared."""
    bytes: int
    passages_read: int
    passages: int
    documents: int
    notes: tuple[str, ...]
    """What is unusual but no fault."""


def verify_index(
    directory: Path,
    *,
    quick: bool = False,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> VerifyReport:
    """Check an index: manifest, files and their checksums, then every stored passage.

    Args:
        directory: the index.
        quick: read `SAMPLE_PASSAGES` passages instead of all; all files are checked anyway.
        progress: told how many passages were read, and of how many.

    Raises:
        CorpusError: there is no index, or it is damaged; the message names the file or document.
    """
    manifest = read_manifest(directory)
    folder = directory / manifest.generation
    commit = committed(folder)
    notes: list[str] = []
    is_current = commit == manifest.commit
    _check_listed(directory, manifest, is_current=is_current)
    if not is_current:
        notes.append("the last change did not come to write its counts; the next one will")
    files = _live_files(folder)
    for file in files:
        _check_footer(directory, file)
    snapshot = Snapshot(folder, manifest.language)
    with snapshot.damage_named():
        read = _check_passages(folder, snapshot, quick, progress)
        documents, passages, _ = snapshot.count()
    counted = (manifest.documents, manifest.passages)
    if is_current and (documents, passages) != counted:
        raise damaged(
            directory,
            f"it holds {documents:,} documents in {passages:,} passages, its manifest says"
            f" {manifest.documents:,} in {manifest.passages:,}",
        )
    return VerifyReport(
        manifest=manifest,
        files=len(files),
        bytes=sum(file.stat().st_size for file in files),
        passages_read=read,
        passages=passages,
        documents=documents,
        notes=tuple(notes),
    )


def _check_listed(directory: Path, manifest: Manifest, *, is_current: bool) -> None:
    """Compare the files with the manifest, as far as it is about the last commit."""
    folder = directory / manifest.generation
    for name, expected in manifest.checksums.items():
        try:
            found = zlib.crc32((folder / name).read_bytes())
        except OSError as exc:
            raise damaged(directory, f"{name} cannot be read: {exc.strerror}") from exc
        if found != expected and (is_current or name != META):
            raise damaged(directory, f"{name} is not what was written: its checksum differs")
    for name, size in manifest.files.items() if is_current else ():
        file = folder / name
        if not file.is_file():
            raise damaged(directory, f"{name} is missing")
        if file.stat().st_size != size and not name.startswith("."):
            raise damaged(directory, f"{name} has {file.stat().st_size:,} bytes, not {size:,}")


def _live_files(folder: Path) -> list[Path]:
    """The files of the last commit that have a checksum: all named after one of its segments."""
    names = {str(segment["segment_id"]).replace("-", "") for segment in _segments(folder)}
    return sorted(file for file in folder.iterdir() if file.name.partition(".")[0] in names)


def _check_footer(directory: Path, file: Path) -> None:
    """Compare a file's content with the checksum at its end."""
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, 2)
            opened.seek(max(0, size - 8))
            tail = opened.read(8)
            length = int.from_bytes(tail[:4], "little")
            magic = int.from_bytes(tail[4:], "little")
            if magic != _FOOTER_MAGIC or not 0 < length <= min(_MAX_FOOTER_BYTES, size - 8):
                raise damaged(directory, f"{file.name} is cut short or overwritten at its end")
            content = size - 8 - length
            opened.seek(content)
            expected = int(json.loads(opened.read(length))["crc"])
            opened.seek(0)
            found, left = 0, content
            while left and (chunk := opened.read(min(left, _CHUNK_BYTES))):
                found, left = zlib.crc32(chunk, found), left - len(chunk)
    except OSError as exc:
        raise damaged(directory, f"{file.name} cannot be read: {exc.strerror}") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise damaged(directory, f"{file.name} is overwritten at its end") from exc
    if found != expected:
        raise damaged(directory, f"{file.name} is not what was written: its checksum differs")


def _check_passages(
    folder: Path, snapshot: Snapshot, quick: bool, progress: Callable[[int, int], None]
) -> int:
    """Unpack passages, deleted ones that are still in the files included; returns how many."""
    sizes = _segment_sizes(folder)
    total = sum(sizes)
    step = max(1, total // SAMPLE_PASSAGES) if quick else 1
    read = 0
    for segment, size in enumerate(sizes):
        numbers = range(0, size, step)
        for start in range(0, len(numbers), _BATCH_PASSAGES):
            batch = numbers[start : start + _BATCH_PASSAGES]
            addresses = [tantivy.DocAddress(segment, number) for number in batch]
            for address, part in zip(addresses, snapshot.parts(addresses), strict=True):
                if snapshot.passage(address).part != part:
                    raise damaged(
                        folder.parent, f"passage {address.doc} of segment {segment} is mixed"
                    )
            read += len(batch)
            progress(read, total // step)
    return read


def _segments(folder: Path) -> list[dict[str, Any]]:
    """The segments of the last commit, as tantivy lists them."""
    try:
        return cast(list[dict[str, Any]], json.loads((folder / META).read_bytes())["segments"])
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise damaged(folder.parent, f"{META} is missing or not readable") from exc


def _segment_sizes(folder: Path) -> list[int]:
    return [int(segment["max_doc"]) for segment in _segments(folder)]
