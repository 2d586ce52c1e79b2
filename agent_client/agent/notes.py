"""What the loop tells the model.

Notes stand at the end of a tool result, never in a turn of their own: a later message of the
person would make a chat template drop earlier reasoning, and with it the prefix that the server
has cached.
"""

from collections.abc import Iterable

MALFORMED_TOOL = "malformed_call"
"""Name under which a call that could not be read stands in the conversation."""

BUDGET_NOTE = (
    "\n\n[Note from Seekling: the budget for this question is used up. Call no more tools: answer"
    " now from what you have read.]"
)
NO_MORE_CALLS = "the budget for this question is used up; call no more tools and answer now."
CUT_OFF_CALL = "the call was cut off by a limit."
SAME_REPLY = "this is the same reply as before. Call no more tools and answer now."
SAME_CALL_THIS_TURN = (
    "[Note from Seekling: this call stands twice in this turn. Its result is given above.]"
)
OMITTED_RESULT = "[An older result, left out to save room. Call the tool again to see it.]"


def near_the_end(what_is_left: str) -> str:
    """The note that the budget is nearly used up."""
    return (
        f"\n\n[Note from Seekling: {what_is_left}. Finish your research now, then answer from what"
        " you have read.]"
    )


def shorter_answer(max_tokens: int) -> str:
    """The note that an answer did not come to its end."""
    return (
        f"\n\n[Note from Seekling: your answer was longer than {max_tokens:,} tokens and was cut"
        " off. Give it in fewer words.]"
    )


def unknown_tool(name: str, names: Iterable[str]) -> str:
    """There is no such tool; which there are."""
    return f"there is no tool {name[:80]!r}. {how_to_call(names)}"


def malformed_call(reason: str, names: Iterable[str]) -> str:
    """The call could not be read; why, and how it is done."""
    why = f" {reason.strip().rstrip('.')}." if reason.strip() else ""
    return f"the call could not be read.{why} {how_to_call(names)}"


def how_to_call(names: Iterable[str]) -> str:
    """Which tools can be called, and how."""
    return f"Call one of: {', '.join(names)}, with its arguments as one JSON object."


def unknown_url(url: str, search_tool: str) -> str:
    """The address was made up."""
    search = f"Search with {search_tool} first and visit" if search_tool else "Visit"
    return (
        f"{url[:300]} is in no result that you have seen, so it may not exist. {search} an address"
        " exactly as a result gives it."
    )


def same_call(what: str, beginning: str) -> str:
    """The result of a repeated call: where it stands already, and how it begins."""
    return (
        f"[Note from Seekling: {what}. Its result stands above and has not changed: use it, or do"
        f" something else.]\nIt begins:\n{beginning}"
    )
