"""What the guided modes read and write: tool results, evidence, and the prompts made of it.

A 0.5B model gets lost in long prompts, so a prompt holds only the few sentences that share words
with the question. Words are compared by their first five letters (truncation stemming, McNamee and
Mayfield 2004): "discoverer" then meets "discovered".
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile
from typing import cast

from agent_client.conversation import Message
from agent_client.search_hits import read_hits

Schema = Mapping[str, object]
Prompt = tuple[Message, ...]

_STOP_WORDS = frozenset(
    """a about above after all also an and any are as at be been before being between both but by
    called can could did do does first for from had has have he her him his how i if in into is it
    its known me more most my name named no not of on one or our out over she should so some such
    than that the their them then there these they this those through to was we were what when
    where which while who whom whose why will with would you your""".split()
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"”’)]*\s+(?=[\"“‘(]*[A-Z0-9À-Ý])")
_MARKDOWN = re.compile(r"!?\[([^\]]*)\]\([^)\s]*\)|\*\*")
_ABBREVIATION = re.compile(r"\b(?:[A-Z]|Mt|St|Dr|Mr|Mrs|Jr|Sr|Co|vs)\.$")
_NAME = re.compile(
    r"(?:[A-ZÀ-Ý][\w’'&-]*|\d{3,4})"
    r"(?:\s+(?:(?:of|the|de|del|della|di|da|van|von|and)\s+)*[A-ZÀ-Ý][\w’'&-]*)*"
)
_MARKED = re.compile(r"^<(untrusted-page-[0-9a-f]+)>\n(.*?)\n</\1>$", re.DOTALL | re.MULTILINE)
"""Where our MCP server puts the page's own words."""
_BOX_REQUEST = re.compile(r"[^.?!\n]*\\boxed\{[^}]*\}?[^.?!\n]*[.!]?")
_YES_NO = re.compile(
    r"(?i)(?:are|is|was|were|do|does|did|has|have|had|can|could|will)\b(?!.*\bor\b)"
)
MAX_SENTENCE_CHARS = 300
QUERY: Schema = {"type": "string", "minLength": 1, "maxLength": 100}
ANSWER: Schema = {"type": "string", "minLength": 1, "maxLength": 60}
OFFERED_HITS = 4
KEPT_SENTENCES = 3  # of each page; with three pages the last prompt stays near 600 tokens


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result, as a prompt shows it."""

    url: str
    title: str
    preview: str
    """Its first line."""

    def __str__(self) -> str:
        return f"{self.url} - {self.title}: {self.preview[:160]}"


@dataclass(frozen=True, slots=True)
class Fact:
    """A sentence of a page that was read."""

    title: str
    sentence: str
    url: str = ""

    def __str__(self) -> str:
        return f"{self.title}: {self.sentence}" if self.title else self.sentence

    @property
    def cited(self) -> str:
        """The sentence with the URL of its page, as an answer cites it."""
        return f"{self.sentence.rstrip('. ')} [{self.url}]." if self.url else self.sentence


def question_of(text: str) -> str:
    r"""The user's message without the request to put the answer into `\boxed{}`."""
    return " ".join(_BOX_REQUEST.sub(" ", text).split()) or text.strip()


def parse_hits(text: str) -> list[Hit]:
    """The hits of a search result's text, best first; empty for "No results" and for errors."""
    return [
        Hit(hit.url, hit.title, hit.preview.partition("\n")[0].rstrip())
        for hit in read_hits(text).hits
    ]


def parse_page(text: str) -> tuple[str, str] | None:
    """Title and text of a visited page; None when the visit failed."""
    head, _, body = text.partition("\n\n")
    if text.startswith("Error") or not text.strip():
        return None
    if not re.match(r"(?:Title|URL|Length):", head):
        return "", text
    title = re.search(r"(?m)^Title: *(?!\(none\))(.*\S)", head)
    marked = _MARKED.search(body)
    return (title[1] if title else ""), marked[2] if marked else body


def words(text: str) -> list[str]:
    """The words that say something: no stop words, in order, as written."""
    return [word for word in _WORD.findall(text) if word.lower() not in _STOP_WORDS]


def stem(word: str) -> str:
    """A word cut so that its other forms become equal to it."""
    low = word.lower().replace("’", "'").removesuffix("'s")
    return low[:5] if len(low) > 5 else low.removesuffix("s" if len(low) > 3 else "")


def stems(text: str) -> set[str]:
    """The stems of all words that say something."""
    return {stem(word) for word in words(text)}


def normal(text: str) -> str:
    """A text as lower-case words, padded so that `in` compares whole words."""
    return f" {' '.join(_WORD.findall(text.lower()))} "


def sentences(text: str) -> list[str]:
    """The sentences of a page's text, headings left out."""
    found: list[str] = []
    for line in _MARKDOWN.sub(r"\1", text).splitlines():
        parts = list[str]()
        for part in _SENTENCE_END.split(line.strip().lstrip("#*->| ")):
            if parts and _ABBREVIATION.search(parts[-1]):
                parts[-1] += " " + part
            else:
                parts.append(part)
        found += [part[:MAX_SENTENCE_CHARS] for part in parts if len(part.split()) > 2]
    return found


def names_in(text: str) -> list[str]:
    """Names, years and numbers of a text, in order: runs of capitalised words."""
    found = list[str]()
    for match in _NAME.finditer(text):
        # "The" at the beginning of a sentence is capitalised too.
        name = dropwhile(lambda word: word.lower() in _STOP_WORDS, match.group().split())
        found.append(" ".join(name).rstrip(".,'’"))
    return list(dict.fromkeys(name for name in found if stems(name)))


@dataclass(slots=True)
class Evidence:
    """What was learnt so far about one question."""

    question: str
    facts: list[Fact] = field(default_factory=list[Fact])
    fresh: list[Fact] = field(default_factory=list[Fact])
    """Of the page read last."""
    covered: set[str] = field(default_factory=set[str])  # the question's stems in the facts

    @property
    def weights(self) -> dict[str, float]:
        """The question's stems; names and numbers count twice, as they are rarer."""
        weights: dict[str, float] = {}
        for match in _WORD.finditer(self.question):
            word = match.group()
            if word.lower() not in _STOP_WORDS:
                is_name = match.start() > 0 and (word[0].isupper() or word[0].isdigit())
                weights[stem(word)] = max(weights.get(stem(word), 0.0), 2.0 if is_name else 1.0)
        return weights

    @property
    def is_yes_no(self) -> bool:
        """Whether the question asks for yes or no."""
        return _YES_NO.match(self.question.strip()) is not None

    @property
    def is_complete(self) -> bool:
        """Whether the facts speak of everything that the question speaks of."""
        return bool(self.facts) and set(self.weights) <= self.covered

    def read(self, title: str, text: str, *, url: str = "", looked_up: Sequence[str] = ()) -> None:
        """Keep the page's sentences that share most with the question and what was looked up."""
        weights = {key: w / (4 if key in self.covered else 1) for key, w in self.weights.items()}
        weights |= {key: 0.5 for key in stems(" ".join(looked_up)) if key not in weights}
        # A page names its subject everywhere, so its title tells no sentence from another.
        weights |= {key: 0.25 for key in stems(title) if key in weights}
        found = sentences(text)
        scores: list[tuple[float, int]] = []
        for number, inside in enumerate(map(stems, found)):
            score = sum(weights.get(key, 0.0) for key in inside)
            scores.append((-score / (1 + len(inside) / 60), number))
        best = [number for _, number in sorted(scores)[:KEPT_SENTENCES]]
        # The first sentence says what the page is about; the one after the best often goes on.
        kept = dict.fromkeys([*best, *(number + 1 for number in best[:1]), 0])
        self.fresh = [Fact(title, found[number], url) for number in kept if number < len(found)]
        self.facts += [fact for fact in self.fresh if fact not in self.facts]
        self.covered |= stems(" ".join(map(str, self.fresh))) & set(weights)

    def open_words(self) -> list[str]:
        """The question's words that no fact contains yet."""
        return [word for word in words(self.question) if stem(word) not in self.covered]

    def leads(self) -> list[str]:
        """Names that the last page adds; none while the question names something not found."""
        if any(self.weights[stem(word)] > 1 for word in self.open_words()):
            return []
        # Without the titles: "Paris" on the page about Paris leads nowhere new.
        found = names_in(" . ".join(fact.sentence for fact in self.fresh[:2]))
        new = [name for name in found if not stems(name) <= set(self.weights)]
        titles = {normal(fact.title) for fact in self.facts}
        return [name for name in new if normal(name) not in titles and not name.isdigit()]

    def offer(self, hits: Iterable[Hit], visited: Sequence[str]) -> list[Hit]:
        """The unvisited hits that the question names, else that the last page names, else all."""
        left = [hit for hit in hits if hit.url not in visited]
        for text in (self.question, " ".join(fact.sentence for fact in self.fresh)):
            if mentioned := [hit for hit in left if normal(hit.title) in normal(text)]:
                return mentioned[:OFFERED_HITS]
        return left[:OFFERED_HITS]

    def supports(self, answer: str) -> Fact | None:
        """The fact that contains an answer and shares most with the question, or None."""
        holders = [fact for fact in self.facts if normal(answer) in normal(fact.sentence)]
        return max(holders, key=lambda f: len(stems(str(f)) & set(self.weights)), default=None)

    def chain(self, last: Fact) -> list[Fact]:
        """How the pages led to a fact: facts that name the page of the next one, that one last."""
        chain = [last]
        while chain[0].title:
            seen = {fact.title for fact in chain}
            named = normal(chain[0].title)
            before = next(
                (f for f in self.facts if f.title not in seen and named in normal(f.sentence)), None
            )
            if before is None:
                break
            chain.insert(0, before)
        return chain

    def is_answer(self, answer: str) -> bool:
        """Whether the answer was read on a page and is not a part of the question."""
        if self.is_yes_no:
            return answer in ("yes", "no")
        told = normal(" ".join(map(str, self.facts)))
        return normal(answer) in told and normal(answer) not in normal(self.question)

    def candidates(self) -> list[str]:
        """Names and numbers of the facts that can be answers."""
        return [name for name in names_in(" . ".join(map(str, self.facts))) if self.is_answer(name)]


def object_schema(**properties: Schema) -> Schema:
    """The schema of an object with exactly these properties."""
    shape = {"type": "object", "properties": properties, "required": list(properties)}
    return {**shape, "additionalProperties": False}


def json_object(text: str) -> dict[str, object]:
    """The JSON object that a text is; empty when it is none."""
    try:
        found: object = json.loads(text)
    except ValueError:
        return {}
    return cast(dict[str, object], found) if isinstance(found, dict) else {}


def answer_schema(evidence: Evidence, candidates: Sequence[str] = ()) -> Schema:
    """The schema of the short answer."""
    choices = ["yes", "no"] if evidence.is_yes_no else list(candidates)
    return object_schema(answer={"enum": choices} if choices else ANSWER)


def chat(system: str, *turns: str) -> Prompt:
    """A conversation whose turns alternate between user and assistant."""
    said = (Message("assistant" if n % 2 else "user", text) for n, text in enumerate(turns))
    return (Message("system", system), *said)


def answer_prompt(evidence: Evidence) -> Prompt:
    """Ask for the short answer. Without the examples a 0.5B model gets 17 of 24, not 21."""
    hound = (
        "The Hound of Loch Bree: The Hound of Loch Bree is a novel by Mara Ellison.\n"
        "Mara Ellison: Mara Ellison was born in Dundee in 1921.\n"
        "Mara Ellison: Mara Ellison moved to Toronto in 1950."
    )
    lakes = "Tarvo: Tarvo is a lake in Finland.\nLake Mirel: Lake Mirel lies in Romania."
    return chat(
        "Answer the question from the facts with a few words copied from them.",
        _asked(hound, "In which city was the author of The Hound of Loch Bree born?"),
        json.dumps({"answer": "Dundee"}),
        _asked(lakes, "Are Tarvo and Lake Mirel in the same country?"),
        json.dumps({"answer": "no"}),
        _asked(_lines(evidence.facts), evidence.question),
    )


def _asked(facts: str, question: str) -> str:
    return f"Facts:\n{facts}\n\nQuestion: {question}"


def url_prompt(evidence: Evidence, hits: Sequence[Hit]) -> Prompt:
    """Ask which page to open."""
    return chat(
        "Choose the page to open next to answer the question.",
        f"Pages:\n{_lines(hits)}\n\n{_asked(_lines(evidence.fresh[:2]), evidence.question)}",
    )


def _lines(items: Iterable[Fact | Hit]) -> str:
    return "\n".join(map(str, items)) or "none yet"


def action_prompt(evidence: Evidence, queries: Sequence[str], hits: Sequence[Hit]) -> Prompt:
    """Ask for the next action; for models that can choose themselves (1.5B and up)."""
    return chat(
        "You research a question in small steps and know nothing yourself. Search for one name or"
        " thing, visit a page that was found, and answer with a few words copied from the facts as"
        " soon as they suffice. Reply with one JSON action.",
        f"Question: {evidence.question}\n\nSearched for: {'; '.join(queries) or 'nothing yet'}\n\n"
        f"Facts read so far:\n{_lines(evidence.facts)}\n\nPages found:\n{_lines(hits)}",
    )
