"""The pace of a provider: its limit, its queue, its pauses."""

import time
from dataclasses import dataclass, replace

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_client.conversation import ModelReply, ModelRequest
from agent_client.errors import ModelError, ModelOverloaded, ModelTimeout
from agent_client.evaluation.runner.pace import ROUND_TRIPS_TO_MOST, Pace, Paces
from agent_client.evaluation.runner.paced_model import MAX_REFUSALS, PacedModel
from agent_client.evaluation.runner.progress import Progress
from agent_client.events import Emit, Event
from tests.support.agents import StepModel, says


def no_pause() -> float:
    return 0.0


async def test_a_refusal_leaves_four_fifths_of_what_was_under_way() -> None:
    pace = Pace(100, random=no_pause)
    numbers = [await pace.acquire() for _ in range(50)]
    pace.refused(numbers[0])
    assert pace.state.limit == 40
    assert pace.state.refusals == 1


async def test_all_refusals_of_one_round_trip_shrink_the_limit_once() -> None:
    pace = Pace(10, random=no_pause)
    numbers = [await pace.acquire() for _ in range(10)]
    for number in numbers:
        pace.refused(number)
        pace.release()
    assert pace.state.limit == 8
    assert pace.state.refusals == 10
    pace.refused(await pace.acquire())
    assert pace.state.limit == 1  # one was under way


async def test_the_limit_never_falls_below_one_and_its_place_is_given() -> None:
    pace = Pace(4, random=no_pause)
    for _ in range(20):
        number = await pace.acquire()
        pace.refused(number)
        pace.release()
    assert pace.state.limit == 1
    with anyio.fail_after(10):
        await pace.acquire()


@pytest.mark.parametrize("most", [1, 7, 32, 256])
async def test_round_trips_without_a_refusal_bring_the_limit_back(most: int) -> None:
    pace = Pace(most, random=no_pause)
    pace.state.limit = 1.0
    round_trips = 0
    while pace.state.limit < most:
        places = int(pace.state.limit)
        for _ in range(places):
            await pace.acquire()
        for _ in range(places):
            pace.succeeded()
        for _ in range(places):
            pace.release()
        round_trips += 1
        assert round_trips <= 2 * max(most, ROUND_TRIPS_TO_MOST)
    assert pace.state.limit == most


async def test_a_limit_that_is_not_used_does_not_grow() -> None:
    pace = Pace(10)
    pace.state.limit = 5.0
    await pace.acquire()
    pace.succeeded()
    assert pace.state.limit == 5


async def test_places_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    pace = Pace(1)
    order: list[int] = []

    async def work(number: int) -> None:
        await pace.acquire()
        order.append(number)
        await checkpoint()
        pace.release()

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(work, number)
    assert order == list(range(20))


async def test_nothing_is_sent_before_the_time_that_the_provider_asked_for() -> None:
    pace = Pace(2)
    number = await pace.acquire()
    pace.refused(number, 0.03)
    pace.release()
    before = anyio.current_time()
    await pace.acquire()
    assert anyio.current_time() - before >= 0.029
    assert pace.state.waits_until == 0


async def test_no_provider_can_ask_for_more_than_a_minute() -> None:
    now = 1000.0
    pace = Pace(2, clock=lambda: now)
    pace.refused(await pace.acquire(), 86_400.0)
    assert pace.state.waits_until == 1060


async def test_a_pause_that_begins_while_others_wait_holds_for_them_and_ends() -> None:
    pace = Pace(1)
    number = await pace.acquire()
    began: list[float] = []

    async def work() -> None:
        await pace.acquire()
        began.append(anyio.current_time())
        pace.release()

    start = anyio.current_time()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(work)
            await checkpoint()
            pace.refused(number, 0.03)
            pace.release()
    assert len(began) == 3
    assert min(began) - start >= 0.029


async def test_who_waits_first_may_be_cancelled_during_a_pause() -> None:
    pace = Pace(1)
    pace.refused(await pace.acquire(), 0.02)
    pace.release()
    scope = anyio.CancelScope()
    reached: list[str] = []

    async def first() -> None:
        with scope:
            await pace.acquire()
            reached.append("first")

    async def second() -> None:
        await pace.acquire()
        reached.append("second")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await checkpoint()
            tasks.start_soon(second)
            await checkpoint()
            scope.cancel()
    assert reached == ["second"]
    assert pace.state.in_flight == 1


@dataclass(frozen=True)
class Job:
    """One request: when it comes, how long it takes, what becomes of it."""

    starts_after: int
    takes: int
    outcome: str
    cancelled_after: int | None


jobs = st.builds(
    Job,
    starts_after=st.integers(0, 4),
    takes=st.integers(0, 4),
    outcome=st.sampled_from(["answered", "failed", "refused", "told to wait"]),
    cancelled_after=st.none() | st.integers(0, 8),
)


@settings(max_examples=50)
@given(st.integers(1, 6), st.lists(jobs, max_size=12))
def test_every_request_gets_its_turn_whatever_happens_to_the_others(
    most: int, planned: list[Job]
) -> None:
    pace = Pace(most, random=no_pause)
    served: list[int] = []

    async def work(position: int, job: Job, scope: anyio.CancelScope) -> None:
        with scope:
            for _ in range(job.starts_after):
                await checkpoint()
            number = await pace.acquire()
            try:
                assert 0 < pace.state.in_flight <= most
                served.append(position)
                for _ in range(job.takes):
                    await checkpoint()
                if job.outcome == "answered":
                    pace.succeeded()
                elif job.outcome != "failed":
                    pace.refused(number, 0.0005 if job.outcome == "told to wait" else None)
            finally:
                pace.release()

    async def cancel(job: Job, scope: anyio.CancelScope) -> None:
        for _ in range(job.cancelled_after or 0):
            await checkpoint()
        scope.cancel()

    async def run() -> None:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for position, job in enumerate(planned):
                    scope = anyio.CancelScope()
                    tasks.start_soon(work, position, job, scope)
                    if job.cancelled_after is not None:
                        tasks.start_soon(cancel, job, scope)

    anyio.run(run)
    assert pace.state.in_flight == 0
    assert 1 <= pace.state.limit <= most
    patient = {n for n, job in enumerate(planned) if job.cancelled_after is None}
    assert patient <= set(served)


def ignore(_: Event) -> None:
    return None


REQUEST = ModelRequest(messages=(says("x").message,))


def overloaded(retry_after: float | None = None) -> ModelOverloaded:
    return ModelOverloaded("http://m", "busy", status=429, retry_after_seconds=retry_after)


async def test_a_refused_request_takes_its_turn_again_and_is_answered() -> None:
    pace = Pace(8, random=no_pause)
    model = StepModel([overloaded(), overloaded(0.0), says("yes")])
    reply = await PacedModel(model, pace).complete(REQUEST, emit=ignore)
    assert reply.message.text == "yes"
    assert reply.retries == 2
    assert (pace.state.refusals, pace.state.in_flight) == (2, 0)


async def test_a_server_that_refuses_for_good_ends_the_request() -> None:
    pace = Pace(8, random=no_pause)
    model = StepModel([overloaded()])
    with pytest.raises(ModelOverloaded) as error:
        await PacedModel(model, pace).complete(REQUEST, emit=ignore)
    assert len(model.requests) == MAX_REFUSALS + 1
    assert error.value.retries == MAX_REFUSALS
    assert pace.state.in_flight == 0


async def test_a_request_that_is_refused_for_a_minute_is_given_up() -> None:
    now = 0.0

    def later() -> float:
        nonlocal now
        now += 25.0
        return now

    model = StepModel([overloaded()])
    with pytest.raises(ModelOverloaded):
        await PacedModel(model, Pace(8, random=no_pause), clock=later).complete(
            REQUEST, emit=ignore
        )
    assert len(model.requests) == 4


async def test_a_reply_that_needed_retries_slows_down_and_other_errors_do_not() -> None:
    pace = Pace(8, random=no_pause)
    timeout = ModelTimeout("http://m", "silent", retryable=True)
    model = StepModel([timeout, replace(says("late"), retries=1)])
    paced = PacedModel(model, pace)
    with pytest.raises(ModelError):
        await paced.complete(REQUEST, emit=ignore)
    assert pace.state.limit == 8
    reply = await paced.complete(REQUEST, emit=ignore)
    assert reply.retries == 1
    assert pace.state.limit < 8
    assert pace.state.waits_until <= time.monotonic()


async def test_a_cancelled_request_gives_its_place_back() -> None:
    pace = Pace(1)
    model = StepModel([says("never")], gate=anyio.Event())
    with anyio.move_on_after(0.01):
        await PacedModel(model, pace).complete(REQUEST, emit=ignore)
    assert model.cancelled == 1
    assert pace.state.in_flight == 0


async def test_a_server_that_bears_eight_serves_two_hundred_and_fifty_six() -> None:
    @dataclass
    class Small:
        name: str = "small"
        context_tokens: int = 0
        busy: int = 0
        most_busy: int = 0

        async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
            if self.busy >= 8:
                await checkpoint()
                raise overloaded()
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
            for _ in range(5):
                await checkpoint()
            self.busy -= 1
            return says("served")

    pace = Pace(256, random=lambda: 0.001)
    paced, answered = PacedModel(Small(), pace), 0

    async def ask() -> None:
        nonlocal answered
        await paced.complete(REQUEST, emit=ignore)
        answered += 1

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for _ in range(256):
                tasks.start_soon(ask)
    assert answered == 256
    assert pace.state.limit < 32


def test_the_progress_shows_each_provider() -> None:
    progress = Progress()
    paces = Paces(progress, 16)
    assert paces.at("http://a") is paces.at("http://a")
    assert paces.at("search") is not paces.at("http://a")
    assert list(progress.providers) == ["http://a", "search"]
    assert progress.providers["search"].most == 16
