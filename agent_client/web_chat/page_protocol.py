"""What the chat page is told: of conversations when it asks, of events as they happen."""

from typing import Literal

import msgspec

from agent_client.sessions.lenient_json import encoded
from agent_client.timeline.steps import AnyStep
from agent_client.viewer.document import EpisodeView

RunStatus = Literal["running", "ended", "stopped"]
"""`stopped`: it has no end, as a person stopped it or the program was ended."""

Written = Literal["thinking", "text"]


class RunView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question of a conversation."""

    index: int
    """In its conversation, from 0."""
    status: RunStatus
    episode: EpisodeView
    seconds: float = 0.0
    """From the question to the end; 0 where it has none."""
    asked_at: str = ""
    """ISO 8601 in UTC."""
    is_undone: bool = False
    """Whether it was asked again: later questions do not build on it."""


class ConversationView(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as it is now."""

    id: str
    title: str
    kind: str
    created: str
    model: str
    is_saved: bool
    is_over: bool
    """Whether no question can follow: it is a report."""
    last_event: str
    """Everything up to this event is in here."""
    runs: tuple[RunView, ...]


class ListedConversation(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the list."""

    id: str
    title: str
    created: str
    ended: str
    """A stop reason, `cut_off`, or `being_written`."""
    is_running: bool


class StatusView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether questions can be answered, and by what."""

    state: Literal["opening", "ready", "failed"]
    version: str
    saves: bool
    told: tuple[str, ...] = ()
    """What is being set up, line by line."""
    model: str = ""
    profile: str = ""
    style: str = ""
    tools: tuple[str, ...] = ()
    message: str = ""
    """Why it failed."""
    hint: str = ""
    looked_at: tuple[str, ...] = ()
    """Where a model was looked for, and what was found there."""


class LiveEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Something happened in a conversation."""


class Asked(LiveEvent, frozen=True, kw_only=True, tag="asked"):
    """A question began to be worked on."""

    run: RunView
    again: bool = False
    """Whether it takes the place of the question before."""


class StepChanged(LiveEvent, frozen=True, kw_only=True, tag="step"):
    """A step is new or has changed."""

    run: int
    index: int
    step: AnyStep


class Delta(LiveEvent, frozen=True, kw_only=True, tag="delta"):
    """The model wrote some more of a turn that is open."""

    run: int
    index: int
    """Of the step."""
    what: Written
    text: str


class Ended(LiveEvent, frozen=True, kw_only=True, tag="finished"):
    """A run is over, well or badly."""

    run: RunView


class Deleted(LiveEvent, frozen=True, kw_only=True, tag="deleted"):
    """The conversation is gone."""


class Reset(LiveEvent, frozen=True, kw_only=True, tag="reset"):
    """The reader is too far behind: it has to ask for the whole conversation again."""


class Closing(LiveEvent, frozen=True, kw_only=True, tag="closing"):
    """The server ends."""


def frame(event: LiveEvent) -> bytes:
    """An event without id in the form of server-sent events."""
    return b"data: %s\n\n" % encoded(event)
