"""Shows a change of settings without the keys and tokens in it, ours and those of others."""

import difflib
import json
import re
from collections.abc import Sequence

MASK = "***"
MIN_SECRET_CHARS = 4
"""Shorter values are no secrets, and masking them would black out half of the text."""
_ASSIGNED = re.compile(
    r"""(["']?([A-Za-z0-9_.-]{0,64}(?:key|token|secret|passw|auth|credential)[A-Za-z0-9_.-]{0,64})["']?"""
    r"""[ \t]{0,8}[:=][ \t]{0,8})("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s,{}\[\]"']+)""",
    re.IGNORECASE,
)
_USER_INFO = re.compile(r"(://[^\s/@:\"']{0,200}:)[^\s/@\"']{1,400}@")
_OPAQUE = re.compile(r"[A-Za-z0-9_+=-]{20,}")
_NAMES = ("env_var", "env_vars", "env_keys")
"""Ends of keys whose values are names of variables."""
_SWITCHES = ("true", "false", "null")
_REFERENCE = re.compile(r"(?:Bearer )?(?:\$\{|\{env:)[A-Za-z0-9_: ]{1,200}\}")


def masked_diff(before: str, after: str, file: str, secrets: Sequence[str]) -> str:
    """A unified diff of two texts.

    Args:
        before: the old text.
        after: the new one.
        file: how the file is called in the head of the diff.
        secrets: values that are masked wherever they stand. Masked too is what looks like a secret:
            values of keys that are called so, and long runs of letters and digits.
    """
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"{file} (now)", f"{file} (then)", "", "", 2, ""
    )
    head = [line for _, line in zip(range(2), lines, strict=False)]
    return "\n".join(head + [masked(line.rstrip("\r"), secrets) for line in lines])


def masked(text: str, secrets: Sequence[str]) -> str:
    """A text without secrets; see `masked_diff`."""
    long = [secret for secret in secrets if len(secret) >= MIN_SECRET_CHARS]
    for secret in sorted(long, key=len, reverse=True):
        for written in (
            secret,
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
        ):
            text = text.replace(written, MASK)
    text = _USER_INFO.sub(rf"\g<1>{MASK}@", text)
    return _OPAQUE.sub(_mask_opaque, _ASSIGNED.sub(_mask_assigned, text))


def _mask_assigned(found: re.Match[str]) -> str:
    value = found[3].strip("\"'")
    if found[2].lower().endswith(_NAMES) or _REFERENCE.fullmatch(value) or value in _SWITCHES:
        return found[0]
    quote = found[3][0] if found[3][0] in "\"'" else ""
    return f"{found[1]}{quote}{MASK}{quote}"


def _mask_opaque(found: re.Match[str]) -> str:
    run = found[0]
    is_opaque = any(sign.isdigit() for sign in run) and any(sign.isalpha() for sign in run)
    return MASK if is_opaque else run
