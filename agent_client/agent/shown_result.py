"""A tool result as the model is shown it: cleaned as the profile says, and cut to its bound."""

import re
from dataclasses import dataclass

from agent_client.agent.offered_tools import OfferedTool
from agent_client.agent.page_result import page_bodies, slice_start
from agent_client.conversation import ToolCall, ToolResult

MIN_RESULT_CHARS = 300
"""A result is never cut below this: the model has to learn that there is one."""
_NOTE_CHARS = 200
"""Room that is kept for the line about a cut."""
_SEARCHED_SHARE = 0.25
"""How much of what fits is given up for a cut at the end of a line."""

_LINK = re.compile(
    r"!?\[([^\[\]\n]{0,500})\]"
    r"\([^()\n]{0,2000}(?:\([^()\n]{0,500}\)[^()\n]{0,500}){0,3}\)"
)
_ADDRESS = re.compile(r"(?:https?://|www\.)[^\s<>()\[\]]{1,2000}", re.IGNORECASE)
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_THIS_PART = re.compile(r"^(Length: .{0,60}this (?:part|section): )[\d,]+ to [\d,]+$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ShownResult:
    """What the model reads of a result."""

    text: str
    read: str
    """The part of the server's text that `text` was made from."""
    is_cut: bool


def shown_result(call: ToolCall, result: ToolResult, tool: OfferedTool, room: int) -> ShownResult:
    """Clean and cut a result.

    A cut is made at the end of a line, or of a word where lines are long, and says what was left
    out. Where the result is one piece of a page of our server it says the `start` of the rest.

    Args:
        call: as the model wrote it.
        result: as it came from the server.
        tool: how it is offered.
        room: characters that still fit into the context; the tool's own bound holds as well.
    """
    limit = max(MIN_RESULT_CHARS, min(tool.result_chars, room))
    if tool.is_plain and tool.kind == "visit" and not result.is_error:
        return _plain(call, result, tool, limit)
    if len(result.text) <= limit:
        return ShownResult(result.text, result.text, is_cut=False)
    bodies = page_bodies(result.text)
    if len(bodies) == 1:
        start = slice_start(result, bodies[0])
        fits = bodies[0][0] + 2 * _NOTE_CHARS < limit < bodies[0][1] + _NOTE_CHARS
        if start is not None and fits:
            return _cut_page(call, result, tool, limit, bodies[0], start)
    return _cut_text(result.text, limit, several=len(bodies) > 1)


def _cut_page(
    call: ToolCall,
    result: ToolResult,
    tool: OfferedTool,
    limit: int,
    body: tuple[int, int],
    start: int,
) -> ShownResult:
    """Cut between the marks; the offset of the rest is that of the page."""
    text = result.text
    closing = text[body[1] : text.index(">", body[1]) + 1]
    last = body[0] + _line_end(
        text[body[0] : body[1]], limit - body[0] - len(closing) - _NOTE_CHARS
    )
    end = start + last - body[0]
    header = _THIS_PART.sub(rf"\g<1>{start:,} to {end:,}", text[: body[0]])
    note = f"\n\n[Cut at character {end:,} of the page. {_how_to_go_on(call, tool, end)}]"
    return ShownResult(header + text[body[0] : last] + closing + note, text[:last], is_cut=True)


def _how_to_go_on(call: ToolCall, tool: OfferedTool, start: int) -> str:
    if not tool.can_go_on:
        return "The rest is left out"
    same = " and the same section" if call.arguments.get("section") else ""
    return f"The rest is left out: call {tool.spec.name} with start={start}{same} for it"


def _cut_text(text: str, limit: int, *, several: bool) -> ShownResult:
    """Cut a text of unknown make; marks that the cut leaves open are closed."""
    end = _line_end(text, limit - _NOTE_CHARS)
    kept = text[:end]
    opening = kept.rfind("\n<untrusted-page-")
    if opening >= 0:
        mark = kept[opening + 2 : kept.find(">", opening)]
        if f"\n</{mark}>" not in kept[opening:]:
            kept += f"\n</{mark}>"
    advice = "visit the pages one at a time" if several else "ask for less at a time"
    note = f"\n\n[Cut: {end:,} of {len(text):,} characters are shown; {advice} to see the rest]"
    return ShownResult(kept + note, text[:end], is_cut=True)


def _plain(call: ToolCall, result: ToolResult, tool: OfferedTool, limit: int) -> ShownResult:
    """Only the words of the pages, on one line, without addresses."""
    bodies = page_bodies(result.text)
    source = "\n\n".join(result.text[a:b] for a, b in bodies) if bodies else result.text
    text, end = _cleaned(source, limit)
    if end == len(source):
        return ShownResult(text, source, is_cut=False)
    start = slice_start(result, bodies[0]) if len(bodies) == 1 else None
    rest = "The rest is left out" if start is None else _how_to_go_on(call, tool, start + end)
    return ShownResult(f"{text}\n[Cut here. {rest}]", source[:end], is_cut=True)


def _cleaned(source: str, limit: int) -> tuple[str, int]:
    """Clean as much as gives at most `limit` characters; the text, and where in the source it ends.

    Line by line, since what is cleaned away never crosses the end of a line: so the place of the
    cut is known in the source too.
    """
    if len(source) <= limit:
        return _without_addresses(source), len(source)
    pieces: list[str] = []
    room, position = limit, 0
    while position < len(source):
        newline = source.find("\n", position)
        end = len(source) if newline < 0 else newline + 1
        piece = _without_addresses(source[position:end])
        if len(piece) + 1 > room:
            if not pieces:  # one endless line: cut at a word
                end = position + _line_end(source[position:end], room)
                pieces.append(_without_addresses(source[position:end]))
                position = end
            break
        if piece:
            pieces.append(piece)
            room -= len(piece) + 1
        position = end
    return " ".join(pieces), position


def _without_addresses(text: str) -> str:
    if "](" in text:
        text = _LINK.sub(r"\1", text)
    if "://" in text or "www." in text:
        text = _ADDRESS.sub("", text)
    if "@" in text:
        text = _MAIL.sub("", text)
    return " ".join(text.split())


def _line_end(text: str, limit: int) -> int:
    """Where to cut at most `limit` characters off: behind a line, else behind a word."""
    limit = max(1, limit)
    if len(text) <= limit:
        return len(text)
    lowest = int(limit * (1 - _SEARCHED_SHARE))
    for boundary in ("\n", " "):
        found = text.rfind(boundary, lowest, limit)
        if found >= 0:
            return found + 1
    return limit
