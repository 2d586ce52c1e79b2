"""Several endpoints as one: fakes of the `ModelClient` port, and two real servers at the end."""

from collections import Counter
from collections.abc import Callable

import anyio
import pytest

from agent_client.conversation import Message, ModelReply, ModelRequest
from agent_client.errors import (
    ContextOverflow,
    ModelError,
    ModelOverloaded,
    ModelTimeout,
    ModelUnauthorized,
    ModelUnreachable,
)
from agent_client.events import AnswerDelta, Emit, Event, Note
from agent_client.model import pool as pool_module
from agent_client.model.chat_completions import ChatCompletions
from agent_client.model.endpoint import Endpoint
from agent_client.model.lean_http import LeanHttp
from agent_client.model.pool import PROBE_AFTER_SECONDS, EndpointPool, Load
from agent_client.model.retries import RetryPolicy
from agent_client.ports import ModelClient
from tests.support.scripted_model import Reply, scripted_model


class FakeModel:
    """Answers with its address, or fails as it is told."""

    def __init__(self, address: str, *, context_tokens: int = 0) -> None:
        self.name = "m"
        self.address = address
        self.context_tokens = context_tokens
        self.error: ModelError | None = None
        self.token_first = False
        self.gate: anyio.Event | None = None
        self.calls = 0

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        self.calls += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.token_first:
            emit(AnswerDelta("4"))
        if self.error is not None:
            raise self.error
        return ModelReply(Message("assistant", "42"), "stop", None, endpoint=self.address)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _pool(size: int = 3) -> tuple[EndpointPool, list[FakeModel], Clock]:
    models = [FakeModel(f"http://{number}/v1") for number in range(size)]
    clock = Clock()
    return EndpointPool({model.address: model for model in models}, clock=clock), models, clock


def _ignore(_: Event) -> None:
    pass


async def _ask(pool: EndpointPool, episode: str, emit: Emit = _ignore) -> str:
    request = ModelRequest((Message("user", "hi"),), episode=episode)
    return (await pool.complete(request, emit=emit)).endpoint


def _busy(address: str) -> ModelError:
    return ModelOverloaded(address, "busy", status=503)


def _silent(address: str) -> ModelError:
    return ModelTimeout(address, "silent", retryable=True)


def _closed(address: str) -> ModelError:
    return ModelUnauthorized(address, "no key", status=401)


def _gone(address: str) -> ModelError:
    return ModelUnreachable(address, "no connection", retryable=True)


async def test_episodes_are_spread_and_each_stays_where_it_began() -> None:
    pool, _, _ = _pool()
    homes = {str(number): await _ask(pool, str(number)) for number in range(9)}
    assert set(Counter(homes.values()).values()) == {3}
    for _ in range(3):
        for episode, home in homes.items():
            assert await _ask(pool, episode) == home


async def test_a_new_episode_goes_where_the_fewest_requests_wait() -> None:
    pool, models, _ = _pool(2)
    gate = models[0].gate = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_ask, pool, "a")
        await anyio.wait_all_tasks_blocked()
        for episode in "bcd":
            assert await _ask(pool, episode) == models[1].address
        assert pool.loads == (
            Load(models[0].address, 1, 1, is_drained=False),
            Load(models[1].address, 0, 3, is_drained=False),
        )
        gate.set()


async def test_a_request_without_an_episode_is_not_remembered() -> None:
    pool, _, _ = _pool(2)
    await _ask(pool, "")
    assert [load.episodes for load in pool.loads] == [0, 0]


async def test_a_dead_endpoint_is_drained_and_its_episodes_move_for_good() -> None:
    pool, models, clock = _pool(2)
    notes: list[Event] = []
    homes = {episode: await _ask(pool, episode) for episode in "abcd"}
    models[0].error = _gone(models[0].address)
    for episode in "abcd":
        assert await _ask(pool, episode, notes.append) == models[1].address
    assert models[0].calls == 2 + 1  # who came after the first one did not try it
    assert len(notes) == 1
    assert isinstance(notes[0], Note)
    assert "http://0/v1" in notes[0].text
    assert "whole prompt again" in notes[0].text
    assert pool.loads[0] == Load(models[0].address, 0, 0, is_drained=True)
    models[0].error = None
    clock.now += PROBE_AFTER_SECONDS
    assert await _ask(pool, "new") == models[0].address
    for episode in "abcd":
        assert await _ask(pool, episode) == models[1].address
    assert sorted(homes.values()) != [models[1].address] * 4


async def test_a_drained_endpoint_is_tried_by_one_request_after_a_while() -> None:
    pool, models, clock = _pool(2)
    models[0].error = _gone(models[0].address)
    await _ask(pool, "a")
    clock.now += PROBE_AFTER_SECONDS - 1
    await _ask(pool, "b")
    assert models[0].calls == 1
    clock.now += 1
    for episode in "cde":
        assert await _ask(pool, episode) == models[1].address
    assert models[0].calls == 2
    models[0].error = None
    clock.now += PROBE_AFTER_SECONDS
    assert await _ask(pool, "f") == models[0].address
    assert not pool.loads[0].is_drained


async def test_a_busy_endpoint_is_drained_at_the_second_time() -> None:
    pool, models, _ = _pool(2)
    models[0].error = _busy(models[0].address)
    assert await _ask(pool, "a") == models[1].address
    assert not pool.loads[0].is_drained
    assert await _ask(pool, "b") == models[1].address
    assert pool.loads[0].is_drained


@pytest.mark.parametrize(
    ("make", "is_drained"),
    [
        (_silent, True),
        (_closed, True),
        (_gone, True),
        (_busy, False),
    ],
    ids=["silent", "no key", "gone", "busy"],
)
async def test_what_is_the_endpoints_own_fault_moves_the_request(
    make: Callable[[str], ModelError], is_drained: bool
) -> None:
    pool, models, _ = _pool(2)
    models[0].error = make(models[0].address)
    assert await _ask(pool, "a") == models[1].address
    assert pool.loads[0].is_drained == is_drained


async def test_what_is_the_requests_fault_is_told_at_once() -> None:
    pool, models, _ = _pool(2)
    models[0].error = ContextOverflow(models[0].address, "too long", status=400)
    with pytest.raises(ContextOverflow):
        await _ask(pool, "a")
    assert (models[1].calls, pool.loads[0].is_drained) == (0, False)


async def test_a_reply_that_broke_off_is_not_asked_for_elsewhere() -> None:
    pool, models, _ = _pool(2)
    models[0].token_first = True
    models[0].error = _gone(models[0].address)
    with pytest.raises(ModelUnreachable):
        await _ask(pool, "a")
    assert models[1].calls == 0
    assert await _ask(pool, "a") == models[1].address


async def test_when_all_are_dead_the_last_error_is_told_and_each_is_tried_again() -> None:
    pool, models, _ = _pool(3)
    for model in models:
        model.error = _gone(model.address)
    for _ in range(2):
        with pytest.raises(ModelUnreachable, match="http://2/v1"):
            await _ask(pool, "a")
    assert [model.calls for model in models] == [2, 2, 2]
    models[1].error = None
    assert await _ask(pool, "a") == models[1].address


async def test_a_cancelled_request_does_not_count_as_waiting() -> None:
    pool, models, _ = _pool(1)
    models[0].gate = anyio.Event()
    with anyio.move_on_after(0.01):
        await _ask(pool, "a")
    assert pool.loads[0].in_flight == 0


async def test_quiet_episodes_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_EPISODES", 4)
    pool, _, _ = _pool(2)
    for number in range(50):
        await _ask(pool, str(number))
    assert sum(load.episodes for load in pool.loads) == 4


def test_a_pool_is_a_model_with_the_smallest_context() -> None:
    models = {str(size): FakeModel(str(size), context_tokens=size) for size in (0, 8192, 4096)}
    pool: ModelClient = EndpointPool(models)
    assert (pool.name, pool.context_tokens) == ("m", 4096)
    assert EndpointPool({"a": FakeModel("a")}).context_tokens == 0
    with pytest.raises(ValueError, match="needs an endpoint"):
        EndpointPool({})


async def test_a_server_that_dies_between_two_turns_is_replaced() -> None:
    retry = RetryPolicy(tries=2, first_seconds=0.0)
    with anyio.fail_after(10):
        async with LeanHttp() as lean, scripted_model([Reply(text="b")], keeps_alive=True) as alive:

            def at(base_url: str) -> ChatCompletions:
                endpoint = Endpoint(transport=lean, base_url=base_url, retry=retry)
                return ChatCompletions(endpoint=endpoint, model="m")

            async with scripted_model([Reply(text="a")], keeps_alive=True) as dying:
                pool = EndpointPool({url: at(url) for url in (dying.base_url, alive.base_url)})
                assert await _ask(pool, "e") == dying.base_url
            assert await _ask(pool, "e") == alive.base_url
