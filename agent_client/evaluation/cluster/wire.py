"""What driver and nodes say to each other, as bytes: plain data, no objects of ours.

Both sides run the same code: the driver refuses a node whose Seekling differs in a byte of its
sources, so that a run has one agent and nothing here needs versions.
"""

import hashlib
from functools import cache
from pathlib import Path

import msgspec

from agent_client import __version__
from agent_client.evaluation.episode_record import EpisodeRecord
from agent_client.evaluation.ports import Episode
from agent_client.sessions.lenient_json import decoded, encoded, plain_value


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Who a node is."""

    seekling: str
    code: str
    """`code_digest` of its sources."""
    host: str
    pid: int


class NodePlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a node gets the `Solve` that it works with."""

    opener: str
    """`module:function` of a `cluster.node.Opener`."""
    settings: bytes
    """For the opener; may hold secrets, so that it is never logged or stored."""


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The node takes episodes now."""


class Failed(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The node works no more: its model, its tools or its settings are no good."""

    error: str
    """The class of what went wrong."""
    message: str
    hint: str


class EventTold(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """An event of an episode."""

    ticket: int
    line: bytes
    """Of `sessions.event_codec`; one writer per episode."""


class ResultTold(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """What a tool returned in an episode."""

    ticket: int
    line: bytes
    """Of the same writer, in the form of a `ToolFinished`."""


class Ended(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """An episode is over."""

    ticket: int
    record: bytes


class Broken(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """An episode is over in a way that none should be: an error of ours."""

    ticket: int
    error: str
    """The class of what went wrong."""
    message: str


Told = Ready | Failed | EventTold | ResultTold | Ended | Broken

_ENCODER = msgspec.msgpack.Encoder()
_BATCH = msgspec.msgpack.Decoder(list[Told])
_FACTS = msgspec.msgpack.Decoder(NodeFacts)
_PLAN = msgspec.msgpack.Decoder(NodePlan)
_EPISODE = msgspec.json.Decoder(Episode, dec_hook=plain_value)
_RECORD = msgspec.json.Decoder(EpisodeRecord, dec_hook=plain_value)


def packed(value: "NodeFacts | NodePlan | list[Told]") -> bytes:
    """What is sent."""
    return _ENCODER.encode(value)


def facts_of(data: bytes) -> NodeFacts:
    """What a node says of itself.

    Raises:
        msgspec.DecodeError: it is something else, of another version perhaps.
    """
    return _FACTS.decode(data)


def plan_of(data: bytes) -> NodePlan:
    """The plan that was packed."""
    return _PLAN.decode(data)


def messages_of(data: bytes) -> list[Told]:
    """What a node told, in order."""
    return _BATCH.decode(data)


def packed_episode(episode: Episode) -> bytes:
    """An episode with its earlier turns.

    Raises:
        ValueError: it cannot be sent, such as fields nested a thousand deep.
    """
    return _as_json(episode)


def episode_of(data: bytes) -> Episode:
    """The episode that was packed."""
    return decoded(data, _EPISODE)


def packed_record(record: EpisodeRecord) -> bytes:
    """A record. Raises `ValueError` where it cannot be sent."""
    return _as_json(record)


def record_of(data: bytes) -> EpisodeRecord:
    """The record that was packed. Raises `ValueError` where it is none."""
    return decoded(data, _RECORD)


@cache
def code_digest() -> str:
    """SHA-256 of the Python sources of Seekling's two packages, as 64 hexadecimal digits."""
    client = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256(__version__.encode())
    for package in (client, client.with_name("mcp_server")):
        for path in sorted(package.rglob("*.py")):
            digest.update(f"\0{path.relative_to(client.parent).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _as_json(value: object) -> bytes:
    try:
        return encoded(value)
    except (TypeError, RecursionError) as exc:
        raise ValueError(f"{type(value).__name__}: {exc}") from exc
