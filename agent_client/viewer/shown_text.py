"""Texts as the viewer gives them to its page."""

from collections.abc import Iterable, Iterator
from typing import Any

from agent_client.timeline.markup import Nodes, nodes_of

MAX_TEXT_CHARS = 200_000
"""Of one text; as of the steps (`agent_client.timeline.timeline`)."""


def shown(text: str, most: int = MAX_TEXT_CHARS) -> str:
    """A text that JSON can hold, cut where it is too long, and then saying so."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    if len(text) <= most:
        return text
    return f"{text[:most]}\n[{len(text) - most:,} more characters]"


def short(text: str, most: int) -> str:
    """The beginning of a text, encodable, with an ellipsis where it goes on."""
    if len(text) > most:
        text = f"{text[: most - 1]}…"
    return shown(text)


def plain_text(markdown: str) -> str:
    """What a line of our own Markdown says, without its marks and escapes."""
    return "".join(_texts(nodes_of(markdown))).strip()


def _texts(nodes: Nodes) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif isinstance(node, dict):
            yield from _texts(_children(node))


def _children(node: dict[str, Any]) -> Nodes:
    children: Iterable[Any] = node.get("c") or ()
    return list(children)
