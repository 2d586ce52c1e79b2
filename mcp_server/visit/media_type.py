"""Find out what a body is, from its header and its leading bytes; never from the URL's suffix.

The bytes decide wherever they are unmistakable: servers label PDFs as HTML, error pages as images
and anything as `application/octet-stream`. Only `text/plain` is kept, as browsers keep it: who
serves markup as plain text wants it to be seen as it is.
"""

import re

from mcp_server.extract.types import SourceInfo
from mcp_server.visit.charset import charset_of, label_of_header, unicode_codec
from mcp_server.visit.types import Resource

_SNIFFED_BYTES = 1_024
_LOOKED_BYTES = 8 * 1024
"""Feeds and pages may start with long comments."""
_LINE_BYTES = 64 * 1024
_MAX_CONTROL_SHARE = 0.10
_UNKNOWN = "application/octet-stream"

_OFFICE = "application/vnd.openxmlformats-officedocument."
_DOCX = _OFFICE + "wordprocessingml.document"
_PPTX = _OFFICE + "presentationml.presentation"
_XLSX = _OFFICE + "spreadsheetml.sheet"
_EXCEL = "application/vnd.ms-excel"

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%!PS", "application/postscript"),
    (b"{\\rtf", "application/rtf"),
    (b"\x89PNG\r\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\x00\x00\x01\x00", "image/vnd.microsoft.icon"),
    (b"\x00\x00\x00\x0cJXL ", "image/jxl"),
    (b"\x00\x00\x00\x0cjP  ", "image/jp2"),
    (b"AT&TFORM", "image/vnd.djvu"),
    (b"\x1f\x8b", "application/gzip"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a", "application/vnd.rar"),
    (b"\xfd7zXZ\x00", "application/x-xz"),
    (b"BZh91AY&SY", "application/x-bzip2"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"\x04\x22\x4d\x18", "application/x-lz4"),
    (b"LZIP\x01", "application/x-lzip"),
    (b"MSCF\x00\x00\x00\x00", "application/vnd.ms-cab-compressed"),
    (b"!<arch>\ndebian-binary", "application/vnd.debian.binary-package"),
    (b"!<arch>\n", "application/x-archive"),
    (b"\xed\xab\xee\xdb", "application/x-rpm"),
    (b"\x7fELF", "application/x-executable"),
    (b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\xca\xfe\xba\xbe", "application/java-vm"),
    (b"\x00asm", "application/wasm"),
    (b"OggS\x00", "audio/ogg"),
    (b"ID3\x02", "audio/mpeg"),
    (b"ID3\x03", "audio/mpeg"),
    (b"ID3\x04", "audio/mpeg"),
    (b"fLaC\x00", "audio/flac"),
    (b"MThd\x00", "audio/midi"),
    (b"\x1aE\xdf\xa3", "video/x-matroska"),
    (b"FLV\x01", "video/x-flv"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b"\x00\x00\x01\xb3", "video/mpeg"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-asf"),
    (b"\x00\x01\x00\x00\x00", "font/ttf"),
    (b"wOFF\x00", "font/woff"),
    (b"wOF2\x00", "font/woff2"),
    (b"OTTO\x00", "font/otf"),
    (b"ttcf\x00", "font/collection"),
    (b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (b"\x89HDF\r\n\x1a\n", "application/x-hdf5"),
    (b"\x93NUMPY", "application/x-npy"),
)
_SIGNATURES_IF_BINARY: tuple[tuple[int, bytes, str], ...] = (
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"BM", "image/bmp"),
    (0, b"8BPS", "image/vnd.adobe.photoshop"),
    (0, b"MZ", "application/vnd.microsoft.portable-executable"),
    (0, b"PAR1", "application/vnd.apache.parquet"),
    (0, b"\xff\x0a", "image/jxl"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (0, b"\xff\xf1", "audio/aac"),
    (0, b"\xff\xf9", "audio/aac"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AVI ", "video/x-msvideo"),
    (8, b"AIFF", "audio/aiff"),
    (60, b"BOOKMOBI", "application/x-mobipocket-ebook"),
    (257, b"ustar", "application/x-tar"),
)
"""Offset, bytes and type of what a text could start with as well."""
_MP4_BRANDS: tuple[tuple[bytes, str], ...] = (
    (b"avif", "image/avif"),
    (b"avis", "image/avif"),
    (b"hei", "image/heic"),
    (b"mif1", "image/heif"),
    (b"M4A", "audio/mp4"),
    (b"qt  ", "video/quicktime"),
    (b"3gp", "video/3gpp"),
)
_ZIP_MEMBERS: tuple[tuple[bytes, str], ...] = (
    (rb"word/document\d?\.xml", _DOCX),
    (rb"ppt/presentation\.xml", _PPTX),
    (rb"xl/workbook\.xml", _XLSX),
    (rb"xl/workbook\.bin", "application/vnd.ms-excel.sheet.binary.macroenabled.12"),
    (rb"META-INF/container\.xml", "application/epub+zip"),
    (rb"AndroidManifest\.xml", "application/vnd.android.package-archive"),
    (rb"META-INF/MANIFEST\.MF", "application/java-archive"),
)
_ZIP_DIRECTORY_ENTRIES = tuple(
    (re.compile(rb"PK\x01\x02.{42}" + name, re.S), media_type) for name, media_type in _ZIP_MEMBERS
)
"""The directory at a zip's end names its members uncompressed; nothing is inflated to judge."""
_ZIP_MIMETYPE = re.compile(rb"PK\x03\x04.{4}\x00\x00.{16}\x08\x00..mimetype([\w./+-]{1,100})", re.S)
"""EPUB and OpenDocument start with a stored file that says what they are."""
_OLE_STREAMS: tuple[tuple[str, str], ...] = (
    ("EncryptedPackage", "application/x-ole-storage; encrypted Office document"),
    ("WordDocument", "application/msword"),
    ("Workbook", _EXCEL),
    ("Book", _EXCEL),
    ("PowerPoint Document", "application/vnd.ms-powerpoint"),
    ("__substg1.0_", "application/vnd.ms-outlook"),
)
_CONTROL = bytes(set(range(0x20)) - set(b"\t\n\f\r\x0e\x0f\x1b")) + b"\x7f"
"""Control characters that no text has; ISO 2022 switches alphabets with 0x0E, 0x0F and ESC."""

_MEDIA_TYPE = re.compile(r"[a-z0-9][\w.+-]{0,60}/[a-z0-9][\w.+-]{0,100}", re.ASCII)
_NEVER_TEXT = ("image/", "audio/", "video/", "font/", "model/")
_JSON_TYPES = ("text/json", "text/x-json", "application/x-json")
_JSON_LINES_TYPES = (
    "application/jsonl application/jsonlines application/x-jsonlines application/x-ndjson "
    "application/ndjson application/json-seq application/x-jsonl text/jsonl"
).split()
_CSV_TYPES = ("text/csv", "application/csv", "text/x-csv", "text/comma-separated-values")
_TSV_TYPES = ("text/tab-separated-values", "text/tsv", "text/x-tsv")
_MARKDOWN_TYPES = ("text/markdown", "text/x-markdown", "text/vnd.daringfireball.markdown")

_HTML_START = re.compile(rb"<(?:!doctype\s{1,9}html|html|head|body)[\s>]", re.I)
_HTML_NAMES = (
    rb"script|style|title|meta|link|iframe|h[1-6]|div|section|article|main|header|nav|table|p|a|"
    rb"b|br|ul|ol|span|font|center|form|pre"
)
_HTML_FRAGMENT_START = re.compile(rb"<(?:" + _HTML_NAMES + rb"|!doctype)[\s>/]", re.I)
_HTML_NAME = re.compile(rb"html|head|body|frameset|svg|" + _HTML_NAMES)
_JSON_START = re.compile(rb"\{\s{0,99}[\"}]|\[\s{0,99}(?:[\[{\"\]]|-?\d|true|false|null)")
_BEFORE_ROOT = re.compile(
    rb"\s+|<\?[^>]{0,4000}>|<!--(?:[^-]|-(?!->)){0,4000}-->|<!doctype[^>\[]{0,1000}"
    rb"(?:\[[^\]]{0,4000}\])?[^>]{0,100}>",
    re.I,
)
_ROOT_NAME = re.compile(rb"<(?:[\w.-]{1,40}:)?([\w.-]{1,40})[\s>/]")
_RSS_1_NAMESPACE = b"purl.org/rss/1."
_JSON_FEED_VERSION = b"//jsonfeed.org/version/"
_TEXT_SUFFIXES = ("/xml", "+xml", "/json", "+json", "/jsonl")


def is_text(media_type: str) -> bool:
    """Whether bodies of this type, as `sniff` names it, are text in some charset."""
    return media_type.startswith("text/") or media_type.endswith(_TEXT_SUFFIXES)


def sniff(resource: Resource) -> SourceInfo:
    """Tell the media type and charset of a body.

    Readable types come out as one of the keys of `EXTRACTORS`; anything else is named as exactly
    as its bytes or its header allow. Without a header the bytes alone decide. For binary types
    the charset means nothing.
    """
    declared = _declared_type(resource.content_type)
    label = label_of_header(resource.content_type)
    body = resource.body
    binary_type = _binary_type(body, declared, label)
    if binary_type:
        return SourceInfo(url=resource.final_url, media_type=binary_type, charset="utf_8")
    media_type = _text_type(body, declared)
    is_html = media_type in ("text/html", "application/xhtml+xml")
    return SourceInfo(
        url=resource.final_url,
        media_type=media_type,
        charset=charset_of(body, label=label, is_html=is_html, is_xml=media_type.endswith("xml")),
    )


def _declared_type(content_type: str) -> str:
    """The header's media type; "" when it names none that could be one."""
    declared = content_type[:1_000].split(";", 1)[0].strip().lower()
    return declared if _MEDIA_TYPE.fullmatch(declared) and declared != _UNKNOWN else ""


def _binary_type(body: bytes, declared: str, label: str) -> str:
    """The media type of a body that is not text, or ""."""
    head = body[:_SNIFFED_BYTES]
    for magic, media_type in _SIGNATURES:
        if head.startswith(magic):
            return _matroska_type(head) if media_type == "video/x-matroska" else media_type
    if _is_pdf(head, declared):
        return "application/pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_type(body)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _ole_type(body)
    if _is_text(body, label):
        return _declared_non_text(head, declared)
    if head[4:8] == b"ftyp":
        brands = (kind for brand, kind in _MP4_BRANDS if head[8:12].startswith(brand))
        return next(brands, "video/mp4")
    for offset, magic, media_type in _SIGNATURES_IF_BINARY:
        if head.startswith(magic, offset):
            return media_type
    if b"%PDF-" in head:
        return "application/pdf"  # readers accept it behind a kilobyte of junk
    is_text_type = declared.startswith("text/") or declared.endswith(("json", "xml", "script"))
    return _UNKNOWN if is_text_type else declared or _UNKNOWN


def _is_pdf(head: bytes, declared: str) -> bool:
    """Whether it starts as a PDF, or is called one and starts within a kilobyte of junk."""
    start = head.find(b"%PDF-")
    return start >= 0 and (declared == "application/pdf" or not head[:start].strip())


def _is_text(body: bytes, label: str) -> bool:
    head = body[:_SNIFFED_BYTES]
    if unicode_codec(body, label):
        return True
    if _is_html_document(head.lstrip().lower()):
        head = head.replace(b"\0", b"")  # the parser drops them, as browsers do
    controls = len(head) - len(head.translate(None, _CONTROL))
    return b"\x00" not in head and controls <= _MAX_CONTROL_SHARE * len(head)


def _declared_non_text(head: bytes, declared: str) -> str:
    """The declared type where a body that looks like text may well be what the header says."""
    start = head.lstrip()
    if not declared.startswith(_NEVER_TEXT) or _is_html_document(start.lower()):
        return ""
    return "" if _JSON_START.match(start) else declared


def _matroska_type(head: bytes) -> str:
    return "video/webm" if b"webm" in head[:64] else "video/x-matroska"


def _zip_type(body: bytes) -> str:
    named = _ZIP_MIMETYPE.match(body)
    if named:
        stated = named[1].decode("ascii").partition("PK")[0].lower()
        if _MEDIA_TYPE.fullmatch(stated):
            return stated
    for entry, media_type in _ZIP_DIRECTORY_ENTRIES:
        if entry.search(body):
            return media_type
    return "application/zip"


def _ole_type(body: bytes) -> str:
    """What an OLE compound file holds, by the names in its directory, which are UTF-16."""
    for name, media_type in _OLE_STREAMS:
        if name.encode("utf-16-le") in body:
            return media_type
    return "application/x-ole-storage"


def _text_type(body: bytes, declared: str) -> str:
    head = _leading_text(body)
    if declared in ("text/html", "application/xhtml+xml"):
        is_json = _JSON_START.match(head) and body.rstrip()[-1:] in (b"}", b"]")
        return _json_kind(body, head) if is_json else _markup_kind(head) or declared
    is_xml_like = declared.endswith(("/xml", "+xml"))
    if _is_html_document(head) and (is_xml_like or not declared.startswith("text/")):
        return "text/html"  # error and login pages come under any type
    if is_xml_like:
        return _feed_kind(head) or "application/xml"
    if declared in _JSON_LINES_TYPES:
        return "application/jsonl"
    if declared.endswith(("/json", "+json")) or declared in _JSON_TYPES:
        return _json_kind(body, head)
    for readable, names in (
        ("text/csv", _CSV_TYPES),
        ("text/tab-separated-values", _TSV_TYPES),
        ("text/markdown", _MARKDOWN_TYPES),
    ):
        if declared in names:
            return readable
    return "text/plain" if declared.startswith("text/") else _type_by_look(body, head)


def _type_by_look(body: bytes, head: bytes) -> str:
    feed = _feed_kind(head)
    if feed:
        return feed
    root = _root_name(head)
    if root == b"svg":
        return "image/svg+xml"
    if head.startswith(b"<?xml"):
        return "application/xml"
    if _HTML_FRAGMENT_START.match(head) or (head.startswith(b"<!--") and root):
        return "text/html"
    if _JSON_START.match(head):
        return _json_kind(body, head)
    return _table_kind(head) or "text/plain"


def _leading_text(body: bytes) -> bytes:
    """The start of a text in lower case, as ASCII as possible, without a byte order mark."""
    head = body[:_LOOKED_BYTES]
    codec = unicode_codec(head)
    if codec:
        head = head.decode(codec, "ignore").lstrip("\ufeff").encode("utf-8", "ignore")
    return head.lstrip().lower()


def _markup_kind(head: bytes) -> str:
    """The type of XML that is not HTML, though the header says so; "" where it may well be."""
    feed = _feed_kind(head)
    if feed or not head.startswith(b"<?xml"):
        return feed
    root = _root_name(head)
    return "" if not root or _HTML_NAME.fullmatch(root) else "application/xml"


def _is_html_document(head: bytes) -> bool:
    if _HTML_START.match(head):
        return True
    return head.startswith((b"<?xml", b"<!--")) and _root_name(head) in (b"html", b"head", b"body")


def _root_name(head: bytes) -> bytes:
    """The name of a document's first element without its prefix, or b""."""
    position = 0
    while before := _BEFORE_ROOT.match(head, position):
        position = before.end()
    root = _ROOT_NAME.match(head, position)
    return root[1] if root else b""


def _feed_kind(head: bytes) -> str:
    root = _root_name(head)
    if root == b"rss" or (root == b"rdf" and _RSS_1_NAMESPACE in head):
        return "application/rss+xml"
    return "application/atom+xml" if root == b"feed" else ""


def _json_kind(body: bytes, head: bytes) -> str:
    """JSON, JSON Lines by a whole value in each of the first two lines, or a JSON feed."""
    if _JSON_FEED_VERSION in head[:_SNIFFED_BYTES]:
        return "application/feed+json"
    first, _, rest = body.lstrip()[:_LINE_BYTES].partition(b"\n")
    for opening, closing in ((b"{", b"}"), (b"[", b"]")):
        if first.startswith(opening) and first.rstrip().endswith(closing):
            return "application/jsonl" if rest.lstrip().startswith(opening) else "application/json"
    return "application/json"


def _table_kind(head: bytes) -> str:
    """CSV or TSV when the first lines all have the same number of separators."""
    lines = head.splitlines()[:-1] if len(head) >= _LOOKED_BYTES // 2 else head.splitlines()
    for separator, media_type in (
        (b"\t", "text/tab-separated-values"),
        (b",", "text/csv"),
        (b";", "text/csv"),
    ):
        counts = {line.count(separator) for line in lines[:8]}
        if len(lines) >= 3 and len(counts) == 1 and counts != {0}:
            return media_type
    return ""
