"""A server's memory after large pages."""

import ctypes
import subprocess
import sys

import pytest

HOLES = """
import sys
from pathlib import Path

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

if sys.argv[1] == "ours":
    from mcp_server.serving.allocator import give_memory_back
    give_memory_back()
bytes(bytearray(b"x") * 30_000_000)  # from here on glibc takes 30 MB for a small object
kept, large = [], []
for _ in range(100):
    large.append(bytearray(b"x") * 1_000_000)
    kept.append(bytearray(b"x") * 10_000)  # lies between two large ones
before = resident_mb()
large.clear()
print(round(before - resident_mb()))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc's allocator")
def test_what_large_pages_took_goes_back_to_the_system() -> None:
    def freed_mb(which: str) -> int:
        program = [sys.executable, "-c", HOLES, which]
        return int(subprocess.run(program, check=True, capture_output=True, text=True).stdout)

    assert freed_mb("ours") > 90
    assert freed_mb("plain") < 50
