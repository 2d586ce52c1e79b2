"""Read Word documents (DOCX) by mammoth and our HTML to Markdown path."""

import io
import re

from mcp_server.errors import ExtractionError
from mcp_server.extract.html.fragment import html_to_markdown
from mcp_server.extract.office.zip_package import ZipPackage
from mcp_server.extract.types import Extracted, SourceInfo

_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
p[style-name='Quote'] => blockquote > p:fresh
p[style-name='Intense Quote'] => blockquote > p:fresh
p[style-name='HTML Preformatted'] => pre:separator('\n')
"""
_WAY_BACK = re.compile(r' ?<a href="#(?:foot|end)note-ref-\d{1,9}">↑</a>')
"""What mammoth puts behind each note."""
_DECLARED_BYTES = 4_096


def read_word(body: bytes, info: SourceInfo) -> Extracted:
    """Read a DOCX with headings, lists, tables, links and footnotes.

    Raises:
        ExtractionError: it is damaged or encrypted, unpacks to too much, or the extra `office` is
            not installed.
    """
    package = ZipPackage(body, "Word document")
    try:
        import mammoth
    except ImportError:
        raise ExtractionError(
            "Word documents need the extra `office`",
            hint='install it with: pip install "seekling[office]"',
        ) from None
    for name in ("word/document.xml", "word/styles.xml", "word/numbering.xml"):
        if b"<!DOCTYPE" in package.read(name)[:_DECLARED_BYTES]:
            raise package.damaged()  # the format forbids it; here it could only be an entity bomb
    try:
        markup = mammoth.convert_to_html(
            io.BytesIO(body), style_map=_STYLES, convert_image=mammoth.images.img_element(_no_image)
        ).value
    except (
        Exception
    ) as exc:  # mammoth documents no errors; all mean that parts are not as they should
        raise package.damaged() from exc
    title, metadata = package.office_properties()
    return Extracted(
        title=title,
        text=html_to_markdown(_WAY_BACK.sub("", str(markup)), info.url),
        has_inline_links=True,
        metadata=metadata,
    )


def _no_image(image: object) -> dict[str, str]:
    return {}
