"""What an examination says, for people and for programs."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from mcp_server.clean import clean_line
from mcp_server.doctor.findings import Finding, Outcome, Section
from mcp_server.log import redact

MIN_WIDTH, MAX_WIDTH = 60, 100
MAX_CHARS = 700
"""Of what one finding tells."""

_WORD_CHARS, _CHECK_CHARS = 7, 14
_ADVICE_INDENT = 2 + _WORD_CHARS + 2
_TOLD_INDENT = _ADVICE_INDENT + _CHECK_CHARS + 1
_LEAST_SECONDS = 0.05
"""Shorter times are not told."""
_COLOURS = {"ok": "\x1b[32m", "note": "\x1b[33m", "problem": "\x1b[31m", "skipped": "\x1b[2m"}
_OFF = "\x1b[0m"


def count(sections: Sequence[Section], outcome: Outcome) -> int:
    """How many findings came out so."""
    return sum(finding.outcome == outcome for part in sections for finding in part.findings)


def section_text(section: Section, *, width: int = 80, has_colour: bool = False) -> str:
    """Lines for people; what comes from outside is cleaned.

    Args:
        section: what to tell.
        width: of the terminal in characters; taken within `MIN_WIDTH` and `MAX_WIDTH`.
        has_colour: whether the terminal shows colours.
    """
    width = min(max(width, MIN_WIDTH), MAX_WIDTH)
    lines = [section.title]
    for finding in section.findings:
        word = {"skipped": "-"}.get(finding.outcome, finding.outcome).ljust(_WORD_CHARS)
        if has_colour:
            word = f"{_COLOURS[finding.outcome]}{word}{_OFF}"
        told = _clean(finding.told)
        if finding.seconds >= _LEAST_SECONDS:
            told += f" ({finding.seconds:.1f} s)"
        start = f"  {word}  {finding.check:<{_CHECK_CHARS}} "
        lines.append(start + _wrapped(told, _TOLD_INDENT, width))
        if finding.advice:
            advice = _wrapped(_clean(finding.advice), _ADVICE_INDENT + 3, width)
            lines.append(" " * _ADVICE_INDENT + "-> " + advice)
    return "\n".join(lines)


def conclusion(sections: Sequence[Section]) -> str:
    """The last line."""
    problems, notes = count(sections, "problem"), count(sections, "note")
    noted = f", with {notes} note{'s' * (notes != 1)}" if notes else ""
    if not problems:
        return f"all that is needed works{noted}"
    return f"{problems} problem{'s' * (problems != 1)}{noted}: what to do stands after ->"


def as_json(sections: Sequence[Section]) -> Mapping[str, object]:
    """The same as JSON values."""
    problems = count(sections, "problem")
    return {
        "outcome": "problem" if problems else "ok",
        "problems": problems,
        "notes": count(sections, "note"),
        "sections": [
            {"title": section.title, "findings": list(map(_finding_json, section.findings))}
            for section in sections
        ],
    }


def _finding_json(finding: Finding) -> Mapping[str, object]:
    texts = {"told": _clean(finding.told), "advice": _clean(finding.advice)}
    return {**asdict(finding), **texts, "seconds": round(finding.seconds, 3)}


def _wrapped(text: str, indent: int, width: int) -> str:
    """Text whose lines after the first are indented; paths and commands are not broken."""
    lines = textwrap.wrap(text, width - indent, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(lines)


def _clean(text: str) -> str:
    return clean_line(redact(text), MAX_CHARS)
