"""A model that is asked for verdicts."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio

from agent_client.conversation import Message, ModelReply, ModelRequest, Sampling, Usage
from agent_client.errors import MalformedReply, ModelError, ModelOverloaded
from agent_client.evaluation.graders.verdict_parsing import after_thinking
from agent_client.events import Event
from agent_client.ports import ModelClient

MAX_REPLY_TOKENS = 4096
"""Room for a judge that thinks first; one that does not stops by itself."""
REPLY_SECONDS = 300.0
"""Bound of one reply."""
TRIES = 3

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard(Generic[T]):
    """What came of a question to the judge."""

    value: T | None
    """What was read from the reply; None where no try brought one that decides."""
    said: str = ""
    """The last reply, reasoning within it included."""
    usage: Usage | None = None
    """Of all tries."""
    tries: int
    error: str = ""
    """Why there is no value."""


class Judge:
    """Asks a model for verdicts: greedily, without tools, again when the reply decides nothing."""

    def __init__(
        self,
        client: ModelClient,
        *,
        exact_first: bool = False,
        max_tokens: int = MAX_REPLY_TOKENS,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """Ask this model.

        Args:
            client: the judge's model.
            exact_first: take an answer that equals the reference for correct without asking
                (MiroThinker does). Verdicts that came about so have the rule "exact_first".
            max_tokens: bound of one reply, reasoning included.
            sleep: waits between tries.
        """
        self._client = client
        self._sleep = sleep
        self.exact_first = exact_first
        self.sampling = Sampling(
            temperature=0.0, top_p=1.0, top_k=-1, repetition_penalty=1.0, max_tokens=max_tokens
        )

    @property
    def model(self) -> str:
        """The model's name."""
        return self._client.name

    async def ask(self, prompt: str, read: Callable[[str], T | None], *, reminder: str) -> Heard[T]:
        """Ask until a reply decides, at most `TRIES` times.

        A failure that can pass is tried again, as is a torn reply. A reply that was cut off, or
        that `read` makes nothing of, is asked for again with the reminder below the prompt: the
        same prompt would bring the same reply.

        Args:
            prompt: all that the judge is told.
            read: given the reply without reasoning; None means that it decides nothing.
            reminder: what form the reply must have.
        """
        asked, said, error = prompt, "", ""
        usage: Usage | None = None
        for tries in range(1, TRIES + 1):
            try:
                with anyio.fail_after(REPLY_SECONDS):
                    reply = await self._client.complete(self._request(asked), emit=_ignore)
            except (ModelError, TimeoutError) as exc:
                error = _reason(exc)
                if not _can_pass(exc):
                    return Heard(value=None, said=said, usage=usage, tries=tries, error=error)
                if tries < TRIES:
                    await self._sleep(_seconds_before(tries, exc))
                continue
            said = reply.message.text
            usage = _sum(usage, reply.usage)
            value = read(after_thinking(said)) if _is_whole(reply) else None
            if value is not None:
                return Heard(value=value, said=said, usage=usage, tries=tries)
            error = _undecided(reply)
            asked = f"{prompt}\n\n{reminder}"
        return Heard(value=None, said=said, usage=usage, tries=TRIES, error=error)

    def _request(self, prompt: str) -> ModelRequest:
        return ModelRequest(messages=(Message("user", prompt),), sampling=self.sampling)


def _ignore(event: Event) -> None:
    """Nobody watches a judge write."""


def _is_whole(reply: ModelReply) -> bool:
    return reply.finish_reason != "length"


def _undecided(reply: ModelReply) -> str:
    if _is_whole(reply):
        return "the judge's reply decides nothing"
    return "the judge's reply was cut off at its bound of tokens"


def _reason(exc: ModelError | TimeoutError) -> str:
    if isinstance(exc, ModelError):
        return f"{type(exc).__name__}: {exc}"
    return f"ModelTimeout: no whole reply for {REPLY_SECONDS:g} s"


def _can_pass(exc: ModelError | TimeoutError) -> bool:
    return not isinstance(exc, ModelError) or exc.retryable or isinstance(exc, MalformedReply)


def _seconds_before(retry: int, exc: ModelError | TimeoutError) -> float:
    if isinstance(exc, ModelOverloaded) and exc.retry_after_seconds is not None:
        return exc.retry_after_seconds
    return 2.0 ** (retry - 1)


def _sum(one: Usage | None, other: Usage | None) -> Usage | None:
    return one + other if one and other else one or other
