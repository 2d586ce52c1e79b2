"""Puts an HTML page together out of our own files, so that the browser runs nothing else.

A page is one file: its style sheets and scripts stand in it, and its content security policy allows
exactly these, by their SHA-256 (CSP level 3). What a model or a page wrote comes in as blocks of
compressed data, which the browser neither parses nor runs; the scripts put it into text nodes.
"""

import base64
import gzip
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files

INDEX_ID = "index"
"""Id of the block that a page's scripts find when they start."""
DATA_TYPE = "application/gzip+base64"
SHARED_STYLES = ("theme.css", "timeline.css")
SHARED_SCRIPTS = ("dom.js", "markup.js", "passages.js", "timeline.js", "answer.js")
"""Of all pages that show a timeline, in the order in which they build on each other."""
_COMPRESSION_LEVEL = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page without its data."""

    title: str
    """Plain text; it is escaped."""
    body: str
    """Our own markup."""
    styles: tuple[str, ...] = ()
    """Texts of style sheets, in order."""
    scripts: tuple[str, ...] = ()
    """Texts of classic scripts, which share one scope, in order."""
    connects: bool = False
    """Whether its scripts may talk to the server that it came from."""

    def __post_init__(self) -> None:
        for text, end in (
            *((s, "</style") for s in self.styles),
            *((s, "</script") for s in self.scripts),
        ):
            if end in text.lower():
                raise ValueError(
                    f"a style sheet or script of {self.title!r} holds {end!r}: it would end there"
                )


@dataclass(frozen=True, slots=True)
class DataBlock:
    """Data of a page."""

    id: str
    """Of the element: letters, digits and hyphens."""
    json: bytes


def page_of(
    package: str, *, title: str, styles: Sequence[str], scripts: Sequence[str], connects: bool
) -> Page:
    """A page that shows timelines: `page/page.html` of a package, with what such pages share.

    Args:
        package: its name.
        title: of the page; plain text.
        styles: its own style sheets in `page/`, behind the shared ones.
        scripts: its own scripts in `page/`, likewise; the last one starts the page.
        connects: whether it may talk to the server that it came from.
    """

    def own(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(asset(package, f"page/{name}") for name in names)

    def shared(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(asset("agent_client.pages", name) for name in names)

    return Page(
        title=title,
        body=asset(package, "page/page.html"),
        styles=shared(SHARED_STYLES) + own(styles),
        scripts=shared(SHARED_SCRIPTS) + own(scripts),
        connects=connects,
    )


@cache
def asset(package: str, name: str) -> str:
    """The text of a file that belongs to one of our packages."""
    return (files(package) / name).read_text(encoding="utf-8")


def policy(page: Page) -> str:
    """The content security policy of a page: its own styles and scripts, and nothing else."""
    server = "'self'" if page.connects else "'none'"
    rules = [
        "default-src 'none'",
        f"style-src {_hashes(page.styles)}",
        f"script-src {_hashes(page.scripts)}",
        f"connect-src {server}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",  # text can become markup or code nowhere
        "trusted-types 'none'",
    ]
    return "; ".join(rules)


def page_bytes(page: Page, data: Iterable[DataBlock] = ()) -> Iterator[bytes]:
    """The whole file in pieces.

    The first block of the data, if any, stands before the scripts; the others follow behind them,
    so that a page works before they have arrived.
    """
    blocks = iter(data)
    yield _head(page).encode()
    yield f"<body>\n{page.body}\n".encode()
    if (index := next(blocks, None)) is not None:
        yield _block(index)
    for script in page.scripts:
        yield f"<script>{script}</script>\n".encode()
    for block in blocks:
        yield _block(block)
    yield b"</body>\n</html>\n"


def page_text(page: Page) -> str:
    """The whole file of a page that has no data of its own, as a server sends it."""
    return b"".join(page_bytes(page)).decode()


def _head(page: Page) -> str:
    styles = "\n".join(f"<style>{style}</style>" for style in page.styles)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy(page))}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{escape(page.title)}</title>
{styles}
</head>
"""


def _block(block: DataBlock) -> bytes:
    packed = gzip.compress(block.json, _COMPRESSION_LEVEL, mtime=0)  # the same bytes every time
    head = f'<script type="{DATA_TYPE}" id="{block.id}">'
    return b"".join((head.encode(), base64.b64encode(packed), b"</script>\n"))


def _hashes(texts: Iterable[str]) -> str:
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(it).decode()}'" for it in digests) or "'none'"
