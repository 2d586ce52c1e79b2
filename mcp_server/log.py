"""Logs: to stderr only, without keys and query strings."""

import json
import logging
import re
import sys

_SECRET_VALUE = re.compile(
    r"(?i)\b((?:api[_-]?)?key|token|sig|signature|auth|pass(?:word)?|secret|code)=([^&\s\"']{1,2000})"
)
_USERINFO = re.compile(r"(?i)(https?://)[^/\s@]{1,500}@")


def redact(text: str) -> str:
    """Hide credentials in URLs: user information and the values of key-like parameters."""
    return _SECRET_VALUE.sub(r"\1=…", _USERINFO.sub(r"\1…@", text))


class _Redactor(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


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
