"""Stands in for SGLang's package of compiled kernels, of which PyPI has no build for CPUs.

SGLang imports names from it at start-up, on every device. A model like Qwen on a CPU without AMX
calls one of them, which is written here; the others fail when they are called, so that nothing is
ever computed by a stand-in unnoticed.
"""

from collections.abc import Callable
from typing import Any, NoReturn

__version__ = "0.0.0"


def assign_req_to_token_pool_cpu(
    request_indices: Any,
    token_slots: Any,
    starts: Any,
    ends: Any,
    new_slots: Any,
    *_: object,
) -> None:
    """Note for each request of a batch which cache slots its tokens `start` to `end` lie in.

    `new_slots` has those of all requests, one after another.
    """
    taken = 0
    spans = zip(request_indices.tolist(), starts.tolist(), ends.tolist(), strict=True)
    for request, start, end in spans:
        slots = new_slots[taken : taken + end - start]
        token_slots[request, start:end] = slots.to(token_slots.dtype)
        taken += end - start


def missing(name: str) -> Callable[..., NoReturn]:
    def fail(*_: object, **__: object) -> NoReturn:
        raise NotImplementedError(f"{name} is not among the kernels of this stand-in")

    return fail


def __getattr__(name: str) -> Callable[..., NoReturn]:
    if name.startswith("__"):
        raise AttributeError(name)
    return missing(name)
