"""The tokens of a prompt, put together from pieces so that none is ever read differently again.

A tokenizer may cut a text that the model wrote otherwise than the model did, and then the server's
cache is lost from there on, and the model continues what it never wrote. So what it wrote goes back
as the ids that it wrote, and only what stands between is turned into ids, each piece once.
"""

import logging
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import anyio

from agent_client.errors import MalformedReply, ModelError
from agent_client.model.endpoint import Endpoint

logger = logging.getLogger(__name__)

MAX_CACHED_CHARS = 32_000_000
"""Enough for 256 runs at once with 125,000 characters each."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a prompt."""

    text: str
    ids: tuple[int, ...] = ()
    """Its tokens, where they are known: the model wrote it and the server named them."""


class PromptTokens:
    """Turns prompts into token ids by the server's own `/tokenize` (SGLang and vLLM have one).

    The ids of a completion and of what follows it can be put together because tokenizers cut at
    the control token that ends the turn; one trial at the first use tells whether this one does.

    Args:
        endpoint: the server.
        model: its model's name.
        stops: the texts that end the model's turn, as in `ChatTemplate.stops`.
        max_cached_chars: bound of the text whose ids are kept; ids take about as much memory as
            their text.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        stops: Sequence[str],
        *,
        max_cached_chars: int = MAX_CACHED_CHARS,
    ) -> None:
        self._endpoint = endpoint
        self._model = model
        self._stops = tuple(stops)
        self._stop_ids: dict[str, int] = {}
        self._max_cached_chars = max_cached_chars
        self._is_usable: bool | None = None
        self._trying = anyio.Lock()
        self._cache: OrderedDict[str, array[int]] = OrderedDict()
        self._cached_chars = 0

    @property
    def stop_ids(self) -> frozenset[int]:
        """The ids of those stops that are one token; empty before the first use."""
        return frozenset(self._stop_ids.values())

    async def encode(self, pieces: Sequence[Piece]) -> list[int] | None:
        """Give the ids of a prompt.

        Returns:
            None where its text is to be sent instead: the server cannot do it, or failed to. It
            then says so again, and better, when it is asked for the reply.
        """
        try:
            async with self._trying:
                if self._is_usable is None:
                    self._is_usable = await self._try_out()
            if not self._is_usable:
                return None
            ids: list[int] = []
            for piece in pieces:
                ids += piece.ids or await self._ids_of(piece.text)
        except ModelError as exc:
            logger.debug("a prompt is sent as text: %s", exc)
            if not exc.retryable:
                self._is_usable = False
            return None
        return ids

    async def _try_out(self) -> bool:
        """Check that ids can be put together from pieces, and learn those of the stops."""
        for stop in self._stops:
            ids = await self._ask(stop)
            if len(ids) == 1:
                self._stop_ids[stop] = ids[0]
        end_of_turn = self._stops[0]
        pieces = ("a reply,\n", f"{end_of_turn}\nthe next turn: é<think>\n")
        apart = [await self._ask(piece) for piece in pieces]
        whole = await self._ask("".join(pieces))
        return end_of_turn in self._stop_ids and list(whole) == [*apart[0], *apart[1]]

    async def _ids_of(self, text: str) -> "array[int]":
        if (known := self._cache.get(text)) is not None:
            self._cache.move_to_end(text)
            return known
        ids = await self._ask(text)
        if text not in self._cache:  # else another run asked for the same meanwhile
            self._cache[text] = ids
            self._cached_chars += len(text)
            while self._cached_chars > self._max_cached_chars:
                oldest, _ = self._cache.popitem(last=False)
                self._cached_chars -= len(oldest)
        return ids

    async def _ask(self, text: str) -> "array[int]":
        if not text:
            return array("i")
        # beginning-of-text tokens are the template's business
        body = {"model": self._model, "prompt": text, "add_special_tokens": False}
        told = await self._endpoint.post_json("/tokenize", body)
        tokens = cast("dict[str, object]", told).get("tokens") if isinstance(told, dict) else None
        try:
            return array("i", cast("list[int]", tokens))  # refuses what is no list of such numbers
        except (TypeError, ValueError, OverflowError) as exc:
            raise MalformedReply(self._endpoint.base_url, "/tokenize sent no token ids") from exc
