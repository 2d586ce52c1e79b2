"""Run extraction where it can be killed: one child process per document.

No HTML parser is safe to run in the server: a few hundred kilobytes of hostile markup keep the
best of them busy for a minute, and native code cannot be interrupted. Each child serves one
document and ends, so no page can affect the next one.

This is not `anyio.to_process`: its workers put the current directory on the import path (an MCP
host starts us inside the user's project, where a file `anyio.py` would then run), inherit API
keys with the environment, and send pickles to the parent from the process that reads hostile
bytes. Here the child gets no environment, `-P`, and JSON.
"""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import anyio
import anyio.to_thread
from anyio.abc import Process
from anyio.lowlevel import RunVar
from pydantic import BaseModel, Field, ValidationError

from mcp_server.errors import ExtractionError
from mcp_server.extract import EXTRACTORS, extract
from mcp_server.extract.plain_text import read_feed, read_json, read_plain_text, strip_tags
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.visit.types import Link

_MAX_CHILDREN = 2
_SMALL_BYTES = 32 * 1024
_CHEAP_EXTRACTORS = (read_plain_text, read_json, read_feed)
_FALLBACK_BYTES = 2_000_000
"""What the tag stripper, which runs here, is given at most."""

_logger = logging.getLogger(__name__)
_children: RunVar[anyio.CapacityLimiter] = RunVar("_children")


class _LinkReply(BaseModel):
    text: str
    url: str


class _Reply(BaseModel):
    """What the child says; it has read hostile bytes, so it is not trusted either."""

    title: Annotated[str, Field(max_length=10_000)]
    text: str
    links: list[_LinkReply]


async def extract_in_child(
    body: bytes, info: SourceInfo, *, deadline_seconds: float = 10
) -> Extracted:
    """Read a body with the extractor of its media type, in a child that is killed in time.

    Small plain text is read at once. When the child fails, the tags are stripped from the first
    two million bytes instead.

    Args:
        body: the document.
        info: its media type has to be a key of `EXTRACTORS`.
        deadline_seconds: includes waiting for a free child.

    Raises:
        ExtractionError: neither way found any text.
    """
    if len(body) <= _SMALL_BYTES and EXTRACTORS[info.media_type] in _CHEAP_EXTRACTORS:
        return extract(body, info)
    reply = b""
    try:
        with anyio.fail_after(deadline_seconds):
            async with _limiter():
                reply = await _run_child(body, info, cpu_seconds=int(deadline_seconds) + 1)
        parsed = _Reply.model_validate_json(reply)
    except TimeoutError:
        _logger.info("extraction of a %s document took too long", info.media_type)
    except ValidationError:
        _logger.info("extraction of a %s document broke its process", info.media_type)
    else:
        links = tuple(Link(text=link.text, url=link.url) for link in parsed.links)
        return Extracted(title=parsed.title, text=parsed.text, links=links)
    return await anyio.to_thread.run_sync(_strip, body, info)


def _limiter() -> anyio.CapacityLimiter:
    try:
        return _children.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_MAX_CHILDREN)
        _children.set(limiter)
        return limiter


async def _run_child(body: bytes, info: SourceInfo, *, cpu_seconds: int) -> bytes:
    """The child's stdout; b"" when it failed. The child is killed when this is cancelled."""
    header = {
        "url": info.url,
        "media_type": info.media_type,
        "charset": info.charset,
        "body_bytes": len(body),
        "cpu_seconds": cpu_seconds,
    }
    command = [sys.executable, "-P", "-B", "-m", "mcp_server.extract.child"]
    # Only absolute entries: "" is the current directory.
    import_path = os.pathsep.join(entry for entry in sys.path if Path(entry).is_absolute())
    process: Process | None = None
    try:
        # Shielded, because asyncio leaves a child behind whose start is cancelled.
        with anyio.CancelScope(shield=True):
            process = await anyio.open_process(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": import_path},
            )
        assert process is not None
        async with process:
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdin.send(json.dumps(header).encode() + b"\n" + body)
            await process.stdin.aclose()
            output = b"".join([piece async for piece in process.stdout])
            return output if await process.wait() == 0 else b""
    except (OSError, anyio.BrokenResourceError):
        return b""  # it did not start, or died before it had read the body


def _strip(body: bytes, info: SourceInfo) -> Extracted:
    text = strip_tags(body[:_FALLBACK_BYTES].decode(info.charset, "replace"))
    if not text:
        raise ExtractionError("the page could not be read: its markup is damaged or hostile")
    return Extracted(title="", text=text)
