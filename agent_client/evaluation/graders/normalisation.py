"""Texts made comparable: as the benchmarks' official scripts do it, and somewhat more carefully.

The official normalisation drops punctuation, which makes "3.5" the same as "35", "3-2" the same as
"32" and "-5" the same as "5", and it drops articles, which makes "Hepatitis A" the same as
"Hepatitis". Exact match and F1 keep to it, so that figures can be compared with published ones;
`comparable` does not make these mistakes, and knows punctuation other than that of ASCII.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_DECIDING = frozenset({"yes", "no", "noanswer"})
"""Answers of HotpotQA that are right or wrong as a whole."""

_MARK = re.compile(r"[^\w\s]|_")
_GROUP = re.compile(r"\d{3}(?!\d)")
"""What follows a thousands separator."""
_BETWEEN_DIGITS = {".": ".", "/": "/", "⁄": "/", ":": ":", "-": "-", "–": "-", "−": "-"}
_LEADING_ARTICLES = re.compile(r"\b(?:a(?=\s+\w)|an|the)\b")


def normalised(text: str) -> str:
    """Normalise as SQuAD, HotpotQA, MuSiQue and Search-R1 do.

    Lower case, without ASCII punctuation, without the words a, an and the, single spaces.
    """
    bare = text.lower().translate(_ASCII_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def comparable(text: str) -> str:
    """Normalise so that texts are equal only when they say the same.

    Compatibility forms (full-width letters, ligatures) and case do not count, nor do articles,
    punctuation and symbols of any script. What makes a difference stays: a point, slash, colon or
    hyphen between digits, a minus sign, the plus signs of "C++", an "A" at the end. Two texts that
    consist of nothing else ("?", "The") are compared as they are.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    bare = " ".join(_LEADING_ARTICLES.sub(" ", _MARK.sub(_kept, folded)).split())
    return bare or " ".join(folded.split())


def _kept(match: re.Match[str]) -> str:
    """What stays of one character that is neither a letter, a digit nor a space."""
    mark, text, end = match[0], match.string, match.end()
    if unicodedata.category(mark)[0] == "M":
        return mark  # vowel signs of Indic scripts and the like
    before, after = text[end - 2 : end - 1] if end > 1 else "", text[end : end + 1]
    if after.isdigit():
        if before.isdigit():
            if mark == ",":
                return "" if _GROUP.match(text, end) else ","
            return _BETWEEN_DIGITS.get(mark, "")
        if mark in "-−" and not before.isalnum():
            return "-"
    return mark if mark in "+#" and (before.isalnum() or before == mark) else ""


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much two answers have in common, each in [0, 1]."""

    em: float
    f1: float
    precision: float
    recall: float

    def metrics(self) -> dict[str, float]:
        """The measures by name."""
        return {"em": self.em, "f1": self.f1, "precision": self.precision, "recall": self.recall}


def overlap(prediction: str, reference: str, *, yes_no: bool) -> Overlap:
    """Exact match and token F1.

    Args:
        prediction: the answer.
        reference: what it is compared with.
        yes_no: follow HotpotQA (and 2WikiMultihopQA): an answer yes, no or noanswer shares nothing
            with another one, and texts without any token share nothing either. Otherwise follow
            MuSiQue (and SQuAD 2): there is no such rule, and two texts without tokens agree.
    """
    ours, theirs = normalised(prediction), normalised(reference)
    em = float(ours == theirs)
    if yes_no and not em and (ours in _DECIDING or theirs in _DECIDING):
        return Overlap(em, 0.0, 0.0, 0.0)
    mine, wanted = ours.split(), theirs.split()
    if not (mine and wanted):
        share = 0.0 if yes_no else em
        return Overlap(em, share, share, share)
    same = (Counter(mine) & Counter(wanted)).total()
    if not same:
        return Overlap(em, 0.0, 0.0, 0.0)
    precision, recall = same / len(mine), same / len(wanted)
    return Overlap(em, 2 * precision * recall / (precision + recall), precision, recall)


def best_overlap(prediction: str, references: Sequence[str], *, yes_no: bool) -> Overlap:
    """The best of each measure over all references, as the official scripts take it."""
    found = [overlap(prediction, reference, yes_no=yes_no) for reference in references]
    return Overlap(
        max(one.em for one in found),
        max(one.f1 for one in found),
        max(one.precision for one in found),
        max(one.recall for one in found),
    )


def is_yes_or_no(reference: str) -> bool:
    """Whether a reference is one of the answers that HotpotQA takes as a whole."""
    return normalised(reference) in _DECIDING
