"""What a person may watch of a reply while it streams in: its reasoning and its text, no calls."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from agent_client.model.call_reader import OPEN_TAG, spelled_call

THINK_OPEN = re.compile(r"<think>(?!(?<=`<think>)`|(?<=\"<think>)\"|(?<='<think>)')")
"""Begins reasoning; between quotes the tag is spoken of."""
THINK_CLOSE = re.compile(r"</think>(?!(?<=`</think>)`|(?<=\"</think>)\"|(?<='</think>)')")
"""Ends reasoning; between quotes the tag is spoken of."""

_MAX_HELD_CHARS = 160
_IN_TEXT = re.compile(r"[<\[{`\n]").search
_IN_REASONING = re.compile(r"[<\[]").search
_TAGS = re.compile(rf"(?P<think></?think>)|(?P<call>{OPEN_TAG.pattern})")
_PARTIAL_TAG = re.compile(r"[<\[][^<>\[\]\s]{0,30}\Z|<invoke\s{1,9}[name]{0,4}\Z")
_LINE = re.compile(r"^[ \t]{0,20}(?=[{\[`]|Act|Ac?\Z)", re.MULTILINE)
_HEAD_START = r"[ \t]{0,20}(?:```[\w-]{0,20}\s{0,9})?[\[{\s]{1,20}[\"'“]?"
_MAYBE_HEAD = re.compile(
    r"[ \t]{0,20}(?:`{0,3}|```[\w-]{0,20}\s{0,9}(?:[\[{\s]{1,20}[\"'“]?\w{0,40}[\"'”]?\s{0,9})?"
    r"|[\[{\s]{1,20}[\"'“]?\w{0,40}[\"'”]?\s{0,9}"
    r"|A(?:c(?:t(?:i(?:o(?:n(?::[ \t]{0,9}`?[\w.-]{0,64})?)?)?)?)?)?)"
)


class Piece(NamedTuple):
    """Some reasoning and some text, in this order of writing; either can be ""."""

    reasoning: str = ""
    text: str = ""


_Shown = tuple[list[str], list[str]]  # what comes out: text, reasoning

NOTHING = Piece()
_HEADLESS = ('"arguments"', '"parameters"')


@lru_cache(maxsize=64)
def _patterns(names: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Compile what JSON begins with when it can be a call, and the start of a spelled-out call."""
    alternatives = "|".join(re.escape(name) for name in sorted(names))
    keys = "name|tool|tool_name|function|function_name|action|tool_calls|type|arguments|parameters"
    head = re.compile(
        rf"{_HEAD_START}(?:{keys}|{alternatives})[\"'”]?\s{{0,9}}[:=]"
        rf"|[ \t]{{0,20}}Action:[ \t]{{0,9}}`?(?:{alternatives})"
    )
    spelled = re.compile(rf"(?:functions?\.)?(?:{alternatives})[\w.:\[\]]{{0,10}}\s{{0,3}}")
    return head, spelled


class ShownReply:
    """Decides what of a streaming reply is shown, and when.

    Reasoning and text come out as soon as they are certain, without the whitespace around them;
    parts of one kind are set apart by a blank line. From the first sign of a call on, no more text
    comes out: what follows is for us. A call inside of the reasoning waits for the end of the
    reasoning, which makes it part of it. All pieces that come out, joined, do not depend on how
    the reply was cut.

    Args:
        names: the tools whose bare calls are kept from being shown.
        starts_in_reasoning: whether the reply begins with reasoning.
        hides_calls: False shows all text.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        starts_in_reasoning: bool = False,
        hides_calls: bool = True,
    ) -> None:
        self._has_reasoning = True
        self._names = tuple(names) if hides_calls else ()
        self._hides_calls = hides_calls
        self._is_reasoning = starts_in_reasoning
        self._is_over = False
        self._is_quiet = False  # whether nothing is pending that could become a tag or a call
        self._waits = False  # a call in the reasoning: part of it, if the reasoning ends
        self._pending = ""  # taken, but not given out yet
        self._is_line_start = True  # whether `_pending` begins a line
        self._is_begun = False  # whether the present part has given out anything
        self._has_shown = [False, False]  # text, reasoning: whether any was given out
        self._last = ""  # what was given out last in this part
        self._blank: list[str] = []  # whitespace before `_pending`, shown if something follows it
        self._waiting: list[str] = []  # what stands before `_pending` while `_waits`

    def expect_text_only(self) -> None:
        """Take `<think>` as data from now on: the server sends the reasoning apart."""
        self._has_reasoning = self._is_reasoning = False

    def feed(self, chunk: str) -> Piece:
        """Take the next characters; give out what is certain."""
        if not chunk:
            return NOTHING
        if self._is_quiet:
            is_reasoning = self._is_reasoning
            if not (_IN_REASONING if is_reasoning else _IN_TEXT)(chunk):
                kept = chunk.rstrip()
                if kept and self._blank:
                    kept = "".join(self._blank) + kept
                    self._blank.clear()
                if kept:
                    self._last = kept
                if chunk[-1].isspace():
                    self._blank.append(chunk[len(chunk.rstrip()) :])
                return Piece(kept) if is_reasoning else Piece("", kept)
        if self._is_over:
            return NOTHING
        self._pending += chunk
        shown: _Shown = ([], [])
        while self._step(shown):
            pass
        can_begin_call = self._is_line_start and not self._is_reasoning
        self._is_quiet = not (
            self._pending or self._is_over or self._waits or can_begin_call or not self._is_begun
        )
        return Piece("".join(shown[1]), "".join(shown[0]))

    def _step(self, shown: _Shown) -> bool:
        """Deal with `_pending` up to the next tag; tell whether there was one."""
        if self._waits:
            return self._step_waiting(shown)
        tag, hold = self._first_tag()
        if tag is None:
            if not self._is_reasoning:
                hold = min(hold, self._held_line(len(self._pending)))
            self._give(hold, shown)
            return False
        if not self._is_reasoning and self._names:
            held = self._held_line(tag.start(), has_more=True)
            if held < tag.start() or self._is_over:
                self._give(held, shown)
                return False
        is_wait = self._is_reasoning and tag["call"] is not None
        self._give(tag.start(), shown, is_whole=not is_wait)
        if tag["call"] is None:
            self._turn(tag.group())
            return True
        self._waits = is_wait
        self._is_over = not is_wait
        return is_wait

    def _first_tag(self) -> tuple[re.Match[str] | None, int]:
        """Find the first tag that counts, and up to where the text before it is certain."""
        buffer, position = self._pending, 0
        partial = _PARTIAL_TAG.search(buffer, max(len(buffer) - 40, 0))
        hold = partial.start() if partial else len(buffer)
        while tag := _TAGS.search(buffer, position):
            position = tag.end()
            if not self._counts(tag):
                continue
            quote = self._quote_before(tag.start())
            if quote and tag.end() == len(buffer):
                return None, tag.start()  # the quote after it may still come
            if not quote or buffer[tag.end()] != quote:
                return tag, hold
        return None, hold

    def _counts(self, tag: re.Match[str]) -> bool:
        if tag["call"] is not None:
            return self._hides_calls
        return self._has_reasoning and not (self._is_reasoning and tag.group() == "<think>")

    def _quote_before(self, position: int) -> str:
        """Give the quote before a position of `_pending`: what follows is spoken of; else ""."""
        before = self._pending[position - 1] if position else self._last[-1:]
        return before if before in ("`", '"', "'") and (position or not self._blank) else ""

    def _step_waiting(self, shown: _Shown) -> bool:
        close = THINK_CLOSE.search(self._pending)
        if close is None or (close.end() == len(self._pending) and self._ends_quoted(close)):
            tail = max(len(self._pending) - len("`</think>`"), 0)
            self._waiting.append(self._pending[:tail])
            self._pending = self._pending[tail:]
            return False
        self._waits = False
        before = "".join(self._waiting) + self._pending[: close.start()]
        self._waiting.clear()
        self._pending = before + self._pending[close.start() :]
        self._give(len(before), shown, is_whole=True)
        self._turn(close.group())
        return True

    def _ends_quoted(self, close: re.Match[str]) -> bool:
        return self._pending[close.start() - 1 : close.start()] in ("`", '"', "'")

    def _turn(self, tag: str) -> None:
        self._pending = self._pending[len(tag) :]
        self._is_reasoning = tag == "<think>"
        self._is_begun = False
        self._is_line_start = True
        self._blank.clear()
        self._last = ""

    def _held_line(self, end: int, *, has_more: bool = False) -> int:
        """Find the line, before `end`, that can still become a call; `end` if there is none.

        Ends the showing where it has become one. Where more has come behind `end`, what is not a
        call by then becomes none.
        """
        if not self._names:
            return end
        buffer = self._pending
        head, spelled = _patterns(self._names)
        if not self._is_begun:
            start = len(buffer) - len(buffer.lstrip())
            rest = buffer[start:end]
            if self._is_spelled(rest) or (not has_more and self._may_spell(rest, spelled)):
                return start
        for line in _LINE.finditer(buffer, 0, end):
            if line.start() == 0 and not self._is_line_start:
                continue
            if head.match(buffer, line.start()):
                self._is_over = True
                return line.start()
            rest = buffer[line.start() :]
            if has_more:
                continue
            if len(rest) < _MAX_HELD_CHARS and _MAYBE_HEAD.fullmatch(rest):
                return line.start()
        return end

    def _is_spelled(self, rest: str) -> bool:
        """Tell whether the text begins with a call; that ends the showing."""
        if rest.startswith(_HEADLESS) or spelled_call(self._names).match(rest):
            self._is_over = True
        return self._is_over

    def _may_spell(self, rest: str, spelled: re.Pattern[str]) -> bool:
        """Tell whether the text may become one."""
        if not rest:
            return False
        starts = (prefix + name for name in self._names for prefix in ("", "functions."))
        is_partial = any(start.startswith(rest) for start in (*starts, *_HEADLESS))
        return is_partial or spelled.fullmatch(rest) is not None

    def _give(self, end: int, shown: _Shown, *, is_whole: bool = False) -> None:
        """Give out `_pending` up to a position, without the whitespace around it."""
        part = self._pending[:end]
        self._pending = self._pending[end:]
        kept = part.rstrip()
        blank = part[len(kept) :]
        if kept:
            if self._is_begun:
                kept = "".join(self._blank) + kept
            else:
                kept = "\n\n" * self._has_shown[self._is_reasoning] + kept.lstrip()
            self._blank.clear()
            self._is_begun = self._has_shown[self._is_reasoning] = True
            shown[self._is_reasoning].append(kept)
            self._last = kept
        if part:
            self._is_line_start = "\n" in blank or (not kept and self._is_line_start)
        if blank and self._is_begun and not is_whole:
            self._blank.append(blank)
