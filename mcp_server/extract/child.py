"""The child process that reads one document: `python -P -m mcp_server.extract.child`.

It takes one line of JSON (`SourceInfo` and the body's length) and the body on stdin, writes one
JSON object on stdout, and ends. See `worker` for the parent's side.
"""

import json
import sys
from dataclasses import asdict

from mcp_server.extract import extract
from mcp_server.extract.types import SourceInfo

MAX_MEMORY_BYTES = 1 << 30


def main() -> None:
    """Read one document from stdin to stdout."""
    header = json.loads(sys.stdin.buffer.readline())
    body = sys.stdin.buffer.read()
    if len(body) != header["body_bytes"]:
        raise SystemExit(1)  # the parent died while it was writing
    _limit_resources(int(header["cpu_seconds"]))
    info = SourceInfo(url=header["url"], media_type=header["media_type"], charset=header["charset"])
    extracted = extract(body, info)
    sys.stdout.buffer.write(json.dumps(asdict(extracted)).encode("ascii"))


def _limit_resources(cpu_seconds: int) -> None:
    """Bound memory and time, so that a child that lost its parent ends by itself."""
    try:
        import resource  # POSIX only
    except ImportError:
        return
    for limit, value in (
        (resource.RLIMIT_AS, MAX_MEMORY_BYTES),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            resource.setrlimit(limit, (value, value))
        except (ValueError, OSError):
            continue  # the system does not have this limit, or a stricter one is in force


if __name__ == "__main__":
    main()
