"""The loop: ask the model, run the tools it calls, repeat until it answers or a budget ends."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import anyio

from agent_client.agent import notes
from agent_client.agent.budget import Budget
from agent_client.agent.context_size import ContextSize, message_bytes, messages_bytes, utf8_bytes
from agent_client.agent.history import SHORTENED_FOR_ANSWER, SHORTENED_HISTORY, History
from agent_client.agent.last_words import LastWords
from agent_client.agent.limits import Prices
from agent_client.agent.notes import MALFORMED_TOOL
from agent_client.agent.offered_tools import offered_tools
from agent_client.agent.outcome import PrefixStability, StopReason
from agent_client.agent.prefix import PrefixMeter
from agent_client.agent.profile import Profile
from agent_client.agent.provenance import SeenUrls
from agent_client.agent.reply_faults import Fault, cut_off, find_fault, strictly_read
from agent_client.agent.research import Research
from agent_client.agent.tally import Tally
from agent_client.agent.turn_calls import TurnCalls
from agent_client.conversation import Message, ModelReply, ModelRequest, ToolCall, ToolSpec
from agent_client.errors import ContextOverflow, ModelError, ModelTimeout
from agent_client.events import (
    Compacted,
    Emit,
    Guarded,
    ModelReplied,
    Note,
    Resampled,
    TurnStarted,
)
from agent_client.ports import ModelClient, Toolbox

BROKEN_REPLIES = 2
"""Replies that broke off and are asked for again; the model port retries connecting by itself."""
ANSWER_TRIES = 3
"""How often the answer is asked for at the end; the last time without tools."""
OVERFLOWS = 4
"""How often a conversation that the server finds too long is shortened for the answer."""
MAX_IDLE_TURNS = 5
"""Turns in a row whose calls were all repeated or refused, before the answer is asked for."""
LATE_NOTE = "late_note"
"""The policy's name when a note stands in a message that the model was shown without it."""
_SHORTENED_SHARE = 0.5
"""What is left of a conversation that did not fit, and of the room for earlier questions."""


@dataclass(frozen=True, slots=True)
class _Changes:
    """What follows from a change of what was already said.

    It knows the run's parts and not the run, which knows the history, which knows this: without a
    cycle all texts of a run are freed as soon as it is over.
    """

    tally: Tally
    meter: PrefixMeter
    size: ContextSize
    emit: Emit

    def told(self, policy: str, before: tuple[Message, ...], after: tuple[Message, ...]) -> None:
        """Announce the change, and measure anew."""
        self.tally.compactions += 1
        if policy != "drop_reasoning":  # that always holds: its price is to be seen
            self.meter.announce()
            self.size.restarted(messages_bytes(after))
        self.emit(Compacted(policy=policy, before=before, after=after))


class Run:
    """The work on one question.

    The conversation only ever grows at its end, unless the profile's history policy says
    otherwise. When a budget ends, the model is told so inside the last tool result, and its next
    reply is the answer. A failing tool is a result that the model reads; a failing model or a lost
    tool server ends the run with an error, what was read so far being kept. Cancelling the
    caller's scope cancels the call in flight.
    """

    def __init__(
        self,
        messages: Sequence[Message],
        *,
        model: ModelClient,
        tools: Toolbox,
        profile: Profile,
        prices: Prices | None,
        emit: Emit,
        run_id: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare.

        Args:
            messages: the conversation so far, ending in the question as put to the model.
            model: continues the conversation.
            tools: runs the calls.
            profile: everything that shapes the run.
            prices: what the model costs, if that is to be counted.
            emit: told everything as it happens.
            run_id: of all requests of this run.
            clock: monotonic seconds.
        """
        self._model, self._toolbox, self._profile = model, tools, profile
        self._emit, self._clock, self._run_id = emit, clock, run_id
        self._meter = PrefixMeter()
        self.tally = Tally(prices=prices)
        self.research = Research()
        limits = profile.limits
        self._size = ContextSize(
            limits.context_tokens or model.context_tokens, profile.sampling.max_tokens
        )
        self._size.grew(messages_bytes(messages))
        self._changes = _Changes(self.tally, self._meter, self._size, emit)
        self.history = History(messages, profile.history, self._changes.told)
        self.budget = Budget(limits, self.tally, self._size, clock)
        self._seen = SeenUrls()
        for message in messages:
            if message.role != "system":
                self._seen.add_text(message.text)
        self._specs: tuple[ToolSpec, ...] = ()
        self._calls: TurnCalls | None = None
        self._kept_replies = 0
        self._last_reply: tuple[object, ...] = ()
        self._repeats = 0
        self._idle_turns = 0
        self._shown_messages = 0
        """How long the conversation was when the model was asked last."""
        self._spare = ""
        """The last text that could serve as an answer when no better one comes."""
        self._last_words = LastWords(emit)
        self._scope = anyio.CancelScope()
        """Around the research: its deadline is the time limit."""

    @property
    def prefix(self) -> PrefixStability | None:
        """How stable the prompts were."""
        return self._meter.result()

    async def to_the_end(self) -> tuple[StopReason, str]:
        """Research within the budgets, then answer.

        Returns:
            Why the run ended, and the model's last text.

        Raises:
            ModelError: the model failed for good.
            ToolServerError: the tool server is lost, or lacks a tool that the profile offers.
        """
        reason: StopReason = "time_limit"
        text = ""
        with anyio.move_on_after(self._profile.limits.seconds) as self._scope:
            calls = await self._open_tools()
            reason, text = await self._research(calls)
        if reason == "answered":
            return reason, text
        text = await self._answer_now(reason)
        if reason == "no_answer" and text:
            reason = "answered"
        return reason, text

    async def _open_tools(self) -> TurnCalls:
        listed = await self._toolbox.list_tools()
        profile = self._profile
        offered = offered_tools(profile.tools, listed, result_chars=profile.limits.result_chars)
        self._specs = tuple(tool.spec for tool in offered.values())
        self._size.tools(self._specs)
        self._calls = TurnCalls(
            tools=self._toolbox,
            offered=offered,
            rules=profile.rules,
            limits=profile.limits,
            tally=self.tally,
            history=self.history,
            research=self.research,
            seen=self._seen,
            emit=self._emit,
            clock=self._clock,
        )
        return self._calls

    async def _research(self, tools: TurnCalls) -> tuple[StopReason, str]:
        """Turn by turn until there is an answer or a limit."""
        while (limit := self._limit()) is None:
            # By the run's own clock, which may know of time that passed before, or does not count.
            left_seconds = self._profile.limits.seconds - self.budget.seconds
            self._scope.deadline = anyio.current_time() + left_seconds
            try:
                reply = await self._ask(self._specs)
            except ContextOverflow as exc:
                if not (self._omit_results() or self._leave_earlier_out(OVERFLOWS)):
                    self._shorten(exc)
                    return "context_limit", ""
                continue
            fault = find_fault(reply, self._profile.replies, self._profile.rules, self.tally)
            if fault and self._throw_away(reply, fault):
                continue
            if fault and fault.kind == "empty_reply":
                return "no_answer", ""
            calls, reasons = self._keep(reply)
            if not calls:
                return "answered", self._marked(reply)
            if self._is_stuck(reply):
                tools.refuse(calls, notes.SAME_REPLY)
                return "repeated_reply", ""
            await self._run_calls(tools, calls, reasons)
            if self._goes_in_circles():
                return "repeated_reply", ""
        return limit, ""

    def _limit(self) -> StopReason | None:
        limit = self.budget.reached()
        if limit != "context_limit":
            return limit
        if self._leave_earlier_out(1):
            return self._limit()
        return self.budget.reached() if self._omit_results() else limit

    def _leave_earlier_out(self, most: int) -> bool:
        """Shorten what was talked about before: it may not keep this question from being worked on.

        Args:
            most: how often in one run.

        Returns:
            Whether there was anything to shorten, and this question is only about to begin.
        """
        if (
            not self.history.has_earlier_questions
            or self._kept_replies
            or self.tally.compactions >= most
        ):
            return False
        size = min(self._size.whole_room_bytes, messages_bytes(self.history.shown))
        self.history.shorten(int(size * _SHORTENED_SHARE), SHORTENED_HISTORY)
        return True

    def _omit_results(self) -> bool:
        return self.history.omit_old_results(keep=self._profile.history.keep_results)

    async def _ask(self, specs: tuple[ToolSpec, ...], *, must_answer: bool = False) -> ModelReply:
        """One turn of the model, kept or not."""
        self.tally.turns += 1
        self._emit(TurnStarted(turn=self.tally.turns))
        sampling = self._profile.sampling
        if self._size.reply_tokens < sampling.max_tokens:
            sampling = replace(sampling, max_tokens=self._size.reply_tokens)
        request = ModelRequest(
            messages=self.history.shown,
            tools=specs,
            sampling=sampling,
            must_answer=must_answer,
            episode=self._run_id,
        )
        self._shown_messages = self.history.next_position
        started = self._clock()
        try:
            reply = await self._complete(request)
        finally:
            seconds = self._clock() - started
            self.tally.model_seconds += seconds
        self._emit(ModelReplied(turn=self.tally.turns, reply=reply, seconds=seconds))
        self.tally.add_reply(reply)
        if self._profile.replies.repair == "strict":
            reply = strictly_read(reply)
        self.tally.malformed_calls += len(reply.malformed_calls)
        self._size.counted(reply.usage)
        return reply

    async def _complete(self, request: ModelRequest) -> ModelReply:
        """One reply. A stream that broke off is asked for again: nothing of it was used yet."""
        for left in range(BROKEN_REPLIES, -1, -1):
            try:
                return await self._model.complete(request, emit=self._emit_for(request))
            except ModelError as exc:
                self.tally.retries += exc.retries
                if not (exc.retryable and left):
                    raise
                self.tally.retries += 1
                self._emit(Note(f"{exc.reason}, asking again"))
        raise AssertionError("unreachable")

    def _emit_for(self, request: ModelRequest) -> Emit:
        """Who is told of the tokens of one try; those of a last answer are kept."""
        if not request.must_answer:
            return self._emit
        self._last_words = LastWords(self._emit)
        return self._last_words

    def _throw_away(self, reply: ModelReply, fault: Fault) -> bool:
        """Have a reply asked for again on the same conversation; False when it has to be used."""
        policy = self._profile.replies
        if not reply.message.tool_calls and reply.message.text.strip():
            self._spare = reply.message.text
        if self.tally.resamples >= policy.max_resamples:
            return False
        if fault.kind in ("empty_reply", "early_answer", "malformed_call"):
            self.tally.guards[fault.kind] += 1
        self.tally.resamples += 1
        self._meter.add(reply.prompt, "")
        self._emit(Resampled(self.tally.turns, f"{fault.reason}, asking again", reply))
        nudge = self._profile.prompts.nudge
        if fault.kind == "cut_off_answer":
            self._tell(notes.shorter_answer(self._profile.sampling.max_tokens))
        elif nudge and not self._kept_replies and self.tally.resamples == 1:
            self.history.amend_question("nudge", nudge)
        return True

    def _keep(self, reply: ModelReply) -> tuple[tuple[ToolCall, ...], dict[str, str]]:
        """Append a reply to the conversation.

        Returns:
            What it asks for, unreadable calls included, and why those could not be read.
        """
        unreadable: tuple[ToolCall, ...] = ()
        reasons: dict[str, str] = {}
        message = reply.message
        if reply.malformed_calls and self._profile.replies.on_malformed != "answer":
            unreadable = tuple(
                ToolCall(f"malformed_{self.tally.turns}_{n}", MALFORMED_TOOL, {}, raw=malformed.raw)
                for n, malformed in enumerate(reply.malformed_calls)
            )
            reasons = {
                call.id: malformed.reason
                for call, malformed in zip(unreadable, reply.malformed_calls, strict=True)
            }
            message = replace(message, tool_calls=message.tool_calls + unreadable)
        elif reply.malformed_calls:
            for malformed in reply.malformed_calls:
                self.tally.guards["malformed_call"] += 1
                self._emit(Guarded("malformed_call", f"a call is ignored: {malformed.raw[:200]}"))
        shown = self.history.append(message)
        self._meter.add(reply.prompt, reply.completion)
        self._size.replied(reply.usage, message_bytes(shown), is_whole=shown is message)
        self._kept_replies += 1
        return message.tool_calls, reasons

    def _is_stuck(self, reply: ModelReply) -> bool:
        """Whether the model writes the same again and again.

        The same words twice in a row are enough; of calls alone the second time is still answered
        with the note that the result is there already.
        """
        message = reply.message
        calls = tuple((call.name, repr(call.arguments)) for call in message.tool_calls)
        raws = tuple(malformed.raw for malformed in reply.malformed_calls)
        written = (message.reasoning, message.text, calls, raws)
        self._repeats = self._repeats + 1 if written == self._last_reply else 0
        self._last_reply = written
        has_words = bool(message.reasoning.strip() or message.text.strip())
        if not self._profile.rules.identical_reply_stops:
            return False
        if self._repeats < (1 if has_words else 2):
            return False
        self.tally.guards["repeated_reply"] += 1
        self._emit(Guarded("repeated_reply", "the model wrote the same reply again"))
        return True

    def _goes_in_circles(self) -> bool:
        """Whether for long no call was one that could be run: only repeated or refused ones."""
        if not self._profile.rules.identical_reply_stops or self._idle_turns < MAX_IDLE_TURNS:
            return False
        self.tally.guards["repeated_reply"] += 1
        self._emit(
            Guarded("repeated_reply", f"{self._idle_turns} turns in a row brought nothing new")
        )
        return True

    async def _run_calls(
        self, tools: TurnCalls, calls: tuple[ToolCall, ...], reasons: dict[str, str]
    ) -> None:
        room = self._size.room_bytes
        if self._profile.history.kind == "omit_old_results":
            # Older results make room for new ones when these do not fit.
            room = max(
                room, self._size.whole_room_bytes // (self._profile.history.keep_results + 1)
            )
        position, calls_before = self.history.next_position, self.tally.tool_calls
        try:
            await tools.run(calls, reasons, room)
        finally:
            self._size.grew(messages_bytes(self.history.since(position)))
        self._idle_turns = self._idle_turns + 1 if self.tally.tool_calls == calls_before else 0
        if self.budget.reached() is None and (left := self.budget.near()):
            self._tell(notes.near_the_end(left))

    async def _answer_now(self, reason: StopReason) -> str:
        """Tell the model that it has to answer, and take what it says."""
        why = "the model answered nothing" if reason == "no_answer" else f"{reason} reached"
        self._emit(Note(f"{why.replace('_', ' ')}, asking for the answer"))
        self._tell(notes.BUDGET_NOTE)
        seconds = self._profile.limits.answer_seconds
        with anyio.move_on_after(seconds) as scope:
            for attempt in range(1, ANSWER_TRIES + 1):
                reply = await self._ask_for_answer(with_tools=attempt < ANSWER_TRIES)
                if self._asks_for_calls(reply):
                    self._spare = reply.message.text.strip() or self._spare
                    self._refuse(reply)
                elif reply.message.text.strip():
                    fault = cut_off(reply) if attempt < ANSWER_TRIES else None
                    if fault and self._throw_away(reply, fault):
                        continue
                    self._keep(reply)
                    return self._marked(reply)
        if scope.cancelled_caught:
            return self._unfinished_answer(seconds)
        return self._spare

    def _unfinished_answer(self, seconds: float) -> str:
        """What there is of an answer that did not come to its end in time.

        Raises:
            ModelTimeout: not one token came: that is a failure of the server and no answer.
        """
        if not (self._spare or self._last_words.has_begun):
            raise ModelTimeout(
                self._model.name,
                f"no answer within {seconds:g} s",
                hint="see whether the model's server is stuck, or raise limits.answer_seconds",
            )
        partial = self._last_words.text.strip()
        return f"{partial} […]" if len(partial) > len(self._spare) else self._spare

    def _asks_for_calls(self, reply: ModelReply) -> bool:
        is_told = self._profile.replies.on_malformed != "answer"
        return bool(reply.message.tool_calls or (reply.malformed_calls and is_told))

    def _refuse(self, reply: ModelReply) -> None:
        """Keep a reply that calls tools at the end, with a refusal for each call."""
        if self._calls is None:
            return  # not even the tools were there: nothing can stand between the calls and this
        calls, _ = self._keep(reply)
        position = self.history.next_position
        self._calls.refuse(calls, notes.NO_MORE_CALLS)
        self._size.grew(messages_bytes(self.history.since(position)))

    async def _ask_for_answer(self, *, with_tools: bool) -> ModelReply:
        """Ask on a conversation that is shortened until the model takes it.

        Tools are offered as before: without them the prompt would begin otherwise, and the server
        would have to read all of it again. Only a model that goes on calling loses them.
        """
        if not with_tools:
            self._changes.told("without_tools", self.history.shown, self.history.shown)
        specs = self._specs if with_tools else ()
        for _ in range(OVERFLOWS):
            try:
                return await self._ask(specs, must_answer=True)
            except ContextOverflow as exc:
                self._shorten(exc)
        return await self._ask(specs, must_answer=True)

    def _shorten(self, overflow: ContextOverflow) -> None:
        self._emit(Note(f"the conversation does not fit the model: {overflow.reason}"))
        size = messages_bytes(self.history.shown)
        self.history.shorten(int(size * _SHORTENED_SHARE), SHORTENED_FOR_ANSWER)
        self._shown_messages = 0  # what was refused, nobody was shown

    def _marked(self, reply: ModelReply) -> str:
        """The text of a reply that is taken as the answer; says so when its end is missing."""
        fault = cut_off(reply)
        if fault is None:
            return reply.message.text
        self._emit(Note(fault.reason))
        return f"{reply.message.text.rstrip()} […]"

    def _tell(self, note: str) -> None:
        """Put a note behind the last message: a tool result, or the question before any.

        Where the model was shown that message before, in a prompt whose reply was thrown away, the
        end of that prompt changes, which is announced.
        """
        if self.history.ends_in_a_reply:
            return
        before = self.history.shown
        self.history.amend_last(note)
        self._size.grew(utf8_bytes(note))
        if self._shown_messages == self.history.next_position:
            self._changes.told(LATE_NOTE, before, self.history.shown)
