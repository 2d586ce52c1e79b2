"""A few cases against another server: what shows there could show here too."""

import fnmatch
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tests.bench.environments import program_of, versions_of
from tests.torture import content, exhausting, reaching
from tests.torture.case import ERROR, REFUSED, Stage, Visit

PEER = "mcp-server-fetch"
_CHOSEN = (
    "S1.00.*",
    "S6.to-ipv4",
    "S7.private",
    "S7.rebind*",
    "R1.gzip",
    "R1.gzip-gzip",
    "R3.byte-a-second",
    "R6.nested-div",
    "R7.spaces",
    "C1.sjis-as-utf-8",
    "C1.of-600-KB",
    "C3.escape-raw",
    "C3.bidi-raw",
    "C4.hidden",
    "C6.in-text",
    "C9.lone-surrogate",
)


def stage_of(ours: Stage) -> Stage:
    """The same hostile web, for the other server.

    It finds no Node: with one, it would load packages from the network at its first page.
    """
    folder = Path(ours.folder, "peer")
    folder.mkdir()
    command = (program_of(PEER, "mcp-server-fetch"), "--ignore-robots-txt")
    environment = {"PATH": "/nonexistent"}
    return Stage(folder, ours.site, ours.names, command, tool="fetch", environment=environment)


def cases() -> list[Visit]:
    """Those whose outcome can be compared; it has one kind of error for all."""
    every: Iterable[Visit] = (
        *reaching.visits(),
        *content.visits(),
        *exhausting.heavy(),
        *exhausting.slow(),
    )
    return [
        replace(case, expected=(*case.expected, ERROR)) if REFUSED in case.expected else case
        for case in every
        if any(fnmatch.fnmatchcase(case.name, name) for name in _CHOSEN)
    ]


def version() -> dict[str, str]:
    """Which one it is."""
    return versions_of(PEER, PEER)
