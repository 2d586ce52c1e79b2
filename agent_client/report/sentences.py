"""Cut texts into sentences and sentences into comparable tokens, whatever the language.

Words are compared by their first letters (truncation stemming, McNamee and Mayfield 2004), scripts
without spaces between words by pairs of characters. Everything runs in linear time.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

MAX_SENTENCE_CHARS = 600
"""Longer ones are cut into pieces: tables and minified text have no full stops."""
STEM_CHARS = 6
"""On the labelled claims of the tests 5 and 6 judge alike, 7 loses a true one."""

STOP_WORDS = frozenset(
    """a about above after all also although am an and any are as at be became because been before
    being between both but by can could did do does during each for from had has have he her hers
    him his how i if in into is it its itself may me might more most much my nor of on one only or
    other our out over she should since so some such than that the their them themselves then there
    these they this those through to too under up upon us very was we were what when where which
    while who whom whose why will with would you your
    der die das den dem des ein eine einer eines und ist war wurde von zu im in mit für auf als auch
    le la les un une des du de et est était dans par pour sur au aux el los las y es fue en con por
    il lo gli e è era nel della""".split()
)
NEGATIONS = frozenset(
    "not no never neither cannot without nicht kein keine nie ne pas jamais".split()
)
_CJK_NEGATIONS = ("不", "没", "未", "無", "ない", "なかった")
_NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate(
        "two three four five six seven eight nine ten eleven twelve".split(), start=2
    )
}

_UNSPACED = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(
    rf"\d{{1,40}}(?:[.,]\d{{1,40}}){{0,10}}|[{_UNSPACED}]{{1,200}}"
    rf"|[^\W\d_{_UNSPACED}]{{1,100}}(?:['’][^\W\d_]{{1,20}})?"
)
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_END = re.compile(
    r"(?<=[.!?…])[\"”’»)\]]{0,3}\s{1,8}(?=[\"“‘«(\[]{0,3}[^\W_a-z])"  # a capital or a digit follows
    r"|(?<=[。！？])[」』”’）]{0,3}"
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:[A-Z]|Mt|St|Dr|Mr|Mrs|Ms|Jr|Sr|Prof|Co|Inc|vs|No|Fig|ca|e\.g|i\.e|al)\.$"
)
_LINK = re.compile(r"!?\[([^\[\]\n]{0,500})\]\([^()\s]{0,2000}\)")
_EMPHASIS = re.compile(r"\*\*|__|`")
_HEADING = re.compile(r"#{1,6}\s")
_BULLET = re.compile(r"^(?:[-*+>|•]|\d{1,3}[.)])\s+")


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence of a page."""

    text: str
    heading: str
    """The heading that it stands under, or ""."""


def page_lines(text: str) -> Iterator[Line]:
    """The sentences of a page's Markdown or plain text, in order, without its markup.

    Lines that were only wrapped are joined; headings, list items and table rows stay apart.
    """
    heading = ""
    for block in _blocks(text):
        if _HEADING.match(block):
            heading = block.lstrip("# ").strip()
            continue
        for sentence in split_sentences(block):
            yield Line(sentence, heading)


def _blocks(text: str) -> Iterator[str]:
    """Paragraphs, items and headings."""
    held: list[str] = []
    for raw in text.splitlines():
        line = _EMPHASIS.sub("", _LINK.sub(r"\1", raw)).strip()
        starts_anew = not line or _HEADING.match(line) or _BULLET.match(line)
        if held and starts_anew:
            yield " ".join(held)
            held = []
        if _HEADING.match(line):
            yield line
        elif line:
            held.append(_BULLET.sub("", line))
    if held:
        yield " ".join(held)


def split_sentences(text: str) -> list[str]:
    """The sentences of one paragraph, each at most `MAX_SENTENCE_CHARS` long."""
    found: list[str] = []
    start = 0
    for match in _END.finditer(text):
        if _ABBREVIATION.search(text[max(start, match.start() - 8) : match.end()].rstrip()):
            continue
        found.append(text[start : match.end()].strip())
        start = match.end()
    found.append(text[start:].strip())
    return [
        sentence[cut : cut + MAX_SENTENCE_CHARS]
        for sentence in found
        for cut in range(0, len(sentence), MAX_SENTENCE_CHARS)
    ]


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a sentence says, as comparable tokens."""

    words: frozenset[str]
    """Stems of ordinary words; pairs of characters in scripts without spaces."""
    names: frozenset[str]
    """Stems of words that are capitalised in the middle of a sentence, or in capitals."""
    numbers: frozenset[str]
    is_negated: bool
    opening: frozenset[str] = frozenset()
    """The first word, one of `words`, when it is capitalised: often a name, and the subject."""

    @property
    def all(self) -> frozenset[str]:
        """Words, names and numbers."""
        return self.words | self.names | self.numbers


def tokens_of(sentence: str) -> Tokens:
    """Read one sentence."""
    text = unicodedata.normalize("NFKC", sentence)
    matches = list(_TOKEN.finditer(text))
    words, names, numbers = set[str](), set[str](), set[str]()
    opening = set[str]()
    negated = any(mark in text for mark in _CJK_NEGATIONS)
    for place, match in enumerate(matches):
        raw = match.group()
        low = _folded(raw)
        if (number := _number(low)) is not None:
            numbers.add(number)
        elif _IS_UNSPACED.match(raw):
            words.update(_pairs(raw))
        elif low in NEGATIONS or low.endswith("n't"):
            negated = True
        elif low not in STOP_WORDS:
            (names if _is_name(raw, place, matches) else words).add(_stem(low))
            if place == 0 and raw[0].isupper():
                opening.add(_stem(low))
    words -= names
    return Tokens(
        words=frozenset(words),
        names=frozenset(names),
        numbers=frozenset(numbers),
        is_negated=negated,
        opening=frozenset(opening & words),
    )


def spelled(sentence: str, tokens: frozenset[str]) -> tuple[str, ...]:
    """Words and numbers as the sentence spells them, in its order, of which these are tokens."""
    found: dict[str, str] = {}
    for match in _TOKEN.finditer(unicodedata.normalize("NFKC", sentence)):
        low = _folded(match.group())
        key = _number(low) or _stem(low)
        if key in tokens:
            found.setdefault(key, match.group())
    return tuple(found.values())


def _folded(raw: str) -> str:
    return raw.casefold().replace("’", "'").removesuffix("'s")


def _is_name(raw: str, place: int, matches: list[re.Match[str]]) -> bool:
    if not any(char.isupper() for char in raw):
        return False
    if place > 0 or any(char.isupper() for char in raw[1:]):
        return True
    # The first word of a sentence is capitalised anyway: a name when another capital follows.
    following = matches[1].group() if len(matches) > 1 else ""
    return following[:1].isupper()


def _stem(low: str) -> str:
    return (
        low[:STEM_CHARS] if len(low) > STEM_CHARS else low.removesuffix("s" if len(low) > 3 else "")
    )


def _pairs(run: str) -> Iterator[str]:
    if len(run) == 1:
        yield run
    for start in range(len(run) - 1):
        yield run[start : start + 2]


def _number(low: str) -> str | None:
    """A number's one spelling: thousands come with commas, points or neither, small ones as words.

    None for a word that is no number.
    """
    if not low[0].isdigit():
        return _NUMBER_WORDS.get(low)
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+|\d{1,3}(?:\.\d{3})+", low):
        return re.sub(r"[.,]", "", low)
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+\.\d+", low):
        return low.replace(",", "")
    return low.replace(",", ".")
