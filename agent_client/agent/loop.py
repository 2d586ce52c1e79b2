"""The loop: ask the model, run the tools it calls, repeat until it answers or a budget ends."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import anyio

from agent_client.agent.answer import cite
from agent_client.agent.limits import Limits
from agent_client.agent.outcome import Outcome, StopReason
from agent_client.agent.prompts import BUDGET_NOTE
from agent_client.agent.research import Research
from agent_client.conversation import (
    Message,
    ModelReply,
    ModelRequest,
    Sampling,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)
from agent_client.errors import ModelError, ToolServerError
from agent_client.events import Emit, ModelReplied, Note, ToolFinished, ToolStarted, TurnStarted
from agent_client.ports import ModelClient, Toolbox

MAX_EMPTY_REPLIES = 2
"""Replies without text and calls that are asked for again; SGLang sends one for a broken call."""
BROKEN_REPLIES = 1
"""Replies that broke off and are asked for again; the model port retries connecting by itself."""
MALFORMED_TOOL = "malformed_call"
"""Name under which a call that could not be read stands in the conversation."""


async def run_agent(
    question: str,
    messages: Sequence[Message],
    *,
    model: ModelClient,
    tools: Toolbox,
    sampling: Sampling,
    limits: Limits,
    emit: Emit,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Work on one question until there is an answer.

    The conversation only ever grows at its end. Calls of one turn run side by side. When a budget
    ends, the model is told so inside the last tool result and its next reply is the answer.
    A failing tool is a result that the model reads; a failing model or a lost tool server ends
    the run with what was read so far in the outcome. Cancelling the caller's scope cancels the
    call in flight.

    Args:
        question: as the person asked it.
        messages: the conversation so far, ending in the question as put to the model.
        model: continues the conversation.
        tools: runs the calls.
        sampling: for every turn.
        limits: the budgets.
        emit: told everything as it happens.
        clock: monotonic seconds.
    """
    run = _Run(question, list(messages), model, tools, sampling, limits, emit, clock)
    try:
        reason, text = await run.to_the_end()
        error = None
    except ModelError as exc:
        reason, text, error = "model_error", "", exc
    except ToolServerError as exc:
        reason, text, error = "tool_error", "", exc
    return run.outcome(reason, text, error)


@dataclass(slots=True)
class _Timings:
    model: float = 0.0
    tools: float = 0.0


class _Run:
    """The state of one question."""

    def __init__(
        self,
        question: str,
        messages: list[Message],
        model: ModelClient,
        tools: Toolbox,
        sampling: Sampling,
        limits: Limits,
        emit: Emit,
        clock: Callable[[], float],
    ) -> None:
        self._question = question
        self._messages = messages
        self._model, self._tools = model, tools
        self._sampling, self._limits = sampling, limits
        self._emit, self._clock = emit, clock
        self._started = clock()
        self._research = Research()
        self._usage = Usage(0, 0)
        self._timings = _Timings()
        self._turns = self._malformed = self._empty = 0

    async def to_the_end(self) -> tuple[StopReason, str]:
        """Research within the budgets, then answer."""
        reason: StopReason = "time_limit"
        text = ""
        with anyio.move_on_after(self._limits.seconds):
            specs = tuple(await self._tools.list_tools())
            reason, text = await self._research_turns(specs)
        if reason in ("answered", "no_answer"):
            return reason, text
        return reason, await self._forced_answer(reason)

    async def _research_turns(self, specs: tuple[ToolSpec, ...]) -> tuple[StopReason, str]:
        names = frozenset(spec.name for spec in specs)
        while (limit := self._limit_reached()) is None:
            reply = await self._ask(specs)
            calls = self._take_in(reply)
            if calls:
                await self._run_calls(calls, names)
            elif reply.message.text.strip():
                return "answered", reply.message.text
            elif self._empty > MAX_EMPTY_REPLIES:
                return "no_answer", ""
        return limit, ""

    def _limit_reached(self) -> StopReason | None:
        limits, used = self._limits, self._usage
        if self._turns >= limits.turns - 1:
            return "turn_limit"  # the last turn is the answer's
        if self._research.calls >= limits.tool_calls:
            return "tool_call_limit"
        if 0 < limits.total_tokens <= used.prompt_tokens + used.completion_tokens:
            return "token_limit"
        return None

    async def _ask(self, specs: tuple[ToolSpec, ...]) -> ModelReply:
        self._turns += 1
        self._emit(TurnStarted(turn=self._turns))
        started = self._clock()
        request = ModelRequest(messages=tuple(self._messages), tools=specs, sampling=self._sampling)
        try:
            reply = await self._complete(request)
        finally:
            seconds = self._clock() - started
            self._timings.model += seconds
        if reply.usage:
            self._usage += reply.usage
        self._emit(ModelReplied(turn=self._turns, reply=reply, seconds=seconds))
        return reply

    async def _complete(self, request: ModelRequest) -> ModelReply:
        """One reply. A stream that broke off is asked for again: nothing of it was used yet."""
        for _ in range(BROKEN_REPLIES):
            try:
                return await self._model.complete(request, emit=self._emit)
            except ModelError as exc:
                if not exc.retryable:
                    raise
                self._emit(Note(f"{exc.reason}, asking again"))
        return await self._model.complete(request, emit=self._emit)

    def _take_in(self, reply: ModelReply) -> tuple[ToolCall, ...]:
        """Append a reply to the conversation; what it asks for, unreadable calls included."""
        unreadable = tuple(
            ToolCall(id=f"malformed_{self._turns}_{n}", name=MALFORMED_TOOL, arguments={}, raw=raw)
            for n, raw in enumerate(reply.malformed_calls)
        )
        self._malformed += len(unreadable)
        calls = reply.message.tool_calls + unreadable
        if calls or reply.message.text.strip():
            self._messages.append(replace(reply.message, tool_calls=calls))
            return calls
        # Nothing at all: asked again on the same conversation, so that its prefix stays the same.
        self._empty += 1
        self._emit(Note("the model answered nothing, asking again"))
        return ()

    async def _run_calls(self, calls: tuple[ToolCall, ...], names: frozenset[str]) -> None:
        """Run the calls of one turn side by side; results are appended in the order asked."""
        results: dict[int, ToolResult] = {}
        room = max(0, self._limits.tool_calls - self._research.calls)

        async def run_one(position: int, call: ToolCall) -> None:
            results[position] = await self._run_call(call, names, has_room=position < room)

        started = self._clock()
        try:
            async with anyio.create_task_group() as tasks:
                for position, call in enumerate(calls):
                    tasks.start_soon(run_one, position, call)
        except* ToolServerError as group:
            raise _first_leaf(group) from None
        finally:
            self._timings.tools += self._clock() - started
            # Also after a deadline: every call in the conversation needs its result.
            for position, call in enumerate(calls):
                result = results.get(position) or ToolResult(
                    call.id, call.name, "Error: the call was cut off by a limit.", is_error=True
                )
                self._research.add(call, result)
                self._messages.append(
                    Message(role="tool", text=result.text, tool_call_id=call.id, name=call.name)
                )

    async def _run_call(
        self, call: ToolCall, names: frozenset[str], *, has_room: bool
    ) -> ToolResult:
        if call.name == MALFORMED_TOOL:
            self._emit(Note(f"a tool call could not be read: {call.raw[:200]}"))
            return _refusal(call, f"the call could not be read. {_how_to_call(names)}")
        if call.name not in names:
            return self._told(
                call, _refusal(call, f"there is no tool {call.name!r}. {_how_to_call(names)}"), 0.0
            )
        if not has_room:
            return _refusal(call, "the budget of tool calls is used up; answer now.")
        self._emit(ToolStarted(call=call))
        started = self._clock()
        result = await self._tools.call(call)
        return self._told(call, result, self._clock() - started)

    def _told(self, call: ToolCall, result: ToolResult, seconds: float) -> ToolResult:
        self._emit(ToolFinished(call=call, result=result, seconds=seconds))
        return result

    async def _forced_answer(self, reason: StopReason) -> str:
        """Tell the model that the budget is used up and take what it says."""
        self._emit(Note(f"{reason.replace('_', ' ')} reached, asking for the answer"))
        last = self._messages[-1]
        self._messages[-1] = replace(last, text=last.text + BUDGET_NOTE)
        with anyio.move_on_after(self._limits.answer_seconds):
            reply = await self._ask(())
            self._messages.append(reply.message)
            return reply.message.text
        return ""

    def outcome(self, reason: StopReason, text: str, error: Exception | None) -> Outcome:
        """Everything about the run, whatever its end."""
        cited = cite(text, self._research.pages)
        return Outcome(
            question=self._question,
            answer=cited.text,
            short_answer=cited.short_answer,
            stop_reason=reason,
            sources=cited.sources,
            counts=self._research.counts(turns=self._turns, malformed_calls=self._malformed),
            usage=self._usage,
            seconds=self._clock() - self._started,
            timings={"model": self._timings.model, "tools": self._timings.tools},
            messages=tuple(self._messages),
            error=error,
        )


def _refusal(call: ToolCall, why: str) -> ToolResult:
    return ToolResult(call.id, call.name, f"Error: {why}", is_error=True)


def _how_to_call(names: frozenset[str]) -> str:
    listed = ", ".join(sorted(names))
    return f"Call one of: {listed}, with its arguments as one JSON object."


def _first_leaf(group: BaseExceptionGroup[ToolServerError]) -> ToolServerError:
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    assert isinstance(leaf, ToolServerError)
    return leaf
