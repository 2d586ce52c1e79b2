"""Calls that have nothing to do with the load, from a process of their own.

    python -m tests.load.others BASE        # until its stdin closes; then prints what it saw

The callers of a load keep their own process busy: measured there, a call takes as long as its turn
there, whatever the server does.
"""

import json
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
import httpx

from tests.load.loaded_server import call, caller_of, list_tools

EVERY_SECONDS = 0.25


@dataclass(slots=True)
class Others:
    """What came of them."""

    seconds: dict[str, list[float]] = field(
        default_factory=lambda: defaultdict[str, list[float]](list)
    )
    """By the name of the call."""
    lost: list[str] = field(default_factory=list[str])


async def keep_calling(base: str, others: Others) -> None:
    """List the tools and search the embedded encyclopedia in turn, until cancelled."""
    async with caller_of(base) as http:
        while True:
            for name in ("tools/list", "web_search"):
                began = time.monotonic()
                try:
                    if name == "web_search":
                        failed, text = await call(http, name, query="river lighthouse")
                        if failed:
                            others.lost.append(f"{name}: {text[:200]}")
                    else:
                        await list_tools(http)
                except (httpx.HTTPError, ValueError) as error:
                    others.lost.append(f"{name}: {error!r}"[:300])
                others.seconds[name].append(time.monotonic() - began)
                await anyio.sleep(EVERY_SECONDS)


async def _until_stdin_closes(base: str, others: Others) -> None:
    async with anyio.create_task_group() as calling:
        calling.start_soon(keep_calling, base, others)
        await anyio.to_thread.run_sync(sys.stdin.read)
        calling.cancel_scope.cancel()


def main() -> None:
    """Run it as a program."""
    others = Others()
    anyio.run(_until_stdin_closes, sys.argv[1], others)
    sys.stdout.write(json.dumps({"seconds": others.seconds, "lost": others.lost}) + "\n")


if __name__ == "__main__":
    main()
