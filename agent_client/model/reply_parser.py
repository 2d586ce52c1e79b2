"""Read what a model wrote: its reasoning, its text and its tool calls.

One parser for all that servers do with a reply. Raw text holds everything; a server with a
reasoning parser sends the reasoning apart; one with a call parser sends calls apart, and leaves
in the text, or swallows, those that it could not read.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent_client.conversation import MalformedCall, ToolCall, ToolSpec
from agent_client.model.call_entries import finish_call, malformed_call
from agent_client.model.call_forms import UnreadableCall, WrittenCall, read_argument_text
from agent_client.model.call_reader import MAX_CALL_CHARS, MAX_CALLS, CallsInText, read_calls
from agent_client.model.shown_reply import THINK_CLOSE, THINK_OPEN, Piece, ShownReply

__all__ = ["ParsedReply", "Piece", "ReplyParser", "ServedCall", "dropped_call"]

_CUT_REASONS = frozenset({"length", "max_tokens", "abort", "content_filter"})
_MARK = re.compile(
    rf"(?P<open>{THINK_OPEN.pattern})|(?P<close>{THINK_CLOSE.pattern})|(?P<call><tool_call>\s*+)"
)
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class ServedCall:
    """A call that the server has parsed already, put together from its fragments."""

    name: str
    arguments: str
    """JSON, as the server sent it; "" is no arguments."""
    id: str = ""
    """The server's id of it; "" to have one made."""


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """A finished reply, taken apart. Every call that was written is in one of the two tuples."""

    reasoning: str
    """Without outer whitespace; parts of it are joined by a blank line."""
    text: str
    """What is left without reasoning and calls, without outer whitespace."""
    calls: tuple[ToolCall, ...] = ()
    """Those of the server first, then those in the text, in the order written. Their tools may
    not exist."""
    malformed: tuple[MalformedCall, ...] = ()
    """The calls that could not be read or were cut off, in the same order."""


def dropped_call(tools: Sequence[ToolSpec]) -> MalformedCall:
    """Make the entry for a call that the server swallowed (the caller sees that it did).

    The sign of it: tools were offered, the reply is over (`stop` or `tool_calls`), and it has
    neither text nor calls.
    """
    return malformed_call("", UnreadableCall(""), tools, kind="dropped")


class ReplyParser:
    """Reads one reply that is fed in pieces of any size; make a new one for each reply.

    What `feed` gives out is what a person may watch; `finish` has the last word. Neither depends
    on how the reply was cut into pieces.

    Args:
        tools: what the model was offered: whose names bare calls are looked for, and whose
            schemas arguments are fitted to. Calls in tags are read without any.
        starts_in_reasoning: whether the prompt ended inside of `<think>`.
        reads_calls: whether calls are looked for in the text; not when the text follows a
            schema of our own.
    """

    def __init__(
        self,
        tools: Sequence[ToolSpec] = (),
        *,
        starts_in_reasoning: bool = False,
        reads_calls: bool = True,
    ) -> None:
        self._tools = tuple(tools)
        self._reads_calls = reads_calls
        self._starts_in_reasoning = starts_in_reasoning
        self._text: list[str] = []
        self._served_reasoning: list[str] = []
        self._shown = ShownReply(
            [tool.name for tool in self._tools],
            starts_in_reasoning=starts_in_reasoning,
            hides_calls=reads_calls,
        )

    def feed(self, text: str, *, reasoning: str = "") -> Piece:
        """Take the next characters; give out what may be shown now.

        Args:
            text: the next part of the reply's text, in raw mode of all that the model writes.
            reasoning: the next part of the reasoning, where the server sends it apart. From the
                first such part on, `<think>` in the text is data like any other.
        """
        self._text.append(text)
        if not reasoning:
            return self._shown.feed(text)
        if not self._served_reasoning:
            self._shown.expect_text_only()
        self._served_reasoning.append(reasoning)
        return Piece(reasoning, self._shown.feed(text).text)

    def finish(self, finish_reason: str, *, served: Sequence[ServedCall] = ()) -> ParsedReply:
        """Take everything apart that was fed; call it once, at the end.

        Args:
            finish_reason: as the server says it; after "length" an unfinished call is malformed,
                and so is the last served one, which looks whole but has lost arguments.
            served: the calls that the server has parsed, in their order.
        """
        is_cut = finish_reason in _CUT_REASONS
        raw = "".join(self._text)
        if self._served_reasoning:
            reasoning, text = "".join(self._served_reasoning).strip(), raw.strip()
            is_open = False
        else:
            parts = _parts(raw, starts_inside=self._starts_in_reasoning)
            (reasoning, text), is_open = _joined(parts), parts[-1][1]
        calls, malformed = self._take_served(served, is_cut=is_cut)
        if not self._reads_calls:
            return ParsedReply(reasoning, text, calls, malformed)
        found = read_calls(text, self._tools, is_cut=is_cut, reads_bare=not served)
        is_last_word = is_open or not found.text
        if reasoning and is_last_word and not (served or found.calls or found.malformed):
            # The model never came to an answer, but a call in its reasoning shows what it wants.
            inner = self._calls_in_reasoning(reasoning, is_cut=is_cut)
            reasoning, found = inner.text, replace(inner, text=found.text)
        return ParsedReply(reasoning, found.text, calls + found.calls, malformed + found.malformed)

    def _calls_in_reasoning(self, reasoning: str, *, is_cut: bool) -> CallsInText:
        inner = read_calls(reasoning, self._tools, is_cut=is_cut)
        raws = [entry.raw for entry in (*inner.calls, *inner.malformed)]
        is_last = any(reasoning.endswith(raw) for raw in raws)
        if raws and (is_last or ("<tool_call>" in reasoning and not is_cut)):
            return inner
        return CallsInText(reasoning)  # it weighed a call and went on thinking

    def _take_served(
        self, served: Sequence[ServedCall], *, is_cut: bool
    ) -> tuple[tuple[ToolCall, ...], tuple[MalformedCall, ...]]:
        calls: list[ToolCall] = []
        malformed: list[MalformedCall] = []
        for number, call in enumerate(served, start=1):
            raw = f'{{"name": {json.dumps(call.name)}, "arguments": {call.arguments}}}'
            if is_cut and number == len(served):
                error = UnreadableCall("", name=call.name)
                malformed.append(malformed_call(raw, error, self._tools, kind="cut_off"))
                continue
            try:
                calls.append(self._read_served(call, raw))
            except UnreadableCall as error:
                malformed.append(malformed_call(raw, error, self._tools))
        return tuple(calls), tuple(malformed)

    def _read_served(self, call: ServedCall, raw: str) -> ToolCall:
        if len(call.arguments) > MAX_CALL_CHARS:
            reason = f"it is longer than {MAX_CALL_CHARS:,} characters"
            raise UnreadableCall(reason, name=call.name)
        arguments, repairs = read_argument_text(call.arguments, call.name)
        written = WrittenCall(call.name, arguments, repairs)
        read = finish_call(written, self._tools, raw=raw, call_id=call.id)
        return read if read.repairs else replace(read, raw="")


def _parts(raw: str, *, starts_inside: bool) -> list[tuple[str, bool]]:
    """Cut a reply into its parts: each text, and whether it is reasoning."""
    tags = _think_tags(raw)
    parts: list[tuple[str, bool]] = []
    is_inside = starts_inside or (bool(tags) and tags[0][2])
    position = 0
    for start, end, is_close in tags:
        if is_inside and not is_close:
            continue  # data, as any text inside
        parts.append((raw[position:start], is_inside))
        position, is_inside = end, not is_close
    return [*parts, (raw[position:], is_inside)]


def _think_tags(raw: str) -> list[tuple[int, int, bool]]:
    """List the tags of reasoning: start, end, and whether each is a closing one."""
    if "think>" not in raw:
        return []
    tags: list[tuple[int, int, bool]] = []
    position = calls = 0
    while mark := _MARK.search(raw, position):
        position = mark.end()
        if mark["call"] is None:
            tags.append((mark.start(), mark.end(), mark["close"] is not None))
        elif calls < MAX_CALLS:
            calls += 1
            try:
                _, position = _DECODER.raw_decode(raw, position)
            except (ValueError, RecursionError):
                continue
    return tags


def _joined(parts: Sequence[tuple[str, bool]]) -> Piece:
    by_kind: tuple[list[str], list[str]] = ([], [])  # text, reasoning
    for part, is_reasoning in parts:
        if stripped := part.strip():
            by_kind[is_reasoning].append(stripped)
    return Piece("\n\n".join(by_kind[1]), "\n\n".join(by_kind[0]))
