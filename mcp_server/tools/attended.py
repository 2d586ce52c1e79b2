"""A call that ends in time, and tells its caller now and then that it is still under way."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
from mcp.server.mcpserver import Context

FIRST_NEWS_SECONDS = 2.0
"""Most calls are over by then, and nobody needs to hear of them."""
NEWS_SECONDS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallBounds:
    """What one call may take."""

    seconds: float
    """Longest time for all of it, waiting and starting included."""
    max_bytes: int
    """Longest result that a model gets to see, as UTF-8."""


async def attend(
    work: Callable[[], Awaitable[None]],
    *,
    seconds: float,
    context: Context[Any, Any],
    news: Callable[[], str],
) -> None:
    """Do some work until a deadline; at the deadline it is cancelled, and that is no error.

    While it lasts, a caller that asked for progress notifications gets some.

    Args:
        work: keeps its result itself, so that what is ready at the deadline is not lost; has to
            keep its errors too, since the task group would wrap them.
        seconds: until the deadline.
        context: of the call.
        news: what is waited for, in a few words.
    """
    with anyio.move_on_after(seconds):
        if not _wants_news(context):  # nearly all: a group of tasks costs as much as a small call
            await work()
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_tell, context, news)
            await work()
            tasks.cancel_scope.cancel()


def _wants_news(context: Context[Any, Any]) -> bool:
    meta = context.request_context.meta
    return meta is not None and "progress_token" in meta


async def _tell(context: Context[Any, Any], news: Callable[[], str]) -> None:
    began = anyio.current_time()
    await anyio.sleep(FIRST_NEWS_SECONDS)
    while True:
        waited = round(anyio.current_time() - began, 1)
        await context.report_progress(waited, message=news())
        await anyio.sleep(NEWS_SECONDS)
