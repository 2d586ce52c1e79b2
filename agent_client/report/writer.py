"""Ask the writing model for one constrained step, once: what it said is kept."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import anyio

from agent_client.clean import terminal_line
from agent_client.conversation import ModelRequest, Sampling, Usage
from agent_client.errors import ModelTimeout
from agent_client.events import Emit, Event, Note
from agent_client.ports import ModelClient
from agent_client.report.prompts import Prompt, Schema
from agent_client.report.store import ReportStore, step_key

STEP_SECONDS = 600.0
"""Longest time for one reply; an embedded model on a busy machine takes a minute."""
STEADY_TEMPERATURE = 0.3
"""Of the first try, if the profile's own is not lower. Not 0: models that reason repeat
themselves without end when they are greedy."""
TRIES = 2


@dataclass(frozen=True, slots=True)
class Written:
    """What the model said in one step; how it is kept."""

    reply: Mapping[str, object]
    """The JSON object; empty when it wrote none in `TRIES` tries."""
    calls: int
    prompt_tokens: int
    completion_tokens: int


@dataclass(slots=True)
class Writer:
    """A model that writes JSON, and a count of what it took."""

    model: ModelClient
    sampling: Sampling
    store: ReportStore
    emit: Emit
    calls: int = 0
    usage: Usage = field(default_factory=lambda: Usage(0, 0))

    async def ask(self, name: str, prompt: Prompt, schema: Schema) -> Mapping[str, object]:
        """One step: the JSON object that the model wrote, {} when it wrote none.

        Raises:
            ModelError: the endpoint refused, failed or fell silent.
            ReportError: the reply cannot be kept.
        """
        key = step_key(name, self.model.name, [(m.role, m.text) for m in prompt], schema)
        written = self.store.get(key, Written)
        if written is None:
            written = await self._write(prompt, schema)
            self.store.put(key, written)
        self.calls += written.calls
        self.usage += Usage(written.prompt_tokens, written.completion_tokens)
        return written.reply

    async def _write(self, prompt: Prompt, schema: Schema) -> Written:
        usage = Usage(0, 0)
        steady = min(STEADY_TEMPERATURE, self.sampling.temperature)
        for call, temperature in enumerate((steady, self.sampling.temperature), start=1):
            # The same seed would repeat the same garbage.
            sampling = replace(self.sampling, temperature=temperature, seed=call)
            request = ModelRequest(prompt, sampling=sampling, response_schema=schema)
            with anyio.move_on_after(STEP_SECONDS) as scope:
                reply = await self.model.complete(request, emit=self._pass_notes)
                usage += reply.usage or Usage(0, 0)
                if found := _json_object(reply.message.text):
                    return Written(found, call, usage.prompt_tokens, usage.completion_tokens)
            if scope.cancelled_caught:
                raise ModelTimeout(
                    self.model.name,
                    f"wrote no reply in {STEP_SECONDS:.0f} seconds",
                    retryable=True,
                    hint="run the same command again: what was done is kept",
                )
        return Written({}, TRIES, usage.prompt_tokens, usage.completion_tokens)

    def _pass_notes(self, event: Event) -> None:
        if isinstance(event, Note):  # the deltas are our JSON, nothing for a person
            self.emit(event)


def _json_object(text: str) -> dict[str, object]:
    """The JSON object in a reply, also in a code fence; empty when there is none."""
    try:
        found: object = json.loads(text[text.find("{") : text.rfind("}") + 1])
    except (ValueError, RecursionError):
        return {}
    return cast(dict[str, object], found) if isinstance(found, dict) else {}


def strings(reply: Mapping[str, object], name: str, max_chars: int) -> list[str]:
    """The lines of a list in a reply: clean, each once, none empty or longer than allowed."""
    value = reply.get(name)
    items = cast(list[object], value) if isinstance(value, list) else []
    lines = (terminal_line(item, max_chars) for item in items if isinstance(item, str))
    by_words = {line.casefold().strip(" .:;,"): line for line in lines}
    return [line for words, line in by_words.items() if words]
