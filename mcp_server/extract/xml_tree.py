"""Parse XML as it is found on the web: linear time, whatever is wrong with it.

No entity is ever expanded but the characters that HTML names, so that neither "billion laughs"
nor external entities exist here. Feeds are so often not well-formed that a strict parser would
lose them.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_MAX_DEPTH = 150
"""Elements within elements; the text of deeper ones belongs to their ancestor at this depth."""
_MAX_ELEMENTS = 500_000
"""Elements that are kept apart; a tree of more would take a gigabyte."""

_TAG = re.compile(r"<(/?)([^\W\d][\w:.-]{0,100})((?:[^<>\"']|\"[^\"<]*+\"|'[^'<]*+')*+)>")
_ATTRIBUTE = re.compile(r"([^\s=\"'/]{1,100})\s{0,20}=\s{0,20}(?:\"([^\"]*+)\"|'([^']*+)')")


@dataclass(slots=True)
class XmlElement:
    """An element by its local name."""

    name: str
    """Lower case, without prefix."""
    written_name: str = ""
    """As it is written, without prefix."""
    attributes: dict[str, str] = field(default_factory=dict[str, str])
    """By local name in lower case, the second of the same name with its prefix; no namespaces."""
    content: list["str | XmlElement"] = field(default_factory=list["str | XmlElement"])
    """Texts and elements, in order."""

    def children(self, *names: str) -> Iterator["XmlElement"]:
        """The elements directly inside with one of these names; all for no names."""
        for part in self.content:
            if isinstance(part, XmlElement) and (not names or part.name in names):
                yield part

    def text(self) -> str:
        """All text inside, as it stands."""
        return "".join(part if isinstance(part, str) else part.text() for part in self.content)


def parse_xml(markup: str) -> XmlElement:
    """Parse a document or what is left of one.

    Args:
        markup: decoded text.

    Returns:
        An element without a name that holds everything. What is never closed ends with its
        parent, an end without a start is skipped, a "<" that starts nothing is text.
    """
    root = XmlElement("")
    stack = [root]
    elements = position = 0
    while (opening := markup.find("<", position)) >= 0:
        _add_text(stack[-1], html.unescape(markup[position:opening]))
        tag = _TAG.match(markup, opening)
        if tag is None:
            position = _skip(markup, opening, stack[-1])
            continue
        position = tag.end()
        written_name = tag[2].rpartition(":")[2]
        name = written_name.lower()
        if tag[1]:
            _close(stack, name)
        elif len(stack) <= _MAX_DEPTH and elements < _MAX_ELEMENTS:
            elements += 1
            element = XmlElement(name, written_name, _attributes(tag[3]))
            stack[-1].content.append(element)
            if not tag[3].endswith("/"):
                stack.append(element)
    _add_text(stack[-1], html.unescape(markup[position:]))
    return root


def _add_text(element: XmlElement, text: str) -> None:
    if text:
        element.content.append(text)


def _close(stack: list[XmlElement], name: str) -> None:
    for depth in range(len(stack) - 1, 0, -1):
        if stack[depth].name == name:
            del stack[depth:]
            return


def _attributes(text: str) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(text):
        prefix, _, name = match[1].lower().rpartition(":")
        if prefix != "xmlns" and name != "xmlns":
            key = match[1].lower() if name in attributes else name
            attributes[key] = html.unescape(match[2] or match[3] or "")
    return attributes


def _skip(markup: str, opening: int, element: XmlElement) -> int:
    """Where to go on after a "<" that starts no tag; CDATA and a lone "<" are text."""
    for start, end in (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"), ("<!", ">")):
        if not markup.startswith(start, opening):
            continue
        inside = opening + len(start)
        if start == "<!" and 0 <= markup.find("[", inside) < markup.find(">", inside):
            end = "]>"  # a document type with declarations
        closing = markup.find(end, inside)
        if closing < 0:
            closing = len(markup)  # also what makes many unclosed ones linear
        if start == "<![CDATA[":
            _add_text(element, markup[inside:closing])
        return min(closing + len(end), len(markup))
    _add_text(element, "<")
    return opening + 1
