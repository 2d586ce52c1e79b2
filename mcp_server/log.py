"""Logs: to stderr only, without keys and query strings."""

import json
import logging
import re
import sys

_SECRET_VALUE = re.compile(
    r"(?i)\b([\w-]{0,40}?(?:key|token|sig|signature|auth|pass|password|secret|code))="
    r"([^&\s\"']{1,2000})"
)
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,20}://)[^/\s@]{1,500}@")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def redact(text: str) -> str:
    """Hide credentials in URLs: user information and the values of key-like parameters.

    What a terminal would obey, and what cannot be encoded, is shown by its escape.
    """
    text = _SECRET_VALUE.sub(r"\1=…", _USERINFO.sub(r"\1…@", text))
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


class _Redactor(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:
        return super().formatMessage(record).replace("\n", r"\n")  # a message forges no line


def configure_logging(level: str) -> None:
    """Send the logs of this process to stderr at `level` and above.

    Must run before the MCP server is built: the SDK installs its own handler when none is there.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redactor("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("httpx", "httpcore", "primp", "httpx2", "httpcore2"):  # they log full URLs
        logging.getLogger(chatty).setLevel(logging.WARNING)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def log_as_json() -> None:
    """Write the logs as one JSON object a line from now on."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_JsonFormatter())
