"""How long a result may be: in bytes, since hosts count tokens each in their own way.

About three bytes make a token in every alphabet, so a text that is short enough in bytes is short
enough by `visit.reading.budget.estimate_tokens` too.
"""

BYTES_PER_TOKEN = 3
_CUT_MARK = " …"


def size_bytes(text: str) -> int:
    """The length of a text as UTF-8."""
    return len(text.encode("utf-8", "surrogatepass"))


def clipped(text: str, max_bytes: int) -> str:
    """The text, or its beginning and " …" where it is longer than `max_bytes`."""
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= max_bytes:
        return text
    room = max(0, max_bytes - size_bytes(_CUT_MARK))
    return encoded[:room].decode("utf-8", "ignore") + _CUT_MARK
