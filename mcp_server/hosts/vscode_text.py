"""The settings of VS Code, which asks for keys once and keeps them itself.

An entry refers to a key as `${input:ID}`; a list beside the servers says what is asked for.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import cast

from mcp_server.errors import UnusableSettings
from mcp_server.hosts.json_reader import Node, read_json
from mcp_server.hosts.json_text import JsonText, with_member, without_member
from mcp_server.hosts.settings_text import Entry

INPUTS = "inputs"
_REFERENCE = re.compile(r"\$\{input:([A-Za-z0-9_]{1,200})\}")


def asked_for(entry: object) -> list[dict[str, object]]:
    """What VS Code must ask for, so that the references of an entry mean something."""
    names = dict.fromkeys(_REFERENCE.findall(json.dumps(entry)))
    return [
        {"type": "promptString", "id": name, "description": f"{name} of Seekling", "password": True}
        for name in names
    ]


class VsCodeText(JsonText):
    """A `SettingsText` of VS Code's `mcp.json`."""

    def put(self, text: str, path: Sequence[str], name: str, entry: Entry) -> str:
        """Put the entry in, and what must be asked for where nobody asks for it yet."""
        if self.find(text, path, name) is not None:
            text = self.drop(text, path, name)
        text = super().put(text, path, name, entry)
        for asked in asked_for(entry):
            root, inputs = _inputs(text)
            if inputs is None:
                text = with_member(text, root, INPUTS, [])
                inputs = _list(_inputs(text)[1])
            if asked["id"] not in (_id(member.node.value) for member in inputs.members):
                text = _checked(with_member(text, inputs, "", asked))
        return text

    def drop(self, text: str, path: Sequence[str], name: str) -> str:
        """Take the entry out, and what was asked for it alone."""
        gone = self.find(text, path, name)
        text = super().drop(text, path, name)
        for asked in asked_for(gone):
            root, inputs = _inputs(text)
            ours = [m.key for m in inputs.members if m.node.value == asked] if inputs else []
            if inputs and ours and f"${{input:{asked['id']}}}" not in text:
                is_last = len(inputs.members) == 1
                whose, key = (root, INPUTS) if is_last else (inputs, ours[0])
                text = _checked(without_member(text, whose, key))
        return text


def _inputs(text: str) -> tuple[Node, Node | None]:
    root = read_json(text, (INPUTS,))
    found = [member.node for member in root.members if member.key == INPUTS]
    return root, _list(found[0]) if found else None


def _list(node: Node | None) -> Node:
    if node is None or not isinstance(node.value, list):
        raise UnusableSettings(f"{INPUTS!r} is no list")
    return node


def _id(value: object) -> object:
    return cast(Mapping[str, object], value).get("id") if isinstance(value, dict) else None


def _checked(text: str) -> str:
    read_json(text)
    return text
