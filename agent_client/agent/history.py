"""The conversation in full, and what the model is shown of it.

Whatever the policy leaves out, the full conversation keeps: the record is never shortened.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from agent_client.agent.context_size import messages_bytes
from agent_client.agent.notes import OMITTED_RESULT
from agent_client.agent.profile import HistoryPolicy
from agent_client.conversation import Message, Role, ToolCall, ToolResult

OnChange = Callable[[str, tuple[Message, ...], tuple[Message, ...]], None]
"""Takes the name of a policy, what the model was shown before, and what it is shown from now on."""

SHORTENED_FOR_ANSWER = "shortened_for_answer"
"""The policy's name when a conversation that does not fit is cut down for its last answer."""
SHORTENED_HISTORY = "shortened_history"
"""The policy's name when earlier questions leave no room to work on this one."""
_CUT_TEXT_CHARS = 2_000
"""What is left of a question or a reply that does not fit by itself."""


class History:
    """One conversation, which only grows at its end unless a policy says otherwise."""

    def __init__(
        self, messages: Sequence[Message], policy: HistoryPolicy, on_change: OnChange
    ) -> None:
        """Begin.

        Args:
            messages: the system message, earlier turns and the question.
            policy: what the model is shown.
            on_change: told when something that was already said is changed.
        """
        self._policy = policy
        self._on_change = on_change
        self._full = list(messages)
        self._shown: list[Message | None] = [self._projected(message) for message in messages]
        self._has_gaps = False
        self._omitted: set[int] = set()
        self._question = len(self._full) - 1
        self._is_announced = False

    @property
    def full(self) -> tuple[Message, ...]:
        """Everything that was said."""
        return tuple(self._full)

    @property
    def shown(self) -> tuple[Message, ...]:
        """What the next request shows the model."""
        if self._has_gaps:
            return tuple(message for message in self._shown if message)
        return cast(tuple[Message, ...], tuple(self._shown))

    @property
    def drops_reasoning(self) -> bool:
        """Whether the model is never shown what it thought in earlier turns."""
        return self._policy.kind == "drop_reasoning"

    @property
    def has_earlier_questions(self) -> bool:
        """Whether something was said before the question."""
        return any(message.role == "user" for message in self._full[: self._question])

    @property
    def next_position(self) -> int:
        """The index that the next message will have."""
        return len(self._full)

    def append(self, message: Message) -> Message:
        """Add a message; returns it as the model will be shown it."""
        shown = self._projected(message)
        self._full.append(message)
        self._shown.append(shown)
        if shown is not message and not self._is_announced:
            # Once: from here on every turn is changed after it was said.
            self._is_announced = True
            after = self.shown
            self._on_change(self._policy.kind, (*after[:-1], message), after)
        return shown

    def append_result(self, call: ToolCall, result: ToolResult) -> None:
        """Add the result of a call."""
        self.append(Message(role="tool", text=result.text, tool_call_id=call.id, name=call.name))

    def amend_last(self, note: str) -> None:
        """Write a note behind the last message, which no kept reply follows."""
        self._add_words(-1, note)

    def amend_question(self, policy: str, words: str) -> None:
        """Put further words behind the question, which changes what was already said."""
        before = self.shown
        self._add_words(self._question, words)
        self._on_change(policy, before, self.shown)

    def since(self, position: int) -> Sequence[Message]:
        """The messages from an index on, as the model is shown them."""
        return [message for message in self._shown[position:] if message]

    @property
    def ends_in_a_reply(self) -> bool:
        """Whether the last word is the model's."""
        return self._full[-1].role == "assistant"

    def text_at(self, position: int) -> str:
        """The full text of a message."""
        return self._full[position].text

    def is_shown(self, position: int) -> bool:
        """Whether the model still sees the text of a message."""
        return position not in self._omitted

    def omit_old_results(self, *, keep: int) -> bool:
        """Leave out all but the latest results, where the policy says so.

        Args:
            keep: how many of the latest results stay.

        Returns:
            Whether anything was left out.
        """
        if self._policy.kind != "omit_old_results":
            return False
        results = [n for n, message in enumerate(self._full) if message.role == "tool"]
        old = [n for n in results[: max(0, len(results) - keep)] if n not in self._omitted]
        old = [n for n in old if len(self._full[n].text) > len(OMITTED_RESULT)]
        if not old:
            return False
        before = self.shown
        for position in old:
            self._shown[position] = replace(self._full[position], text=OMITTED_RESULT)
        self._omitted.update(old)
        self._on_change(self._policy.kind, before, self.shown)
        return True

    def shorten(self, max_bytes: int, policy: str) -> None:
        """Cut what the model is shown down to a size, oldest things first.

        At first results are left out, then whole turns, at last the ends of long texts. The system
        message, the question and the last message stay.
        """
        before = self.shown
        size = messages_bytes(before)
        for position, message in enumerate(self._shown[:-1]):
            if size <= max_bytes:
                break
            if message and message.role == "tool" and len(message.text) > len(OMITTED_RESULT):
                size -= len(message.text) - len(OMITTED_RESULT)  # at least that many bytes
                self._shown[position] = replace(message, text=OMITTED_RESULT)
                self._omitted.add(position)
        if size > max_bytes:
            self._fit(max_bytes)
        self._on_change(policy, before, self.shown)

    def _add_words(self, position: int, words: str) -> None:
        said, shown = self._full[position], self._shown[position]
        self._full[position] = replace(said, text=said.text + words)
        self._shown[position] = shown and replace(shown, text=shown.text + words)

    def _fit(self, max_bytes: int) -> None:
        """Cut long texts and drop old turns, until the rest fits."""
        longest = max(max_bytes // 4, 2 * _CUT_TEXT_CHARS)
        begin = 1 if self._full[0].role == "system" else 0
        for position in range(begin, len(self._shown)):
            message = self._shown[position]
            self._shown[position] = message and _cut(message, longest)
        first = (*self._shown[:begin], self._shown[self._question])
        room = max_bytes - messages_bytes([message for message in first if message])
        room = self._drop_old("assistant", self._question + 1, len(self._shown), room)
        self._drop_old("user", begin, self._question, room)
        self._has_gaps = True

    def _drop_old(self, opener: Role, start: int, stop: int, room_bytes: int) -> int:
        """Drop all turns between two positions but the latest that fit; returns the room left.

        A turn begins with a message of the role `opener`. The conversation's last one stays.
        """
        end = stop
        for position in range(stop - 1, start - 1, -1):
            if self._full[position].role != opener:
                continue
            turn = [message for message in self._shown[position:end] if message]
            room_bytes -= messages_bytes(turn)
            if room_bytes < 0 and end < len(self._shown):
                break
            end = position
        self._shown[start:end] = [None] * (end - start)
        return room_bytes

    def _projected(self, message: Message) -> Message:
        if self.drops_reasoning and message.role == "assistant" and message.reasoning:
            return replace(message, reasoning="", raw="", token_ids=())
        return message


def _cut(message: Message, longest: int) -> Message:
    """A message of at most so many bytes, nearly; a call keeps its name."""
    if messages_bytes([message]) <= longest:
        return message
    calls = tuple(replace(call, arguments={}, raw="") for call in message.tool_calls)
    half = _CUT_TEXT_CHARS // 2
    text = message.text
    if len(text) > _CUT_TEXT_CHARS:  # both ends: a question's point or our note is in the last
        text = f"{text[:half]}\n[…]\n{text[-half:]}"
    return replace(message, text=text, reasoning="", tool_calls=calls, raw="", token_ids=())
