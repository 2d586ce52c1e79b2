"""The machine that measures: what it is, and what its processes take. Linux: reads /proc."""

import os
import platform
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tests.support.stdio_server import PAGE_BYTES, TICKS_PER_SECOND, family


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What a section was measured on."""

    date: str
    """ISO, UTC."""
    described: str
    """Cores, processor, memory, system, Python."""
    work_ms: float
    """CPU time of `fixed_work_ms` then: how fast, or how busy, it was."""


def this_machine() -> Machine:
    """What is known of this one, with a moment of work."""
    processor = _field(Path("/proc/cpuinfo"), "model name") or platform.machine()
    memory_kb = int((_field(Path("/proc/meminfo"), "MemTotal") or "0 kB").split()[0])
    work_ms = fixed_work_ms()
    described = (
        f"{os.cpu_count()} cores of {processor}, {memory_kb / 2**20:.0f} GiB, "
        f"{platform.system()} {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, a fixed piece of Python in {work_ms:.0f} ms"
    )
    today = datetime.now(UTC).date().isoformat()
    return Machine(date=today, described=described, work_ms=work_ms)


def _field(file: Path, name: str) -> str:
    with suppress(OSError):
        for line in file.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return ""


def fixed_work_ms() -> float:
    """CPU milliseconds that a fixed piece of Python takes: the best of five."""
    best = float("inf")
    for _ in range(5):
        before = time.process_time()
        total = 0
        for number in range(300_000):
            total += number * number % 7
        best = min(best, time.process_time() - before)
    return best * 1_000


def cpu_seconds_of(pid: int) -> float:
    """Processor time of a process and of its descendants, dead or alive."""
    ticks = 0
    for each in family(pid):
        with suppress(OSError):
            stat = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, stat[11:15]))
    return ticks / TICKS_PER_SECOND


def resident_mb_of(pid: int, *, alone: bool = False) -> float:
    """Resident memory of a process, with its descendants unless it is asked for alone, in MB."""
    pages = 0
    for each in [pid] if alone else family(pid):
        with suppress(OSError):
            pages += int(Path(f"/proc/{each}/statm").read_text().split()[1])
    return pages * PAGE_BYTES / 1e6


def peak_mb_of(pid: int) -> float:
    """The most memory that a process itself has held, in MB; 0 if it is gone."""
    return float((_field(Path(f"/proc/{pid}/status"), "VmHWM") or "0 kB").split()[0]) / 1e3


def descriptors_of(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names only
