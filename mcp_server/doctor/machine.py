"""What the server needs of this machine: a page-reading process, memory, folders, an index."""

import os
from collections.abc import Sequence
from pathlib import Path

from mcp_server.corpus.embedded import ensure_embedded_index
from mcp_server.corpus.storage.manifest import read_manifest
from mcp_server.corpus.verify import verify_index
from mcp_server.doctor.findings import Finding
from mcp_server.errors import ConfigError, ExtractionError
from mcp_server.extract.types import SourceInfo
from mcp_server.extract.workers.pool import ExtractionPool
from mcp_server.visit.browser.browser import find_browser

READ_SECONDS = 10.0
LEAST_BYTES = 512 * 1024 * 1024
"""Memory that the server with its page-reading processes should have."""
VERIFY_BYTES = 500_000_000
"""A larger index is not read whole here: that takes minutes."""

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_WORDS = "The lighthouse was painted white"
_HTML = f"<html><title>T</title><body><article><h1>T</h1><p>{_WORDS}.</p></article></body></html>"


async def reading() -> list[Finding]:
    """Let the page-reading process read an HTML page and a PDF that are made here."""
    read: list[str] = []
    async with ExtractionPool(max_workers=1) as pool:
        for media_type, body in (("text/html", _HTML.encode()), ("application/pdf", small_pdf())):
            info = SourceInfo(url="https://example.com/", media_type=media_type, charset="utf-8")
            try:
                extracted = await pool.extract(body, info, deadline_seconds=READ_SECONDS)
            except ExtractionError as exc:
                return [_unread(media_type, str(exc))]
            if extracted.is_stripped or _WORDS not in extracted.text:
                return [_unread(media_type, "its process did not give the text")]
            read.append(media_type)
    return [Finding("page reader", "ok", f"its process reads {' and '.join(read)}")]


def _unread(media_type: str, reason: str) -> Finding:
    advice = "it needs child processes and some 200 MB of memory: look at limits of the container,"
    advice += " `ulimit -a`, and the log with --log-level info"
    return Finding("page reader", "problem", f"{media_type}: {reason}", advice)


def small_pdf() -> bytes:
    """A PDF of one page with one line of text."""
    stream = f"BT /F1 24 Tf 72 720 Td ({_WORDS}) Tj ET".encode()
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    body, offsets = b"%PDF-1.4\n", list[int]()
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    head = b"xref\n0 %d\n0000000000 65535 f \n" % size
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(body))
    return body + head + table + end


def index(directory: Path | None) -> list[Finding]:
    """Check the files of an index, and a sample of its documents where it is not large.

    Args:
        directory: of the index; None is the embedded encyclopedia, which is built if need be.

    Raises:
        CorpusError: there is none, or it is damaged.
    """
    place = directory or ensure_embedded_index()
    name = "index" if directory else "encyclopedia"
    manifest = read_manifest(place)
    told = f"{manifest.documents:,} documents in {place}"
    if sum(manifest.files.values()) > VERIFY_BYTES:
        advice = f"read it whole, which takes a while: seekling-mcp index verify {place}"
        return [Finding(name, "ok", f"{told}, not read whole", advice)]
    report = verify_index(place, quick=True)
    notes = "; ".join(report.notes)
    return [Finding(name, "note" if notes else "ok", f"{told}, sound", notes)]


def memory(files: Sequence[str] = _LIMITS) -> list[Finding]:
    """Whether a container gives less memory than the server may need.

    Args:
        files: where the kernel tells the limit of this process's group.
    """
    for file in files:
        try:
            limit = int(Path(file).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue  # not this version of the interface, or "max"
        if limit < LEAST_BYTES:
            told = f"the container gives {limit / 2**20:,.0f} MiB"
            advice = f"large pages may not be read: give it {LEAST_BYTES // 2**20} MiB or more"
            return [Finding("memory", "note", told, advice)]
        if limit < 2**50:
            return [Finding("memory", "ok", f"the container gives {limit / 2**30:.1f} GiB")]
    return [Finding("memory", "ok", "no limit is set")]


def browser(setting: str) -> list[Finding]:
    """Which browser would render pages.

    Args:
        setting: `off`, `auto`, or a program.

    Raises:
        ConfigError: one is wanted, and not there.
    """
    try:
        found = find_browser("" if setting in ("off", "auto") else setting)
    except ConfigError:
        if setting != "off":
            raise
        return [Finding("browser", "ok", "off, and none is installed")]
    return [Finding("browser", "ok", f"{setting}; {found}")]


def folders(places: Sequence[Path]) -> list[Finding]:
    """Whether folders can be written, or made where they are missing.

    Args:
        places: cache folders, and those of the configured files.
    """
    findings: list[Finding] = []
    for place in dict.fromkeys(places):
        there = next(folder for folder in (place, *place.parents) if folder.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            told = f"{place} cannot be written"
            advice = f"make it writable, or set HOME or XDG_CACHE_HOME: ls -ld {there}"
            findings.append(Finding("folders", "note", told, advice))
    told = ", ".join(str(place) for place in dict.fromkeys(places))
    return findings or [Finding("folders", "ok", f"writable: {told}")]
