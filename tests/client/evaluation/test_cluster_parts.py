"""Which node an episode goes to."""

import anyio
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_client.evaluation.cluster.outbox import BATCH_BYTES, Outbox
from agent_client.evaluation.cluster.seats import Seats
from agent_client.evaluation.cluster.wire import Ended, EventTold, Ready


async def test_who_waits_first_is_seated_first() -> None:
    seats = Seats[str](1)
    seated: list[int] = []

    async def sit(number: int) -> None:
        await seats.take()
        seated.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(sit, number)
        await anyio.wait_all_tasks_blocked()
        assert seated == []
        for node in ("a", "b", "c"):
            seats.add(node)
    assert seated == [0, 1, 2]


async def test_a_node_that_went_takes_its_seats_along() -> None:
    seats = Seats[str](1)
    seats.add("a")
    node = await seats.take()
    seats.remove(node)
    seats.give_back(node)
    assert seats.nodes == 0
    seats.add("b")
    assert await seats.take() == "b"


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from(["take", "give", "cancel", "lose", "add"]), max_size=40),
    st.integers(min_value=1, max_value=3),
)
def test_no_seat_is_lost_or_given_twice(steps: list[str], per_node: int) -> None:
    anyio.run(_walk, steps, per_node)


async def _walk(steps: list[str], per_node: int) -> None:
    seats = Seats[int](per_node)
    seats.add(0)
    nodes = [0]
    held: list[int] = []
    scopes: list[anyio.CancelScope] = []

    async def sit() -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            held.append(await seats.take())

    async with anyio.create_task_group() as tasks:
        for number, step in enumerate(steps, start=1):
            if step == "take":
                tasks.start_soon(sit)
            elif step == "give" and held:
                seats.give_back(held.pop(0))
            elif step == "cancel" and scopes:
                scopes.pop(0).cancel()
            elif step == "lose" and nodes:
                lost = nodes.pop()
                seats.remove(lost)
                held[:] = [node for node in held if node != lost]
            elif step == "add":
                seats.add(number)
                nodes.append(number)
            for _ in range(3):  # until it has happened
                await checkpoint()
            assert all(held.count(node) <= per_node for node in nodes)
        tasks.cancel_scope.cancel()
    for node in held:
        seats.give_back(node)
    with anyio.fail_after(10):
        free = [await seats.take() for _ in range(per_node * len(nodes))]
    assert sorted(free) == sorted(nodes * per_node)


async def test_messages_are_kept_until_they_have_come() -> None:
    outbox = Outbox()
    told = [Ready(), EventTold(1, b"x"), Ended(1, b"y")]
    for message in told:
        outbox.put(message)
    assert await outbox.take(0, 0.0) == told
    assert await outbox.take(0, 0.0) == told
    assert await outbox.take(1, 0.0) == told[1:]
    assert await outbox.take(3, 0.0) == []


async def test_a_batch_has_a_bound() -> None:
    outbox = Outbox()
    large = EventTold(1, b"x" * (BATCH_BYTES // 2 + 1))
    for _ in range(5):
        outbox.put(large)
    assert len(await outbox.take(0, 0.0)) == 2


async def test_a_message_is_taken_as_soon_as_it_is_there() -> None:
    outbox = Outbox()
    taken: list[object] = []

    async def take() -> None:
        taken.extend(await outbox.take(0, 60.0))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        outbox.put(Ready())
    assert taken == [Ready()]


async def test_who_waits_for_the_delivery_of_one_run_does_not_wait_for_others() -> None:
    outbox = Outbox()
    outbox.put(EventTold(1, b"x"), "first")
    outbox.put(EventTold(2, b"x"), "second")
    await outbox.take(1, 0.0)
    with anyio.fail_after(10):
        await outbox.delivered("first")
        await outbox.delivered("unknown")
    with anyio.move_on_after(0.01) as scope:
        await outbox.delivered("second")
    assert scope.cancelled_caught
