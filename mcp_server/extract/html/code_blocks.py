"""Read `<pre>` elements: the code as it stands, and its language."""

import re

from selectolax.lexbor import LexborNode

_MAX_LANGUAGE_CHARS = 20
_LANGUAGE_CLASS = re.compile(
    r"(?:^|\s)(?:language|lang|highlight-source|highlight-text|highlight|brush:?|sourceCode)"
    r"[-\s:]\s?([\w+#.-]{1,20})(?=\s|;|$)"
)
_NO_LANGUAGE = frozenset(
    "default none plain plaintext text txt nohighlight highlight code example literal-block "
    "sourcecode notranslate numbersource fallback auto output console-output".split()
)
_LANGUAGE_NAMES = {"python3": "python", "ipython3": "python", "pycon3": "pycon"}
_LINE_ELEMENTS = "br, div, p, li, tr"
_LINE_NUMBERS = "[class*=lineno], [class*=line-number], [data-line-number]:empty"
_BACKTICKS = re.compile(r"`+")
_LINE_NUMBER_CLASS = re.compile(r"lineno|line-?num|gutter|blob-num", re.I)


def code_text(pre: LexborNode) -> str:
    """The text of a `<pre>` with its indentation, without blank lines around it.

    Elements that begin a line begin one here, and numbers of lines are left out.
    """
    # Each once and inner ones first: removing an element frees what is in it.
    numbers = {node.mem_id: node for node in pre.css(_LINE_NUMBERS)}
    for number in reversed(numbers.values()):
        if number.text(strip=True).isdigit():
            number.decompose()
    if pre.css_first(_LINE_ELEMENTS) is None:
        text = pre.text()
    else:
        pieces: list[str] = []
        for node in pre.traverse(include_text=True):
            tag = node.tag
            if tag == "-text":
                pieces.append(node.text_content or "")
            elif tag == "br" or (tag in ("div", "p", "li", "tr") and _is_inside_line(pieces)):
                pieces.append("\n")
        text = "".join(pieces)
    lines = text.replace("\r\n", "\n").rstrip().split("\n")
    first = next((index for index, line in enumerate(lines) if line.strip()), len(lines))
    return "\n".join(lines[first:])


def _is_inside_line(pieces: list[str]) -> bool:
    return bool(pieces) and not pieces[-1].endswith("\n")


def is_line_numbers(pre: LexborNode, text: str) -> bool:
    """Whether a `<pre>` is the column of numbers beside the code."""
    if not text[:1].strip().isdigit() or not "".join(text.split()).isdigit():
        return False
    parent = pre.parent
    names = (pre.attributes.get("class") or "") + " " + _class_of(parent)
    if parent is not None:
        names += " " + _class_of(parent.parent)
    return bool(_LINE_NUMBER_CLASS.search(names))


def code_language(pre: LexborNode) -> str:
    """The language that highlighters write into class names; "" where none is named."""
    child = pre.css_first("code")
    parent = pre.parent
    grandparent = parent.parent if parent is not None else None
    for node in (child, pre, parent, grandparent):
        if node is None:
            continue
        attributes = node.attributes
        named = attributes.get("data-lang") or attributes.get("data-language") or ""
        found = _LANGUAGE_CLASS.search((attributes.get("class") or "")[:500])
        language = (named or (found[1] if found else "")).lower()
        if language and language not in _NO_LANGUAGE and len(language) <= _MAX_LANGUAGE_CHARS:
            language = language.removeprefix("source-").removeprefix("source.")
            language = re.sub(r"[^\w+#.-]", "", language)
            return _LANGUAGE_NAMES.get(language, language)
    return ""


def fenced(text: str, language: str) -> str:
    """Code between fences that are longer than any run of backticks in it."""
    fence = "`" * max(3, longest_backticks(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def longest_backticks(text: str) -> int:
    """The length of the longest run of backticks in a text."""
    return max(map(len, _BACKTICKS.findall(text)), default=0)


def _class_of(node: LexborNode | None) -> str:
    return (node.attributes.get("class") or "") if node is not None else ""
