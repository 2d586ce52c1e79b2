"""Search over several hops with a very small model: the client fixes the order of the steps.

A model of 0.5B parameters cannot call tools freely, but it chooses well among few things when a
grammar holds it to them. `staged` therefore leaves it three small decisions (which name to look up
next, which page to open, what the answer is) and does the rest itself; `schema` lets the model
also choose the action. The iteration - retrieve, read, ask again with what was read - follows
IRCoT (Trivedi et al. 2023, https://arxiv.org/abs/2212.10509), with selected sentences in place of
the written reasoning.
"""

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

from agent_client.conversation import (
    Message,
    ModelReply,
    ModelRequest,
    Sampling,
    ToolCall,
    ToolSpec,
    Usage,
)
from agent_client.events import AnswerDelta, Emit, Event, Note, ReasoningDelta
from agent_client.model import guided_prompts as prompts
from agent_client.model.guided_prompts import Evidence, Hit, Schema
from agent_client.ports import ModelClient

OFFERED_HITS = 4
"""Pages to choose from; of more, a 0.5B model tends to take the last."""
MAX_QUERY_RETRIES = 2
MAX_MEMO = 256


class _ToolWanted(Exception):  # noqa: N818 - not an error: it ends the replay
    def __init__(self, spec: ToolSpec, arguments: Mapping[str, object]) -> None:
        super().__init__(spec.name)
        self.spec = spec
        self.arguments = arguments


class _BudgetSpent(Exception):  # noqa: N818 - not an error: no tool is left, so answer now
    pass


class GuidedModel:
    """A `ModelClient` that makes a small model work through a question step by step.

    It keeps no state of a conversation: each call replays the procedure from the start, takes the
    tool results from the messages, and stops at the first one that is missing, which becomes the
    tool call. The inner model is greedy, so the replay takes the same turns again.
    """

    def __init__(
        self, inner: ModelClient, mode: Literal["staged", "schema"], *, max_hops: int = 3
    ) -> None:
        self._inner = inner
        self._mode = mode
        self._max_hops = max_hops
        # Only saves time: what it holds would be computed again, and come out the same.
        self._memo: dict[str, dict[str, object]] = {}

    @property
    def name(self) -> str:
        """The inner model's name."""
        return self._inner.name

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        """Decide the next step: one tool call, or the final text.

        Raises:
            ModelError: the inner model refused or failed.
        """
        asked, exchanges = _current_question(request.messages)
        session = _Session(self._inner, self._memo, request.tools, deque(exchanges), emit)
        evidence = Evidence(prompts.question_of(asked))
        steps = _Staged if self._mode == "staged" else _Chosen
        run = steps(session, evidence, self._max_hops)
        try:
            await run.gather()
        except _ToolWanted as wanted:
            call = ToolCall(f"call_{len(exchanges) + 1}", wanted.spec.name, wanted.arguments)
            return session.reply("", (call,))
        except _BudgetSpent:
            pass
        text = _final_text(evidence, await run.answer(), boxed="\\boxed{" in asked)
        emit(AnswerDelta(text))
        return session.reply(text, ())


def _current_question(messages: Sequence[Message]) -> tuple[str, list[tuple[ToolCall, str]]]:
    """The question being worked on, and the tool calls made for it with their results."""
    start = 0
    for number, message in enumerate(messages):
        if message.role == "assistant" and not message.tool_calls:
            start = number + 1
    current = messages[start:]
    # The first user message: a later one may be the loop's reminder to answer.
    asked = next((m.text for m in [*current, *reversed(messages)] if m.role == "user"), "")
    results = {m.tool_call_id: m.text for m in current if m.role == "tool"}
    calls = [call for message in current for call in message.tool_calls]
    return asked, [(call, results[call.id]) for call in calls if call.id in results]


def _final_text(evidence: Evidence, answer: str, *, boxed: bool) -> str:
    r"""The answer with the sentence it was read in, and `\boxed{}` when that was asked for."""
    if not answer:
        text = "No page that could be read answers the question."
    else:
        fact = evidence.supports(answer) or (evidence.facts[0] if evidence.facts else None)
        text = f"{answer[0].upper()}{answer[1:].rstrip('.')}."
        if fact is not None:
            text += f" {fact.sentence}"
    return f"{text} \\boxed{{{answer or 'unknown'}}}" if boxed else text


@dataclass(slots=True)
class _Session:
    """One replay: the inner model, the tools, and the results at hand."""

    inner: ModelClient
    memo: dict[str, dict[str, object]]
    tools: Sequence[ToolSpec]
    exchanges: deque[tuple[ToolCall, str]]
    emit: Emit
    usage: Usage | None = None
    thoughts: list[str] = field(default_factory=list[str])
    """Since the last tool result: what this reply's reasoning will say."""

    async def search(self, query: str) -> list[Hit]:
        """The hits for a query, as recorded; asks for the tool when they are not."""
        _, text = self._result("query", {"query": query})
        return prompts.parse_hits(text)

    async def visit(self, url: str) -> tuple[str, tuple[str, str] | None]:
        """The URL really visited, with title and text of the page, or None when it failed."""
        call, text = self._result("url", {"url": url})
        return str(call.arguments.get("url", url)), prompts.parse_page(text)

    def _result(self, parameter: str, arguments: dict[str, object]) -> tuple[ToolCall, str]:
        while self.exchanges:
            call, text = self.exchanges.popleft()
            if parameter in call.arguments:  # else a call that this procedure never makes
                self.thoughts.clear()
                return call, text
        spec = _tool_with(self.tools, parameter)
        if spec is None:
            raise _BudgetSpent
        raise _ToolWanted(spec, arguments)

    async def ask(
        self, messages: Iterable[Message], schema: Schema, *, max_tokens: int = 64
    ) -> dict[str, object]:
        """One constrained call of the inner model; empty when it twice wrote no JSON object."""
        prompt = tuple(messages)
        key = json.dumps([[(m.role, m.text) for m in prompt], schema])
        if key in self.memo:
            return self.memo[key]
        # Greedy decoding would repeat the same garbage, so the second try is a sampled one.
        for temperature in (0.0, 0.7):
            sampling = Sampling(temperature, repetition_penalty=1.0, max_tokens=max_tokens, seed=1)
            request = ModelRequest(prompt, sampling=sampling, response_schema=schema)
            reply = await self.inner.complete(request, emit=self._pass_notes)
            if reply.usage is not None:
                self.usage = reply.usage + (self.usage or Usage(0, 0))
            if found := _json_object(reply.message.text):
                if len(self.memo) >= MAX_MEMO:
                    self.memo.pop(next(iter(self.memo)))
                self.memo[key] = found
                return found
        return {}

    def _pass_notes(self, event: Event) -> None:
        if isinstance(event, Note):  # the deltas are our JSON, nothing for a person
            self.emit(event)

    def reply(self, text: str, calls: tuple[ToolCall, ...]) -> ModelReply:
        """The finished reply; tells the thoughts that led to it."""
        reasoning = " ".join(self.thoughts)
        if reasoning:
            self.emit(ReasoningDelta(reasoning))
        message = Message("assistant", text, reasoning=reasoning, tool_calls=calls)
        return ModelReply(message, "tool_calls" if calls else "stop", self.usage)


def _tool_with(tools: Sequence[ToolSpec], parameter: str) -> ToolSpec | None:
    for spec in tools:
        properties = spec.parameters.get("properties")
        if isinstance(properties, Mapping) and parameter in properties:
            if parameter != "query" or "search" in spec.name:
                return spec
    return None


def _json_object(text: str) -> dict[str, object]:
    try:
        found: object = json.loads(text)
    except ValueError:
        return {}
    return cast(dict[str, object], found) if isinstance(found, dict) else {}


@dataclass(slots=True)
class _Staged:
    """The client's order: search, open, read, and again with what was read."""

    session: _Session
    evidence: Evidence
    max_hops: int
    visited: list[str] = field(default_factory=list[str])
    looked_up: list[str] = field(default_factory=list[str])
    queries: list[str] = field(default_factory=list[str])

    async def gather(self) -> None:
        """Read up to `max_hops` pages; fewer when they already speak of all that was asked."""
        for _ in range(self.max_hops):
            if self.evidence.is_complete:
                return
            name = await self._lead()
            hits = await self._search(name)
            await self._read_one(self.evidence.order(hits, self.visited), name)

    async def _lead(self) -> str:
        """What to look up next; "" while the question itself names something not yet found."""
        evidence = self.evidence
        open_stems = {prompts.stem(word) for word in evidence.open_words()}
        if not evidence.facts or any(evidence.weights[key] > 1 for key in open_stems):
            return ""
        names = [name for name in evidence.leads() if name not in self.looked_up]
        if len(names) > 1:
            schema = prompts.object_schema(look_up={"enum": names})
            chosen = await self.session.ask(prompts.lead_prompt(evidence), schema)
            names.sort(key=lambda name: name != chosen.get("look_up"))
        if not names:
            return ""
        self.looked_up.append(names[0])
        self.session.thoughts.append(f"Looking up {names[0]}.")
        return names[0]

    async def _search(self, name: str) -> list[Hit]:
        open_words = " ".join(self.evidence.open_words())
        keywords = " ".join(prompts.words(self.evidence.question))
        first = f"{name} {open_words}".strip() if self.evidence.facts else self.evidence.question
        for query in dict.fromkeys([first, name or keywords, open_words or keywords]):
            if query in self.queries:
                continue
            self.queries.append(query)
            hits = await self.session.search(query)
            if any(hit.url not in self.visited for hit in hits):
                return hits
        return []

    async def _read_one(self, pages: list[Hit], name: str) -> None:
        pages = pages[:OFFERED_HITS]
        while pages:
            urls = [hit.url for hit in pages]
            url = urls[0]
            if len(urls) > 1:
                schema = prompts.object_schema(url={"enum": urls})
                prompt = prompts.url_prompt(f"{self.evidence.question} {name}".strip(), pages)
                chosen = (await self.session.ask(prompt, schema)).get("url")
                url = chosen if isinstance(chosen, str) and chosen in urls else url
            url, page = await self.session.visit(url)
            self.visited.append(url)
            if page is not None:
                self.evidence.read(*page, looked_up=name)
                self._tell()
                return
            left = [hit for hit in pages if hit.url != url]
            # A result for a page that was never offered must not make this loop endless.
            pages = left if len(left) < len(pages) else pages[1:]

    def _tell(self) -> None:
        if self.evidence.fresh:
            self.session.thoughts.append(f"Found so far: {self.evidence.fresh[0].sentence}")

    async def answer(self) -> str:
        """The short answer, copied from what was read; "" when nothing was."""
        evidence = self.evidence
        if not evidence.facts:
            return ""
        prompt = prompts.answer_prompt(evidence)
        schema = prompts.answer_schema(evidence.question)
        answer = str((await self.session.ask(prompt, schema)).get("answer", "")).strip()
        names = evidence.candidates()
        if evidence.is_answer(answer) or prompts.is_yes_no(evidence.question) or not names:
            return answer
        schema = prompts.answer_schema(evidence.question, names)
        return str((await self.session.ask(prompt, schema)).get("answer", names[0]))


class _Chosen(_Staged):
    pass
