"""What the tools answered, by what they were asked: the lines of `web.jsonl` and what they say.

```text
{"opened":{"pid":…,"at":…},"format":"seekling-web","version":1}     one for each opening
{"tools":[{"name":…,"description":…,"parameters":{…}},…]}           what was offered
{"tool":"web_visit","arguments":{…},"result":"<SHA-256>","id":"q7","repeat":0,"run":…,"call":…}
```

The last kind says that an episode (a question's id and its repeat, in the run of this id) made a
call and what it was given; the text lies in the store of results. A call that was made again has
the same id of the call, and its last line counts: it is what the agent read. `failed` marks what
the tools' side could not do this time, which is no answer for anybody else.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from agent_client.conversation import ToolCall, ToolResult, ToolSpec
from agent_client.errors import EvaluationError
from agent_client.evaluation.episode_record import EpisodeKey
from agent_client.evaluation.records.result_store import ResultStore
from agent_client.sessions.journal import read_lines

FILE = "web.jsonl"
FORMAT = "seekling-web"
VERSION = 1

CallKey = bytes
"""What equal calls have in common: 32 bytes."""


class RecordedCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line: a call and what it was given."""

    tool: str
    arguments: dict[str, Any]
    result: str
    """The result's SHA-256, 64 hexadecimal digits."""
    id: str
    repeat: int
    run: str
    call: str
    failed: bool = False


class _ToolLine(msgspec.Struct, frozen=True):
    name: str
    description: str
    parameters: dict[str, Any]


class _Line(msgspec.Struct, frozen=True):
    format: str = ""
    version: int = 0
    tools: list[_ToolLine] | None = None


@dataclass(slots=True)
class _Given:
    """What one episode was given, in one run."""

    run: str
    calls: dict[CallKey, dict[str, RecordedCall]] = field(
        default_factory=dict[CallKey, dict[str, RecordedCall]]
    )
    """By the id of the call, in the order of the first time each was made."""


class RecordedWeb:
    """A recording, as far as it was written.

    Attributes:
        directory: of the recording.
        tools: what was offered; None where no line says.
        unreadable: lines that are damaged, or not of this format.
    """

    def __init__(self, directory: Path, results: ResultStore | None = None) -> None:
        """Begin without any call; see `read`. `results` are those of the directory."""
        self.directory = directory
        self.tools: tuple[ToolSpec, ...] | None = None
        self.unreadable = 0
        self._results = results or ResultStore(directory)
        self._answers: dict[CallKey, dict[str, None]] = {}
        self._given: dict[EpisodeKey, _Given] = {}

    def read(self) -> bool:
        """Take in the file as it is.

        Returns:
            Whether it is there, and a recording.

        Raises:
            EvaluationError: it is of a newer version, or cannot be read.
        """
        path, is_recording = self.directory / FILE, False
        try:
            for line in read_lines(path):
                is_recording |= _take_in(self, line)
        except FileNotFoundError:
            return False
        except OSError as exc:
            raise EvaluationError(f"cannot read {str(path)!r}: {exc.strerror}") from exc
        return is_recording

    def add(self, recorded: RecordedCall) -> None:
        """Take in one more call."""
        key = call_key(recorded.tool, recorded.arguments)
        if not recorded.failed:
            self._answers.setdefault(key, {}).setdefault(recorded.result)
        episode = EpisodeKey(recorded.id, recorded.repeat)
        given = self._given.get(episode)
        if given is None or given.run != recorded.run:
            given = self._given[episode] = _Given(recorded.run)
        given.calls.setdefault(key, {})[recorded.call] = recorded

    def given_to(self, episode: EpisodeKey) -> dict[CallKey, list[RecordedCall]]:
        """What an episode was given in the last run that recorded it, in order; a copy."""
        given = self._given.get(episode)
        calls = given.calls if given else {}
        return {key: list(by_id.values()) for key, by_id in calls.items()}

    def answer(self, key: CallKey, call: ToolCall) -> ToolResult | None:
        """The first answer that anybody was given to calls of this key; None where there is none.

        Args:
            key: of the call, from `call_key`.
            call: whose id and name the answer gets.
        """
        digests = self._answers.get(key, ())
        found = (self.result(digest, call) for digest in digests)
        return next((result for result in found if result is not None), None)

    def result(self, digest: str, call: ToolCall) -> ToolResult | None:
        """A stored result as the answer to a call; None where it is missing or damaged."""
        return self._results.get(digest, call)


def read_recorded_web(directory: Path) -> RecordedWeb:
    """Read a recording; one that is just being written as far as it goes.

    Raises:
        EvaluationError: there is none, or one of a newer version, or it cannot be read.
    """
    web = RecordedWeb(directory)
    if not web.read():
        raise EvaluationError(
            f"{str(directory)!r} holds no recording of the web",
            hint=f"name a directory with a {FILE}: `--record` makes one",
        )
    return web


def call_key(tool: str, arguments: Mapping[str, object]) -> CallKey:
    """What two calls have in common that ask for the same.

    The order of the arguments and the form of numbers (`5`, `5.0`, `5e0`) make no difference.

    Raises:
        ValueError, RecursionError: the arguments have no form in JSON.
    """
    plain = json.loads(json.dumps(arguments, default=str), parse_float=_number)
    canonical = json.dumps([tool, plain], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()


def tools_line(tools: Sequence[ToolSpec]) -> bytes:
    """The line that says what was offered."""
    listed = [
        {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        for tool in tools
    ]
    return json.dumps({"tools": listed}, separators=(",", ":")).encode()


def call_line(recorded: RecordedCall) -> bytes:
    """The line of a call.

    Raises:
        ValueError, RecursionError: its arguments have no form in JSON.
    """
    told = msgspec.structs.asdict(recorded)
    if not recorded.failed:
        del told["failed"]
    return json.dumps(told, separators=(",", ":"), default=str).encode()


def _number(text: str) -> float:
    value = float(text)
    return int(value) if value.is_integer() else value


def _take_in(web: RecordedWeb, line: bytes) -> bool:
    """Add what a line says; whether it says that this is a recording."""
    # Python's parser, since models write halves of surrogate pairs.
    try:
        told = json.loads(line)
        if isinstance(told, dict) and "result" in told:
            web.add(msgspec.convert(told, RecordedCall))
            return False
        head = msgspec.convert(told, _Line)
    except (ValueError, RecursionError):
        web.unreadable += 1
        return False
    if head.tools is not None:
        web.tools = tuple(ToolSpec(t.name, t.description, t.parameters) for t in head.tools)
    if head.version > VERSION:
        raise EvaluationError(
            f"{str(web.directory / FILE)!r} was recorded by a newer version of Seekling",
            hint="upgrade Seekling to read it",
        )
    return head.format == FORMAT
