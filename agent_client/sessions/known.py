"""The texts and messages of one file of events so far, so that nothing is stored twice."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from agent_client import errors
from agent_client.agent.outcome import Outcome, VisitedPage
from agent_client.conversation import Message, ModelReply, ToolCall, ToolResult
from agent_client.sessions.repeats import Address, TextPool
from agent_client.sessions.stored_forms import (
    NOT_SET,
    StoredError,
    StoredFinished,
    StoredMessage,
    StoredPage,
    StoredReply,
    StoredResult,
)

_TEXT_FIELDS = ("raw", "reasoning", "text")  # in this order: the others are often parts of `raw`
_OTHER_FIELDS = tuple(
    field.name for field in fields(Message) if field.name not in (*_TEXT_FIELDS, "role")
)
GIVEN = -1
"""Stands for the number of the event in addresses of given texts."""
_NO_MESSAGE = Message(role="user", text="")


class Known:
    """What a file has said up to an event.

    Whoever reads the file fills it, and the writer that goes on takes it over.

    Attributes:
        next_number: of the event to come.
        texts: the texts so far.
    """

    def __init__(self, given: Iterable[str] = ()) -> None:
        """Begin a file.

        Args:
            given: texts that writer and readers know from elsewhere, such as the prompts of a run.
        """
        self.next_number = 0
        self.texts = TextPool()
        self.texts.begin(GIVEN)
        for text in given:
            self.texts.stored(text)
        self._by_content: dict[tuple[str, str, str, str], Address] = {}
        self._by_address: dict[Address, Message] = {}
        self._current: list[Address] = []
        self._calls: dict[str, ToolCall] = {}
        self._current_calls: list[str] = []
        self._returned: dict[str, tuple[int, ToolResult]] = {}
        self._metas: dict[int, Mapping[str, object]] = {}

    def begin(self, event: int) -> None:
        """Go on to the event of this number."""
        self.next_number = event
        self.texts.begin(event)
        self._current.clear()
        self._current_calls.clear()

    def forget_event(self) -> None:
        """Take back what the current event added: it was not stored after all."""
        self.texts.forget_event()
        for address in self._current:
            message = self._by_address.pop(address)
            self._by_content.pop(_content(message), None)
        self._current.clear()
        for id_ in self._current_calls:
            self._calls.pop(id_, None)
        if self._metas.pop(self.next_number, None) is not None:
            self._returned.popitem()

    def stored_call(self, call: ToolCall) -> tuple[str, ToolCall | None]:
        """How to store a call, which is known from then on: its id, or else itself."""
        if self._calls.get(call.id) == call:
            return call.id, None
        self._add_call(call)
        return "", call

    def restored_call(self, id_: str, call: ToolCall | None) -> ToolCall:
        """The call that was stored so.

        Raises:
            LookupError: it refers to a call that is not there.
        """
        if call is None:
            return self._calls[id_]
        self._add_call(call)
        return call

    def add_returned(self, call: ToolCall, result: ToolResult) -> None:
        """Know what a tool returned: its text and its meta."""
        self.texts.stored(result.text)
        self._returned.pop(call.id, None)  # a server may use an id again
        self._returned[call.id] = (self.next_number, result)
        self._metas[self.next_number] = result.meta

    def stored_result(self, call: ToolCall, result: ToolResult) -> StoredResult:
        """How to store the result of a call as the agent was given it."""
        number, raw = self._returned.get(result.call_id, (0, None))
        text = self.texts.stored(
            result.text, part_of=raw.text if raw else "", is_assembled=bool(self._returned)
        )
        stored = StoredResult(text, is_error=result.is_error)
        if result.call_id != call.id:
            stored.call_id = result.call_id
        if result.name != call.name:
            stored.name = result.name
        if raw and raw.meta and (raw.meta is result.meta or raw.meta == result.meta):
            stored.meta_of = number
        elif result.meta:
            stored.meta = dict(result.meta)
        return stored

    def restored_result(self, call: ToolCall, stored: StoredResult) -> ToolResult:
        """The result that was stored so.

        Raises:
            LookupError, ValueError: it refers to what is not there.
        """
        return ToolResult(
            call_id=call.id if stored.call_id is None else stored.call_id,
            name=call.name if stored.name is None else stored.name,
            text=self.texts.restored(stored.text),
            is_error=stored.is_error,
            meta=self._metas[stored.meta_of] if stored.meta_of is not None else stored.meta or {},
        )

    def stored_message(self, message: Message, *, is_assembled: bool = False) -> StoredMessage:
        """How to store a message, which is known from then on.

        Args:
            message: any.
            is_assembled: whether its text may be put together from earlier ones.
        """
        like = self._by_content.get(_content(message))
        base = _NO_MESSAGE if like is None else self._by_address[like]
        if message == base:
            return StoredMessage(like=like) if like else StoredMessage(role=message.role)
        stored = StoredMessage()
        if like is None:
            stored.role = message.role
        else:
            stored.like = like
        for name in _TEXT_FIELDS:
            text: str = getattr(message, name)
            if text != getattr(base, name):
                part_of = "" if name == "raw" else message.raw
                form = self.texts.stored(text, part_of=part_of, is_assembled=is_assembled)
                setattr(stored, name, form)
        for name in _OTHER_FIELDS:
            value = getattr(message, name)
            if value != getattr(base, name):
                setattr(stored, name, value)
        self._add(message)
        return stored

    def restored_message(self, stored: StoredMessage) -> Message:
        """The message that was stored so.

        Raises:
            ValueError: it refers to a text or a message that is not there.
        """
        base = _NO_MESSAGE
        values: dict[str, Any] = {}
        if stored.like is not NOT_SET:
            if stored.like not in self._by_address:
                raise ValueError(f"there is no message {stored.like}")
            base = self._by_address[stored.like]
        for name in _TEXT_FIELDS:
            if (form := getattr(stored, name)) is not NOT_SET:
                values[name] = self.texts.restored(form)
        for name in ("role", *_OTHER_FIELDS):
            if (value := getattr(stored, name)) is not NOT_SET:
                values[name] = value
        message = replace(base, **values)
        if message != base:
            self._add(message)
        return message

    def stored_reply(self, reply: ModelReply) -> StoredReply:
        """How to store a reply; its calls are known from then on."""
        for call in reply.message.tool_calls:
            self._add_call(call)
        return StoredReply(
            message=self.stored_message(reply.message),
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            malformed_calls=reply.malformed_calls,
            request_id=reply.request_id,
            retries=reply.retries,
            endpoint=reply.endpoint,
        )

    def restored_reply(self, stored: StoredReply) -> ModelReply:
        """The reply that was stored so, without prompt and completion."""
        message = self.restored_message(stored.message)
        for call in message.tool_calls:
            self._add_call(call)
        return ModelReply(
            message=message,
            finish_reason=stored.finish_reason,
            usage=stored.usage,
            malformed_calls=stored.malformed_calls,
            request_id=stored.request_id,
            retries=stored.retries,
            endpoint=stored.endpoint,
        )

    def stored_outcome(self, outcome: Outcome) -> StoredFinished:
        """How to store the end of a run."""
        return StoredFinished(
            outcome=replace(outcome, question="", answer="", messages=(), pages=(), error=None),
            question=self.texts.stored(outcome.question),
            messages=tuple(
                self.stored_message(message, is_assembled=True) for message in outcome.messages
            ),
            answer=self.texts.stored(outcome.answer, is_assembled=True),
            pages=tuple(
                StoredPage(page.url, page.title, self.texts.stored(page.text, is_assembled=True))
                for page in outcome.pages
            ),
            error=_stored_error(outcome.error),
        )

    def restored_outcome(self, stored: StoredFinished) -> Outcome | None:
        """The end of a run that was stored so."""
        if stored.outcome is None:
            return None
        return replace(
            stored.outcome,
            question=self.texts.restored(stored.question),
            messages=tuple(self.restored_message(message) for message in stored.messages),
            answer=self.texts.restored(stored.answer),
            pages=tuple(
                VisitedPage(url=page.url, title=page.title, text=self.texts.restored(page.text))
                for page in stored.pages
            ),
            error=_restored_error(stored.error),
        )

    def _add_call(self, call: ToolCall) -> None:
        self._calls[call.id] = call
        self._current_calls.append(call.id)

    def _add(self, message: Message) -> None:
        address = (self.next_number, len(self._current))
        self._by_content[_content(message)] = address
        self._by_address[address] = message
        self._current.append(address)


def _content(message: Message) -> tuple[str, str, str, str]:
    """What tells messages apart; two that only call tools have no words."""
    first_call = message.tool_calls[0].id if message.tool_calls else ""
    return message.role, message.text, message.raw, first_call


def _stored_error(error: Exception | None) -> StoredError | None:
    if error is None:
        return None
    told = {
        name: value
        for name, value in vars(error).items()
        if not name.startswith("_") and isinstance(value, str | int | float | bool | None)
    }
    return StoredError(type=type(error).__name__, message=str(error), attributes=told)


def _restored_error(stored: StoredError | None) -> Exception | None:
    """The error with its type, where that is one of ours, its message and what it said."""
    if stored is None:
        return None
    kind = getattr(errors, stored.type, None)
    if not isinstance(kind, type) or not issubclass(kind, errors.SeeklingClientError):
        kind = errors.SeeklingClientError
    error = kind.__new__(kind, stored.message)
    named = {name: value for name, value in stored.attributes.items() if not name.startswith("_")}
    vars(error).update({"hint": ""} | named)
    return error
