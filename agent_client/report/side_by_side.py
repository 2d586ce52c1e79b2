"""Run jobs side by side without throwing away what is done when one of them fails."""

from collections.abc import Awaitable, Callable, Sequence

import anyio

from agent_client.errors import SeeklingClientError


async def side_by_side(jobs: Sequence[Callable[[], Awaitable[None]]], *, at_once: int) -> None:
    """Run the jobs, at most `at_once` at a time, in their order.

    After a failure no further job is begun; those under way come to their end, then the first
    failure is raised as it is, not in a group.

    Raises:
        SeeklingClientError: what the first failing job has raised.
    """
    failures: list[SeeklingClientError] = []
    limiter = anyio.CapacityLimiter(at_once)

    async def run(job: Callable[[], Awaitable[None]]) -> None:
        async with limiter:
            if failures:
                return
            try:
                await job()
            except SeeklingClientError as exc:
                failures.append(exc)

    async with anyio.create_task_group() as tasks:
        for job in jobs:
            tasks.start_soon(run, job)
    if failures:
        raise failures[0]
