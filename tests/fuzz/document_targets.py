"""What reads documents and the replies of search providers."""

import atexit
import importlib
import io
import json
import re
import zipfile
from functools import cache
from pathlib import Path

import anyio
import httpx

from mcp_server.clean import clean, clean_line
from mcp_server.errors import ExtractionError, ProviderError
from mcp_server.extract import EXTRACTORS, extract
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.extract.workers.worker import DocumentReader
from mcp_server.search.types import MAX_PREVIEW_CHARS, SearchQuery
from tests.fuzz.drawing import Drawing
from tests.fuzz.target import Target
from tests.server.providers.contract import Case, Row

_URL = "https://example.com/dir/page"
_CHARSETS = ("utf_8", "cp1252", "utf_16_le", "shift_jis")
_KINDS = sorted(EXTRACTORS)
_CASES = Path(__file__).parents[1] / "server/providers/cases"
_PROVIDERS = tuple(
    sorted(path.stem for path in _CASES.glob("*.py") if path.stem != "duckduckgo")
)  # that one's library sends requests of its own
_FIELD_CHARS = 4_000
_DEADLINE_SECONDS = 20.0


def check_extractors(data: bytes) -> None:
    """An extractor gives text that can be cleaned, or says what is wrong; it raises nothing else.

    Here without the child and its limits, so that coverage is seen: what is raised would cost a
    page its structure, not the server its life.
    """
    body, info = _document(data)
    try:
        extracted = extract(body, info)
    except (ExtractionError, RecursionError):
        return
    _check_extracted(extracted)


def check_children(data: bytes) -> None:
    """Whatever a document does to its child, the reader gives text or an error in our words."""
    body, info = _document(data)
    try:
        reading = _reader().read(body, info, deadline_seconds=_DEADLINE_SECONDS)
    except ExtractionError as failure:
        assert clean_line(str(failure), 1_000) == str(failure), "the document in our message"
        return
    _check_extracted(reading.extracted)


@cache
def _reader() -> DocumentReader:
    reader = DocumentReader()
    atexit.register(reader.stop)
    return reader


def _document(data: bytes) -> tuple[bytes, SourceInfo]:
    drawn = Drawing(data)
    kind, charset = drawn.one_of(_KINDS), drawn.one_of(_CHARSETS)
    return drawn.rest(), SourceInfo(url=_URL, media_type=kind, charset=charset)


def _check_extracted(extracted: Extracted) -> None:
    for text in (extracted.text, extracted.title, extracted.plain_text, *extracted.notes):
        clean(text).encode()
    if extracted.has_inline_links:
        schemes = re.findall(r"(?<!\\)\]\(\s*([a-z]{1,20}):", extracted.text)
        assert "javascript" not in schemes, "a link that runs"
    told = extracted.metadata
    for value in (told.author, told.published, told.language, told.canonical_url, told.site):
        clean_line(value, 1_000).encode()
    assert re.match(r"https?://|$", told.canonical_url), "an address of its own off the web"


@cache
def _case(name: str) -> Case:
    found: Case = importlib.import_module(f"tests.server.providers.cases.{name}").CASE
    return found


def check_results(data: bytes) -> None:
    """A reply of a provider is hits within their bounds, or an error that names the provider."""
    drawn = Drawing(data)
    case = _case(drawn.one_of(_PROVIDERS))
    status = drawn.one_of((200, 200, 200, 401, 402, 429, 500))
    wait, body = drawn.line(), drawn.rest()
    anyio.run(_ask, case, status, wait, body)


async def _ask(case: Case, status: int, wait: bytes, body: bytes) -> None:
    def answered(_request: httpx.Request) -> httpx.Response:
        headers = [*case.headers.items(), ("retry-after", wait.decode("latin-1"))]
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        return httpx.Response(status, headers=raw, stream=httpx.ByteStream(body))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answered)) as http:
        provider = case.build(http)
        try:
            reply = await provider.search(SearchQuery(text="moons", limit=5))
        except ProviderError as failure:
            assert clean_line(str(failure), 2_000) == str(failure), "the reply in our message"
            return
    assert len(reply.hits) <= 5
    for hit in reply.hits:
        assert len(hit.preview) <= MAX_PREVIEW_CHARS and len(hit.title) <= _FIELD_CHARS
        assert re.match(r"(?i)https?://|[a-z]+:|[\w.-]+$", hit.url), hit.url
        for text in (hit.url, hit.title, hit.preview, hit.published):
            assert clean_line(text, _FIELD_CHARS) == text, f"{text!r} is not clean"


def _replies() -> tuple[bytes, ...]:
    rows = [Row("https://a.example/1", "One <b>title</b>", "Its &amp; preview."), Row(None)]
    seeds: list[bytes] = []
    for number, name in enumerate(_PROVIDERS):
        bodies = (_case(name).reply(rows), b'{"error": {"message": "quota", "code": 429}}')
        seeds += [bytes((number, 0)) + b"30\n" + _compact(body) for body in bodies]
    return tuple(seeds)


def _compact(body: bytes) -> bytes:
    """JSON as short as it can be: what is mutated is then of the reply, not of its layout."""
    try:
        return json.dumps(json.loads(body), separators=(",", ":")).encode()
    except ValueError:
        return body


_PAGE = b"""<!doctype html><html lang=en><head><title>T &amp; t</title>
<link rel=canonical href=/c><script type="application/ld+json">{"author":{"name":"A"}}</script>
</head><body><nav><a href=/n>n</a></nav><main><h1>H</h1><p>Some <b>bold</b> text with a
<a href="javascript:x">link</a> and <a href=/y>another</a>.<ul><li>a<li>b<ol><li>c</ol></ul>
<table><tr><th>x<th colspan=2>y<tr><td rowspan=9>1<td>2</table><pre><code class=language-py>
print(1)</code></pre><math><mi>x</mi>
<annotation encoding="application/x-tex">x_1</annotation></math>
<p hidden>unseen</p><template>t</template></main></body></html>"""
_RSS = b"""<?xml version="1.0"?><rss version="2.0"><channel><title>F</title><item><title>I</title>
<link>/i</link><description>&lt;p&gt;d</description><pubDate>Mon, 23 Nov 2026</pubDate></item>
</channel></rss>"""
_PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R/Resources<</Font<</F 5 0 R
>>>>>>endobj 4 0 obj<</Length 43>>stream
BT /F 12 Tf 20 100 Td (Some text.) Tj ET
endstream endobj 5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj
trailer<</Root 1 0 R>>"""
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_OFFICE = "application/vnd.openxmlformats-officedocument."


def _zipped(**members: str) -> bytes:
    """A package, stored: what is mutated in it stays readable."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as package:
        for name, text in members.items():
            package.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


def _documents() -> tuple[bytes, ...]:
    markup = "<w:p><w:r><w:t>Some text</w:t></w:r></w:p>"
    word = _zipped(
        **{
            "[Content_Types].xml": "<Types/>",
            "word/document.xml": f'<w:document xmlns:w="{_WORD}"><w:body>{markup}</w:body>'
            "</w:document>",
        }
    )
    epub = _zipped(
        **{
            "META-INF/container.xml": '<container><rootfiles><rootfile full-path="c.opf"/>'
            "</rootfiles></container>",
            "c.opf": '<package><manifest><item id="a" href="a.xhtml"/></manifest><spine>'
            '<itemref idref="a"/></spine></package>',
            "a.xhtml": "<html><body><p>Some text</p></body></html>",
        }
    )
    by_kind = {
        "text/html": _PAGE,
        "application/rss+xml": _RSS,
        "application/xml": b'<?xml version="1.0"?><a b="c"><d>text</d><d>more<e/></d></a>',
        "application/json": b'{"title": "t", "items": [{"a": 1.5e3, "b": null}, "\\ud800"]}',
        "application/jsonl": b'{"a": 1}\n{"a": "two"}\n',
        "application/feed+json": b'{"version": "https://jsonfeed.org/version/1.1", "items": '
        b'[{"id": 1, "url": "/x", "content_html": "<p>x", "date_published": "2026-11-23"}]}',
        "text/plain": b"a\x00b\x1b[2J\r\ntext",
        "application/pdf": _PDF,
        f"{_OFFICE}wordprocessingml.document": word,
        "application/epub+zip": epub,
    }
    return tuple(bytes((_KINDS.index(kind), 0)) + body for kind, body in by_kind.items())


TARGETS = (
    Target(
        name="extractors",
        check=check_extractors,
        seeds=_documents(),
        about="an extractor gives text, or says what is wrong",
        max_bytes=4_096,
    ),
    Target(
        name="children",
        check=check_children,
        seeds=_documents(),
        about="whatever a document does to its child, the reader gives text or an error",
        max_bytes=4_096,
        max_seconds=30,
    ),
    Target(
        name="results",
        check=check_results,
        seeds=_replies(),
        about="a provider's reply is hits within bounds, or an error in our words",
        max_bytes=4_096,
    ),
)
