"""The part for Mamba models, which this test does not serve."""

from collections.abc import Callable
from typing import NoReturn

from sgl_kernel import missing  # pyright: ignore[reportMissingImports, reportUnknownVariableType]


def __getattr__(name: str) -> Callable[..., NoReturn]:
    if name.startswith("__"):
        raise AttributeError(name)
    return missing(name)
