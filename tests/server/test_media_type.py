"""What a body is, by its header and its leading bytes."""

import codecs
import io
import time
import zipfile

import pytest

from mcp_server.extract import EXTRACTORS
from mcp_server.extract.types import SourceInfo
from mcp_server.visit.media_type import sniff
from mcp_server.visit.types import Resource

HTML = b"<!DOCTYPE html><html><body><p>hello"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(40)
OFFICE = "application/vnd.openxmlformats-officedocument."
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


def zipped(members: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return packed.getvalue()


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
        ("text/html", b"<!-- " + b"x" * 2000 + b"--><rss version='2.0'>", "application/rss+xml"),
        ("text/xml", b"<rdf:RDF xmlns='http://purl.org/rss/1.0/'>", "application/rss+xml"),
        ("text/xml", b"<rdf:RDF xmlns:foaf='x'>", "application/xml"),
        ("", b"<?xml version='1.0'?><!DOCTYPE book [<!ENTITY a 'b'>]><book>", "application/xml"),
        ("", b"<?xml version='1.0'?><svg xmlns='x'>", "image/svg+xml"),
        ("", b"<p>A fragment", "text/html"),
        ("", b"<!-- note --><table>", "text/html"),
        ("", b"a < b and b > c", "text/plain"),
        ("", b'{"a": 1}\n{"a": 2}\n', "application/jsonl"),
        ("application/json", b'{"a": 1}\n{"a": 2}\n', "application/jsonl"),
        ("application/x-ndjson", b'{"a": 1}', "application/jsonl"),
        ("", b'{\n "a": 1\n}\n', "application/json"),
        ("", b"[tool]\nname = 1", "text/plain"),
        ("", b'{"version": "https://jsonfeed.org/version/1.1"}', "application/feed+json"),
        ("", b"a,b\n1,2\n3,4\n", "text/csv"),
        ("", b"a\tb\n1\t2\n3\t4\n", "text/tab-separated-values"),
        ("text/tab-separated-values", b"a\tb", "text/tab-separated-values"),
        ("", b"One, two\nand three,\nthen, four, five\n", "text/plain"),
        ("application/javascript", b"let a = 1;", "text/plain"),
        ("application/x-sh", b"#!/bin/sh\n", "text/plain"),
        ("", b"GIF89a is what an image starts with", "text/plain"),
        ("", b"BMW, MZ and Jawa", "text/plain"),
        ("", b"plain words", "text/plain"),
        ("", b"", "text/plain"),
        ("text/html", b"%PDF-1.7\n", "application/pdf"),
        ("", b"\r\n\n%PDF-1.4\n1 0 obj", "application/pdf"),
        ("application/pdf", b"junk\n%PDF-1.4\n1 0 obj", "application/pdf"),
        ("text/plain", b"A PDF starts with %PDF-1.7", "text/plain"),
        ("text/html", b"<?xml version='1.0'?><catalog><title>x", "application/xml"),
        ("text/html", b"<?xml version='1.0'?><p>x", "text/html"),
        ("text/html", b"<?xml version='1.0'?><!DOCTYPE html><HTML>", "text/html"),
        ("application/pdf", b"Access denied", "text/plain"),
        ("application/pdf", b"junk" + bytes(300) + b"%PDF-1.4", "application/pdf"),
        ("application/pdf", bytes(300), "application/pdf"),
        ("application/octet-stream", b"%PDF-1.7\n\xe2\xe3", "application/pdf"),
        ("text/html", PNG, "image/png"),
        ("text/plain", b"PK\x03\x04rest", "application/zip"),
        ("application/vnd.ms-excel", b"name,size\na,1\nb,2\n", "text/csv"),
        ("application/vnd.ms-excel", HTML, "text/html"),
        ("image/png", b'{"error": "no such image"}', "application/json"),
        ("image/png", b"words", "image/png"),
        ("text/html; charset=utf-8", b' {"error": [1]} ', "application/json"),
        ("text/html", b"{% block %}<p>x", "text/html"),
        ("no media type", HTML, "text/html"),
        ("<script>/x" + "y" * 999, bytes(9), "application/octet-stream"),
        ("application/x-strange", bytes(9), "application/x-strange"),
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


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"GIF89a" + bytes(20), "image/gif"),
        (b"\x00\x00\x00\x1cftypavif", "image/avif"),
        (b"\x00\x00\x00\x1cftypM4A ", "audio/mp4"),
        (b"RIFF\x00\x00\x00\x00WAVE", "audio/wav"),
        (b"\xff\xfb\x90\x00" + bytes(40), "audio/mpeg"),
        (b"\x1aE\xdf\xa3" + bytes(20) + b"webm", "video/webm"),
        (b"\x1f\x8b\x08\x00", "application/gzip"),
        (b"MZ\x90\x00", "application/vnd.microsoft.portable-executable"),
        (b"\x7fELF\x02", "application/x-executable"),
        (b"wOF2\x00", "font/woff2"),
        (b"{\\rtf1 words}", "application/rtf"),
        (b"%!PS-Adobe", "application/postscript"),
        (bytes(257) + b"ustar\x00", "application/x-tar"),
        (OLE + "WordDocument".encode("utf-16-le"), "application/msword"),
        (OLE + "Workbook".encode("utf-16-le"), "application/vnd.ms-excel"),
    ],
)
def test_what_is_not_text_is_named_by_its_bytes(body: bytes, media_type: str) -> None:
    for content_type in ("", "text/html", "application/octet-stream"):
        assert info(content_type, body).media_type == media_type


@pytest.mark.parametrize(
    ("members", "media_type"),
    [
        (
            {"[Content_Types].xml": "", "word/document.xml": "x"},
            f"{OFFICE}wordprocessingml.document",
        ),
        ({"ppt/presentation.xml": "x"}, f"{OFFICE}presentationml.presentation"),
        ({"xl/workbook.xml": "x"}, f"{OFFICE}spreadsheetml.sheet"),
        ({"mimetype": "application/epub+zip"}, "application/epub+zip"),
        ({"a": "", "META-INF/container.xml": ""}, "application/epub+zip"),
        (
            {"mimetype": "application/vnd.oasis.opendocument.text"},
            "application/vnd.oasis.opendocument.text",
        ),
        ({"META-INF/MANIFEST.MF": "x"}, "application/java-archive"),
        ({"readme.txt": "about word/document.xml"}, "application/zip"),
    ],
)
def test_what_a_zip_holds_is_told_without_unpacking(
    members: dict[str, str], media_type: str
) -> None:
    assert info("application/octet-stream", zipped(members)).media_type == media_type


def test_the_url_of_a_relative_link_is_the_final_one() -> None:
    assert info("text/html", HTML).url == "https://example.com/b.pdf"


def test_html_and_text_have_extractors_and_binaries_have_none() -> None:
    assert info("", HTML).media_type in EXTRACTORS
    assert info("", b"words").media_type in EXTRACTORS
    assert info("", PNG).media_type not in EXTRACTORS


@pytest.mark.parametrize(
    "body",
    [
        b"<" * 200_000,
        b"<!--" * 50_000,
        b"<!doctype x[" * 20_000,
        b"<?xml " + b" " * 200_000,
        b"<meta " * 100_000,
        b"{" * 200_000,
        b"PK\x03\x04" + b"PK\x01\x02" * 100_000,
        b"\xe9<" * 100_000,
    ],
)
def test_hostile_heads_are_judged_in_linear_time(body: bytes) -> None:
    started = time.process_time()
    for content_type in (
        "",
        "text/html",
        "application/xml",
        "text/html; charset" * 5_000,
        ";" * 99_999,
    ):
        info(content_type, body)
    assert time.process_time() - started < 2
