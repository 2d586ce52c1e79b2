"""Rows R1 to R14: nothing is used up, and nothing waits for ever."""

import gzip
import random
import zlib
from collections.abc import Iterator

from tests.torture.bombs import (
    brotli_bomb,
    gzip_bomb,
    gzip_members,
    gzip_twice,
    office_bomb,
    pdf,
    pdf_page,
    zlib_bomb,
    zstd_bomb,
)
from tests.torture.case import ERROR, PAGE, REFUSED, Visit
from tests.torture.site import Script, Visitor, article, raw, redirect, reply

_ANY = (PAGE, ERROR)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
_TEXT = "It reads on and on. " * 50


def slow() -> Iterator[Visit]:
    """R3, R14: sites that take their time. Most of it is waiting, so they run side by side."""
    for name, script in SLOW.items():
        yield Visit(
            name=f"R3.{name}",
            script=script,
            expected=(ERROR,),
            within_seconds=22,
            is_quick=name == "byte-a-second",
        )
        yield Visit(
            name=f"R14.cancel-{name}",
            script=script,
            expected=(),
            within_seconds=22,
            cancel_after_seconds=1.5,
            is_quick=name in ("silent", "byte-a-second"),
        )
    yield Visit(
        name="R3.silent-tls",
        host="hangs",
        tls=True,
        script=reply("x"),
        expected=(ERROR,),
        within_seconds=22,
        needs_network=True,
    )
    yield Visit(
        name="R11.silent-name-server",
        host="hang",
        script=reply("x"),
        expected=(ERROR,),
        within_seconds=22,
        needs_network=True,
    )
    for name, value in RETRY_AFTER.items():
        yield Visit(
            name=f"R13.retry-after-{name}",
            script=reply("later", status="429 Too Many Requests", Retry_After=value),
            expected=(ERROR,),
            within_seconds=22,
        )
    yield Visit(
        name="R13.retry-after-on-503",
        script=reply("later", status="503 Busy", Retry_After="3600"),
        expected=(ERROR,),
        within_seconds=22,
    )


RETRY_AFTER = {
    "2": "2",
    "3600": "3600",
    "negative": "-1",
    "year-2999": "Fri, 31 Dec 2999 23:59:59 GMT",
    "huge": "9" * 400,
    "junk": "soon\x0b",
    "nan": "nan",
}
"""R13: times to wait that nobody should believe."""


def _silent(visitor: Visitor) -> None:
    visitor.pause(60)


def _slow_header(visitor: Visitor) -> None:
    visitor.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(120):
        visitor.send(b"X-%d: y\r\n" % number)
        visitor.pause(0.5)


def _byte_a_second(visitor: Visitor) -> None:
    visitor.send(_HEAD)
    while True:
        visitor.send(b"a")
        visitor.pause(0.5)


def _slow_start(visitor: Visitor) -> None:
    visitor.send(_HEAD + b"a" * 50_000)
    while True:
        visitor.send(b"a" * 40)
        visitor.pause(0.2)


def _informational(visitor: Visitor) -> None:
    while True:
        visitor.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        visitor.pause(0.2)


def _slow_chunks(visitor: Visitor) -> None:
    visitor.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        visitor.send(b"1\r\na\r\n")
        visitor.pause(0.3)


def _slow_hops(visitor: Visitor) -> None:
    visitor.pause(6)
    redirect(f"{visitor.target}x" if "?" in visitor.target else f"{visitor.path}?x")(visitor)


def _slow_refusal(visitor: Visitor) -> None:
    visitor.send(b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n\r\n")
    while True:
        visitor.send(b"a")
        visitor.pause(0.5)


SLOW: dict[str, Script] = {
    "silent": _silent,
    "slow-header": _slow_header,
    "byte-a-second": _byte_a_second,
    "slow-after-a-start": _slow_start,
    "informational-for-ever": _informational,
    "slow-chunks": _slow_chunks,
    "slow-hops": _slow_hops,
    "slow-refusal": _slow_refusal,
}


def _endless(visitor: Visitor) -> None:
    visitor.send(_HEAD)
    while True:
        visitor.send(b"<p>again " * 8_192)


def _endless_headers(visitor: Visitor) -> None:
    visitor.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        visitor.send(b"X-Bomb: " + b"y" * 8_000 + b"\r\n")


def _one_header(visitor: Visitor) -> None:
    visitor.send(b"HTTP/1.1 200 OK\r\nX-Bomb: ")
    for _ in range(64):
        visitor.send(b"y" * 1_000_000)
    visitor.send(b"\r\n\r\n" + article("x").encode())


def _tiny_chunks(visitor: Visitor) -> None:
    visitor.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        visitor.send(b"1\r\na\r\n" * 20_000)


def _many_hops(visitor: Visitor) -> None:
    number = int(visitor.target.partition("?")[2] or 0) + 1
    redirect(f"{visitor.path}?{number}")(visitor)


def _informational_flood(visitor: Visitor) -> None:
    while True:
        visitor.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000)


def heavy() -> Iterator[Visit]:
    """R1, R2, R4 to R10: each with a server of its own, one after another."""
    yield from _bombs()
    yield from _sizes()
    yield from _heads()
    for name, body in parser_bombs():
        yield Visit(
            name=f"R6.{name}",
            script=reply(body),
            expected=_ANY,
            within_seconds=15,
            is_quick=name in ("nested-div", "attributes"),
        )
    yield from _texts()
    yield from _documents()


def _bombs() -> Iterator[Visit]:
    bombs: tuple[tuple[str, str, bytes], ...] = (
        ("gzip", "gzip", gzip_bomb(1_024)),
        ("gzip-of-text", "gzip", gzip_bomb(64, b"a")),
        ("gzip-gzip", "gzip, gzip", gzip_twice(1_024)),
        ("gzip-in-gzip-unsaid", "gzip", gzip_twice(1_024)),
        ("gzip-members", "gzip", gzip_members(400_000)),
        ("gzip-40-times", ", ".join(["gzip"] * 40), gzip_twice(1)),
        ("x-gzip", "x-gzip", gzip_bomb(1_024)),
        ("deflate", "deflate", zlib_bomb(1_024)),
        ("raw-deflate", "deflate", gzip_bomb(256)[10:-8]),
        ("br", "br", brotli_bomb(256)),
        ("br-damaged", "br", b"\xcf\xff\xff\x7f\xf8" * 400),
        ("zstd", "zstd", zstd_bomb(1_024)),
        ("unknown-coding", "lzma", b"\xfd7zXZ" * 100),
        ("gzip-cut-off", "gzip", gzip.compress(article(_TEXT).encode())[:-20]),
        ("gzip-that-is-none", "gzip", article(_TEXT).encode()),
    )
    for name, coding, body in bombs:
        yield Visit(
            name=f"R1.{name}",
            script=reply(body, Content_Encoding=coding),
            expected=_ANY,
            within_seconds=8,
            is_quick=name in ("gzip", "gzip-gzip", "br", "zstd"),
        )
    transfer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    squeezed = gzip_bomb(1_024)
    script = raw(transfer + b"%x\r\n" % len(squeezed) + squeezed + b"\r\n0\r\n\r\n")
    yield Visit(name="R1.gzip-as-transfer", script=script, expected=_ANY)
    wall = reply(gzip_bomb(1_024), status="403 Forbidden", Content_Encoding="gzip")
    yield Visit(name="R1.gzip-in-a-refusal", script=wall, expected=(ERROR,))


def _sizes() -> Iterator[Visit]:
    page = article(_TEXT).encode()
    yield Visit(name="R2.endless", script=_endless, expected=(ERROR,), is_quick=True)
    yield Visit(name="R2.tiny-chunks", script=_tiny_chunks, expected=_ANY)
    yield Visit(name="R2.html-20-MB", script=reply(article("word " * 4_000_000)), expected=_ANY)
    yield Visit(name="R2.html-9-MB", script=reply(article("word " * 1_800_000)), expected=_ANY)
    for name, kind, text in (
        ("html", "text/html", article("word " * 3_900_000)),
        ("quotes", "text/html; charset=utf-8", article("word\u2019s " * 2_150_000)),
        ("chinese", "text/html; charset=utf-8", article("\u6f22\u5b57\u3002" * 2_150_000)),
        ("emoji", "text/html; charset=utf-8", article("\U0001f600" + "word " * 3_890_000)),
        ("links", "text/html", article("<a href=/x>a link</a> " * 850_000)),
        ("plain", "text/plain", "word word\n" * 1_950_000),
        ("json", "application/json", "[" + "12345,\n" * 2_700_000 + "1]"),
    ):
        squeezed = reply(gzip.compress(text.encode(), 1), kind=kind, Content_Encoding="gzip")
        yield Visit(name=f"R2.decoded-20-MB-{name}", script=squeezed, expected=_ANY)
    lengths = {
        "too-long": b"%d" % (len(page) * 3),
        "huge": b"99999999999999999999",
        "negative": b"-5",
        "short": b"20",
        "two": b"%d\r\nContent-Length: 5" % len(page),
        "junk": b"0x10",
        "digits": b"9" * 5_000,
    }
    for name, length in lengths.items():
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: " + length
        yield Visit(name=f"R2.length-{name}", script=raw(head + b"\r\n\r\n" + page), expected=_ANY)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for name, body in (
        ("junk", b"zz\r\nhello\r\n"),
        ("huge", b"ffffffffffffffff\r\nhello"),
        ("no-end", b"5\r\nhello\r\n"),
        ("extension", b"5;" + b"a" * 1_000_000 + b"\r\nhello\r\n0\r\n\r\n"),
        ("trailers", b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 200_000 + b"\r\n"),
    ):
        yield Visit(name=f"R2.chunks-{name}", script=raw(chunked + body), expected=_ANY)
    for name, status in (("204", "204 No Content"), ("206", "206 Partial"), ("205", "205 Reset")):
        yield Visit(name=f"R2.status-{name}", script=reply(status=status), expected=_ANY)


def _heads() -> Iterator[Visit]:
    def loop(visitor: Visitor) -> None:
        redirect(visitor.path)(visitor)

    both = (ERROR, REFUSED)
    yield Visit(name="R4.loop", script=loop, expected=both, is_quick=True)
    yield Visit(name="R4.chain", script=_many_hops, expected=both)
    yield Visit(name="R5.many-headers", script=_endless_headers, expected=both, is_quick=True)
    yield Visit(name="R5.one-header-of-64-MB", script=_one_header, expected=both)
    yield Visit(name="R5.informational-flood", script=_informational_flood, expected=both)
    status = b"HTTP/1.1 200 " + b"O" * 3_000_000 + b"\r\n\r\n"
    odd = {
        "status-line": status,
        "status-999999": b"HTTP/1.1 999999 X\r\n\r\n",
        "no-status": b"hello there\r\n\r\n",
        "http-0.9": article("old").encode(),
        "http-2": b"\0\0\x12\x04\0\0\0\0\0" + bytes(18),
        "nul": b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n" + article(_TEXT).encode(),
        "no-colon": b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n" + article(_TEXT).encode(),
        "folded": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n" + article(_TEXT).encode(),
        "bytes": b"HTTP/1.1 200 \xff\xfe\r\nX: \xe9\r\n\r\n" + article(_TEXT).encode(),
        "type-of-1-MB": b"HTTP/1.1 200 OK\r\nContent-Type: text/" + b"a" * 90_000 + b"\r\n\r\nhi",
        "reset": b"",
    }
    for name, data in odd.items():
        yield Visit(name=f"R5.{name}", script=raw(data), expected=(*_ANY, REFUSED))


def parser_bombs() -> Iterator[tuple[str, str]]:
    """R6: pages that are hard to parse, by name."""
    spans = "<td colspan=1000 rowspan=65534>x" * 2_000
    yield "nested-div", "<div>" * 100_000 + _TEXT + "</div>" * 100_000
    yield "nested-lists", "<ul><li>" * 20_000 + _TEXT
    yield "nested-tables", "<table><tr><td>" * 5_000 + _TEXT
    yield "nested-quotes", "<blockquote>" * 50_000 + _TEXT
    yield "nested-inline", "<b><i><a href=x>" * 30_000 + _TEXT
    yield "misnested", "<a><b><i>" * 10_000 + _TEXT + "</a></b>" * 10_000
    yield "unclosed-comments", "<!--" * 100_000 + _TEXT
    yield "markup-declarations", "<![CDATA[<!--</" * 60_000 + _TEXT
    yield "declarations", "<!a " * 75_000 + _TEXT
    yield "attributes", "<div " + " ".join(f"a{n}=b" for n in range(200_000)) + f">{_TEXT}</div>"
    yield "same-attribute", "<p " + "class=x " * 200_000 + f">{_TEXT}"
    yield "long-attribute", f"<p title='{'x' * 4_000_000}'>{_TEXT}"
    yield "links", "".join(f"<a href=/p{n}>link {n}</a> " for n in range(200_000))
    yield "elements", "<p>x" * 500_000
    yield "forms", "<form><input>" * 100_000 + _TEXT
    yield "headings", "<h1>x</h1>" * 200_000
    yield "spans", f"<table><tr>{spans}</table>{_TEXT}"
    yield "wide-table", "<table>" + ("<tr>" + "<td>x" * 3_000) * 60 + "</table>"
    yield "entities", "&amp;" * 1_000_000
    yield "half-entities", "&notanentity" * 300_000 + "&#x1F600" * 100_000
    yield "angle-brackets", "<" * 3_000_000
    yield "open-tags", "<a" * 1_000_000
    yield "script-unclosed", "<script>" + "</scrip" * 500_000
    yield "svg", "<svg>" + "<g>" * 100_000 + "<foreignObject>" * 1_000 + _TEXT
    yield "math", "<math><mrow>" * 50_000 + _TEXT
    yield "templates", "<template>" * 50_000 + _TEXT
    yield "json-ld", f"<script type=application/ld+json>{'[' * 200_000}</script>" + article(_TEXT)
    yield (
        "random",
        "".join(random.Random(7).choices("<>/=\"'&;! abdivp-[]\n", k=1_000_000)),
    )


def _texts() -> Iterator[Visit]:
    texts = {
        "spaces": " " * 5_000_000 + "x",
        "newlines": "\n" * 5_000_000 + "x",
        "no-break-spaces": "&nbsp;" * 800_000 + "x",
        "one-word": "x" * 5_000_000,
        "exclamation-brackets": "![" * 1_000_000,
        "brackets": "[" * 500_000 + "](" * 500_000,
        "backticks": "`" * 2_000_000,
        "stars": "*_" * 1_000_000,
        "combining": "a" + "\u0301" * 2_000_000,
        "dots": ". " * 2_000_000,
        "digits": "1," * 2_000_000,
        "urls": "http://a.b " * 300_000,
        "pipes": "|-" * 1_000_000,
    }
    for name, text in texts.items():
        yield Visit(
            name=f"R7.{name}", script=reply(f"<pre>{text}</pre><p>{text[:20]}"), expected=_ANY
        )
        kind = "text/plain" if name != "pipes" else "text/markdown"
        asked = {"query": "which page reads on?"}
        yield Visit(
            name=f"R7.plain-{name}", script=reply(text, kind=kind), expected=_ANY, arguments=asked
        )


_LOL = (
    '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "ha ha ha ha ha ha ha ha ha ha">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + "]><r>&j;</r>"
)
_XXE = (
    '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">'
    '<!ENTITY y SYSTEM "http://127.0.0.1/">]><r>&x; &y; end</r>'
)
_DTD = '<?xml version="1.0"?><!DOCTYPE r SYSTEM "http://127.0.0.1/x.dtd"><r>text</r>'
_XINCLUDE = (
    '<r xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file:///etc/passwd" '
    'parse="text"/>text</r>'
)
_RSS = '<rss version="2.0"><channel><title>t</title>{}</channel></rss>'


def _documents() -> Iterator[Visit]:
    xml = {
        "lol": _LOL,
        "quadratic": f'<!DOCTYPE r [<!ENTITY a "{"x" * 100_000}">]><r>{"&a;" * 5_000}</r>',
        "xxe": _XXE,
        "foreign-dtd": _DTD,
        "xinclude": _XINCLUDE,
        "nested": "<a>" * 200_000 + "x",
        "attributes": "<a " + " ".join(f"a{n}='b'" for n in range(100_000)) + "/>",
        "namespaces": "<a " + " ".join(f"xmlns:a{n}='b{n}'" for n in range(50_000)) + "/>",
    }
    for name, body in xml.items():
        for kind in ("application/xml", "application/rss+xml", "application/xhtml+xml"):
            yield Visit(
                name=f"R8.{name}.{kind[12:].partition('+')[0]}",
                script=reply(body, kind=kind),
                expected=_ANY,
                lacks=("root:", "nologin"),
            )
    feed = _RSS.format("<item><title>x</title><description>y</description></item>" * 100_000)
    yield Visit(name="R8.feed", script=reply(feed, kind="application/rss+xml"), expected=_ANY)
    for name, body in _pdfs():
        yield Visit(
            name=f"R9.{name}",
            script=reply(body, kind="application/pdf"),
            expected=_ANY,
            is_quick=name in ("bomb", "page-loop"),
        )
    for name, body in {
        "deep": "[" * 200_000,
        "deep-objects": '{"a":' * 100_000,
        "digits": "[" + "9" * 500_000 + "]",
        "nan": "[NaN, Infinity, -Infinity, 1e999999]",
        "keys": "{" + ",".join(f'"k{n}":{n}' for n in range(300_000)) + "}",
        "cut-off": '{"a": "b',
        "escapes": '"' + "\\u0041" * 500_000 + '"',
    }.items():
        script = reply(body, kind="application/json")
        yield Visit(name=f"R10.{name}", script=script, expected=_ANY)
    yield from _offices()


def _pdfs() -> Iterator[tuple[str, bytes]]:
    yield "bomb", pdf_page(zlib_bomb(1_024, b" "))
    yield "bomb-twice", pdf_page(zlib.compress(zlib_bomb(1_024)), b"[/FlateDecode/FlateDecode]")
    text = b"BT /F 12 Tf 10 10 Td (x) Tj ET\n" * 300_000
    yield "operators", pdf_page(zlib.compress(text))
    yield "run-length", pdf_page(b"\x81 " * 2_000_000, b"/RunLengthDecode")
    yield "lzw", pdf_page(bytes(2_000_000), b"/LZWDecode")
    yield "filters", pdf_page(b"x" * 10_000, b"[" + b"/ASCIIHexDecode" * 500 + b"]")
    catalog = b"<</Type/Catalog/Pages 2 0 R>>"
    yield "page-loop", pdf(catalog, b"<</Type/Pages/Kids[2 0 R]/Count 1>>")
    yield (
        "page-ring",
        pdf(
            catalog, b"<</Type/Pages/Kids[3 0 R]/Count 1>>", b"<</Type/Pages/Kids[2 0 R]/Count 1>>"
        ),
    )
    kids = b"3 0 R " * 100_000
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"
    yield "pages", pdf(catalog, b"<</Type/Pages/Kids[%s]/Count 100000>>" % kids, page)
    yield "count", pdf(catalog, b"<</Type/Pages/Kids[3 0 R]/Count 99999999999>>", page)
    yield "deep", pdf(catalog, b"<</Type/Pages/Kids" + b"[" * 100_000 + b"]" * 100_000 + b">>")
    yield (
        "media-box",
        pdf(
            catalog,
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            page.replace(b"0 0 9 9", b"0 0 1e38 1e38"),
        ),
    )
    yield "length-of-itself", pdf_page(b"x").replace(b"/Length 1", b"/Length 4 0 R")
    yield "cut-off", pdf_page(b"x" * 5_000)[:3_000]
    yield "header-only", b"%PDF-1.7\n"
    yield "junk", b"%PDF-1.7\n" + random.Random(3).randbytes(500_000)
    yield "xref-loop", pdf(catalog) + b"\nstartxref\n9\n%%EOF"


_DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_EPUB = "application/epub+zip"


def _offices() -> Iterator[Visit]:
    paragraphs = ("<w:document><w:body><w:p><w:t>", "</w:t></w:p></w:body></w:document>")
    for name, kind, body in (
        ("docx", _DOCX, office_bomb("word/document.xml", 200, paragraphs)),
        ("xlsx", _XLSX, office_bomb("xl/worksheets/sheet1.xml", 200)),
        ("epub", _EPUB, office_bomb("META-INF/container.xml", 200)),
        ("zip", "application/zip", office_bomb("a.txt", 200)),
    ):
        yield Visit(name=f"R9.office-{name}", script=reply(body, kind=kind), expected=_ANY)
