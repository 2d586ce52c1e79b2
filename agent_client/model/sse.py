"""Take server-sent events apart (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from agent_client.errors import MalformedReply

MAX_LINE_BYTES = 1_000_000
"""Bound of one line of the stream."""
MAX_REPLY_BYTES = 64_000_000
"""Bound of one whole stream; each token costs about 200 bytes in it."""

_FIELDS = frozenset({b"", b"event", b"id", b"retry"})


class SseDecoder:
    """Turns the bytes of a server-sent event stream, cut anywhere, into data payloads.

    Lines end in LF or CRLF. Bytes that belong to no event are kept in `junk`, for an error message
    or because the server did not stream at all.
    """

    def __init__(self, endpoint: str) -> None:
        self.junk = ""
        self._endpoint = endpoint
        self._pending = bytearray()
        self._data: list[str] = []
        self._total_bytes = 0

    def feed(self, chunk: bytes) -> list[str]:
        """Take the next bytes; give the payloads that are complete.

        Raises:
            MalformedReply: a line or the whole stream is too long.
        """
        self._total_bytes += len(chunk)
        if self._total_bytes > MAX_REPLY_BYTES:
            raise MalformedReply(self._endpoint, f"more than {MAX_REPLY_BYTES:,} bytes")
        *lines, rest = chunk.split(b"\n")
        payloads: list[str] = []
        if lines:
            lines[0] = bytes(self._pending) + lines[0]
            self._pending.clear()
            if len(chunk) + len(lines[0]) > MAX_LINE_BYTES:
                self._check_length(max(lines, key=len))
            for line in lines:
                self._end_line(line, payloads)
        self._pending += rest
        self._check_length(self._pending)
        return payloads

    def finish(self) -> list[str]:
        """Give the last payload, if the stream ended without an empty line."""
        payloads: list[str] = []
        for line in (bytes(self._pending), b""):
            self._end_line(line, payloads)
        self._pending.clear()
        return payloads

    def _end_line(self, line: bytes, payloads: list[str]) -> None:
        if line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
            self._data.append(value.rstrip(b"\r").decode(errors="replace"))
        elif line in (b"", b"\r"):
            if self._data:
                payload = self._data[0] if len(self._data) == 1 else "\n".join(self._data)
                self._data = []
                if payload and not payload.isspace():
                    payloads.append(payload)
        elif len(self.junk) < MAX_LINE_BYTES:
            line = line.rstrip(b"\r")
            if line.partition(b":")[0] not in _FIELDS:
                self.junk += line.decode(errors="replace") + "\n"

    def _check_length(self, line: bytes | bytearray) -> None:
        if len(line) > MAX_LINE_BYTES:
            raise MalformedReply(self._endpoint, f"a line of over {MAX_LINE_BYTES:,} bytes")
