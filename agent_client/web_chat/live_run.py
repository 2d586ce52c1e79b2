"""A run that is under way: its events become steps, which whoever watches is told."""

import msgspec
from anyio import CancelScope, sleep

from agent_client.events import AnswerDelta, Event, ReasoningDelta
from agent_client.sessions.lenient_json import encoded
from agent_client.timeline.steps import Turn
from agent_client.timeline.timeline import Timeline
from agent_client.viewer.document import EpisodeView
from agent_client.web_chat.event_log import EventLog
from agent_client.web_chat.page_protocol import Asked, Delta, RunView, StepChanged, Written

DELTA_SECONDS = 0.05
"""What the model writes in this time goes out together."""


class LiveRun:
    """One run.

    Attributes:
        index: in its conversation, from 0.
        id: 32 hexadecimal digits.
        scope: is cancelled to stop it.
    """

    def __init__(self, index: int, run_id: str, question: str, asked_at: str, log: EventLog):
        """Tell `log` what happens in the run; `begin` is the first thing to do."""
        self.index, self.id = index, run_id
        self.scope = CancelScope()
        self._question, self._asked_at, self._log = question, asked_at, log
        self._timeline = Timeline()
        self._open = -1
        """Index of the turn that the model is writing, if any."""
        self._thinking, self._text = _Writing(), _Writing()

    def begin(self, *, again: bool) -> None:
        """Tell that it begins.

        Args:
            again: whether it takes the place of the run before.
        """
        self._log.add(encoded(Asked(run=self.view(), again=again)))

    def emit(self, event: Event) -> None:
        """Take in an event of the run."""
        match event:
            case ReasoningDelta(text=text):
                self._thinking.add(text)
            case AnswerDelta(text=text):
                self._text.add(text)
            case _:
                self._take(event)

    def flush(self) -> None:
        """Tell what the model wrote since the last time."""
        thinking, text = self._thinking.take(), self._text.take()
        if self._open < 0:
            return
        if thinking:
            self._tell_delta("thinking", thinking)
        if text:
            self._tell_delta("text", text)

    async def flush_often(self) -> None:
        """Tell what the model writes, while it writes; until cancelled."""
        while True:
            await sleep(DELTA_SECONDS)
            self.flush()

    def view(self) -> RunView:
        """The run as it is now."""
        self.flush()
        steps = list(self._timeline.steps)
        if self._open >= 0:
            steps[self._open] = msgspec.structs.replace(
                steps[self._open], thinking=self._thinking.so_far, text=self._text.so_far
            )
        episode = EpisodeView(id=f"{self.index + 1}", question=self._question, steps=tuple(steps))
        return RunView(index=self.index, status="running", episode=episode, asked_at=self._asked_at)

    def _take(self, event: Event) -> None:
        self.flush()
        for index in self._timeline.take(event):
            step = self._timeline.steps[index]
            if isinstance(step, Turn):
                self._open = index if step.is_open else -1
                self._thinking, self._text = _Writing(), _Writing()
            self._log.add(encoded(StepChanged(run=self.index, index=index, step=step)))

    def _tell_delta(self, what: Written, text: str) -> None:
        self._log.add(encoded(Delta(run=self.index, index=self._open, what=what, text=text)))


class _Writing:
    """Text that arrives in pieces, and is passed on in larger ones."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._taken = 0

    def add(self, text: str) -> None:
        self._pieces.append(text)

    def take(self) -> str:
        """What came since the last time."""
        text = "".join(self._pieces[self._taken :])
        self._taken = len(self._pieces)
        return text

    @property
    def so_far(self) -> str:
        return "".join(self._pieces)
