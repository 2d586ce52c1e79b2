"""What reads the replies of models and their servers, and our own records."""

import json
import os
import re
import tempfile
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import h11
from markdown_it import MarkdownIt
from selectolax.lexbor import LexborHTMLParser

from agent_client.clean import terminal_line, terminal_text
from agent_client.conversation import ToolSpec
from agent_client.errors import MalformedReply
from agent_client.evaluation.episode_record import EpisodeKey, EpisodeRecord
from agent_client.evaluation.records.run_directory import RECORDS
from agent_client.evaluation.records.stored_lines import read_record_lines, read_records
from agent_client.model.call_reader import MAX_CALLS
from agent_client.model.http_framing import body_of, split_head
from agent_client.model.reply_parser import ParsedReply, Piece, ReplyParser, ServedCall
from agent_client.model.sse import SseDecoder
from agent_client.model.transport import BadHttp
from agent_client.report.html_form import to_html
from agent_client.report.markdown_form import to_markdown
from agent_client.sessions.journal import LineFile, read_lines
from agent_client.sessions.lenient_json import encoded
from agent_client.timeline.markup import nodes_of
from tests.fuzz.drawing import Drawing, pieces_of, text_of
from tests.fuzz.target import Target
from tests.support.dictated_report import dictated_report

TOOLS = tuple(
    ToolSpec(
        name,
        "Look.",
        {"type": "object", "properties": {key: {"type": "string"}}, "required": [key]},
    )
    for name, key in (("web_search", "query"), ("web_visit", "url"))
)
_ENDINGS = ("stop", "length", "tool_calls", "abort")


def check_calls(data: bytes) -> None:
    """However a reply is cut, what is shown, said and called is the same, and can be stored."""
    drawn = Drawing(data)
    ending, starts_inside = drawn.one_of(_ENDINGS), drawn.number(1) == 1
    cuts = [drawn.number(65_535) for _ in range(3)]
    served = (
        (ServedCall("web_search", text_of(drawn.line()), "c1"),) if drawn.number(3) == 3 else ()
    )
    text = text_of(drawn.rest())
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    pieces = [text[a:b] for a, b in pairwise(places)]
    whole = _read_reply([text], ending, served, starts_inside=starts_inside)
    assert _read_reply(pieces, ending, served, starts_inside=starts_inside) == whole
    assert _read_reply(list(text), ending, served, starts_inside=starts_inside) == whole
    _, reply = whole
    assert len(reply.calls) + len(reply.malformed) <= MAX_CALLS + 2
    for call in reply.calls:
        assert call.name, "a call without a name"
        assert all(isinstance(name, str) for name in call.arguments)
        json.dumps(call.arguments, allow_nan=True)
        encoded(call.arguments)


def _read_reply(
    pieces: list[str], ending: str, served: tuple[ServedCall, ...], *, starts_inside: bool
) -> tuple[Piece, ParsedReply]:
    parser = ReplyParser(TOOLS, starts_in_reasoning=starts_inside)
    shown = [parser.feed(piece) for piece in pieces]
    reply = parser.finish(ending, served=served)
    # Ids are random.
    reply = replace(reply, calls=tuple(replace(call, id="") for call in reply.calls))
    return Piece("".join(s.reasoning for s in shown), "".join(s.text for s in shown)), reply


def check_streams(data: bytes) -> None:
    """Events and bodies are the same however the connection cuts them; h11 reads no other body."""
    drawn = Drawing(data)
    cuts = [drawn.number(65_535) for _ in range(3)]
    sent = drawn.rest()
    assert _events([sent]) == _events(pieces_of(sent, cuts)), "events depend on the cuts"
    ours = _body([sent])
    assert _body(pieces_of(sent, cuts)) == ours, "a body depends on the cuts"
    other = _body_by_h11(sent)
    if ours is not None and other is not None:
        assert ours == other, "h11 reads another body"


def _events(chunks: list[bytes]) -> tuple[list[str], str]:
    decoder = SseDecoder("http://127.0.0.1/")
    try:
        found = [payload for chunk in chunks for payload in decoder.feed(chunk)]
        return found + decoder.finish(), decoder.junk
    except MalformedReply:
        return [], ""


def _body(chunks: list[bytes]) -> tuple[int, bytes] | None:
    """Status and body of a reply that is over; None if it is broken or cut off."""
    data, body, status, read = b"", None, 0, b""
    try:
        for chunk in chunks:
            if body is None:
                data += chunk
                split = split_head(data)
                if split is None:
                    continue
                status, body, chunk = split[0].status, body_of(split[0]), split[1]
            if not body.is_done:
                read += body.feed(chunk)
        return (status, read) if body is not None and (body.is_done or body.end()) else None
    except BadHttp:
        return None


def _body_by_h11(sent: bytes) -> tuple[int, bytes] | None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    status, read = 0, b""
    try:
        connection.receive_data(sent)
        connection.receive_data(b"")
        while True:
            match connection.next_event():
                case h11.Response(status_code=status):
                    pass
                case h11.Data(data=part):
                    read += bytes(part)
                case h11.EndOfMessage():
                    return status, read
                case _:
                    return None  # an interim reply, which no model server sends, or the end
    except h11.ProtocolError:
        return None


def check_records(data: bytes) -> None:
    """Between any bytes every whole record is found; what is appended follows whole lines only."""
    drawn = Drawing(data)
    noises = [drawn.line() for _ in range(drawn.number(3))]
    torn = drawn.rest()
    keys = [EpisodeKey(f"of the fuzzer {number}", 0) for number in range(len(noises))]
    if any(b"of the fuzzer" in noise for noise in noises):
        return
    whole = b"".join(
        noise + b"\n" + _record(key) + b"\n" for noise, key in zip(noises, keys, strict=True)
    )
    path = _folder() / RECORDS
    path.write_bytes(whole + torn)
    assert set(keys) <= read_records(_folder())[0].keys(), "a record is lost"
    assert set(keys) <= read_record_lines(_folder()).ended.keys(), "a plan misses a record"
    before = list(read_lines(path))
    file = LineFile(os.open(path, os.O_RDWR | os.O_APPEND))
    try:
        assert file.cut_bytes <= len(torn), "more than the torn line is cut off"
        file.append(b'{"last": 1}')
    finally:
        file.close()
    after = list(read_lines(path))
    assert after[-1] == b'{"last": 1}' and after[:-1] == before, "appending changed other lines"


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="fuzzed-records-"))


def _record(key: EpisodeKey) -> bytes:
    return encoded(EpisodeRecord(id=key.id, status="ok", question="Who?", answers=("x",)))


_HTML_TAGS = frozenset(
    """html head meta title style body main h1 h2 p span a b q cite em section ol li bdi table thead
    tbody tr th td dl dt dd details summary ul""".split()
)
_MARKDOWN_TAGS = frozenset(
    "p h3 h4 h5 h6 ul ol li blockquote pre code em strong s a br hr table thead tbody tr th td "
    "cite unverified".split()
)


def check_escapers(data: bytes) -> None:
    """No word of a model or a page becomes an element, an attribute, a link or an escape."""
    drawn = Drawing(data)
    url, words = text_of(drawn.line()), text_of(drawn.rest())
    report = dictated_report(words, url)
    _check_page(to_html(report))
    _check_markdown(to_markdown(report))
    nodes = nodes_of(words)
    for node in _elements(nodes):
        assert node["t"] in _MARKDOWN_TAGS, f"{node['t']} is no element of an answer"
        assert node["t"] != "a" or re.match(r"(?i)https?://", node["href"])
    json.dumps(nodes).encode()
    shown = terminal_text(words)
    assert terminal_text(shown) == shown and not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)
    assert len(terminal_line(words, 40)) <= 40
    shown.encode()


def _check_page(page: str) -> None:
    page.encode()
    tree = LexborHTMLParser(page)
    for node in tree.css("*"):
        assert node.tag in _HTML_TAGS, f"{node.tag} is no element of a report"
        for name, value in node.attributes.items():
            assert not name.startswith("on"), f"{name} of {node.tag}"
            if name in ("href", "src"):
                assert re.match(r"(?i)#|https?://", value or ""), value


def _check_markdown(markdown: str) -> None:
    markdown.encode()
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(markdown):
        assert token.type not in ("html_block", "fence", "code_block"), token.type
        for part in token.children or ():
            assert part.type != "image", "an image"
            if part.type == "html_inline":
                assert re.fullmatch(r'<a id="source-1">|</a>', part.content), part.content
            if part.type == "link_open":
                assert re.match(r"(?i)#source-|https?://", str(part.attrGet("href")))


def _elements(nodes: list[Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for node in nodes:
        if isinstance(node, dict):
            element = cast("dict[str, Any]", node)
            found += [element, *_elements(element.get("c", []))]
    return found


_CALL = b'{"name": "web_search", "arguments": {"query": "moons"}}'
_NO_CUT = b"\x00\x00\x07\x00\x20\x00\x01\x01\x00"

TARGETS = (
    Target(
        name="calls",
        check=check_calls,
        seeds=(
            _NO_CUT + b"<think>\nhm\n</think>\n\n<tool_call>\n" + _CALL + b"\n</tool_call>",
            _NO_CUT + b"Look:\n```json\n" + _CALL + b"\n```\n[" + _CALL + b"]",
            _NO_CUT + b"<tool_call>{'name': 'web_visit', 'arguments': {'url': 'a',}</tool_call>",
            _NO_CUT + b"<function=web_search><parameter=query>moons</parameter></function>",
            _NO_CUT + b'Action: web_search\nAction Input: {"query": "moons"}\n',
            _NO_CUT + b'[TOOL_CALLS]web_search[ARGS]{"query": "a"} web_visit(url="x")',
            _NO_CUT[:-1] + b'\x03{"query": "moons"}\n<think>served</think> text `<think>`',
        ),
        about="however a reply is cut, what is shown, said and called is the same",
        max_bytes=600,
    ),
    Target(
        name="streams",
        check=check_streams,
        seeds=(
            b'\x05\x00\x15\x00\x25\x00data: {"a": 1}\n\ndata: two\r\n'
            b"data: lines\r\n\r\n: x\nid\n\n",
            b"\x05\x00\x15\x00\x45\x00HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef",
            b"\x05\x00\x15\x00\x45\x00HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3;x\r\nabc\r\n0\r\nA: b\r\n\r\n",
            b"\x05\x00\x15\x00\x45\x00HTTP/1.0 404 No\nX: y\n\nto the end",
        ),
        about="events and bodies are the same however they are cut, and the body is h11's",
        max_bytes=600,
    ),
    Target(
        name="records",
        check=check_records,
        seeds=(
            b'\x03{"id": "a"}\n\n' + _record(EpisodeKey("b", 1)) + b'\n{"id": "torn',
            b"\x01\xef\xbb\xbf{}\r\n\x00\x00\x00\x00",
            b'\x02[[[[\n"\\ud800"\nxxx\x00\x00',
        ),
        about="every whole record is found, and appending changes no other line",
        max_bytes=800,
    ),
    Target(
        name="escapers",
        check=check_escapers,
        seeds=(
            b"https://example.com/a?b=(c)#d\nPlain [1] *words* <b>bold</b> | `code` &amp; _x_",
            b"javascript:alert(1)\n1781. A year\n# Head\n> quote\n- item\n```\nfence",
            b'https://x.example/"><script>\n![i](https://e.example/p.png) <img src=x onerror=y>',
            b"x\n[a](javascript:b) www.example.com https://e.example\n|a|\n|-|\n|1|\n\x1b[2J",
        ),
        about="no word becomes an element, an attribute, a link or an escape",
        max_bytes=600,
    ),
)
