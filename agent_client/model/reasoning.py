"""Separate a model's reasoning from its text, and from what is shown of it, while it streams in.

Servers without a reasoning parser leave `<think>…</think>` in the text. Some chat templates open
the reasoning in the prompt, so that the text has only the closing tag.
"""

from dataclasses import dataclass

OPEN_TAG = "<think>"
CLOSE_TAG = "</think>"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some reasoning and some text, in this order of writing; either can be ""."""

    reasoning: str = ""
    text: str = ""


class ReasoningSplitter:
    """Splits a text that is fed in pieces of any size.

    All pieces that come out, joined, do not depend on how the input was cut. Whitespace around the
    tags is dropped, everything else is kept, also after a second `<think>`.

    A closing tag without an opening one makes everything before it reasoning. What was already
    given out as text cannot be taken back, so `finish` has the last word: its result replaces
    the joined pieces.
    """

    def __init__(self) -> None:
        self._raw = ""
        self._position = 0  # everything before it has been given out, or was a tag
        self._is_reasoning = False
        self._skip_space = True  # leading whitespace, also right after a tag, is layout

    def feed(self, chunk: str) -> Piece:
        """Take the next characters; give out what is certain.

        Holds back at most a tag's length and trailing whitespace.
        """
        self._raw += chunk
        reasoning: list[str] = []
        text: list[str] = []
        while True:
            tag = CLOSE_TAG if self._is_reasoning else OPEN_TAG
            start = self._raw.find(tag, self._position)
            end = len(self._raw) if start < 0 else start
            certain = self._certain(end, tag, is_before_tag=start >= 0)
            (reasoning if self._is_reasoning else text).append(certain)
            if start < 0:
                return Piece("".join(reasoning), "".join(text))
            self._position = start + len(tag)
            self._is_reasoning = not self._is_reasoning
            self._skip_space = True

    def _certain(self, end: int, tag: str, *, is_before_tag: bool) -> str:
        part = self._raw[self._position : end]
        if self._skip_space:
            part = part.lstrip()
            self._position = end - len(part)
        kept = part if is_before_tag else part[: len(part) - _held_back(part, tag)]
        kept = kept.rstrip()
        self._position += len(kept)
        if kept:
            self._skip_space = False
        return kept

    def finish(self) -> Piece:
        """Give the whole reasoning and the whole text of everything fed so far.

        Parts of one kind are joined by a blank line.
        """
        return split_reasoning(self._raw)


class ShownText:
    """Lets through what a person may watch of a streaming text.

    Outer whitespace is left out, and everything from the first tag on: what follows is for us.

    Args:
        tag: what ends the part to show, such as `<tool_call>`.
    """

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._pending = ""
        self._has_started = False
        self._is_over = False

    def feed(self, text: str) -> str:
        """Take the next characters; give those to show now, or ""."""
        if self._is_over:
            return ""
        self._pending += text
        if not self._has_started:
            self._pending = self._pending.lstrip()
        cut = self._pending.find(self._tag)
        self._is_over = cut >= 0
        end = cut if self._is_over else len(self._pending) - _held_back(self._pending, self._tag)
        shown = self._pending[:end].rstrip()
        self._pending = self._pending[len(shown) :]
        self._has_started = self._has_started or bool(shown)
        return shown


def _held_back(part: str, tag: str) -> int:
    """Count the characters at the end that can be the beginning of the tag."""
    for size in range(min(len(tag) - 1, len(part)), 0, -1):
        if part.endswith(tag[:size]):
            return size
    return 0


def split_reasoning(raw: str) -> Piece:
    """Split a whole text. An unclosed `<think>` makes the rest reasoning."""
    reasoning: list[str] = []
    text: list[str] = []
    opened, closed = raw.find(OPEN_TAG), raw.find(CLOSE_TAG)
    if closed >= 0 and (opened < 0 or closed < opened):
        reasoning.append(raw[:closed])
        raw = raw[closed + len(CLOSE_TAG) :]
    while raw:
        before, _, rest = raw.partition(OPEN_TAG)
        thought, _, raw = rest.partition(CLOSE_TAG)
        text.append(before)
        reasoning.append(thought)
    return Piece(_join(reasoning), _join(text))


def _join(parts: list[str]) -> str:
    return "\n\n".join(filter(None, (part.strip() for part in parts)))
