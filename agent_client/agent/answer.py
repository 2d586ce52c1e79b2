"""From the model's last message to an answer with checked citations."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent_client.agent.outcome import Source, VisitedPage

UNVERIFIED = "(not visited)"
"""Put behind a cited URL that the run did not read."""


@dataclass(frozen=True, slots=True)
class CitedAnswer:
    """An answer whose citations resolve to visited pages."""

    text: str
    short_answer: str | None
    sources: tuple[Source, ...]


def boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{…}` with balanced braces, or None."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 0, start + len("\\boxed{")
    for position in range(begin - 1, len(text)):
        if text[position] == "{":
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if depth == 0:
                return _plain(text[begin:position])
    return _plain(text[begin:]) or None  # cut off before the brace closed


def _plain(text: str) -> str:
    inner = re.fullmatch(r"\s*\\(?:text|mathrm|textbf)\{(.*)\}\s*", text, re.DOTALL)
    return (inner.group(1) if inner else text).strip()


# Citations as models write them: a Markdown link, a URL in brackets of any kind, a bare URL.
_CITATION = re.compile(
    r"\[(?P<label>[^\[\]\n]{0,200})\]\((?P<link>[a-z]+://[^\s()]{1,2000})\)"
    r"|[\[(<](?P<wrapped>[a-z]+://[^\s\[\]()<>]{1,2000})[\])>]"
    r"|(?P<bare>[a-z]+://[^\s\[\]()<>]{1,2000})"
)


def cite(text: str, pages: Sequence[VisitedPage]) -> CitedAnswer:
    r"""Number the citations of an answer and list the pages behind them.

    A cited URL becomes `[n]`, n being the page's place in the order of visits; one that was not
    visited is marked. An answer without any citation gets those of the visited pages that contain
    its `\boxed{}` content literally: evidence that can be checked, not the model's word.

    Args:
        text: the model's last message, without reasoning.
        pages: what was visited, in order.
    """
    numbers = {_same(page.url): number for number, page in enumerate(pages, start=1)}
    cited: set[int] = set()

    def number_one(match: re.Match[str]) -> str:
        url = match.group("link") or match.group("wrapped") or match.group("bare")
        tail = ""
        if match.group("bare"):
            stripped = url.rstrip(".,;:!?\"'")
            url, tail = stripped, url[len(stripped) :]
        number = numbers.get(_same(url))
        if number is None:
            return f"{url} {UNVERIFIED}{tail}"
        cited.add(number)
        label = (match.group("label") or "").strip()
        words = (
            f"{label} " if label and not re.fullmatch(r"\W*(source\s*)?\d*\W*", label, re.I) else ""
        )
        return f"{words}[{number}]{tail}"

    short = boxed(text)
    numbered = _number_plain(_CITATION.sub(number_one, text), len(pages), cited)
    body = _without_box(numbered, short)
    if not cited and short:
        supporting = [
            number for number, page in enumerate(pages, start=1) if _contains(page.text, short)
        ]
        cited.update(supporting)
        body = " ".join([body, *(f"[{number}]" for number in supporting)]).strip()
    sources = tuple(
        Source(number=number, url=page.url, title=page.title, is_cited=number in cited)
        for number, page in enumerate(pages, start=1)
    )
    return CitedAnswer(text=body, short_answer=short, sources=sources)


def _number_plain(text: str, pages: int, cited: set[int]) -> str:
    """Take in `[2]` written by the model itself; drop numbers that lead nowhere."""

    def check(match: re.Match[str]) -> str:
        number = int(match.group(1))
        if not 1 <= number <= pages:
            return ""
        cited.add(number)
        return match.group(0)

    return re.sub(r"\[(\d{1,3})\](?!\()", check, text)


def _without_box(text: str, short: str | None) -> str:
    r"""The answer as prose: `\boxed{x}` becomes **x**, or goes where the prose says x already."""
    if short is None:
        return text.strip()
    start = text.rfind("\\boxed{")
    if start < 0:
        return text.strip()
    end = _box_end(text, start)
    before, after = text[:start].rstrip("$ \n"), text[end:].lstrip("$ ")
    said = _contains(before, short)
    closing = before.rstrip().endswith((".", "!", "?", "]"))
    if said and closing and not after.strip(".\n "):
        return before.strip()
    return f"{before} **{short}**{after}".strip()


def _box_end(text: str, start: int) -> int:
    depth = 0
    for position in range(start + len("\\boxed"), len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position + 1
    return len(text)


def _same(url: str) -> str:
    """URLs that differ only in a fragment, a final slash or the case of the scheme are the same."""
    return url.partition("#")[0].rstrip("/").replace("HTTP", "http")


def _contains(text: str, words: str) -> bool:
    """Whether `words` stand in the text as whole words, whatever their case."""
    pattern = r"\s+".join(re.escape(word) for word in words.lower().split()[:40])
    return bool(pattern) and re.search(rf"(?<!\w){pattern}(?!\w)", text.lower()) is not None
