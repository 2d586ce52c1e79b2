"""What a judge's reply says.

A reply decides when one line of it is nothing but a verdict, or when it names exactly one verdict
and does not negate it. Everything else decides nothing: there is no default, and no looking for a
letter somewhere, which would find the C in "CORRECT". The readers of the official scripts are here
too, under their names, for those who want the very figures that those give.
"""

import re
from collections.abc import Callable, Mapping

from agent_client.evaluation.verdict import Grade

Reader = Callable[[str], Grade | None]
"""Reads a judge's reply; None where it decides nothing."""

_MAX_LINE_CHARS = 400
"""A verdict is short: longer lines are reasoning."""
_MARKUP = re.compile(r"[*_`#>\"'“”]{1,8}(?![A-Za-z0-9])|(?<![A-Za-z0-9])[*_`#>\"'“”]{1,8}")
_WRAPPED = re.compile(r"\\(?:boxed|text)\{([^{}]{0,60})\}")
_PREFIX = (
    r"(?:(?:(?:so|thus|hence|therefore),? )?(?:the |my )?(?:final |predicted )?"
    r"(?:grade|verdict|answer|judge?ment|label|decision|result|rating)"
    r"(?:\s?(?:is|are|[:=\-–—])){1,2}\s{0,3})?"
)
_WORD = r"(?:NOT[_ \-]ATTEMPTED|INCORRECT|CORRECT)"
_LETTER_LINE = re.compile(
    rf"(?i:{_PREFIX})[(\[]?(?P<letter>[ABC])[)\]]?"
    rf"(?:(?:\s?[.:)=\-–—]{{1,3}}\s{{0,3}}|\s{{0,3}}(?=\())[(\[]?(?P<word>(?i:{_WORD}))[)\]]?)?[.!]?"
)
_WORD_LINE = re.compile(
    rf"(?:{_PREFIX})[(\[]?(?P<word>{_WORD})[)\]]?(?:\s{{0,3}}[(\[](?P<letter>[ABC])[)\]])?[.!]?",
    re.IGNORECASE,
)
_OPENING_WORD = re.compile(rf"(?P<word>{_WORD})[.!]\s", re.IGNORECASE)
_NAMED = re.compile(r"\b(?:NOT[_ ]ATTEMPTED|INCORRECT|CORRECT)\b")
_NEGATION = re.compile(
    r"(?i)(?:\b(?:not|never|neither|nor|cannot|hardly|without)|n['’]t)\b[^.!?\n]{0,30}$"
)

_BY_LETTER: Mapping[str, Grade] = {"A": "correct", "B": "incorrect", "C": "not_attempted"}
_BY_WORD: Mapping[str, Grade] = {
    "CORRECT": "correct",
    "INCORRECT": "incorrect",
    "NOT_ATTEMPTED": "not_attempted",
}

_DECISION = re.compile(
    r"\bdecision\b(?:\W{0,10}\bis\b)?\W{0,10}\b(true|false)\b"
    r"(?!\W{0,6}(?:\bor\b|/)\W{0,6}(?:true|false))",
    re.IGNORECASE,
)
_TRUTH_LINE = re.compile(r"\W{0,6}(true|false)\W{0,6}", re.IGNORECASE)
_AUTHORS_DECISION = re.compile(r"Decision:\s*[\"']?(TRUE|FALSE)", re.IGNORECASE)
_YES_NO = re.compile(r"^\W{0,6}correct\W{1,6}(yes|no)\b(?!\s?(?:/|or\b))", re.IGNORECASE | re.M)


def after_thinking(reply: str) -> str:
    """The reply without the reasoning that some models write into it; "" if it never ends."""
    end = reply.rfind("</think>")
    if end >= 0:
        return reply[end + len("</think>") :].strip()
    return "" if "<think>" in reply else reply.strip()


def three_grades(reply: str) -> Grade | None:
    """Read CORRECT, INCORRECT or NOT_ATTEMPTED, or the letters A, B, C for them.

    The last line that is a verdict counts, unless the first line is another one: then one of the
    two is probably quoted from the answer, and nobody can tell which.
    """
    lines = [line for raw in reply.splitlines() if (line := _bare(raw))]
    verdicts = [found for line in lines if (found := _line_verdict(line))]
    if not lines:
        return None
    if verdicts:
        first = _line_verdict(lines[0]) or _opening_verdict(lines[0])
        decided = verdicts[-1] | (first or verdicts[-1])
        if not _line_verdict(lines[-1]):  # prose follows: all verdicts have to agree
            decided = decided.union(*verdicts)
        return next(iter(decided)) if len(decided) == 1 else None
    if opening := _opening_verdict(lines[0]):
        return next(iter(opening))
    return _named(reply)


def _bare(line: str) -> str:
    """A line without Markdown, quotes, JSON's braces and the boxes of mathematics."""
    for _ in range(2):
        line = _WRAPPED.sub(r"\1", line)
    return _MARKUP.sub("", line.replace("$", "").strip("{}, ")).strip()


def two_grades(reply: str) -> Grade | None:
    """Read Correct or Incorrect."""
    grade = three_grades(reply)
    return grade if grade != "not_attempted" else None


def _line_verdict(line: str) -> frozenset[Grade]:
    """The verdicts that a line consists of: none, one, or two that contradict each other."""
    if len(line) > _MAX_LINE_CHARS:
        return frozenset()
    match = _LETTER_LINE.fullmatch(line) or _WORD_LINE.fullmatch(line)
    if not match:
        return frozenset()
    found: set[Grade] = set()
    if letter := match["letter"]:
        found.add(_BY_LETTER[letter.upper()])
    if word := match["word"]:
        found.add(_BY_WORD[_plain(word)])
    return frozenset(found)


def _opening_verdict(line: str) -> frozenset[Grade]:
    """A verdict with which a line of prose begins: "Correct. The prediction …"."""
    match = _OPENING_WORD.match(line)
    return frozenset({_BY_WORD[_plain(match["word"])]}) if match else frozenset()


def _named(reply: str) -> Grade | None:
    """The only verdict named in capitals, unless it is negated."""
    found: set[Grade] = set()
    for match in _NAMED.finditer(reply):
        if _NEGATION.search(reply[max(0, match.start() - 40) : match.start()]):
            return None
        found.add(_BY_WORD[_plain(match[0])])
        if len(found) > 1:
            return None
    return found.pop() if found else None


def _plain(word: str) -> str:
    return word.upper().replace(" ", "_").replace("-", "_")


def decision(reply: str) -> Grade | None:
    """Read "Decision: TRUE" or FALSE; several have to agree."""
    found = {match[1].upper() for match in _DECISION.finditer(reply)}
    if not found:
        lines = [line for line in reply.splitlines() if line.strip()]
        match = _TRUTH_LINE.fullmatch(lines[-1]) if lines else None
        found = {match[1].upper()} if match else set()
    return _truth(found.pop()) if len(found) == 1 else None


def yes_or_no(reply: str) -> Grade | None:
    """Read the line "correct: yes" or "correct: no"; several have to agree.

    The official script compares the whole match, "correct: yes", with "yes", so that it never
    takes an answer for correct. (openai/simple-evals, pull request 93.)
    """
    found = {match[1].lower() for match in _YES_NO.finditer(reply.replace("*", ""))}
    if len(found) != 1:
        return None
    return "correct" if found == {"yes"} else "incorrect"


def simpleqa_official(reply: str) -> Grade | None:
    """Read as openai/simple-evals does: the first A, B or C anywhere, else C.

    Hazard: of a judge that writes the words in full, "CORRECT" and "INCORRECT" are read as C, and
    "NOT_ATTEMPTED" as A, correct; so is every sentence that begins with "A".
    """
    match = re.search(r"[ABC]", reply)
    return _BY_LETTER[match[0]] if match else "not_attempted"


def frames_lenient(reply: str) -> Grade | None:
    """Read as the reference author's script does: without a decision TRUE anywhere, else FALSE.

    Hazard: without a decision "this is not true" is read as TRUE.
    """
    if match := _AUTHORS_DECISION.search(reply):
        return _truth(match[1].upper())
    return _truth("TRUE" if "TRUE" in reply.upper() else "FALSE")


def _truth(word: str) -> Grade:
    return "correct" if word == "TRUE" else "incorrect"
