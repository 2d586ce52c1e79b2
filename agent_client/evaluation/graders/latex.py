r"""The little LaTeX that models put into a box, as plain text."""

import re

_ANY = re.compile(r"[\\${}~]")
_WRAPPER = (
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|operatorname|emph|mbox|underline)"
    r"\s{0,3}"
)
_WRAPPED = re.compile(_WRAPPER + r"\{([^{}]{0,2000})\}")
_WRAPPER_NAME = re.compile(_WRAPPER + r"(?=\{)")
_FRACTION = re.compile(r"\\[dt]?frac\s{0,3}\{([^{}]{1,200})\}\s{0,3}\{([^{}]{1,200})\}")
_DEGREE = re.compile(r"\^\s?\{?\s?\\circ\s?\}?")
_SPACE = re.compile(r"\\(?:[,;:! ]|quad\b|qquad\b|\\)|~")
_NOTHING = re.compile(r"\\(?:left|right|displaystyle|bf|rm)\b|(?<!\\)\$|\\[()\[\]]")
_ESCAPED = re.compile(r"\\([%$&#_{}])")
_MOST_NESTED = 4
"""How deep wrappers are taken off."""


def plain_latex(text: str) -> str:
    r"""The text without LaTeX: `\text{42\,km}` is "42 km", `\frac{1}{2}` is "1/2".

    Linear time; most texts hold none of it and come back as they are.
    """
    if not _ANY.search(text):
        return text
    text = _DEGREE.sub("°", text.replace("{,}", ","))
    for _ in range(_MOST_NESTED):
        changed = _FRACTION.sub(r"\1/\2", _WRAPPED.sub(r"\1", text))
        if changed == text:
            break
        text = changed
    text = _NOTHING.sub("", _SPACE.sub(" ", _WRAPPER_NAME.sub("", text)))
    return " ".join(_ESCAPED.sub(r"\1", text).replace("{", "").replace("}", "").split())
