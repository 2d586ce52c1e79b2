"""Run checks, each within its own deadline."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import anyio
import anyio.to_thread

from mcp_server.doctor.findings import Finding, Section
from mcp_server.errors import SeeklingServerError


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at."""

    name: str
    look: Callable[[], Awaitable[Sequence[Finding]]]
    """Gives at least one finding. Several tell their times themselves."""
    seconds: float
    """Longest time for it."""


@dataclass(frozen=True, slots=True)
class Part:
    """Checks on one subject, run at the same time and told in their order."""

    title: str
    checks: Sequence[Check]
    conclude: Callable[[Sequence[Finding]], Sequence[Finding]] = lambda findings: findings
    """Judges the findings together."""


def blocking(look: Callable[[], Sequence[Finding]]) -> Callable[[], Awaitable[Sequence[Finding]]]:
    """Run a check that reads files in a thread, which is left to itself after the deadline."""
    return partial(anyio.to_thread.run_sync, look, abandon_on_cancel=True)


async def examine(parts: Sequence[Part], show: Callable[[Section], None]) -> None:
    """Run all parts at the same time.

    Args:
        parts: what to look at.
        show: told each section, in the order of the parts, as soon as it and those before it are
            done.
    """
    done: dict[int, Section] = {}
    shown = 0

    async def run(number: int, part: Part) -> None:
        nonlocal shown
        done[number] = await _section(part)
        while shown in done:
            shown += 1
            show(done[shown - 1])

    async with anyio.create_task_group() as tasks:
        for number, part in enumerate(parts):
            tasks.start_soon(run, number, part)


async def _section(part: Part) -> Section:
    found: dict[int, Sequence[Finding]] = {}

    async def run(number: int, check: Check) -> None:
        found[number] = await _run(check)

    async with anyio.create_task_group() as tasks:
        for number, check in enumerate(part.checks):
            tasks.start_soon(run, number, check)
    findings = [finding for number in sorted(found) for finding in found[number]]
    return Section(part.title, tuple(part.conclude(findings)))


async def _run(check: Check) -> Sequence[Finding]:
    """The findings of one check; what breaks or hangs is a finding too."""
    started = anyio.current_time()
    try:
        with anyio.fail_after(check.seconds):
            findings = await check.look()
    except TimeoutError:
        findings = [Finding(check.name, "problem", f"not done after {check.seconds:g} s")]
    except SeeklingServerError as exc:
        findings = [Finding(check.name, "problem", str(exc), exc.hint)]
    except OSError as exc:
        findings = [Finding(check.name, "problem", exc.strerror or str(exc))]
    passed = anyio.current_time() - started
    if len(findings) > 1 or findings[0].seconds:
        return findings
    return [replace(findings[0], seconds=passed)]
