"""Let a model write under observation: what it said, and in which form the server sent it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import anyio
import msgspec

from agent_client.conversation import ModelReply, ModelRequest
from agent_client.errors import ModelError
from agent_client.events import Event
from agent_client.model.endpoint import Endpoint
from agent_client.model.wire import ChatReader, request_body


@dataclass(slots=True)
class Trial:
    """One reply as it came over the wire. Is the reader of its own request."""

    request: ModelRequest
    begun: anyio.Event = field(default_factory=anyio.Event)
    """Set with the first token, or with the end when there is none."""
    reply: ModelReply | None = None
    """As the client reads it; when it was given up, as far as it came. None after an error."""
    is_whole: bool = False
    """Whether the server came to the end of it."""
    error: ModelError | None = None
    """How the server or the link failed."""
    served_calls: int = 0
    """Calls that the server has parsed."""
    served_reasoning: bool = False
    """Whether the server sent the reasoning apart."""
    text: str = ""
    """What came as text, unparsed."""
    pieces: int = 0
    """Payloads with something of the reply in them."""
    seconds: float = 0.0
    """From the request to the end."""
    first_seconds: float = 0.0
    """From the request to the first token."""
    _started: float = 0.0
    _reader: ChatReader = field(init=False)

    def __post_init__(self) -> None:
        self._reader = ChatReader(self.request)

    @property
    def has_begun(self) -> bool:
        """See `ReplyReader`."""
        return self._reader.has_begun

    @property
    def finish_reason(self) -> str | None:
        """See `ReplyReader`."""
        return self._reader.finish_reason

    def take(self, payload: str) -> tuple[str, str]:
        """See `ReplyReader`."""
        shown = self._reader.take(payload)
        self._look_at(payload)
        if self.has_begun and not self.begun.is_set():
            self.first_seconds = anyio.current_time() - self._started
            self.begun.set()
        return shown

    def finish(self, request_id: str) -> ModelReply:
        """See `ReplyReader`."""
        self.reply, self.is_whole = self._reader.finish(request_id), True
        return self.reply

    async def run(self, endpoint: Endpoint, model: str, *, seconds: float) -> None:
        """Send the request and take the reply; give it up after `seconds`."""
        self._started = anyio.current_time()
        try:
            with anyio.move_on_after(seconds):
                await endpoint.stream_reply(
                    "chat/completions",
                    request_body(self.request, model=model),
                    lambda: self,
                    emit=_ignore,
                )
            if not self.is_whole:
                self.reply = self._reader.finish("")
        except ModelError as exc:
            self.error = exc
        self.seconds = anyio.current_time() - self._started
        self.begun.set()

    def _look_at(self, payload: str) -> None:
        """Count what is in one payload that the reader has accepted."""
        delta = _first_delta(payload)
        content, calls = delta.get("content"), delta.get("tool_calls")
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(content, str):
            self.text += content
        if isinstance(calls, list):
            listed = cast(list[object], calls)
            self.served_calls += sum(1 for call in listed if _names_a_function(call))
        self.served_reasoning |= bool(reasoning)
        self.pieces += bool(content or calls or reasoning)


def _first_delta(payload: str) -> Mapping[str, object]:
    try:
        value = _object(msgspec.json.decode(payload))
    except (ValueError, RecursionError):
        return {}
    choices = value.get("choices")
    first = _object(cast(list[object], choices)[0]) if isinstance(choices, list) and choices else {}
    return _object(first.get("delta")) or _object(first.get("message"))


def _object(value: object) -> Mapping[str, object]:
    return cast(Mapping[str, object], value) if isinstance(value, dict) else {}


def _names_a_function(call: object) -> bool:
    return bool(_object(_object(call).get("function")).get("name"))


def _ignore(_: Event) -> None:
    return None
