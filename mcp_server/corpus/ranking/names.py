"""Names of documents in questions and texts, for a look at which of them are titles of an index.

What follows a name's first word is decided by spelling alone: no list of names, no model. The
title index then says which candidates are the name of a document; most are not.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from mcp_server.corpus.ranking.question import STOP_WORDS

MAX_NAME_WORDS = 8
MAX_WORDS = 300
"""Of a longer text only these are read."""

_WORD = re.compile(r"\w+")
_MAX_GAP_CHARS = 3
"""Between words of a name in running text; `Hall, G.` has two, `Help!) And` more."""
_NO_NAME_GOES_OVER = re.compile(r"[()\[\];\n]")
_NAME_ENDS = frozenset(".!?)")
"""Signs that may belong to the name before them: `Help!`, `Acme Inc.`"""
_PARTICLES = frozenset(
    """a al an and at bin d da das de degli dei del della der des di do dos du e el en et for from
    ibn in l la las le les los of on s the to und van vom von y zu zum zur""".split()
)
"""Words in lower case inside a name."""


class Mention(NamedTuple):
    """A piece of a text that may be a name."""

    end: int
    """Index after its last character."""
    name: str
    """In the form of the index's field `name`."""


def mentions_in_question(text: str) -> Iterator[Mention]:
    """All runs of up to `MAX_NAME_WORDS` words: people write names in lower case too.

    Mentions that begin earlier come first, of those at one place the longest.
    """
    words = _first_words(text)
    for first, (start, _) in enumerate(words):
        for _, end in reversed(words[first : first + MAX_NAME_WORDS]):
            yield from _spelled(text, start, end)


def mentions_in_text(text: str) -> Iterator[Mention]:
    """Runs that begin and end with a capital or a digit, without numbers and single stop words.

    In the order of `mentions_in_question`.
    """
    words = _first_words(text)
    for first, (start, _) in enumerate(words):
        if _is_marked(text[start]):
            for end in reversed(_ends(text, words[first : first + MAX_NAME_WORDS])):
                yield from _spelled(text, start, end)


def _ends(text: str, words: Sequence[tuple[int, int]]) -> list[int]:
    """Where a name that begins with the first of these words may end, nearest first."""
    start, last = words[0]
    alone = text[start:last]
    is_name = not alone.isdigit() and len(alone) > 1 and alone.lower() not in STOP_WORDS
    ends = [last] if is_name else []
    for start, end in words[1:]:
        gap = text[last:start]
        if gap != " " and (len(gap) > _MAX_GAP_CHARS or _NO_NAME_GOES_OVER.search(gap)):
            break
        if _is_marked(text[start]):
            ends.append(end)
        elif text[start:end] not in _PARTICLES:
            break
        last = end
    return ends


def known_names(mentions: Iterable[Mention], is_known: Callable[[str], bool]) -> list[str]:
    """The names that are known, in order, without those inside longer ones.

    Args:
        mentions: in the order of `mentions_in_question`.
        is_known: whether a document has this name.
    """
    known: dict[str, None] = {}
    covered = 0
    for end, name in mentions:
        if end > covered and name not in STOP_WORDS and is_known(name):
            known[name] = None
            covered = end
    return list(known)


def _first_words(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in islice(_WORD.finditer(text), MAX_WORDS)]


def _spelled(text: str, start: int, end: int) -> Iterator[Mention]:
    name = text[start:end].lower()
    if not name.isalnum():
        name = " ".join(name.split())
    if end < len(text) and text[end] in _NAME_ENDS:
        yield Mention(end + 1, name + text[end])
    yield Mention(end, name)


def _is_marked(char: str) -> bool:
    return char.isupper() or char.isdigit()
