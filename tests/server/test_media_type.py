"""What a body is, by its header and its leading bytes."""

import codecs

import pytest

from mcp_server.extract import EXTRACTORS
from mcp_server.extract.types import SourceInfo
from mcp_server.visit.media_type import sniff
from mcp_server.visit.types import Resource

HTML = b"<!DOCTYPE html><html><body><p>hello"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


def info(content_type: str, body: bytes) -> SourceInfo:
    return sniff(
        Resource(
            url="https://example.com/a.pdf",
            final_url="https://example.com/b.pdf",
            status=200,
            content_type=content_type,
            body=body,
        )
    )


@pytest.mark.parametrize(
    ("content_type", "body", "media_type"),
    [
        ("text/html; charset=utf-8", HTML, "text/html"),
        ("TEXT/HTML", b"<p>x", "text/html"),
        ("", HTML, "text/html"),
        ("application/octet-stream", HTML, "text/html"),
        ("application/pdf", HTML, "text/html"),
        ("application/json", HTML, "text/html"),
        ("image/png", HTML, "text/html"),
        ("application/xhtml+xml", b"<?xml version='1.0'?><html>", "application/xhtml+xml"),
        ("application/xml", b"<?xml version='1.0'?><!-- c --><html>", "text/html"),
        ("text/plain", HTML, "text/plain"),
        ("text/plain", b"The ftyp box; ID3 tags; %PDF- marks", "text/plain"),
        ("text/x-python", b"import this", "text/plain"),
        ("text/markdown; charset=utf-8", b"# x", "text/markdown"),
        ("text/csv", b"a,b", "text/csv"),
        ("application/json", b"{}", "application/json"),
        ("application/ld+json", b"{}", "application/json"),
        ("", b' {"a": 1}', "application/json"),
        ("application/rss+xml", b"<?xml version='1.0'?><rss>", "application/rss+xml"),
        ("text/xml", b"<?xml version='1.0'?><feed xmlns='x'>", "application/atom+xml"),
        ("text/html", b"<?xml version='1.0'?><rss>", "application/rss+xml"),
        ("application/xml", b"<?xml version='1.0'?><urlset>", "application/xml"),
        ("", b"<?xml version='1.0'?><urlset>", "application/xml"),
        ("", b"plain words", "text/plain"),
        ("", b"", "text/plain"),
        ("text/html", b"%PDF-1.7\n", "application/pdf"),
        ("application/pdf", b"junk", "application/pdf"),
        ("text/html", PNG, "image/png"),
        ("text/plain", b"PK\x03\x04rest", "application/zip"),
        ("text/html", b"\x00\x00\x00\x18ftypmp42", "video/mp4"),
        ("text/html", b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp"),
        ("text/html", b"text with a NUL \x00 in it", "application/octet-stream"),
        ("video/mp4", bytes(range(32)) * 4, "video/mp4"),
        ("text/html", bytes(range(1, 9)) + b"x" * 40, "application/octet-stream"),
        ("image/svg+xml", b"<svg>", "image/svg+xml"),
        ("text/plain", codecs.BOM_UTF16_LE + "hello".encode("utf-16-le"), "text/plain"),
        ("text/plain; charset=utf-16", "hello".encode("utf-16-le"), "text/plain"),
        ("application/json", codecs.BOM_UTF8 + b"{}", "application/json"),
    ],
)
def test_the_media_type_follows_header_and_bytes(
    content_type: str, body: bytes, media_type: str
) -> None:
    assert info(content_type, body).media_type == media_type


def test_the_url_of_a_relative_link_is_the_final_one() -> None:
    assert info("text/html", HTML).url == "https://example.com/b.pdf"


def test_html_and_text_have_extractors_and_binaries_have_none() -> None:
    assert info("", HTML).media_type in EXTRACTORS
    assert info("", b"words").media_type in EXTRACTORS
    assert info("", PNG).media_type not in EXTRACTORS


@pytest.mark.parametrize(
    ("content_type", "body", "charset"),
    [
        ("text/html; charset=utf-8", "é".encode(), "utf_8"),
        ("text/html", "é".encode(), "utf_8"),
        ("text/html", "é".encode("cp1252"), "cp1252"),
        ("text/html; charset=ISO-8859-1", "naïve".encode("cp1252"), "cp1252"),
        ("text/html; charset=ISO-8859-1", "naïve".encode(), "utf_8"),
        ('text/html; charset="Shift_JIS"', "日本".encode("shift_jis"), "cp932"),
        ("text/html; charset=gb2312", "中文".encode("gbk"), "gb18030"),
        ("text/html", b"<meta charset=euc-kr>" + "한국".encode("euc-kr"), "cp949"),
        (
            "text/html",
            b'<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">\xc1',
            "koi8_r",
        ),
        ("text/xml", b"<?xml version='1.0' encoding='windows-1251'?>\xe0", "cp1251"),
        ("text/html; charset=koi8-r", b"<meta charset=euc-kr>\xc1", "koi8_r"),
        ("text/html; charset=koi8-r", codecs.BOM_UTF8 + b"x", "utf_8"),
        ("text/html", codecs.BOM_UTF16_BE + "x".encode("utf-16-be"), "utf_16_be"),
        ("text/html; charset=utf-8", b"\xe9\xe8\xea" * 20 + b"a" * 100, "cp1252"),
        ("text/html; charset=utf-8", b"a" * 1000 + b"\xe9", "utf_8"),
        ("text/html; charset=utf-8", b"<meta charset=sjis>" + "日本語".encode("sjis"), "cp932"),
        ("text/html", b"<meta charset=utf-16>hello", "utf_8"),
    ],
)
def test_the_charset_is_bom_then_header_then_meta_then_a_guess(
    content_type: str, body: bytes, charset: str
) -> None:
    assert info(content_type, body).charset == charset


@pytest.mark.parametrize(
    "label", ["hex", "zip", "punycode", "idna", "rot13", "undefined", "x" * 99]
)
def test_python_codec_names_from_a_server_are_never_looked_up(label: str) -> None:
    assert info(f"text/html; charset={label}", b"plain").charset == "utf_8"
    assert info("text/html", f"<meta charset={label}>".encode()).charset == "utf_8"


def test_all_charsets_are_python_codecs() -> None:
    for label in ("utf-8", "latin5", "iso-8859-16", "big5", "iso-2022-jp", "x-mac-cyrillic"):
        codecs.lookup(info(f"text/plain; charset={label}", b"abc").charset)


def test_hostile_headers_and_heads_are_judged_in_linear_time() -> None:
    info("text/html; charset" * 5_000, b"<meta " * 100_000)
    info(";" * 100_000, b"<?xml " + b" " * 100_000)
