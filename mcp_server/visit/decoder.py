"""Undo the content coding of a body without ever holding more than the limit.

httpx decodes a whole network chunk at once: 2.6 KB of nested gzip become 1 GiB of memory before a
caller sees the first byte. Here the inflater is asked for small pieces and stopped at the limit.
"""

import zlib

_PIECE_BYTES = 256 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


class TooLarge(Exception):
    """The decoded body is longer than the limit."""


class DamagedBody(Exception):
    """The body is not what its Content-Encoding says, or ends early."""


class UnknownCoding(Exception):
    """The body has a coding that was not asked for, or more than one."""


class BodyDecoder:
    """Collects one body; gzip, deflate or none."""

    def __init__(self, content_encoding: str, *, max_bytes: int) -> None:
        """Start a body.

        Raises:
            UnknownCoding: the header names another coding, or several.
        """
        coding = content_encoding.strip().lower().removeprefix("x-")
        if coding not in ("", "identity", "gzip", "deflate"):
            raise UnknownCoding(coding[:40])
        self._coding = coding
        self._max_bytes = max_bytes
        self._body = bytearray()
        self._inflater = zlib.decompressobj(_GZIP_WINDOW) if coding == "gzip" else None
        self._started = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes from the wire.

        Raises:
            TooLarge: the decoded body passes the limit.
            DamagedBody: the bytes cannot be decoded.
        """
        if self._coding in ("", "identity"):
            self._append(data)
            return
        try:
            self._inflate(data)
        except zlib.error:
            raise DamagedBody from None

    def finish(self) -> bytes:
        """The whole decoded body.

        Raises:
            DamagedBody: the coded body ends early.
            TooLarge: the decoded body passes the limit.
        """
        if self._inflater is not None and self._started:
            if not self._inflater.eof:
                raise DamagedBody
            self._append(self._inflater.flush())
        return bytes(self._body)

    def _inflate(self, data: bytes) -> None:
        if data and self._inflater is None:
            # "deflate" should be a zlib stream; some servers send raw deflate.
            is_zlib = data[0] & 0x0F == 8
            self._inflater = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        while data and self._inflater is not None:
            self._started = True
            if self._inflater.eof:
                if not data.startswith(_GZIP_MAGIC):
                    return  # padding after the end, which browsers ignore too
                self._inflater = zlib.decompressobj(_GZIP_WINDOW)
            self._append(self._inflater.decompress(data, _PIECE_BYTES))
            data = self._inflater.unconsumed_tail or self._inflater.unused_data

    def _append(self, data: bytes) -> None:
        if len(self._body) + len(data) > self._max_bytes:
            raise TooLarge
        self._body += data
