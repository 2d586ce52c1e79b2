"""What the guided modes read and write: tool results, evidence, and the prompts made of it.

A 0.5B model gets lost in long prompts, so each prompt holds only the question and the few
sentences of the pages that share words with it. Words are compared by their first five letters
(truncation stemming, McNamee and Mayfield 2004): "discoverer" then meets "discovered".
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agent_client.conversation import Message

Schema = Mapping[str, object]

_STOP_WORDS = frozenset(
    """a about above after all also an and any are as at be been before being between both but by
    called can could did do does first for from had has have he her him his how i if in into is it
    its known me more most my name named no not of on one or our out over she should so some such
    than that the their them then there these they this those through to was we were what when
    where which while who whom whose why will with would you your""".split()
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_STEM_CHARS = 5
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"”’)]*\s+(?=[\"“‘(]*[A-Z0-9À-Ý])")
_ABBREVIATION = re.compile(r"\b(?:[A-Z]|Mt|St|Dr|Mr|Mrs|Jr|Sr|Co|vs)\.$")
_NAME = re.compile(
    r"(?:[A-ZÀ-Ý][\w’'&-]*|\d{3,4})"
    r"(?:\s+(?:(?:of|the|de|del|della|di|da|van|von|and)\s+)*[A-ZÀ-Ý][\w’'&-]*)*"
)
_HIT = re.compile(
    r"^Index: *\d+ *\nURL: *(?P<url>\S+) *\nTitle: *(?P<title>.*)(?:\nPreview: *(?P<preview>.*))?",
    re.MULTILINE,
)
_BOX_REQUEST = re.compile(r"[^.?!\n]*\\boxed\{[^}]*\}?[^.?!\n]*[.!]?")
_YES_NO = re.compile(
    r"(?:are|is|was|were|do|does|did|has|have|had|can|could|will)\b(?!.*\bor\b)", re.IGNORECASE
)
MAX_SENTENCE_CHARS = 300
KEPT_SENTENCES = 3
"""Of each page. With three pages the prompt of the answer stays near 500 tokens."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result, as the tool's text tells it."""

    url: str
    title: str
    preview: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A sentence of a page that was read."""

    title: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.title}: {self.sentence}" if self.title else self.sentence


def question_of(text: str) -> str:
    r"""The user's message without the request to put the answer into `\boxed{}`."""
    return " ".join(_BOX_REQUEST.sub(" ", text).split()) or text.strip()


def parse_hits(text: str) -> list[Hit]:
    """The hits of a search result's text, best first; empty for "No results" and for errors."""
    return [
        Hit(match["url"], match["title"].strip(), (match["preview"] or "").strip())
        for match in _HIT.finditer(text)
    ]


def parse_page(text: str) -> tuple[str, str] | None:
    """Title and text of a visited page; None when the visit failed."""
    if text.startswith("Error") or not text.strip():
        return None
    head, _, body = text.partition("\n\n")
    if not re.match(r"(?:Title|URL|Length):", head):
        return "", text
    title = re.search(r"^Title: *(.*)$", head, re.MULTILINE)
    name = title[1].strip() if title else ""
    body = re.sub(r"\n+\[The page goes on[^\]]*\]\s*\Z", "", body)
    return ("" if name == "(none)" else name), body


def words(text: str) -> list[str]:
    """The words that say something: no stop words, in order, as written."""
    return [word for word in _WORD.findall(text) if word.lower() not in _STOP_WORDS]


def stem(word: str) -> str:
    """A word cut so that its other forms become equal to it."""
    low = word.lower().replace("’", "'").removesuffix("'s")
    if len(low) > _STEM_CHARS:
        return low[:_STEM_CHARS]
    return low.removesuffix("s") if len(low) > 3 else low


def stems(text: str) -> set[str]:
    """The stems of all words that say something."""
    return {stem(word) for word in words(text)}


def normal(text: str) -> str:
    """A text as lower-case words, padded so that `in` compares whole words."""
    return f" {' '.join(_WORD.findall(text.lower()))} "


def sentences(text: str) -> list[str]:
    """The sentences of a page's text, headings left out."""
    found: list[str] = []
    for line in text.splitlines():
        parts: list[str] = []
        for part in _SENTENCE_END.split(line.strip().lstrip("#*->| ")):
            if parts and _ABBREVIATION.search(parts[-1]):
                parts[-1] += " " + part
            else:
                parts.append(part)
        found += [part[:MAX_SENTENCE_CHARS] for part in parts if len(part.split()) > 2]
    return found


def names_in(text: str) -> list[str]:
    """Names, years and numbers of a text, in order: runs of capitalised words."""
    found = (match.group().rstrip(".,'’") for match in _NAME.finditer(text))
    return list(dict.fromkeys(name for name in found if stems(name)))


@dataclass(slots=True)
class Evidence:
    """What was learnt so far about one question."""

    question: str
    facts: list[Fact] = field(default_factory=list[Fact])
    fresh: list[Fact] = field(default_factory=list[Fact])
    """Of the page read last."""
    covered: set[str] = field(default_factory=set[str])
    """The question's stems that the facts contain."""

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
    def is_complete(self) -> bool:
        """Whether the facts speak of everything that the question speaks of."""
        return bool(self.facts) and set(self.weights) <= self.covered

    def read(self, title: str, text: str, *, looked_up: str = "") -> None:
        """Keep the page's sentences that share most with the question and what was looked up."""
        weights = {
            key: weight / 2 if key in self.covered else weight
            for key, weight in self.weights.items()
        }
        for key in stems(looked_up):
            weights.setdefault(key, 1.0)
        scored: list[tuple[float, int, str]] = []
        for number, sentence in enumerate(sentences(text)):
            inside = stems(sentence)
            score = sum(weight for key, weight in weights.items() if key in inside)
            scored.append((-score / (1 + len(inside) / 60), number, sentence))
        best = sorted(scored)[:KEPT_SENTENCES]
        self.fresh = [Fact(title, sentence) for _, _, sentence in best]
        self.facts += [fact for fact in self.fresh if fact not in self.facts]
        told = stems(" ".join(map(str, self.fresh)))
        self.covered |= told & set(weights)

    def open_words(self) -> list[str]:
        """The question's words that no fact contains yet."""
        return [word for word in words(self.question) if stem(word) not in self.covered]

    def leads(self) -> list[str]:
        """Names in the facts of the last page that the question does not contain."""
        asked = stems(self.question)
        # Without the titles: "Paris" on the page about Paris leads nowhere new.
        found = names_in(" . ".join(fact.sentence for fact in self.fresh[:2]))
        return [name for name in found if not stems(name) <= asked]

    def order(self, hits: Iterable[Hit], visited: Sequence[str]) -> list[Hit]:
        """The unvisited hits; those whose title the question or a fact mentions come first."""
        known = normal(" ".join([self.question, *(fact.sentence for fact in self.fresh)]))
        left = [hit for hit in hits if hit.url not in visited]

        def score(place: int) -> float:
            mentioned = normal(left[place].title) in known
            return 1 / (2 + place) + (0.4 if mentioned else 0.0)

        return [left[place] for place in sorted(range(len(left)), key=score, reverse=True)]

    def supports(self, answer: str) -> Fact | None:
        """The fact that contains an answer and shares most with the question, or None."""
        holders = [fact for fact in self.facts if normal(answer) in normal(fact.sentence)]
        asked = stems(self.question)
        return max(holders, key=lambda fact: len(stems(str(fact)) & asked), default=None)

    def is_answer(self, answer: str) -> bool:
        """Whether the answer was read on a page and is not a part of the question."""
        told = normal(" ".join(map(str, self.facts)))
        is_new = normal(answer) not in normal(self.question)
        return bool(answer.strip()) and is_new and normal(answer) in told

    def candidates(self) -> list[str]:
        """Names and numbers of the facts that can be answers."""
        return [name for name in names_in(" . ".join(map(str, self.facts))) if self.is_answer(name)]


def is_yes_no(question: str) -> bool:
    """Whether the question asks for yes or no."""
    return _YES_NO.match(question.strip()) is not None


def object_schema(**properties: Schema) -> Schema:
    """The schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def text_schema(max_chars: int) -> Schema:
    """The schema of a short text."""
    return {"type": "string", "minLength": 1, "maxLength": max_chars}


def answer_schema(question: str, candidates: Sequence[str] = ()) -> Schema:
    """The schema of the short answer."""
    choices = ["yes", "no"] if is_yes_no(question) else list(candidates)
    return object_schema(answer={"enum": choices} if choices else text_schema(60))


def chat(system: str, *turns: str) -> tuple[Message, ...]:
    """A conversation whose turns alternate between user and assistant."""
    roles = ("user", "assistant")
    said = (Message(roles[number % 2], text) for number, text in enumerate(turns))
    return (Message("system", system), *said)


def answer_prompt(evidence: Evidence) -> tuple[Message, ...]:
    """Ask for the short answer. The two examples are worth four of 24 answers (0.5B)."""
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
        _asked("\n".join(map(str, evidence.facts)), evidence.question),
    )


def _asked(facts: str, question: str) -> str:
    return f"Facts:\n{facts}\n\nQuestion: {question}"


def lead_prompt(evidence: Evidence) -> tuple[Message, ...]:
    """Ask which name of the last page must be looked up next."""
    facts = "Blade Street: Blade Street is a film of 1984 by Orla Venn, made in Norway for Kino AS."
    return chat(
        "The facts do not answer the question yet. Say which name to look up next.",
        _asked(facts, "Where was the director of the film Blade Street born?"),
        json.dumps({"look_up": "Orla Venn"}),
        _asked("\n".join(map(str, evidence.fresh)), evidence.question),
    )


def url_prompt(question: str, hits: Sequence[Hit]) -> tuple[Message, ...]:
    """Ask which page to open."""
    listed = "\n".join(f"{hit.url} - {hit.title}: {hit.preview[:160]}" for hit in hits)
    return chat(
        "Choose the page that helps most to answer the question.",
        f"Pages:\n{listed}\n\nQuestion: {question}",
    )


def action_prompt(
    evidence: Evidence, queries: Sequence[str], hits: Sequence[Hit]
) -> Sequence[Message]:
    """Ask for the next action; for models that can choose themselves (1.5B and up)."""
    listed = "\n".join(f"{hit.url} - {hit.title}: {hit.preview[:160]}" for hit in hits)
    told = "\n".join(map(str, evidence.facts))
    return chat(
        "You research a question in small steps and know nothing yourself. Reply with one JSON"
        ' action: {"action": "search", "query": ...} to look up one name or thing,'
        ' {"action": "visit", "url": ...} to read a page that was found,'
        ' {"action": "answer", "answer": ...} as soon as the facts answer the question: a few'
        " words copied from them.",
        f"Question: {evidence.question}\n\nSearched for: {'; '.join(queries) or 'nothing yet'}\n\n"
        f"Facts read so far:\n{told or 'none yet'}\n\nPages found:\n{listed or 'none yet'}",
    )
