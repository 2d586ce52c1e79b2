"""The calls of a run and where their results stand, so that no call is made twice."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from agent_client.agent.offered_tools import ToolKind
from agent_client.agent.page_address import URL_ARGUMENTS, asked_urls, page_key
from agent_client.conversation import ToolCall

MAX_FAILURES = 2
"""A call that failed is made again until it failed so often: the failure may have been a passing
one."""

_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)

Repeat = Literal["repeated_call", "repeated_page"]


@dataclass(slots=True)
class Earlier:
    """A call that was made before."""

    exact: str
    """Its arguments to the letter."""
    position: int
    """Index of its result in the full conversation."""
    failures: int = 0

    @property
    def has_an_answer(self) -> bool:
        """Whether making it again would bring nothing new."""
        return self.failures == 0 or self.failures >= MAX_FAILURES


class CallMemory:
    """What was called, by what the calls mean."""

    def __init__(self) -> None:
        self._earlier: dict[str, Earlier] = {}

    def find(
        self, key: str, arguments: Mapping[str, object], kind: ToolKind
    ) -> tuple[Earlier, Repeat] | None:
        """The earlier call that this one repeats: the same, or of the same part of the page."""
        earlier = self._earlier.get(key)
        if earlier is None:
            return None
        same = earlier.exact == _canonical(arguments)
        return earlier, "repeated_call" if same or kind != "visit" else "repeated_page"

    def add(
        self,
        key: str,
        call: ToolCall,
        kind: ToolKind,
        *,
        position: int,
        failed: bool,
        final_url: str = "",
    ) -> None:
        """Remember a call that was run.

        Args:
            key: from `call_key`.
            call: as sent.
            kind: of the tool.
            position: index of its result in the full conversation.
            failed: whether the result is an error.
            final_url: where the page really was, when one was visited.
        """
        before = self._earlier.get(key)
        failures = (before.failures if before else 0) + 1 if failed else 0
        entry = Earlier(_canonical(call.arguments), position, failures)
        self._earlier[key] = entry
        if final_url and not failed and final_url != call.arguments.get("url"):
            moved = {k: v for k, v in call.arguments.items() if k not in URL_ARGUMENTS}
            moved["url"] = final_url
            self._earlier.setdefault(call_key(call.name, moved, kind), entry)


def call_key(name: str, arguments: Mapping[str, object], kind: ToolKind) -> str:
    """What two calls have in common that bring the same result.

    Empty arguments, spaces around words and `start=0` make no difference; of a visit, neither does
    the way in which the address is written.
    """
    meant = {
        key: " ".join(value.split()) if isinstance(value, str) else value
        for key, value in arguments.items()
        if value not in (None, "") and not (key == "start" and value in (0, "0"))
    }
    if kind == "visit" and (urls := asked_urls(meant)):
        for argument in URL_ARGUMENTS:
            meant.pop(argument, None)
        meant["url"] = [page_key(url) for url in urls]
    return f"{name} {_canonical(meant)}"


def _canonical(arguments: Mapping[str, object]) -> str:
    return _ENCODER.encode(arguments)
