"""Find out what a body is, from its header and its leading bytes; never from the URL's suffix."""

import codecs
import re

from mcp_server.extract.types import SourceInfo
from mcp_server.visit.types import Resource

_SNIFFED_BYTES = 1_024
_META_BYTES = 4_096
_JUDGED_BYTES = 256 * 1024
_MAX_CONTROL_SHARE = 0.10
_MAX_REPLACED_SHARE = 0.02

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a", "application/vnd.rar"),
    (b"\xfd7zXZ\x00", "application/x-xz"),
    (b"BZh91AY&SY", "application/x-bzip2"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"\x7fELF", "application/x-executable"),
    (b"\x00asm", "application/wasm"),
    (b"OggS\x00", "audio/ogg"),
    (b"ID3\x03", "audio/mpeg"),
    (b"ID3\x04", "audio/mpeg"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (b"\xd0\xcf\x11\xe0", "application/x-ole-storage"),
)
_CONTROL = bytes(set(range(0x20)) - {0x09, 0x0A, 0x0C, 0x0D, 0x1B}) + b"\x7f"
_BINARY_PREFIXES = ("image/", "audio/", "video/", "font/", "model/")
_BINARY_TYPES = frozenset(
    "application/pdf application/zip application/gzip application/wasm application/msword".split()
)
_BOMS = (
    (codecs.BOM_UTF8, "utf_8"),
    (codecs.BOM_UTF16_LE, "utf_16_le"),
    (codecs.BOM_UTF16_BE, "utf_16_be"),
)
_CHARSET_PARAM = re.compile(r";\s{0,20}charset\s{0,20}=\s{0,20}[\"']?([\w.:+-]{1,40})", re.I)
_META = re.compile(rb"<meta\s[^>]{0,500}?charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([\w.:+-]{1,40})", re.I)
_XML_ENCODING = re.compile(
    rb"<\?xml\s[^>]{0,200}?encoding\s{0,9}=\s{0,9}[\"']([\w.:+-]{1,40})", re.I
)

# Labels of the WHATWG Encoding Standard, by the Python codec that reads them. What a server says
# never reaches `codecs.lookup`: "hex", "zip" or "punycode" are codecs too, and slow ones.
_LABELS_BY_CODEC = {
    "utf_8": "utf-8 utf8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8",
    "utf_16_le": "utf-16le utf-16 unicode ucs-2 iso-10646-ucs-2 csunicode unicodefeff",
    "utf_16_be": "utf-16be unicodefffe",
    "cp1252": "windows-1252 cp1252 x-cp1252 iso-8859-1 iso8859-1 iso88591 iso_8859-1 latin1 l1 "
    "ascii us-ascii ansi_x3.4-1968 cp819 ibm819 iso-ir-100 csisolatin1 iso_8859-1:1987",
    "cp1250": "windows-1250 cp1250 x-cp1250",
    "cp1251": "windows-1251 cp1251 x-cp1251",
    "cp1253": "windows-1253 cp1253 x-cp1253",
    "cp1254": "windows-1254 cp1254 x-cp1254 iso-8859-9 iso8859-9 iso88599 iso_8859-9 latin5 l5",
    "cp1255": "windows-1255 cp1255 x-cp1255",
    "cp1256": "windows-1256 cp1256 x-cp1256",
    "cp1257": "windows-1257 cp1257 x-cp1257",
    "cp1258": "windows-1258 cp1258 x-cp1258",
    "cp874": "windows-874 dos-874 iso-8859-11 iso8859-11 iso885911 tis-620",
    "cp866": "ibm866 cp866 866 csibm866",
    "iso8859_2": "iso-8859-2 iso8859-2 iso88592 iso_8859-2 latin2 l2 csisolatin2",
    "iso8859_3": "iso-8859-3 iso8859-3 iso88593 iso_8859-3 latin3 l3",
    "iso8859_4": "iso-8859-4 iso8859-4 iso88594 iso_8859-4 latin4 l4",
    "iso8859_5": "iso-8859-5 iso8859-5 iso88595 iso_8859-5 cyrillic csisolatincyrillic",
    "iso8859_6": "iso-8859-6 iso8859-6 iso88596 iso_8859-6 arabic asmo-708 ecma-114",
    "iso8859_7": "iso-8859-7 iso8859-7 iso88597 iso_8859-7 greek greek8 ecma-118 elot_928",
    "iso8859_8": "iso-8859-8 iso8859-8 iso88598 iso_8859-8 hebrew visual iso-8859-8-i logical",
    "iso8859_10": "iso-8859-10 iso8859-10 iso885910 latin6 l6",
    "iso8859_13": "iso-8859-13 iso8859-13 iso885913",
    "iso8859_14": "iso-8859-14 iso8859-14 iso885914",
    "iso8859_15": "iso-8859-15 iso8859-15 iso885915 iso_8859-15 latin9 l9",
    "iso8859_16": "iso-8859-16",
    "koi8_r": "koi8-r koi8_r koi8 koi cskoi8r",
    "koi8_u": "koi8-u koi8-ru",
    "mac_roman": "macintosh mac x-mac-roman csmacintosh",
    "mac_cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "gb18030": "gb18030 gbk gb2312 gb_2312 gb_2312-80 x-gbk chinese csgb2312 iso-ir-58",
    "big5hkscs": "big5 big5-hkscs cn-big5 x-x-big5 csbig5",
    "euc_jp": "euc-jp x-euc-jp cseucpkdfmtjapanese",
    "iso2022_jp": "iso-2022-jp csiso2022jp",
    "cp932": "shift_jis shift-jis sjis x-sjis ms_kanji ms932 windows-31j csshiftjis",
    "cp949": "euc-kr cp949 ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 korean windows-949",
}
_CODECS = {label: codec for codec, labels in _LABELS_BY_CODEC.items() for label in labels.split()}


def sniff(resource: Resource) -> SourceInfo:
    """Tell the media type and charset of a body.

    Readable types come out as one of the keys of `EXTRACTORS`; anything else is what it looks
    like, or `application/octet-stream`. For binary types the charset means nothing.
    """
    declared = resource.content_type.split(";", 1)[0].strip().lower()
    label = _label_of(resource.content_type)
    body = resource.body
    media_type = _binary_type(body, declared, label) or _text_type(body, declared)
    return SourceInfo(
        url=resource.final_url,
        media_type=media_type,
        charset=_charset(body, label),
    )


def _label_of(content_type: str) -> str:
    match = _CHARSET_PARAM.search(content_type)
    return match[1].lower() if match else ""


def _binary_type(body: bytes, declared: str, label: str) -> str:
    """The media type of a body that is not text, or ""."""
    head = body[:_SNIFFED_BYTES]
    for magic, media_type in _MAGIC:
        if head.startswith(magic):
            return media_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[:3] == b"\x00\x00\x00" and head[4:8] == b"ftyp":
        return "video/mp4"
    is_declared_binary = declared in _BINARY_TYPES or declared.startswith(_BINARY_PREFIXES)
    is_utf_16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    is_utf_16 |= _CODECS.get(label, "").startswith("utf_16")
    controls = len(head) - len(head.translate(None, _CONTROL))
    if not is_utf_16 and (b"\x00" in head or controls > _MAX_CONTROL_SHARE * len(head)):
        return declared if is_declared_binary else "application/octet-stream"
    if is_declared_binary and not _looks_like_html(head):
        return declared
    return ""


def _text_type(body: bytes, declared: str) -> str:
    head = _leading_text(body)
    is_xml_like = declared.endswith(("/xml", "+xml"))
    if declared == "text/html" or declared == "application/xhtml+xml":
        return _xml_kind(head) or declared
    if _looks_like_html(head) and (is_xml_like or not declared.startswith("text/")):
        return "text/html"  # error and login pages come under any type
    if is_xml_like:
        return _xml_kind(head) or "application/xml"
    if declared.endswith(("/json", "+json")) or declared in ("text/json", "application/ndjson"):
        return "application/json"
    if declared in ("text/markdown", "text/x-markdown"):
        return "text/markdown"
    if declared == "text/csv":
        return "text/csv"
    if declared.startswith("text/"):
        return "text/plain"
    if _xml_kind(head) or head.startswith(b"<?xml"):
        return _xml_kind(head) or "application/xml"
    if head.startswith((b"{", b"[")):
        return "application/json"
    return "text/plain"


def _leading_text(body: bytes) -> bytes:
    head = body[:_SNIFFED_BYTES]
    for bom, codec in _BOMS:
        if head.startswith(bom):
            head = head.removeprefix(bom).decode(codec, "ignore").encode("utf-8", "ignore")
    return head.lstrip().lower()


def _looks_like_html(head: bytes) -> bool:
    start = head.lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) or (
        start.startswith((b"<?xml", b"<!--")) and b"<html" in start
    )


def _xml_kind(head: bytes) -> str:
    if not head.startswith((b"<?xml", b"<rss", b"<feed", b"<rdf:rdf")) or b"<html" in head:
        return ""
    if b"<rss" in head or b"<rdf:rdf" in head:
        return "application/rss+xml"
    return "application/atom+xml" if b"<feed" in head else ""


def _charset(body: bytes, label: str) -> str:
    for bom, codec in _BOMS:
        if body.startswith(bom):
            return codec
    for candidate in (label, _meta_label(body)):
        codec = _CODECS.get(candidate, "")
        if codec == "cp1252" and _is_strict_utf_8(body):
            return "utf_8"  # Latin-1 is what servers say who never thought about it
        if codec and _is_believable(body, codec):
            return codec
    return "utf_8" if _is_strict_utf_8(body) else "cp1252"


def _meta_label(body: bytes) -> str:
    head = body[:_META_BYTES]
    match = _XML_ENCODING.match(head.lstrip()) or _META.search(head)
    label = match[1].decode("ascii", "ignore").lower() if match else ""
    # The label was readable as ASCII, so it cannot be true that the page is UTF-16.
    return "utf-8" if _CODECS.get(label, "").startswith("utf_16") else label


def _is_believable(body: bytes, codec: str) -> bool:
    if codec != "utf_8":
        return True
    text = body[:_JUDGED_BYTES].decode("utf_8", "replace")
    return text.count("\ufffd") <= _MAX_REPLACED_SHARE * len(text)


def _is_strict_utf_8(body: bytes) -> bool:
    is_whole = len(body) <= _JUDGED_BYTES  # else the cut may go through a character
    try:
        codecs.getincrementaldecoder("utf_8")("strict").decode(body[:_JUDGED_BYTES], is_whole)
    except UnicodeDecodeError:
        return False
    return True
