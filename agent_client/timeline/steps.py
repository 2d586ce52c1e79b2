"""The steps of a run as a page shows them; encoded to JSON with `msgspec`, with a field `kind`.

All text is as it came from the model, a page or a server: whoever shows it must escape it. Fields
with their default are left out of the JSON.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from agent_client.conversation import Repair
from agent_client.events import Guard
from agent_client.search_hits import Hit

MarkName = Guard | Literal["note", "compacted", "stage"]
"""What a mark in the timeline is about: a guard that acted, or something else worth a line."""


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """One entry of a timeline."""


class Turn(Step, frozen=True, kw_only=True, omit_defaults=True, tag="turn"):
    """The model thought and wrote; its calls are steps of their own, behind it."""

    turn: int
    """Counts from 1."""
    thinking: str = ""
    text: str = ""
    """What it wrote outside of its reasoning and its calls."""
    is_open: bool = False
    """Whether it is still at work: thinking and text are not known yet."""
    seconds: float = 0.0
    prompt_tokens: int = 0
    """0 where the server does not count, as are the other two."""
    completion_tokens: int = 0
    cached_tokens: int = 0
    retries: int = 0
    """Requests that failed before this one was answered."""
    malformed: tuple[str, ...] = ()
    """Why each call that could not be read could not."""
    discarded: str = ""
    """Why the reply was thrown away and asked for again; "" where it was not."""


class Call(Step, frozen=True, kw_only=True, omit_defaults=True, tag="call"):
    """A call of a tool that is neither a search nor a visit; base of these two."""

    id: str
    tool: str
    """The tool's name."""
    arguments: Mapping[str, object]
    """JSON values."""
    is_open: bool = False
    """Whether its result is awaited."""
    seconds: float = 0.0
    text: str = ""
    """The result's text where nothing more is known of it; of a failure what went wrong."""
    is_error: bool = False
    error_kind: str = ""
    """Why it failed, as our server tells it: `blocked`, `rate_limited`, `not_found`, …"""
    is_cached: bool = False
    repairs: tuple[Repair, ...] = ()
    """What it took to read the call."""


class Search(Call, frozen=True, kw_only=True, omit_defaults=True, tag="search"):
    """A search and its hits."""

    query: str = ""
    hits: tuple[Hit, ...] = ()
    notes: tuple[str, ...] = ()
    """What the server says below the hits: who answered, and what became of the others."""


Why = Literal["cited", "answer", "reference"]
"""`cited`: a sentence of the answer cites it; `answer`: the short answer stands there; `reference`:
a reference answer of the dataset does."""


class Highlight(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A passage of a page that was used."""

    start: int
    """First character, in UTF-16 units as JavaScript counts them, in `PagePart.text`."""
    end: int
    """Behind the last one; ranges of a page are in order and do not overlap."""
    why: Why
    source: int = 0
    """The citation's number, of `cited`."""


class PagePart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a visit gave of one page."""

    url: str
    title: str = ""
    text: str = ""
    """Words of the page, without headers and marks of our server; what the model was shown."""
    start: int = 0
    """Where in the page it begins, in characters, if it is one piece."""
    total_chars: int = 0
    """Of the page; 0 where it is not told."""
    highlights: tuple[Highlight, ...] = ()


class Visit(Call, frozen=True, kw_only=True, omit_defaults=True, tag="visit"):
    """A visit and what was read."""

    asked: tuple[str, ...] = ()
    """The addresses as the model wrote them."""
    query: str = ""
    pages: tuple[PagePart, ...] = ()


class Mark(Step, frozen=True, kw_only=True, omit_defaults=True, tag="mark"):
    """A guard acted, or something else happened that explains what follows."""

    name: MarkName
    text: str
    """One line for a person."""


AnyStep = Turn | Search | Visit | Call | Mark
