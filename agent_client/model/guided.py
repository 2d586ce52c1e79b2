"""Search over several hops with a very small model: the client fixes the order of the steps.

A model of 0.5B parameters cannot call tools freely, but it can choose among few things and copy an
answer. `staged` leaves it only that (which page to open, what the answer is); `schema` lets the
model choose queries and the order too. To retrieve, read, and retrieve again with what was read is
IRCoT (Trivedi et al. 2023, https://arxiv.org/abs/2212.10509); selected sentences take the place of
its written reasoning.
"""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from agent_client.conversation import Message, ModelReply, ModelRequest, Sampling, ToolCall, Usage
from agent_client.events import AnswerDelta, Emit, Event, Note, ReasoningDelta
from agent_client.model import guided_prompts as prompts
from agent_client.model.guided_prompts import Evidence, Hit, Prompt, Schema
from agent_client.ports import ModelClient

MAX_MEMO = 256
MAX_TOKENS = 96
"""Of one reply: room for the longest URL that is likely, or a query."""


@dataclass
class _ReplayEnds(Exception):
    """Not an error: the next tool result is missing. Without arguments no tool is left."""

    tool: str = ""
    arguments: Mapping[str, object] | None = None


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

    @property
    def context_tokens(self) -> int:
        """The inner model's bound; its prompts here are short and do not grow."""
        return 0

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        """Decide the next step: one tool call, or the final text.

        Raises:
            ModelError: the inner model refused or failed.
        """
        asked, exchanges = _current_question(request.messages)
        if request.must_answer:
            request = replace(request, tools=())
        session = _Session(self._inner, self._memo, request, deque(exchanges), emit)
        evidence = Evidence(prompts.question_of(asked))
        run = (_Staged if self._mode == "staged" else _Chosen)(session, evidence, self._max_hops)
        try:
            await run.gather()
        except _ReplayEnds as end:
            if end.arguments is not None:
                made = sum(len(message.tool_calls) for message in request.messages)
                return session.reply("", (ToolCall(f"call_{made + 1}", end.tool, end.arguments),))
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
    r"""The answer with the sentences that led to it, and `\boxed{}` when that was asked for."""
    text = "No page that could be read answers the question."
    if answer:
        fact = evidence.supports(answer)
        text = f"{answer[0].upper()}{answer[1:].rstrip('.')}."
        text = " ".join([text, *(step.cited for step in evidence.chain(fact))]) if fact else text
    return f"{text} \\boxed{{{answer or 'unknown'}}}" if boxed else text


@dataclass(slots=True)
class _Session:
    """One replay: the inner model, the tools, and the results at hand."""

    inner: ModelClient
    memo: dict[str, dict[str, object]]
    request: ModelRequest
    exchanges: deque[tuple[ToolCall, str]]
    emit: Emit
    usage: Usage | None = None
    thoughts: list[str] = field(default_factory=list[str])
    """Since the last tool result: what this reply's reasoning will say."""

    async def search(self, query: str) -> list[Hit]:
        """The hits for a query, as recorded; asks for the tool when they are not."""
        return prompts.parse_hits(self._result("query", {"query": query})[1])

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
        for spec in self.request.tools:
            properties = cast(Mapping[str, object], spec.parameters.get("properties") or {})
            # Other tools take queries too, such as one that asks a database.
            if parameter in properties and (parameter != "query" or "search" in spec.name):
                raise _ReplayEnds(spec.name, arguments)
        raise _ReplayEnds

    async def ask(self, prompt: Prompt, schema: Schema) -> dict[str, object]:
        """One constrained call of the inner model; empty when it twice wrote no JSON object."""
        key = json.dumps([[(m.role, m.text) for m in prompt], schema])
        if key in self.memo:
            return self.memo[key]
        # Greedy decoding would repeat the same garbage, so the second try is a sampled one.
        for temperature in (0.0, 0.7):
            sampling = Sampling(temperature, repetition_penalty=1.0, max_tokens=MAX_TOKENS, seed=1)
            asked = ModelRequest(prompt, sampling=sampling, response_schema=schema)
            reply = await self.inner.complete(asked, emit=self._pass_notes)
            if reply.usage is not None:
                self.usage = reply.usage + (self.usage or Usage(0, 0))
            if found := prompts.json_object(reply.message.text):
                if len(self.memo) >= MAX_MEMO:
                    self.memo.clear()
                return self.memo.setdefault(key, found)
        return {}

    async def ask_text(self, prompt: Prompt, schema: Schema) -> str:
        """The text in the only property of what the model writes; "" when there is none."""
        value = next(iter((await self.ask(prompt, schema)).values()), "")
        return value.strip() if isinstance(value, str) else ""

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


@dataclass(slots=True)
class _Staged:
    """The client's order: search, open, read, and again with what was read."""

    session: _Session
    evidence: Evidence
    max_hops: int
    visited: list[str] = field(default_factory=list[str])
    queries: list[str] = field(default_factory=list[str])

    async def gather(self) -> None:
        """Read up to `max_hops` pages; fewer when they already speak of all that was asked."""
        for _ in range(self.max_hops):
            if self.evidence.is_complete:
                return
            names = self.evidence.leads()
            if names:
                self.session.thoughts.append(f"Looking up {', '.join(names)}.")
            await self._read_one(await self._search(names), names)

    async def _search(self, names: Sequence[str]) -> list[Hit]:
        """Hits not yet read; with other and fewer words when there are none."""
        asked, open_words = self.evidence.question, self.evidence.open_words()
        first = " ".join([*names, *open_words]) if self.evidence.facts else asked
        fewer = [" ".join(names or prompts.words(asked)), " ".join(open_words)]
        for query in [first, *fewer]:
            if hits := await self._find(query):
                return hits
        return []

    async def _find(self, query: str) -> list[Hit]:
        """The hits not yet read; empty also when this was already searched for."""
        if not query or query in self.queries:
            return []
        self.queries.append(query)
        return [hit for hit in await self.session.search(query) if hit.url not in self.visited]

    async def _read_one(self, hits: list[Hit], names: Sequence[str]) -> None:
        """Open pages until one can be read."""
        for _ in range(prompts.OFFERED_HITS):
            pages = self.evidence.offer(hits, self.visited)
            urls = [hit.url for hit in pages]
            if len(urls) > 1:
                schema = prompts.object_schema(url={"enum": urls})
                prompt = prompts.url_prompt(self.evidence, pages)
                chosen = await self.session.ask_text(prompt, schema)
                urls.sort(key=lambda url: url != chosen)
            if not urls or await self._open(urls[0], names):
                return

    async def _open(self, url: str, names: Sequence[str] = ()) -> bool:
        """Read one page; False when it could not be read."""
        visited, page = await self.session.visit(url)
        # Both: a recorded visit may be of another page than the one wanted.
        self.visited += [url, visited]
        if page is None:
            return False
        self.evidence.read(*page, url=visited, looked_up=names)
        if self.evidence.fresh:
            self.session.thoughts.append(f"Found so far: {self.evidence.fresh[0].sentence}")
        return True

    async def answer(self) -> str:
        """The short answer, copied from what was read; "" when nothing was."""
        evidence = self.evidence
        if not evidence.facts:
            return ""
        prompt = prompts.answer_prompt(evidence)
        schema = prompts.answer_schema(evidence)
        answer = await self.session.ask_text(prompt, schema)
        if evidence.is_answer(answer):
            return answer
        names = evidence.candidates()
        if evidence.is_yes_no or not names:
            return ""
        answer = await self.session.ask_text(prompt, prompts.answer_schema(evidence, names))
        return answer if answer in names else ""


@dataclass(slots=True)
class _Chosen(_Staged):
    """The model's order: each turn it searches, opens a page or answers."""

    said: str = ""

    async def gather(self) -> None:
        """Follow the model's choices until it answers, or has read `max_hops` pages."""
        hits, reads, may_search = list[Hit](), 0, True
        # Each hop may need a second search; a model that only searches ends here as well.
        for _ in range(3 * self.max_hops):
            hits = [hit for hit in hits if hit.url not in self.visited]
            is_last = reads >= self.max_hops
            action = await self._choose([] if is_last else hits, may_search and not is_last)
            if "url" in action:
                reads += await self._open(str(action["url"]))
                may_search = True
            elif "query" in action:
                found = await self._find(str(action["query"]))
                may_search = bool(found)  # the same search again would find nothing again
                hits = found or hits or await self._search([])
            else:
                self.said = str(action.get("answer", "")).strip()
                return

    async def _choose(self, left: list[Hit], may_search: bool) -> dict[str, object]:
        options: list[Schema] = []
        left = left[: 2 * prompts.OFFERED_HITS]
        urls = [hit.url for hit in left]
        if may_search:
            options.append(prompts.object_schema(action={"const": "search"}, query=prompts.QUERY))
        if urls:
            options.append(prompts.object_schema(action={"const": "visit"}, url={"enum": urls}))
        if self.evidence.facts:
            options.append(prompts.object_schema(action={"const": "answer"}, answer=prompts.ANSWER))
        if not options:
            return {}
        prompt = prompts.action_prompt(self.evidence, self.queries, left)
        action = await self.session.ask(prompt, {"anyOf": options})
        is_valid = action["url"] in urls if "url" in action else "query" in action
        if is_valid or self.evidence.facts:
            return action if is_valid or "answer" in action else {}
        return {"url": urls[0]} if urls else {"query": self.evidence.question}

    async def answer(self) -> str:
        """What the model said if a page says it too; else asked for once more."""
        said = self.said if self.evidence.is_answer(self.said) else ""
        return said or await super(_Chosen, self).answer()
