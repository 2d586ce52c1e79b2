"""How much of a text fits: in tokens, estimated without the model's tokeniser, and in bytes."""

import re

CHARS_PER_TOKEN = 3.5
"""Of text in the Latin alphabet with Markdown; English prose alone has about 4.3."""
CHARS_PER_TOKEN_NON_LATIN = 2.0
"""Of Cyrillic, Greek, Arabic, Hebrew, Indic and other alphabets."""
CHARS_PER_TOKEN_CJK = 1.0
"""Of Chinese, Japanese, Korean and everything above; tokenisers of today reach 1.3 to 1.7."""

_STEP_CHARS = 512
_CJK = re.compile("[\u1100-\u11ff\u2e80-\U000dffff]")
_NON_LATIN = re.compile("[\u0370-\u10ff\u1200-\u1dff\u2c00-\u2e7f]")


def estimate_tokens(text: str) -> float:
    """The tokens of a text, rather too many than too few, by the alphabets of its characters."""
    cjk = len(_CJK.findall(text))
    non_latin = len(_NON_LATIN.findall(text))
    return (
        cjk / CHARS_PER_TOKEN_CJK
        + non_latin / CHARS_PER_TOKEN_NON_LATIN
        + (len(text) - cjk - non_latin) / CHARS_PER_TOKEN
    )


def chars_within(text: str, start: int, max_tokens: float) -> int:
    """How many characters from `start` cost at most `max_tokens`; at least 1 where there are any.

    Takes time for the characters counted, not for the whole text.
    """
    end, left = start, float(max_tokens)
    step = _STEP_CHARS
    while end < len(text):
        piece = text[end : end + step]
        cost = estimate_tokens(piece)
        if cost <= left:
            left -= cost
            end += len(piece)
        elif step > 1:
            step //= 2
        else:
            break
    return max(end - start, min(1, len(text) - start))


def chars_within_bytes(text: str, start: int, max_bytes: int) -> int:
    """How many characters from `start` take at most `max_bytes` as UTF-8; at least 1 if any."""
    piece = text[start : start + max_bytes].encode("utf-8", "surrogatepass")
    if len(piece) <= max_bytes:
        return len(text[start : start + max_bytes])
    return max(len(piece[:max_bytes].decode("utf-8", "ignore")), min(1, len(text) - start))
