"""How a question is put: for a short answer in a box, or for one that cites its sources."""

import re

from agent_client.agent.profile import Style

MAX_SHORT_QUESTION_WORDS = 60
_OPEN_ENDED = re.compile(
    r"\b(why|explain|describe|compare|summari[sz]e|overview|advantages|differences?|discuss|list"
    r"|how (do|does|did|can|to)|what are the)\b",
    re.IGNORECASE,
)


def wants_short_answer(question: str, style: Style) -> bool:
    """Whether the question is asked with the short-answer suffix.

    `auto` guesses by the wording: a question of at most `MAX_SHORT_QUESTION_WORDS` words that ends
    in a question mark and holds no word that asks for an explanation.
    """
    if style != "auto":
        return style == "short"
    is_long = len(question.split()) > MAX_SHORT_QUESTION_WORDS
    return question.rstrip().endswith("?") and not is_long and not _OPEN_ENDED.search(question)
