"""The index's own description, and which of its generations is the current one.

An index is a folder: `manifest.json` names the current generation, a sub-folder with tantivy's
files. A build writes a new generation and then replaces the manifest in one step, so readers never
see half an index and a failed build leaves the old one as it was. An update commits within the
generation, which tantivy does in one step too, and then writes the new counts to the manifest.
"""

import json
import os
from pathlib import Path
from typing import cast

from pydantic import BaseModel, ValidationError

from mcp_server.errors import CorpusError

MANIFEST = "manifest.json"
META = "meta.json"
"""tantivy's list of the files of the last commit, in the generation's folder."""
FORMAT = 3
"""Raised when an index must be built again to be read."""


class SourceRecord(BaseModel):
    """What a generation was built from."""

    name: str
    documents: int
    """Read from it; a document whose id comes again replaces the one before."""


class Manifest(BaseModel):
    """The index's description, as stored in `manifest.json`."""

    format: int
    name: str
    generation: str
    created: str
    updated: str
    documents: int
    passages: int
    text_bytes: int
    """UTF-8 bytes of the titles and texts of all documents."""
    sources: list[SourceRecord]
    language: str
    """Of the stemmer, see `schema.LANGUAGES`."""
    commit: int
    """The commit that the counts and files belong to, as tantivy numbers them."""
    files: dict[str, int]
    """Name and size in bytes of every file of the generation at that commit."""
    checksums: dict[str, int]
    """Name and CRC-32 of the files that do not hold their own."""
    digest: str = ""
    """Identifies the sources' content where the builder knows it."""

    @property
    def index_bytes(self) -> int:
        """Size on disk at the last change."""
        return sum(self.files.values())


def read_manifest(directory: Path) -> Manifest:
    """Read and check the manifest of an index.

    Raises:
        CorpusError: there is no index, it is damaged, or it is of another format.
    """
    path = directory / MANIFEST
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise CorpusError(f"no index at {str(directory)!r}", hint=how_to_build(directory)) from None
    except OSError as exc:
        raise CorpusError(
            f"cannot read {str(path)!r}: {exc.strerror}", hint=how_to_build(directory)
        ) from exc
    try:
        found = _format_of(content)
        if found != FORMAT:
            raise CorpusError(
                f"the index at {str(directory)!r} has format {found}, this version reads"
                f" format {FORMAT}",
                hint=how_to_build(directory),
            )
        return Manifest.model_validate_json(content)
    except ValidationError as exc:
        raise damaged(directory, "its manifest is not readable") from exc


def _format_of(content: bytes) -> object:
    """The format alone: the rest of the manifest may be unlike ours. FORMAT when it says none."""
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        return FORMAT
    is_manifest = isinstance(fields, dict)
    return cast(dict[str, object], fields).get("format", FORMAT) if is_manifest else FORMAT


def committed(generation: Path) -> int:
    """The number of the last commit in a generation's folder.

    Raises:
        CorpusError: tantivy's list of files is missing or damaged.
    """
    try:
        fields = json.loads((generation / META).read_bytes())
        return int(fields["opstamp"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as exc:
        raise damaged(generation.parent, f"{META} is missing or not readable") from exc


def write_durably(path: Path, content: bytes) -> None:
    """Put a file in place in one step; after a crash it is the old or the new one.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def how_to_build(directory: Path) -> str:
    """The hint of an index that cannot be used."""
    return f"build it: seekling-mcp index build SOURCE… --out {directory}"


def damaged(directory: Path, reason: str) -> CorpusError:
    """The error of an index that is there and cannot be read."""
    return CorpusError(
        f"the index at {str(directory)!r} is damaged: {reason}", hint=how_to_build(directory)
    )
