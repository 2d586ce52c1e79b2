"""Logs: to stderr only, without keys, query strings and what could drive a terminal."""

import logging
import re
import sys

from agent_client.clean import terminal_text

_SECRET_VALUE = re.compile(
    r"(?i)\b((?:api[_-]?)?key|token|sig|signature|auth|pass(?:word)?|secret|code)=([^&\s\"']{1,2000})"
)
_BEARER = re.compile(r"(?i)(bearer\s+)\S{1,2000}")


def redact(text: str) -> str:
    """Hide credentials: bearer tokens and the values of key-like parameters."""
    return _SECRET_VALUE.sub(r"\1=…", _BEARER.sub(r"\1…", text))


class _Redactor(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return terminal_text(redact(super().format(record)))


def configure_logging(level: str) -> None:
    """Send the logs of this process to stderr at `level` and above."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redactor("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("httpx", "httpcore", "httpx2", "httpcore2"):  # they log full URLs
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # The SDK logs a traceback for what a broken server sends; we report that as one line.
    if level != "debug":
        logging.getLogger("mcp").setLevel(logging.CRITICAL)
