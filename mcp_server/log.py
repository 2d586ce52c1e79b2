"""Logs: to stderr only, one line a record, without keys, and never in the way.

A host may start a server and never read its stderr. Once that pipe is full, an ordinary log call
blocks for ever, and the server with it; `_Stderr` drops the line instead, and counts it.
"""

import base64
import json
import logging
import os
import re
import select
import sys
import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Literal, cast
from urllib.parse import quote

REQUEST_ID: ContextVar[str] = ContextVar("seekling_request_id", default="")
"""Stands in every line that is logged while a request is served."""
FIELDS = "seekling_fields"
"""Key of `extra=` under which a log call gives facts by name: texts, numbers, booleans."""
MAX_TEXT_CHARS = 8_000
"""Longer messages and tracebacks lose their middle: how they begin and end says the most."""

_KEY = "key|token|sig|signature|auth|authorization|pass|password|passwd|secret|code|credentials"
_SECRET_VALUE = re.compile(rf"(?i)\b([\w-]{{0,40}}?(?:{_KEY}))=([^&\s\"']{{1,2000}})")
_SECRET_ENTRY = re.compile(  # of a mapping, as JSON and Python write it
    rf"(?i)([\"'][\w-]{{0,40}}?(?:{_KEY})[\"'] ?: ?b?)(\"[^\"]{{1,2000}}\"|'[^']{{1,2000}}')"
)
_CREDENTIALS = re.compile(
    r"(?i)\b(bearer|authorization: ?(?:basic|token|apikey)) {1,3}[\w.~+/=-]{8,4000}"
)
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,20}://)[^/\s@]{1,500}@")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_MIN_SECRET_CHARS = 6
"""Shorter ones would blank out ordinary words, and are no secrets."""
_PLAIN = re.compile(r"[\w.:/+-]{1,200}")
_REST_SECONDS = 0.05
"""How long a reader has to make room for the rest of a line that has begun."""
_TELL_EVERYTHING = (
    "httpx",
    "httpcore",
    "httpx2",
    "httpcore2",
    "primp",
    "mcp",
    "uvicorn",
    "sse_starlette",
)
"""Below a warning they tell URLs with their queries, ids of sessions, and what tools answered."""

_hidden: tuple[str, ...] = ()


def hide_secrets(secrets: Iterable[str]) -> None:
    """Show these texts in no log from now on, neither as they are nor encoded for URLs or headers.

    Args:
        secrets: keys, tokens, passwords; those under six characters are left out.
    """
    global _hidden
    forms = set(_hidden)
    for secret in secrets:
        if len(secret) >= _MIN_SECRET_CHARS:
            encoded = base64.b64encode(secret.encode()).decode()
            forms |= {secret, quote(secret, safe=""), encoded, json.dumps(secret)[1:-1]}
    _hidden = tuple(sorted(forms, key=len, reverse=True))


def redact(text: str) -> str:
    """Hide credentials: those that `hide_secrets` knows, and all that look like some.

    That is user information in URLs, the values of key-like parameters and entries, and what an
    `Authorization` header holds. What a terminal would obey, and what cannot be encoded, is shown
    by its escape.
    """
    for secret in _hidden:
        text = text.replace(secret, "…")
    text = _SECRET_VALUE.sub(r"\1=…", _USERINFO.sub(r"\1…@", text))
    text = _CREDENTIALS.sub(r"\1 …", _SECRET_ENTRY.sub(r"\1'…'", text))
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def configure_logging(level: str, style: Literal["text", "json"] = "text") -> None:
    """Send the logs of this process to stderr at `level` and above, and warnings with them.

    Must run before the MCP server is built: the SDK installs its own handler when none is there.

    Args:
        level: debug, info, warning or error.
        style: lines for people, or one JSON object a line.
    """
    handler = _Stderr()
    handler.setFormatter(_JsonFormatter() if style == "json" else _TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in _TELL_EVERYTHING:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told = _ends(redact(record.getMessage()))
        if record.exc_info:
            told += "\n" + _ends(redact(self.formatException(record.exc_info)))
        facts = [f"{name}={_shown(value)}" for name, value in _fields(record).items()]
        if request := REQUEST_ID.get():
            facts.append(f"request={_shown(request)}")
        line = " ".join([_utc(record.created), record.levelname, f"{record.name}:", told, *facts])
        return line.replace("\n", r"\n")  # a message forges no line


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _ends(redact(record.getMessage())),
        }
        if request := REQUEST_ID.get():
            line["request"] = redact(request)
        for name, value in _fields(record).items():
            line.setdefault(name, redact(value) if isinstance(value, str) else value)
        if record.exc_info:
            line["exception"] = _ends(redact(self.formatException(record.exc_info)))
        return json.dumps(line, ensure_ascii=False)


class _Stderr(logging.Handler):
    """Writes to stderr while somebody reads it."""

    def __init__(self) -> None:
        super().__init__()
        self._stream = sys.stderr
        self._lost_lines = 0
        self._is_torn = False
        """Whether only the beginning of the last line went out."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            if self._lost_lines:
                line = f"{self._lost(record)}\n{line}"
            self._write(line)
        except RecursionError:  # as the standard library's own handlers do
            raise
        except Exception:  # noqa: BLE001 - a log call never fails, nor says so to a stderr that is gone
            self._lost_lines += 1
        else:
            self._lost_lines = 0

    def _lost(self, record: logging.LogRecord) -> str:
        text = f"{self._lost_lines:,} lines of this log are lost: nobody read it"
        lost = logging.LogRecord(__name__, logging.WARNING, "", 0, text, None, None)
        lost.created = record.created
        return self.format(lost)

    def _write(self, line: str) -> None:
        """Write a line, waiting for nobody.

        Raises:
            OSError, ValueError: stderr is closed, or nobody reads it.
        """
        try:
            descriptor = self._stream.fileno()
        except (OSError, ValueError, AttributeError):  # a stream in memory, or none at all
            self._stream.write(line + "\n")
            return
        data = (("\n" if self._is_torn else "") + line + "\n").encode("utf-8", "backslashreplace")
        seconds = 0.0
        # Somebody who is ready takes PIPE_BUF bytes at once, whatever the kind of stream (POSIX).
        for start in range(0, len(data), select.PIPE_BUF):
            if not select.select((), (descriptor,), (), seconds)[1]:
                self._is_torn |= start > 0
                raise BlockingIOError
            part = data[start : start + select.PIPE_BUF]
            if os.write(descriptor, part) < len(part):  # a reader that made it non-blocking
                self._is_torn = True
                raise BlockingIOError
            seconds = _REST_SECONDS
        self._is_torn = False


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    fields: object = getattr(record, FIELDS, None)
    return cast(Mapping[str, object], fields) if isinstance(fields, Mapping) else {}


def _shown(value: object) -> str:
    """A fact as text has it: quoted where its end would not be seen."""
    text = redact(str(value))
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _ends(text: str) -> str:
    half = MAX_TEXT_CHARS // 2
    return text if len(text) <= MAX_TEXT_CHARS else f"{text[:half]} […] {text[-half:]}"


def _utc(seconds: float) -> str:
    """The time as ISO 8601 has it, in milliseconds: logs of several machines sort together."""
    whole = int(seconds)
    told = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return f"{told}.{int((seconds - whole) * 1_000):03d}Z"
