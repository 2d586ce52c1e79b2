"""Read the streams of raw completions: what the model wrote, to the byte, and its tokens."""

from collections.abc import Sequence

import msgspec

from agent_client.conversation import Message, ModelReply, Usage
from agent_client.model.refusals import WireError, typed_error
from agent_client.model.reply_parser import ReplyParser


class RawReply:
    """Puts one reply together from the text and the tokens that come in.

    Args:
        prompt: what the model continues.
        stops: the texts that end its turn; nothing from the first one on belongs to the reply,
            whether the server cuts it off or not.
        parser: for this reply.
        stop_ids: the tokens that end its turn, as far as they are known.
    """

    def __init__(
        self, prompt: str, stops: Sequence[str], parser: ReplyParser, stop_ids: frozenset[int]
    ) -> None:
        self.has_begun = False
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self._prompt = prompt
        self._stops = stops
        self._longest_stop = max(map(len, stops))
        self._stop_firsts = {stop[0] for stop in stops}
        self._stop_ids = stop_ids
        self._parser = parser
        self._written: list[str] = []
        self._held = ""
        """The end of the text so far, which may be the beginning of a stop."""
        self._after_cut: str | None = None
        """What came from the stop on; None until there is one."""
        self._ids: list[int] = []

    def add(self, text: str, ids: Sequence[int]) -> tuple[str, str]:
        """Take what the model wrote next; give the reasoning and the text to show now."""
        self.has_begun = self.has_begun or bool(text or ids)
        self._ids += ids
        if self._after_cut is not None:
            self._after_cut += text
            return "", ""
        text = self._held + text
        cut = min((at for stop in self._stops if (at := text.find(stop)) >= 0), default=-1)
        if cut >= 0:
            text, self._after_cut, self._held = text[:cut], text[cut:], ""
        else:
            keep = self._stop_start(text)
            text, self._held = text[:keep], text[keep:]
        return self._write(text)

    def _stop_start(self, text: str) -> int:
        """Where a stop may have begun at the end of the text; its length where none has."""
        start = max(0, len(text) - self._longest_stop + 1)
        if not self._stop_firsts.isdisjoint(text[start:]):
            for at in range(start, len(text)):
                if any(stop.startswith(text[at:]) for stop in self._stops):
                    return at
        return len(text)

    def _write(self, text: str) -> tuple[str, str]:
        if not text:
            return "", ""
        self._written.append(text)
        return self._parser.feed(text)

    def finish(self, request_id: str) -> ModelReply:
        """Build the reply; see `ReplyReader.finish`."""
        self._write(self._held)
        reason = self.finish_reason or "stop"
        raw = "".join(self._written)
        parsed = self._parser.finish(reason)
        message = Message(
            "assistant",
            parsed.text,
            parsed.reasoning,
            parsed.calls,
            raw=raw,
            token_ids=self._token_ids(reason),
        )
        return ModelReply(
            message,
            "tool_calls" if parsed.calls and reason == "stop" else reason,
            self.usage,
            parsed.malformed,
            request_id,
            prompt=self._prompt,
            completion=raw,
        )

    def _token_ids(self, reason: str) -> tuple[int, ...]:
        """The tokens of the text alone; none at all where that is not certain."""
        ids = self._ids
        if self.usage is not None and self.usage.completion_tokens != len(ids):
            return ()  # some events came without theirs
        if reason == "length" and self._after_cut is None:
            return tuple(ids)
        is_stop_last = bool(ids) and ids[-1] in self._stop_ids
        is_cut_at_end = self._after_cut is None or self._after_cut in self._stops
        return tuple(ids[:-1]) if is_stop_last and is_cut_at_end else ()


class _Finish(msgspec.Struct):
    type: str
    message: str | None = None
    status_code: int | None = None
    err_type: str | None = None


class _Meta(msgspec.Struct):
    finish_reason: _Finish | str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None


class _Generated(msgspec.Struct):
    """One event of `/generate`, or its whole reply."""

    meta_info: _Meta
    text: str | None = None
    output_ids: list[int] | None = None


_GENERATED = msgspec.json.Decoder(_Generated)


class GenerateReader:
    """Reads the events of SGLang's `/generate`. Implements `endpoint.ReplyReader`.

    An event holds all of the reply so far, or, with `--incremental-streaming-output`, what is new.

    Args:
        reply: takes what was read.
        address: of the endpoint, for error messages.
    """

    def __init__(self, reply: RawReply, address: str) -> None:
        self._reply = reply
        self._address = address
        self._chars = 0
        """How much of the text was taken."""
        self._tokens = 0
        """How many ids were taken."""
        self._meta = _Meta()

    @property
    def has_begun(self) -> bool:
        """Whether any token has arrived."""
        return self._reply.has_begun

    @property
    def finish_reason(self) -> str | None:
        """What the server said last about why it ended; None until it says it."""
        return self._reply.finish_reason

    def take(self, payload: str) -> tuple[str, str]:
        """Take one event; see `ReplyReader.take`.

        Raises:
            ValueError: it is not part of a reply.
            ModelError: the server gave the request up and says why.
        """
        event = _GENERATED.decode(payload)
        self._meta = event.meta_info
        self._take_finish(event.meta_info.finish_reason)
        text, ids = event.text or "", event.output_ids or []
        total = event.meta_info.completion_tokens or 0
        # with one token alone the two forms are the same
        is_whole = len(ids) >= total if ids else len(text) >= self._chars
        if is_whole:
            text, ids = text[self._chars :], ids[self._tokens :]
        self._chars += len(text)
        self._tokens += len(ids)
        return self._reply.add(text, ids)

    def _take_finish(self, finish: _Finish | str | None) -> None:
        if isinstance(finish, _Finish):
            if finish.type == "abort" and finish.status_code is not None:
                # a full queue is told this way: with HTTP 200 and the end of an empty reply
                error = WireError(finish.message or "aborted", finish.err_type or "")
                raise typed_error(self._address, error, finish.status_code, model="")
            finish = finish.type
        self._reply.finish_reason = finish or self._reply.finish_reason

    def finish(self, request_id: str) -> ModelReply:
        """Build the reply; see `ReplyReader.finish`."""
        meta = self._meta
        if meta.prompt_tokens is not None:
            completion_tokens = meta.completion_tokens or 0
            self._reply.usage = Usage(meta.prompt_tokens, completion_tokens, meta.cached_tokens)
        return self._reply.finish(request_id)


class _Choice(msgspec.Struct):
    text: str | None = None
    token_ids: list[int] | None = None
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None


class _Completion(msgspec.Struct):
    """One event of `/v1/completions`, or its whole reply."""

    choices: list[_Choice]
    usage: _Usage | None = None


_COMPLETIONS = msgspec.json.Decoder(_Completion)


class CompletionsReader:
    """Reads the events of `/v1/completions`. Implements `endpoint.ReplyReader`.

    Args:
        reply: takes what was read.
    """

    def __init__(self, reply: RawReply) -> None:
        self._reply = reply

    @property
    def has_begun(self) -> bool:
        """Whether any token has arrived."""
        return self._reply.has_begun

    @property
    def finish_reason(self) -> str | None:
        """What the server said last about why it ended; None until it says it."""
        return self._reply.finish_reason

    def take(self, payload: str) -> tuple[str, str]:
        """Take one event; see `ReplyReader.take`.

        Raises:
            ValueError: it is not part of a reply.
        """
        event = _COMPLETIONS.decode(payload)
        if event.usage is not None:
            details = event.usage.prompt_tokens_details
            cached = details.cached_tokens if details is not None else None
            usage = Usage(event.usage.prompt_tokens, event.usage.completion_tokens, cached)
            self._reply.usage = usage
        if not event.choices:
            return "", ""
        choice = event.choices[0]
        self._reply.finish_reason = choice.finish_reason or self._reply.finish_reason
        return self._reply.add(choice.text or "", choice.token_ids or ())

    def finish(self, request_id: str) -> ModelReply:
        """Build the reply; see `ReplyReader.finish`."""
        return self._reply.finish(request_id)
