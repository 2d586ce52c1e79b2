import itertools

import pytest

from agent_client.errors import MalformedReply
from agent_client.model import sse
from agent_client.model.sse import SseDecoder

STREAM = 'event: x\r\nid: 1\r\n: ping\r\ndata: {"a": "é😀"}\r\n\r\ndata:1\ndata: 2\n\nretry: 3\n\n'


def test_a_stream_is_decoded_wherever_it_is_cut() -> None:
    raw = STREAM.encode()
    for first, second in itertools.combinations(range(len(raw)), 2):
        decoder = SseDecoder("http://h/v1")
        parts = [raw[:first], raw[first:second], raw[second:]]
        payloads = [payload for part in parts for payload in decoder.feed(part)]
        assert payloads + decoder.finish() == ['{"a": "é😀"}', "1\n2"]
        assert decoder.junk == ""


def test_a_stream_without_a_last_empty_line_is_complete() -> None:
    decoder = SseDecoder("http://h/v1")
    assert decoder.feed(b"data: 1\n\ndata: 2") == ["1"]
    assert decoder.finish() == ["2"]


def test_what_is_no_event_is_kept_apart() -> None:
    decoder = SseDecoder("http://h/v1")
    assert decoder.feed(b"<html>\r\n<h1>Hi</h1>") == []
    assert decoder.finish() == []
    assert decoder.junk == "<html>\n<h1>Hi</h1>\n"


@pytest.mark.parametrize("piece", [b"x" * 1_000, b"data: y\ndata: "], ids=["a line", "lines"])
def test_what_never_ends_is_given_up(piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_LINE_BYTES", 10_000)
    monkeypatch.setattr(sse, "MAX_REPLY_BYTES", 50_000)
    decoder = SseDecoder("http://h/v1")
    with pytest.raises(MalformedReply, match=r"more than|over"):
        for _ in range(10_000):
            decoder.feed(piece)


def test_a_long_line_among_others_is_given_up() -> None:
    with pytest.raises(MalformedReply, match="a line of over"):
        SseDecoder("http://h/v1").feed(b"\ndata: " + b"x" * sse.MAX_LINE_BYTES + b"\n\n")
