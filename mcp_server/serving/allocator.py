"""Memory of a server that has read large pages goes back to the system."""

import ctypes
import sys

# Numbers of mallopt(3) in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE_BYTES = 128 * 1024
"""glibc's own first value of both thresholds."""
_ARENAS = 2


def give_memory_back() -> None:
    """Have the C library return what large objects took as soon as they are gone.

    Whenever a large object is freed, glibc raises the size from which objects get memory of their
    own, up to 32 MB, and each thread allocates from an arena of its own. After some hundreds of
    pages a server then holds twice what is in use, in pieces that nothing fits. Other C libraries
    are left alone.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _LARGE_BYTES)
    mallopt(_M_ARENA_MAX, _ARENAS)
