"""What stands on the pipes between a host and the server."""

import json

import pytest
from mcp.types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from mcp_server.serving.wire import MAX_LINE_BYTES, Lines, read_message, write_message


def lines_of(*pieces: bytes) -> list[bytes | None]:
    lines = Lines()
    for piece in pieces:
        lines.add(piece)
    return list(lines.whole)


def test_lines_are_found_wherever_the_pipe_cuts_them() -> None:
    assert lines_of(b"on", b"e\ntwo\r\n\n  \nthr", b"ee\nfo") == [b"one", b"two\r", b"three"]


def test_a_line_without_its_break_counts_at_the_end_of_the_input() -> None:
    assert lines_of(b"one\ntwo", b"") == [b"one", b"two"]


def test_a_line_that_is_too_long_is_dropped_and_the_next_one_read() -> None:
    half = b"x" * (MAX_LINE_BYTES // 2)
    assert lines_of(half, half, b"x", half, b"\nnext\n") == [None, b"next"]
    assert lines_of(half, half, b"\n") == [half + half]


def test_requests_and_notifications_are_read() -> None:
    request = read_message(b'{"jsonrpc":"2.0","id":"a","method":"ping","params":{"q":"\\u00e4"}}')
    assert isinstance(request, JSONRPCRequest)
    assert request.params == {"q": "ä"}
    notification = read_message(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
    assert isinstance(notification, JSONRPCNotification)


@pytest.mark.parametrize(
    ("line", "request_id", "code"),
    [
        (b"junk", None, -32700),
        (b"[" * 200_000, None, -32700),
        (b'{"jsonrpc":"2.0","id":1', None, -32700),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', None, -32600),
        (b'{"jsonrpc":"2.0","id":7,"method":5}', 7, -32600),
        (b'{"jsonrpc":"2.0","id":"b","method":"ping","params":[1]}', "b", -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":5}', None, -32600),
        (b'{"jsonrpc":"2.0","id":8}', 8, -32600),
        (b"null", None, -32600),
        (None, None, -32600),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_cannot_be_read_is_answered_with_an_error(
    line: bytes | None, request_id: int | str | None, code: int
) -> None:
    answer = read_message(line)
    assert isinstance(answer, JSONRPCError)
    assert (answer.id, answer.error.code) == (request_id, code)


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no"}}',
        b'{"jsonrpc":"2.0","id":1,"error":"no"}',
        b'{"jsonrpc":"2.0","id":[],"result":{}}',
    ],
)
def test_errors_of_the_host_and_broken_answers_are_not_answered(line: bytes) -> None:
    assert read_message(line) is None


@pytest.mark.parametrize("text", [b"a\xffb", b"a\\ud83db", b"a\xed\xa0\xbdb"])
def test_a_request_with_damaged_text_is_served(text: bytes) -> None:
    line = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"query":"' + text + b'"}}'
    request = read_message(line)
    assert isinstance(request, JSONRPCRequest)
    assert request.params
    query = request.params["query"]
    assert query[0] + query[-1] == "ab"
    assert query.encode("utf-8")


def test_an_answer_that_cannot_be_written_becomes_an_error() -> None:
    whole = write_message(JSONRPCResponse(jsonrpc="2.0", id=1, result={"text": "ä"}))
    assert json.loads(whole) == {"jsonrpc": "2.0", "id": 1, "result": {"text": "ä"}}
    broken = write_message(JSONRPCResponse(jsonrpc="2.0", id=2, result={"text": "\ud800"}))
    assert broken.endswith(b"\n")
    assert json.loads(broken)["id"] == 2
    assert json.loads(broken)["error"]["code"] == -32603
