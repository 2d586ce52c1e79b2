"""Seekling's MCP server: `web_search` and `web_visit` for any MCP host."""

__all__ = ["__version__"]

__version__: str


def __getattr__(name: str) -> str:
    # Looking it up takes 80 ms that a child process which reads pages does not have.
    if name == "__version__":
        from importlib.metadata import version

        return version("seekling")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
