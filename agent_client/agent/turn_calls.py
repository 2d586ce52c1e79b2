"""Runs the tool calls of one turn: what is refused, what is known already, what is sent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import anyio

from agent_client.agent import notes
from agent_client.agent.call_memory import CallMemory, Earlier, Repeat, call_key
from agent_client.agent.context_size import utf8_bytes
from agent_client.agent.history import History
from agent_client.agent.limits import Limits
from agent_client.agent.notes import MALFORMED_TOOL
from agent_client.agent.offered_tools import OfferedTool, ToolKind
from agent_client.agent.page_address import asked_urls, with_urls
from agent_client.agent.page_result import told_pages
from agent_client.agent.profile import ResearchRules
from agent_client.agent.provenance import SeenUrls
from agent_client.agent.research import Research
from agent_client.agent.shown_result import shown_result
from agent_client.agent.tally import Tally
from agent_client.conversation import ToolCall, ToolResult
from agent_client.errors import ToolServerError
from agent_client.events import Emit, Guard, Guarded, ToolFinished, ToolStarted
from agent_client.ports import Toolbox
from agent_client.untrusted import neutralise

MAX_CALLS_PER_TURN = 16
"""Calls of one turn that are run; further ones are refused."""
MAX_ARGUMENT_CHARS = 20_000
"""A call with longer arguments is refused: no tool takes that much."""
_BEGINNING_CHARS = 400
"""How much of its result a repeated call is given again."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """A call that is run."""

    tool: OfferedTool
    call: ToolCall
    """As the server gets it."""
    key: str
    """What it means."""


@dataclass(slots=True)
class _Turn:
    """The calls of one turn and what becomes of them, by position."""

    calls: tuple[ToolCall, ...]
    room_bytes: int
    results: dict[int, ToolResult] = field(default_factory=dict[int, ToolResult])
    running: dict[int, _Sent] = field(default_factory=dict[int, _Sent])
    keys: set[str] = field(default_factory=set[str])


@dataclass(slots=True, kw_only=True)
class TurnCalls:
    """The tools of one run, with its guards and its memory."""

    tools: Toolbox
    offered: Mapping[str, OfferedTool]
    rules: ResearchRules
    limits: Limits
    tally: Tally
    history: History
    research: Research
    seen: SeenUrls
    emit: Emit
    clock: Callable[[], float]
    memory: CallMemory = field(default_factory=CallMemory)

    async def run(
        self, calls: tuple[ToolCall, ...], reasons: Mapping[str, str], room_bytes: int
    ) -> None:
        """Run the calls of one turn and append their results to the conversation, in order.

        Also after a cancellation every call has its result: the conversation stays one that a
        model can go on with.

        Args:
            calls: of the last message.
            reasons: why a malformed call could not be read, by its id.
            room_bytes: what the results may add to the conversation.

        Raises:
            ToolServerError: the tool server is lost.
        """
        turn = _Turn(calls, room_bytes)
        for position, call in enumerate(calls):
            refusal = self._decide(turn, position, call, reasons)
            if refusal is not None:
                turn.results[position] = refusal
                self.emit(ToolFinished(call=call, result=refusal, seconds=0.0))
        started = self.clock()
        try:
            await self._run_all(turn)
        finally:
            self.tally.tool_seconds += self.clock() - started
            for position, call in enumerate(calls):
                result = turn.results.get(position) or self._cut_off(call)
                self.history.append_result(call, result)

    def refuse(self, calls: tuple[ToolCall, ...], why: str) -> None:
        """Append a refusal for each call, without running any."""
        for call in calls:
            refusal = _refusal(call, why)
            self.emit(ToolFinished(call=call, result=refusal, seconds=0.0))
            self.history.append_result(call, refusal)

    def _decide(
        self, turn: _Turn, position: int, call: ToolCall, reasons: Mapping[str, str]
    ) -> ToolResult | None:
        """The result of a call that is not run; None enlists it to be run."""
        if call.name == MALFORMED_TOOL and call.id in reasons:
            self._guard("malformed_call", f"a tool call could not be read: {call.raw[:200]}", call)
            return _refusal(call, notes.malformed_call(reasons[call.id], self.offered))
        tool = self.offered.get(call.name)
        if tool is None:
            self._guard("unknown_tool", f"there is no tool {call.name[:80]!r}", call)
            return _refusal(call, notes.unknown_tool(call.name, self.offered))
        if refusal := self._too_much(turn, call):
            return refusal
        sent = tool.sent(call)
        key = call_key(sent.name, sent.arguments, tool.kind)
        if known := self._known(turn, key, sent, tool.kind):
            return known
        if refusal := self._used_up(call, tool.kind) or self._made_up(call):
            return refusal
        if self.rules.unknown_urls == "strict":
            sent = tool.sent(replace(call, arguments=with_urls(call.arguments, self.seen.as_shown)))
        turn.running[position] = _Sent(tool, sent, key)
        self.tally.add_call(tool.kind)
        return None

    def _too_much(self, turn: _Turn, call: ToolCall) -> ToolResult | None:
        most = 1 if self.rules.calls_per_turn == "first" else MAX_CALLS_PER_TURN
        if len(turn.running) >= most:
            one = "one call" if most == 1 else f"{most} calls"
            return _refusal(call, f"not run: at most {one} in one turn.")
        size = len(call.raw) or sum(len(str(value)) for value in call.arguments.values())
        if size > MAX_ARGUMENT_CHARS:
            return _refusal(call, f"the arguments are longer than {MAX_ARGUMENT_CHARS:,} letters.")
        return None

    def _used_up(self, call: ToolCall, kind: ToolKind) -> ToolResult | None:
        limits, tally = self.limits, self.tally
        if tally.tool_calls >= limits.tool_calls:
            return _refusal(call, notes.NO_MORE_CALLS)
        most = {"search": limits.searches, "visit": limits.visits, "other": 0}[kind]
        if 0 < most <= tally.by_kind[kind]:
            return _refusal(call, f"no {kind} is left; use what you have read.")
        return None

    def _known(self, turn: _Turn, key: str, call: ToolCall, kind: ToolKind) -> ToolResult | None:
        """The result of a call that was made before, in this turn or in an earlier one."""
        if key in turn.keys and self.rules.repeated_call != "run":
            self._guard("repeated_call", "a call stands twice in one turn", call)
            return ToolResult(call.id, call.name, notes.SAME_CALL_THIS_TURN)
        turn.keys.add(key)
        if self.rules.repeated_call != "cached":
            return None
        found = self.memory.find(key, call.arguments, kind)
        if found is None or not found[0].has_an_answer:
            return None
        return self._again(call, *found)

    def _again(self, call: ToolCall, earlier: Earlier, repeat: Repeat) -> ToolResult:
        same = "this page" if repeat == "repeated_page" else "this call"
        self._guard(repeat, f"{same} was made before; answered from memory", call)
        text = self.history.text_at(earlier.position)
        failed = earlier.failures > 0
        if self.history.is_shown(earlier.position):
            what = (
                "you have read this part of the page before"
                if repeat == "repeated_page"
                else "you have made this call before"
            )
            text = notes.same_call(what, _beginning(text))
        return ToolResult(call.id, call.name, text, is_error=failed)

    def _made_up(self, call: ToolCall) -> ToolResult | None:
        """What the provenance policy says about an address that was never shown to the model."""
        policy = self.rules.unknown_urls
        if policy == "off":
            return None
        unknown = [url for url in asked_urls(call.arguments) if url not in self.seen]
        if not unknown:
            return None
        self._guard("unknown_url", f"an address from nowhere: {unknown[0][:200]}", call)
        if policy == "warn":
            return None
        search = next((name for name, t in self.offered.items() if t.kind == "search"), "")
        return _refusal(call, notes.unknown_url(unknown[0], search))

    async def _run_all(self, turn: _Turn) -> None:
        """Run what was enlisted, side by side or one after another."""
        if not turn.running:
            return
        room = turn.room_bytes // len(turn.running)
        if len(turn.running) == 1 or self.rules.calls_per_turn != "side_by_side":
            for position in turn.running:
                await self._run_one(turn, position, room)
            return
        try:
            async with anyio.create_task_group() as tasks:
                for position in turn.running:
                    tasks.start_soon(self._run_one, turn, position, room)
        except* ToolServerError as group:
            raise _first_leaf(group) from None

    async def _run_one(self, turn: _Turn, position: int, room_bytes: int) -> None:
        call = turn.calls[position]
        self.emit(ToolStarted(call=call))
        started = self.clock()
        result = await self.tools.call(turn.running[position].call)
        seconds = self.clock() - started
        turn.results[position] = self._take_in(turn, position, result, room_bytes)
        self.emit(ToolFinished(call=call, result=turn.results[position], seconds=seconds))

    def _take_in(
        self, turn: _Turn, position: int, result: ToolResult, room_bytes: int
    ) -> ToolResult:
        """Remember a result; what the model is given of it."""
        call, sent = turn.calls[position], turn.running[position]
        tool = sent.tool
        size = utf8_bytes(result.text)
        room = room_bytes if size == len(result.text) else room_bytes * len(result.text) // size
        shown = shown_result(call, result, tool, room)
        if shown.is_cut:
            what = f"{len(result.text):,} characters, {len(shown.text):,} shown"
            self._guard("cut_result", f"a result was cut: {what}", call)
        if result.is_error:
            self.tally.tool_errors += 1
        elif tool.kind == "visit":
            self.research.add_visit(sent.call, result, shown.read)
        self.seen.add_text(shown.read)
        self.seen.add_meta(result.meta)
        pages = told_pages(result)
        self.memory.add(
            sent.key,
            sent.call,
            tool.kind,
            # Results are appended in the order of the calls.
            position=self.history.next_position + position,
            failed=result.is_error,
            final_url=str(pages[0].get("final_url") or "") if len(pages) == 1 else "",
        )
        # A page may hold the tokens that end a turn; not every server takes them as mere text.
        text = neutralise(shown.text)
        if text == result.text:
            return result
        return ToolResult(call.id, call.name, text, result.is_error, result.meta)

    def _cut_off(self, call: ToolCall) -> ToolResult:
        self.tally.tool_errors += 1
        refusal = _refusal(call, notes.CUT_OFF_CALL)
        self.emit(ToolFinished(call=call, result=refusal, seconds=0.0))
        return refusal

    def _guard(self, guard: Guard, text: str, call: ToolCall) -> None:
        self.tally.guards[guard] += 1
        self.emit(Guarded(guard=guard, text=text, call=call))


def _refusal(call: ToolCall, why: str) -> ToolResult:
    return ToolResult(call.id, call.name, f"Error: {why}", is_error=True)


def _beginning(text: str) -> str:
    """The first lines of a result."""
    if len(text) <= _BEGINNING_CHARS:
        return text
    end = text.rfind("\n", _BEGINNING_CHARS // 2, _BEGINNING_CHARS)
    return text[: end if end > 0 else _BEGINNING_CHARS].rstrip() + "\n[…]"


def _first_leaf(group: BaseExceptionGroup[ToolServerError]) -> ToolServerError:
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    assert isinstance(leaf, ToolServerError)
    return leaf
