"""Texts as pages are given them: such that JSON can hold, and not longer than a page can show."""

MAX_TEXT_CHARS = 200_000
"""Of one text; what is longer is cut and says so."""


def shown(text: str) -> str:
    """The text, encodable, and cut where it is too long, with how much is missing."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    if len(text) <= MAX_TEXT_CHARS:
        return text
    return f"{text[:MAX_TEXT_CHARS]}\n[{len(text) - MAX_TEXT_CHARS:,} more characters]"


def short(text: str, max_chars: int) -> str:
    """The beginning of a text, encodable, with an ellipsis where it goes on."""
    if len(text) > max_chars:
        text = f"{text[: max_chars - 1]}…"
    return shown(text)
