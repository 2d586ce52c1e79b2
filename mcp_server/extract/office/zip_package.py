"""Open the zip archives that documents and e-books are, with bounds on what they unpack to."""

import io
import lzma
import posixpath
import struct
import zipfile
import zlib
from urllib.parse import unquote

from mcp_server.errors import ExtractionError
from mcp_server.extract.xml_tree import XmlElement, parse_xml
from mcp_server.visit.types import Metadata

MAX_MEMBERS = 20_000
MAX_UNPACKED_BYTES = 100_000_000
MAX_RATIO = 200
"""Unpacked bytes per packed byte of the whole archive; real documents stay below 30."""
_MIN_BOMB_BYTES = 10_000_000

_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    NotImplementedError,  # a compression method that nobody uses
)
"""What `zipfile` raises for archives that are not as they should be."""
_HINT = "try another result"
_MAX_FIELD_CHARS = 300


class ZipPackage:
    """An archive whose directory promises no more than the limits; members are read when asked."""

    def __init__(self, body: bytes, kind: str) -> None:
        """Open an archive.

        Args:
            body: the whole archive.
            kind: what it is, for messages: "Word document".

        Raises:
            ExtractionError: it is damaged, or unpacks to more than the limits.
        """
        self._kind = kind
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(body))
        except _DAMAGED:
            raise self.damaged() from None
        members = self._archive.infolist()
        unpacked = sum(member.file_size for member in members)
        packed = sum(member.compress_size for member in members)
        is_bomb = unpacked > max(_MIN_BOMB_BYTES, MAX_RATIO * packed)
        if unpacked > MAX_UNPACKED_BYTES or len(members) > MAX_MEMBERS or is_bomb:
            raise ExtractionError(
                f"the {kind} unpacks to {unpacked:,} bytes: too much to read", hint=_HINT
            )
        self._names = {member.filename for member in members}

    def damaged(self) -> ExtractionError:
        """The error for a document that is not what its kind should be."""
        return ExtractionError(f"the {self._kind} is damaged or incomplete", hint=_HINT)

    def encrypted(self) -> ExtractionError:
        """The error for a document that cannot be read without its password."""
        return ExtractionError(f"the {self._kind} is encrypted: it needs a password", hint=_HINT)

    def read(self, name: str) -> bytes:
        """The bytes of a member; b"" where there is none.

        Raises:
            ExtractionError: the member is encrypted or damaged.
        """
        if name not in self._names:
            return b""
        try:
            return self._archive.read(name)
        except _DAMAGED:
            raise self.damaged() from None
        except RuntimeError:  # what zipfile says of a member with a password
            raise self.encrypted() from None

    def read_xml(self, name: str) -> XmlElement:
        """The XML of a member; an empty element where there is none.

        Raises:
            ExtractionError: the member is encrypted or damaged.
        """
        body = self.read(name)
        is_utf_16 = body.startswith((b"\xff\xfe", b"\xfe\xff"))
        return parse_xml(body.decode("utf_16" if is_utf_16 else "utf_8_sig", "replace"))

    def relations(self, name: str) -> dict[str, tuple[str, str]]:
        """Where the relation ids of an Office part lead: to (kind, member name or URL)."""
        folder, _, file = name.rpartition("/")
        relations = self.read_xml(f"{folder}/_rels/{file}.rels".lstrip("/"))
        return {
            relation.attributes.get("id", ""): (
                relation.attributes.get("type", "").rpartition("/")[2],
                member_name(folder, relation.attributes.get("target", "")),
            )
            for parent in relations.children()
            for relation in parent.children("relationship")
        }

    def office_properties(self) -> tuple[str, Metadata]:
        """Title and metadata of an Office document, from `docProps/core.xml`."""
        properties = {
            element.name: " ".join(element.text().split())[:_MAX_FIELD_CHARS]
            for parent in self.read_xml("docProps/core.xml").children()
            for element in parent.children()
        }
        return properties.get("title", ""), Metadata(
            author=properties.get("creator", ""),
            published=(properties.get("created") or properties.get("modified", ""))[:10],
            language=properties.get("language", "")[:35],
        )


def member_name(folder: str, target: str) -> str:
    """The member that a relative reference of a file in `folder` names."""
    path = unquote(target.partition("#")[0])
    return posixpath.normpath(path if path.startswith("/") else f"{folder}/{path}").lstrip("/")
