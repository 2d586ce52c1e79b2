"""Messages as they stand on a pipe: one line of JSON each, in UTF-8, of bounded length."""

import json
from collections import deque
from typing import cast

from mcp.types import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

MAX_LINE_BYTES = 4_000_000
"""Of one message of the host; a longer one is refused without being kept."""


class Lines:
    """Cuts what arrives into lines; a line that is too long leaves None."""

    def __init__(self) -> None:
        """Begin with no line."""
        self.whole: deque[bytes | None] = deque()
        """What is complete; lines of white space are left out."""
        self._line = bytearray()
        self._is_too_long = False

    def add(self, data: bytes) -> None:
        """Take what has arrived; no bytes mean the end, where the last line may lack its break."""
        *ended, begun = data.split(b"\n")
        for piece in ended:
            self._extend(piece)
            self._end_line()
        self._extend(begun)
        if not data:
            self._end_line()

    def _extend(self, piece: bytes) -> None:
        if self._is_too_long or len(self._line) + len(piece) > MAX_LINE_BYTES:
            self._is_too_long = True
            self._line = bytearray()
        else:
            self._line += piece

    def _end_line(self) -> None:
        if self._is_too_long:
            self.whole.append(None)
        elif self._line and not self._line.isspace():
            self.whole.append(bytes(self._line))
        self._line = bytearray()
        self._is_too_long = False


def read_message(line: bytes | None) -> JSONRPCMessage | JSONRPCError | None:
    """Read one line of `Lines`.

    Returns:
        The message; or the error to answer, with the id of the request where it can be seen; or
        None for what may not be answered: errors of the host, and broken answers.
    """
    if line is None:
        return _error(INVALID_REQUEST, f"the message is longer than {MAX_LINE_BYTES} bytes")
    try:
        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValidationError:
        return _read_damaged(line)
    return None if isinstance(message, JSONRPCError) else message


def _read_damaged(line: bytes) -> JSONRPCMessage | JSONRPCError | None:
    """Give a request with damaged text as readable as it is; for others the error to answer.

    Models write halves of surrogate pairs, which JSON allows and UTF-8 does not.
    """
    try:
        found: object = json.loads(line.decode("utf-8", "replace"))
        repaired = json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return _error(PARSE_ERROR, "the message is not JSON")
    try:
        return jsonrpc_message_adapter.validate_json(repaired, by_name=False)
    except ValidationError:
        fields = cast(dict[str, object], found) if isinstance(found, dict) else {}
        if "result" in fields or "error" in fields:
            return None  # a broken answer to a question that was never asked
        given = fields.get("id")
        known = given if isinstance(given, str) or type(given) is int else None
        return _error(INVALID_REQUEST, "the message is not a request of JSON-RPC 2.0", known)


def write_message(message: JSONRPCMessage) -> bytes:
    """One line for the host; an answer that cannot be written becomes an error that can."""
    try:
        text = _json(message)
    except PydanticSerializationError:
        if not isinstance(message, JSONRPCResponse):
            raise
        reason = "the answer holds text that cannot be written as UTF-8"
        text = _json(_error(INTERNAL_ERROR, reason, message.id))
    return text.encode() + b"\n"


def _json(message: JSONRPCMessage) -> str:
    return message.model_dump_json(by_alias=True, exclude_unset=True)


def _error(code: int, reason: str, request: RequestId | None = None) -> JSONRPCError:
    return JSONRPCError(jsonrpc="2.0", id=request, error=ErrorData(code=code, message=reason))
