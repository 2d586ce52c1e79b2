"""The child process that reads documents: `python -P -S -m mcp_server.extract.workers.child`.

Over its stdin and stdout, which are one socket to the parent (see `worker`), it takes documents
and gives their texts, one after the other, until the parent closes the socket. A request is one
line of JSON and then the bytes of the document; a reply is one line of JSON and then UTF-8 text:

```text
{"url", "media_type", "charset", "body_bytes", "cpu_seconds"}             body
{"title", "metadata", …, "text_bytes", "plain_text_bytes", …spent}        text, plain text
{"error": {"message", "hint", "retryable"}, …spent}                       an ExtractionError
{"failure": "RecursionError", …spent}                                     any other exception
```

where `…spent` is `"cpu_seconds", "peak_bytes"`. What a hostile document can spend is limited by
the kernel, because native code lets neither signal handlers nor threads of Python run.
"""

import fcntl
import gc
import json
import os
import re
import resource
import signal
import sys
from dataclasses import asdict
from typing import Any, BinaryIO

from mcp_server.errors import ExtractionError
from mcp_server.extract import extract
from mcp_server.extract.types import Extracted, SourceInfo

MAX_MEMORY_BYTES = 1 << 30

_YOUNG_OBJECTS = 100_000
"""From this many on the collector looks for cycles; what is read has none, and few pages as many
objects, so that it does not cost a twentieth of the time."""
_MAX_WIDE_CHARS = 10_000_000
_WIDE = re.compile("[\U00010000-\U0010ffff]")
_PEAK_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
_STDIN, _STDOUT = 0, 1


def main() -> None:
    """Read documents until the parent goes away."""
    requests, replies = _take_over_stdio()
    # What the most common type needs is imported (and its byte code kept) ahead of any document.
    extract(b"<p>warm</p>", SourceInfo(url="", media_type="text/html", charset="utf_8"))
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
    sys.dont_write_bytecode = True
    _limit_resources()
    while line := requests.readline():
        request = json.loads(line)
        body = requests.read(request["body_bytes"])
        if len(body) < request["body_bytes"]:
            return  # the parent died while it was writing
        _end_with_parent(requests, True)
        head, texts = _read(body, request)
        _end_with_parent(requests, False)
        replies.write(json.dumps(head).encode("ascii") + b"\n" + texts)
        replies.flush()


def _take_over_stdio() -> tuple[BinaryIO, BinaryIO]:
    """The streams to the parent; a library that prints must not reach it."""
    requests, replies = os.fdopen(os.dup(_STDIN), "rb"), os.fdopen(os.dup(_STDOUT), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, _STDIN)
    os.dup2(nothing, _STDOUT)
    return requests, replies


def _limit_resources() -> None:
    """Bound memory and forbid files; the time of each document is bounded in `_read`."""
    for limit, value in (
        (resource.RLIMIT_AS, MAX_MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            resource.setrlimit(limit, (value, value))
        except (ValueError, OSError):
            continue  # the system does not have this limit, or a stricter one is in force


def _end_with_parent(requests: BinaryIO, is_on: bool) -> None:
    """Have the kernel end this process at once when the parent's end of the socket closes.

    Between documents the end of the stream says so. PR_SET_PDEATHSIG would be Linux only and
    fires when the parent's *thread* ends. Where SIGIO does nothing by default (macOS), the limit
    of processor time ends an orphan.
    """
    fcntl.fcntl(requests, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(requests, fcntl.F_GETFL)
    flags = flags | os.O_ASYNC if is_on else flags & ~os.O_ASYNC
    fcntl.fcntl(requests, fcntl.F_SETFL, flags)


def _read(body: bytes, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The head of the reply and the texts that follow it."""
    info = SourceInfo(
        url=request["url"], media_type=request["media_type"], charset=request["charset"]
    )
    signal.setitimer(signal.ITIMER_PROF, request["cpu_seconds"])  # SIGPROF ends the process
    started = resource.getrusage(resource.RUSAGE_SELF)
    head: dict[str, Any]
    texts = b""
    try:
        head, texts = _told(extract(body, info))
    except ExtractionError as exc:
        head = {"error": {"message": str(exc), "hint": exc.hint, "retryable": exc.retryable}}
    except Exception as exc:  # noqa: BLE001  what one document met must not stop the next one
        head = {"failure": type(exc).__name__}
    # Not `time.process_time`, which Linux lets stand still between ticks while the timer runs.
    spent = resource.getrusage(resource.RUSAGE_SELF)
    signal.setitimer(signal.ITIMER_PROF, 0)
    head["cpu_seconds"] = spent.ru_utime - started.ru_utime + spent.ru_stime - started.ru_stime
    head["peak_bytes"] = _own_peak_bytes() or spent.ru_maxrss * _PEAK_UNIT_BYTES
    return head, texts


def _own_peak_bytes() -> int:
    """The most memory this process held; 0 where the system does not tell.

    Linux's `ru_maxrss` does not do: it begins with what the parent held when it started us.
    """
    try:
        with open("/proc/self/status", "rb") as status:  # noqa: PTH123  pathlib is not imported here
            told = next(line for line in status if line.startswith(b"VmHWM:"))
        return int(told.split()[1]) * 1024
    except (OSError, StopIteration, ValueError, IndexError):
        return 0


def _told(extracted: Extracted) -> tuple[dict[str, Any], bytes]:
    text = _encoded(extracted.text)
    plain_text = _encoded(extracted.plain_text)
    head: dict[str, Any] = {
        "title": extracted.title,
        "metadata": asdict(extracted.metadata),
        "notes": extracted.notes,
        "has_inline_links": extracted.has_inline_links,
        "needs_javascript": extracted.needs_javascript,
        "text_bytes": len(text),
        "plain_text_bytes": len(plain_text),
    }
    return head, text + plain_text


def _encoded(text: str) -> bytes:
    """The text as UTF-8.

    One emoji has Python keep every character of a text in four bytes. The parent can spare them,
    except for a text that is longer than any page for people.
    """
    if len(text) > _MAX_WIDE_CHARS and not text.isascii():
        text = _WIDE.sub("\ufffd", text)
    return text.encode("utf-8", "replace")  # lone surrogates exist in Python only


if __name__ == "__main__":
    main()
