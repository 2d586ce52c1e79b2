"""Who may fetch now."""

from collections.abc import Callable

import anyio
import pytest
from anyio.abc import TaskGroup

from mcp_server.errors import FetchError
from mcp_server.visit.admission import VisitSlots


class Crowd:
    """Visits that stay until they are let go."""

    def __init__(self, slots: VisitSlots, tasks: TaskGroup) -> None:
        self.slots = slots
        self.tasks = tasks
        self.inside: list[str] = []
        self.arrived: list[str] = []
        self.refused: list[str] = []
        self._leave: dict[str, anyio.Event] = {}

    async def come(self, *names: str, host: Callable[[str], str] = lambda name: name[0]) -> None:
        """Start visits, one after another; the first letter of a name is its host."""
        for name in names:
            self.tasks.start_soon(self._visit, name, host(name))
        await anyio.wait_all_tasks_blocked()

    async def go(self, *names: str) -> None:
        for name in names:
            self._leave[name].set()
        await anyio.wait_all_tasks_blocked()

    async def _visit(self, name: str, host: str) -> None:
        self._leave[name] = anyio.Event()
        try:
            async with self.slots.visit(host):
                self.inside.append(name)
                self.arrived.append(name)
                try:
                    await self._leave[name].wait()
                finally:
                    self.inside.remove(name)
        except FetchError:
            self.refused.append(name)


async def test_visits_to_one_host_wait_for_each_other_in_order_of_arrival() -> None:
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            crowd = Crowd(VisitSlots(max_visits=10, visits_per_host=2), tasks)
            await crowd.come("a1", "a2", "a3", "a4", "b1")
            assert crowd.inside == ["a1", "a2", "b1"]
            await crowd.go("a2")
            await crowd.come("a5")
            await crowd.go("a1", "a3")
            assert crowd.arrived == ["a1", "a2", "b1", "a3", "a4", "a5"]
            tasks.cancel_scope.cancel()


async def test_no_more_visits_than_allowed_run_at_once() -> None:
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            crowd = Crowd(VisitSlots(max_visits=3, visits_per_host=2), tasks)
            await crowd.come("a1", "b1", "c1", "d1", "e1")
            assert crowd.inside == ["a1", "b1", "c1"]
            await crowd.go("b1")
            assert crowd.inside == ["a1", "c1", "d1"]
            tasks.cancel_scope.cancel()


async def test_a_visit_beyond_the_queue_is_refused_and_can_be_tried_again() -> None:
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            slots = VisitSlots()
            crowd = Crowd(slots, tasks)
            names = [str(number) for number in range(80)]
            await crowd.come(*names, host=lambda name: f"{name}.example.com")
            assert len(crowd.inside) == 16
            assert crowd.refused == []
            with pytest.raises(FetchError, match="busy: too many other visits") as caught:
                async with slots.visit("other.example.com"):
                    pass
            assert caught.value.retryable
            await crowd.go("0")
            await crowd.come("again")
            assert crowd.refused == []
            tasks.cancel_scope.cancel()


async def test_a_queue_before_one_slow_host_is_in_nobody_elses_way() -> None:
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            slots = VisitSlots(max_visits=5, visits_per_host=2, max_waiting=3)
            crowd = Crowd(slots, tasks)
            await crowd.come("a1", "a2", "a3", "a4", "a5", "a6", "b1")
            assert crowd.inside == ["a1", "a2", "b1"]
            assert crowd.refused == ["a6"]
            tasks.cancel_scope.cancel()


async def test_a_visit_that_gives_up_or_fails_leaves_no_trace() -> None:
    with anyio.fail_after(5):
        slots = VisitSlots(max_visits=1, visits_per_host=1, max_waiting=1)
        for _ in range(3):
            async with slots.visit("a"):
                with anyio.move_on_after(0.01):
                    async with slots.visit("a"):
                        pytest.fail("there is one slot only")
                with anyio.move_on_after(0.01):
                    async with slots.visit("b"):
                        pytest.fail("there is one slot only")
            with pytest.raises(ValueError, match="broken"):
                async with slots.visit("a"):
                    raise ValueError("broken")


async def test_one_host_is_one_host_however_it_is_written() -> None:
    with anyio.fail_after(5):
        slots = VisitSlots(visits_per_host=1)
        async with slots.visit("Example.com."):
            with anyio.move_on_after(0.01) as waited:
                async with slots.visit("example.COM"):
                    pytest.fail("it is the same host")
        assert waited.cancelled_caught


async def test_visits_to_one_host_keep_their_distance_and_others_do_not_wait() -> None:
    slots = VisitSlots(min_interval_seconds=0.1)
    starts: dict[str, list[float]] = {"a": [], "b": []}

    async def visit(host: str) -> None:
        async with slots.visit(host):
            starts[host].append(anyio.current_time())

    with anyio.fail_after(5):
        began_at = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for host in "aaab":
                tasks.start_soon(visit, host)
    first, second, third = starts["a"]
    assert first - began_at < 0.09
    assert second - first >= 0.09
    assert third - second >= 0.09
    assert starts["b"][0] - began_at < 0.09


async def test_hosts_that_nobody_visits_are_forgotten() -> None:
    slots = VisitSlots()
    with anyio.fail_after(5):
        async with slots.visit("busy"):
            for number in range(1_000):
                async with slots.visit(f"{number}.example.com"):
                    assert slots.known_hosts <= 3
