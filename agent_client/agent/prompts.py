"""The prompts: text files, identified by name."""

import re
from functools import cache
from importlib.resources import files

from agent_client.agent.profile import Style

SHORT_SUFFIX = "\n\nPlease reason step-by-step and put the final answer within \\boxed{}."
"""What the II-Search-4B model card adds to a question that has a short answer."""

BUDGET_NOTE = (
    "\n\n[Note from Seekling: the budget for this question is used up. Call no more tools: answer"
    " now from what you have read.]"
)

MAX_SHORT_QUESTION_WORDS = 60
_OPEN_ENDED = re.compile(
    r"\b(why|explain|describe|compare|summari[sz]e|overview|advantages|differences?|discuss|list"
    r"|how (do|does|did|can|to)|what are the)\b",
    re.IGNORECASE,
)


@cache
def load_prompt(name: str) -> str:
    """The text of `prompts/NAME.md`."""
    return (files("agent_client.agent") / "prompts" / f"{name}.md").read_text(encoding="utf-8")


def wants_short_answer(question: str, style: Style) -> bool:
    """Whether the question is asked with the short-answer suffix.

    `auto` guesses by the wording: a question of at most `MAX_SHORT_QUESTION_WORDS` words that ends
    in a question mark and holds no word that asks for an explanation.
    """
    if style != "auto":
        return style == "short"
    is_long = len(question.split()) > MAX_SHORT_QUESTION_WORDS
    return question.rstrip().endswith("?") and not is_long and not _OPEN_ENDED.search(question)
