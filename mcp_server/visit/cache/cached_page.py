"""A page that was read before, and its form on disk: JSON, compressed, checked when it is read."""

import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from mcp_server.visit.types import Page

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = 1
"""Raised when `CachedPage` or `Page` change so that older bytes do not mean the same."""

_MAX_JSON_BYTES = 100_000_000
_LEVEL = 3  # a page of 32 KB takes 0.5 ms; higher levels gain a tenth and cost the double


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedPage:
    """A page with what is needed to know whether it is still good. Times in seconds since 1970."""

    page: Page
    stored_at: float
    """When its body was fetched."""
    fresh_until: float
    etag: str = ""
    """As the site sent it, or ""."""
    last_modified: str = ""

    @property
    def conditions(self) -> dict[str, str]:
        """Request headers that ask the site whether the page has changed; empty if it cannot be."""
        headers = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in headers.items() if value}


def pack(cached: CachedPage) -> bytes:
    """Write a page as compressed JSON.

    Raises:
        ValueError: a text holds lone surrogates, as the URL that a model wrote may.
    """
    return zlib.compress(_adapter().dump_json(cached), _LEVEL)


def unpack(packed: bytes) -> CachedPage | None:
    """Read what `pack` wrote; None for anything else, such as garbage or an older form."""
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(packed, _MAX_JSON_BYTES)
        if not inflater.eof:
            return None
        return _adapter().validate_json(text, strict=True)
    except (zlib.error, ValueError, RecursionError):  # ValueError: pydantic's, or bad JSON
        return None


@cache
def _adapter() -> "TypeAdapter[CachedPage]":
    from pydantic import TypeAdapter

    return TypeAdapter(CachedPage)
