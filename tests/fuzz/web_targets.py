"""What reads URLs, headers, bodies and rules of the web."""

import codecs
import re
import socket
import sys
import unicodedata
import zlib
from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

import anyio
import brotli
import httpx
from protego import Protego

from mcp_server.clean import clean, clean_line, terminal_json
from mcp_server.errors import BlockedUrl, FetchError
from mcp_server.search.canonical import canonical_url
from mcp_server.visit.cache.freshness import fresh_seconds, is_storable
from mcp_server.visit.charset import charset_of, label_of_header
from mcp_server.visit.fetching.decoder import BodyDecoder, DamagedBody, TooLarge
from mcp_server.visit.fetching.refusals import bot_wall, refusal, retry_after_seconds
from mcp_server.visit.guard import MAX_URL_CHARS, Policy, check_location, check_url
from mcp_server.visit.media_type import is_text, sniff
from mcp_server.visit.robots import PRODUCT_TOKEN, Robots
from mcp_server.visit.types import Resource
from mcp_server.visit.urls import split_urls
from tests.fuzz.drawing import Drawing, pieces_of, text_of
from tests.fuzz.target import Target

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_ANY_PORT = Policy(allowed_ports=range(65_536))
_BASE = httpx.URL("https://example.com/dir/page?q=1")
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")


def check_urls(data: bytes) -> None:
    """A URL that passes leads to a public place, whoever reads it, and passes again unchanged."""
    drawn = Drawing(data)
    is_location = drawn.number(1)
    text = text_of(drawn.rest())
    assert split_urls(text), "an argument without any piece"
    try:
        url = check_location(text, _BASE, _ANY_PORT) if is_location else check_url(text, _ANY_PORT)
    except BlockedUrl as refused:
        assert len(refused.reason) <= 400, "a reason as long as the URL"
        return
    shown, host = str(url), url.raw_host.decode("ascii")
    assert url.scheme in ("http", "https") and not url.userinfo
    assert shown.isascii() and shown.isprintable() and len(shown) <= MAX_URL_CHARS
    again = check_location(shown, _BASE, _ANY_PORT)  # reads as it is, and repairs nothing
    assert again == url, "it changes when it is checked again"
    assert is_location or check_url(shown, _ANY_PORT) == url, "its repair is not complete"
    assert (urlsplit(shown).hostname or "") == host, "another host for the standard library"
    _check_public(host)


def _check_public(host: str) -> None:
    try:
        address = ip_address(host)
    except ValueError:
        assert "." in host.rstrip("."), "a name of one label"
        try:
            socket.inet_aton(host)
        except OSError:
            return
        raise AssertionError("the system would read the name as an address") from None
    special = address.is_private or address.is_loopback or address.is_link_local
    assert not (special or address.is_multicast or address.is_reserved or address.is_unspecified)


def check_headers(data: bytes) -> None:
    """No header raises; waits and times of freshness stay within their bounds."""
    drawn = Drawing(data)
    status = drawn.one_of((403, 404, 429, 500, 503, 200, 301, 999))
    names = "retry-after cache-control expires date age last-modified vary content-type".split()
    headers = {name: drawn.line().decode("latin-1") for name in names}
    wait = retry_after_seconds(headers["retry-after"])
    assert wait is None or 0 < wait <= 86_400
    assert 0 <= fresh_seconds(headers, now=1_700_000_000.0) <= 7 * 86_400
    is_storable(headers)
    failure = refusal("https://example.com/", status, headers)
    assert clean_line(str(failure), 1_000) == str(failure), "the site's words in our message"
    wall = bot_wall("https://example.com/", status, headers, drawn.rest())
    assert wall is None or len(str(wall)) < 300


def check_media_types(data: bytes) -> None:
    """Every body has a media type, and text a charset by which Python decodes it."""
    drawn = Drawing(data)
    header, body = drawn.line().decode("latin-1"), drawn.rest()
    url = "https://example.com/x"
    found = sniff(
        Resource(url=url, final_url=url, content_type=header, headers={}, status=200, body=body)
    )
    assert _MEDIA_TYPE.fullmatch(found.media_type), found.media_type
    for is_html, is_xml in ((False, False), (True, False), (False, True)):
        label = label_of_header(header)
        codecs.lookup(charset_of(body, label=label, is_html=is_html, is_xml=is_xml))
    if is_text(found.media_type):
        body.decode(found.charset, "replace")


def check_robots(data: bytes) -> None:
    """No file of rules raises; with plain agents the verdict is the parser's on the whole file.

    An agent line of another form is read more generously here than by the parser alone. One that
    is a part of our name is for us to the parser, and for another agent by RFC 9309 and here.
    """
    drawn = Drawing(data)
    url = "https://example.com" + drawn.one_of(("/", "/p", "/p/q", "/p?a=b", "/%7Ea", "/q.html"))
    body = drawn.rest()

    async def fetched(asked: str) -> Resource:
        return Resource(
            url=asked, final_url=asked, content_type="", headers={}, status=200, body=body
        )

    try:
        delay = anyio.run(Robots(fetched).check, httpx.URL(url))
    except BlockedUrl:
        is_allowed = False
    except FetchError as failure:
        raise AssertionError("rules that came cannot be had") from failure
    else:
        is_allowed = True
        assert 0 <= delay <= 60
    text = body.decode("utf-8-sig", "replace")
    agents = [line for line in text.splitlines() if "agent" in line.lower()]
    plain = [name[1].lower() for line in agents if (name := _PLAIN_AGENT.match(line))]
    parts_of_us = [name for name in plain if name in _OUR_NAME and name != _OUR_NAME]
    if len(plain) == len(agents) and not parts_of_us:
        assert Protego.parse(text).can_fetch(url, PRODUCT_TOKEN) == is_allowed


_OUR_NAME = PRODUCT_TOKEN.lower()
_PLAIN_AGENT = re.compile(r"(?i)user-agent: ?(\*|[a-z_-]+)$")
_DECODED_BYTES = 4_096


def check_decoders(data: bytes) -> None:
    """A body is the same however it is cut, never above the limit, and what the library reads."""
    drawn = Drawing(data)
    coding = drawn.one_of(("gzip", "deflate", "br", "zstd"))
    cuts = [drawn.number(65_535) for _ in range(3)]
    body = drawn.rest()
    whole = _decoded(coding, [body])
    cut = _decoded(coding, pieces_of(body, cuts))
    reference = _REFERENCES[coding](body)
    assert cut == whole, "it depends on the cuts"
    assert max(len(cut[1]), len(whole[1])) <= _DECODED_BYTES
    if reference is not None and len(reference) <= _DECODED_BYTES:
        assert whole == ("read", reference), "the library reads something else"


def _decoded(coding: str, pieces: list[bytes]) -> tuple[str, bytes]:
    decoder = BodyDecoder(coding, max_bytes=_DECODED_BYTES)
    try:
        for piece in pieces:
            decoder.feed(piece)
        return "read", decoder.finish()
    except TooLarge:
        return "too large", decoder.decoded
    except DamagedBody:
        return "damaged", b""  # how far it was read depends on the pieces


def _by_zlib(window: int) -> Callable[[bytes], bytes | None]:
    def read(body: bytes) -> bytes | None:
        stream = zlib.decompressobj(window)
        try:
            found = stream.decompress(body, _DECODED_BYTES + 1)
        except zlib.error:
            return None
        return found if stream.eof and not stream.unused_data else None

    return read


def _by_brotli(body: bytes) -> bytes | None:
    stream = brotli.Decompressor()
    found = b""
    try:
        found += stream.process(body, output_buffer_limit=_DECODED_BYTES + 1)
        while not stream.can_accept_more_data() and len(found) <= _DECODED_BYTES:
            found += stream.process(b"", output_buffer_limit=_DECODED_BYTES + 1)
    except brotli.error:
        return None
    return found if stream.is_finished() else None


def _by_zstd(body: bytes) -> bytes | None:
    window = {int(zstd.DecompressionParameter.window_log_max): 23}
    stream = zstd.ZstdDecompressor(options=window)
    try:
        found = stream.decompress(body, _DECODED_BYTES + 1)
        declared = zstd.get_frame_info(body).decompressed_size
    except zstd.ZstdError:
        return None
    is_whole = stream.eof and not stream.unused_data
    return found if is_whole and declared in (None, len(found)) else None


_REFERENCES: dict[str, Callable[[bytes], bytes | None]] = {
    "gzip": _by_zlib(31),
    "deflate": _by_zlib(15),
    "br": _by_brotli,
    "zstd": _by_zstd,
}


def check_cleaning(data: bytes) -> None:
    """Clean text stays as it is, can be encoded, and holds nothing unseen and no live image."""
    text = text_of(data)
    cleaned = clean(text)
    assert clean(cleaned) == cleaned, "cleaning twice changes it"
    _check_seen(cleaned)
    assert "![" not in cleaned
    line = clean_line(text, 40)
    assert len(line) <= 40 and "\n" not in line and line == clean_line(line, 40)
    _check_seen(line)
    identity = canonical_url(text)
    assert canonical_url(identity) == identity, "an identity that has another one"
    shown = terminal_json(f'"{line}"' if '"' not in line and "\\" not in line else "{}")
    _check_seen(shown)


_BIDI = frozenset(("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"))


def _check_seen(text: str) -> None:
    text.encode()
    for char in text:
        if char.isascii():
            assert char in "\n\t" or char.isprintable(), f"{char!r} is left"
            continue
        category = unicodedata.category(char)
        assert category not in ("Cc", "Cs", "Zl", "Zp"), f"{char!r} is left"
        assert unicodedata.bidirectional(char) not in _BIDI, f"{char!r} is left"


def _packed(start: bytes, body: bytes) -> bytes:
    return start + bytes(6) + body


_GZIP = zlib.compressobj(9, zlib.DEFLATED, 31)
_ROBOTS = b"User-agent: *\nDisallow: /p\nAllow: /p/q$\nCrawl-delay: 3\n\nUser-agent: Seekling\n"

TARGETS = (
    Target(
        name="urls",
        check=check_urls,
        seeds=(
            b"\x00https://example.com/a?b=c#d",
            b"\x00[Example](http://example.com:8080/x_(y)).",
            b"\x00http://[2606:2800:220:1::1]/ http://0x7f.1/ https://1.1.1.1/",
            b"\x00https://xn--mnchen-3ya.example/%7e\nhttps://m\xc3\xbcnchen.example/",
            b"\x01//example.org:443/../x?y#z",
            b"\x01../up/%2e%2e/\\x",
        ),
        about="what passes is public for every reader, and passes again unchanged",
        max_bytes=400,
    ),
    Target(
        name="headers",
        check=check_headers,
        seeds=(
            b"\x02120\nmax-age=60, no-cache\n\n\n10\n\n*\ntext/html\n<p>captcha",
            b"\x04Wed, 21 Oct 2026 07:28:00 GMT\n\nTue, 20 Oct 2026 07:28:00 GMT\n"
            b"Tue, 20 Oct 2026 07:00:00 -0000\n5\nMon, 19 Oct 2026 07:28:00 +0200\nAccept\n\n",
            b"\x05\n\n\n\n\n\n\ntext/html; charset=x\n<title>Just a moment...</title><script>",
        ),
        about="no header raises, waits and freshness stay within their bounds",
        max_bytes=600,
    ),
    Target(
        name="media-types",
        check=check_media_types,
        seeds=(
            b"text/html; charset=utf-8\n<!doctype html><meta charset=koi8-r><p>x",
            b'application/xml\n<?xml version="1.0" encoding="shift_jis"?><rss><channel/></rss>',
            b"\n%PDF-1.7\n",
            b"\nPK\x03\x04\x14\x00word/document.xml",
            b'application/json\n{"a": [1, 2]}',
            b"text/plain\n\xff\xfea\x00b\x00",
            b"\n\x1b$B%F%9%H\x1b(B",
        ),
        about="every body has a media type, and text a charset that decodes it",
    ),
    Target(
        name="robots",
        check=check_robots,
        seeds=(
            b"\x01" + _ROBOTS + b"Disallow: /*q\n",
            b"\x03\xef\xbb\xbfUSER-AGENT : a\nuser-agent:*\nDISALLOW:/p?a\nSitemap: x\n",
        ),
        about="no file raises; with plain agents the verdict is the parser's on the whole file",
    ),
    Target(
        name="decoders",
        check=check_decoders,
        seeds=(
            _packed(b"\x00", _GZIP.compress(b"one two three ") + _GZIP.flush()),
            _packed(b"\x01", zlib.compress(b"one two three " * 9)),
            _packed(b"\x01", zlib.compress(b"raw deflate")[2:-4]),
            _packed(b"\x02", brotli.compress(b"one two three " * 9)),
            _packed(b"\x03", zstd.compress(b"one two three " * 9)),
            _packed(b"\x03", b"\x5a\x2a\x4d\x18\x01\x00\x00\x00a" + zstd.compress(b"x")),
        ),
        about="the body is the library's, never above the limit, however it is cut",
    ),
    Target(
        name="cleaning",
        check=check_cleaning,
        seeds=(
            b"plain text\n\n\n\nwith  lines \r\n",
            "![image](https://x.example/a.png) ! [x] \u202e\u200b\ufe0f\ufe0f\U000e0041".encode(),
            b"\x1b[2J\x00\xed\xa0\x80 https://Example.com:443/?b=1&a=2#x",
        ),
        about="clean text stays as it is and holds nothing unseen",
    ),
)
