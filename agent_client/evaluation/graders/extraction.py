r"""Find the short answer within an answer, and say which rule found it.

The rules, in this order: the last `\boxed{}` with balanced braces; the last `<answer>`; the last
line that says "final answer is"; the last paragraph. Marks of citations, Markdown emphasis and a
full stop at the end are no part of what is found. All of it takes linear time.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agent_client.evaluation.graders.latex import plain_latex
from agent_client.evaluation.ports import GradedAnswer

Rule = Literal["boxed", "answer_tag", "final_answer_line", "last_paragraph"]

_BRACE = re.compile(r"\\boxed\s{0,3}\{|\\[{}\\]|[{}]")
_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)

_LEAD = r"^[\s#>*_\-]{0,8}"
_STOP = r"[\s*_:：]{0,8}"
_FINAL = re.compile(
    rf"\bfinal answer\b[\s*_]{{0,6}}(?:to\b[^:\n]{{1,200}}?)?(?:\bis\b|\bare\b|[:：=]){_STOP}(.*)$"
    rf"|{_LEAD}(?:the )?final answer{_STOP}()$"
    rf"|{_LEAD}(?:(?:so|thus|hence|therefore),? )?(?:(?:the|my) )?(?:short )?answer[\s*_]{{0,6}}"
    rf"(?:\bis\b|[:：]){_STOP}(.*)$"
    rf"|{_LEAD}最[终終]答案[是为為]?{_STOP}(.*)$",
    re.IGNORECASE,
)
_MAX_LINE_CHARS = 4000
"""A longer line is a paragraph, and says no final answer."""

_SOURCES = re.compile(rf"{_LEAD}(?:sources|references|citations){_STOP}$", re.IGNORECASE)
_SOURCE_LINE = re.compile(r"^\s{0,8}(?:[-*]\s)?\[\^?\d{1,3}\][:.]?\s.{0,400}?https?://")

_CITATION = re.compile(
    r"\s?\[\^?\d{1,3}(?:\s?[,;]\s?\d{1,3}){0,20}\](?!\()|\s?【[^【】]{1,60}】|\s?\(not visited\)"
)
_EMPHASIS = re.compile(r"\*{2,3}|_{2,3}|`{1,3}")


@dataclass(frozen=True, slots=True)
class Extracted:
    """What is compared with the reference."""

    text: str
    """Never empty."""
    rule: Rule


def extract(asked: GradedAnswer) -> Extracted | None:
    """Find the short answer; None where there is no text at all."""
    if boxed := box_of(asked):
        return Extracted(boxed, "boxed")
    if tagged := tidy(_last_tagged(asked.answer)):
        return Extracted(tagged, "answer_tag")
    lines = asked.answer.splitlines()
    if said := _final_line(lines):
        return Extracted(said, "final_answer_line")
    if last := _last_paragraph(lines):
        return Extracted(last, "last_paragraph")
    return None


def box_of(asked: GradedAnswer) -> str:
    """What the answer puts into a box, without LaTeX; "" where it does not."""
    # The agent takes the last box out of the text, and says what stood in it.
    box = asked.short_answer or last_box(asked.answer) or ""
    return tidy(plain_latex(box))


def last_box(text: str) -> str | None:
    r"""The content of the last `\boxed{}` that is closed.

    Of boxes in each other it is the innermost. Where none is closed, the text was cut off, and the
    last one reaches to its end. None where there is no box.
    """
    if "\\boxed" not in text:
        return None
    open_braces: list[tuple[int, bool]] = []
    best, found = -1, None
    for brace in _BRACE.finditer(text):
        kind = brace[0]
        if kind[-1] == "{" and kind != "\\{":
            open_braces.append((brace.end(), len(kind) > 1))
        elif kind == "}" and open_braces:
            start, is_box = open_braces.pop()
            if is_box and start > best:
                best, found = start, text[start : brace.start()]
    if found is None:
        cut_off = [start for start, is_box in open_braces if is_box]
        return text[cut_off[-1] :] if cut_off else None
    return found


def tidy(text: str) -> str:
    """Without marks of citations, Markdown emphasis, quotes around it and a full stop at the end.

    Nothing is taken away where nothing would be left.
    """
    plain = " ".join(_EMPHASIS.sub("", _CITATION.sub("", text)).split())
    plain = _uncovered(plain.lstrip("#> ").removeprefix("- "))
    return _uncovered(plain.rstrip(".。 ")) or plain or text.strip()


def _uncovered(text: str) -> str:
    for opening, closing in ('""', "“”", "''", "‘’", "«»", "**", "__"):
        inner = text[1:-1]
        if text[:1] == opening and text[-1:] == closing and opening not in inner:
            return inner.rstrip(".。 ")
    return text


def _last_tagged(text: str) -> str:
    """What stands in the last `<answer>`, which may have been cut off."""
    start, found = -1, ""
    for tag in _TAG.finditer(text):
        if not tag[1]:
            start = tag.end()
        elif start >= 0:
            found, start = text[start : tag.start()], -1
    return found or (text[start:] if start >= 0 else "")


def _final_line(lines: list[str]) -> str:
    """What the last line with a final answer says, or the text below such a heading."""
    for place in range(len(lines) - 1, -1, -1):
        line = lines[place]
        if len(line) > _MAX_LINE_CHARS or not ("answer" in line.lower() or "答案" in line):
            continue
        if match := _FINAL.search(line):
            said = match[1] or match[3] or match[4] or _first_text(lines[place + 1 :])
            # Emphasis that was opened before the words "final answer" may close behind it.
            if said := tidy(said).rstrip("*_ "):
                return said
    return ""


def _first_text(lines: Iterable[str]) -> str:
    return next((line for line in lines if line.strip()), "")


def _last_paragraph(lines: list[str]) -> str:
    """The last paragraph that is no list of sources."""
    end = len(lines)
    while end:
        while end and not lines[end - 1].strip():
            end -= 1
        start = end
        while start and lines[start - 1].strip():
            start -= 1
        block = lines[start:end]
        if block and not _is_source_list(block) and (said := tidy(" ".join(block))):
            return said
        end = start
    # Nothing but sources: then they are the answer.
    return tidy(" ".join(lines))


def _is_source_list(block: list[str]) -> bool:
    rest = block[1:] if _SOURCES.match(block[0]) else block
    return len(rest) < len(block) or all(_SOURCE_LINE.match(line) for line in rest)
