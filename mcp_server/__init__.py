"""Seekling's MCP server: `web_search` and `web_visit` for any MCP host."""

from importlib.metadata import version

__version__ = version("seekling")
__all__ = ["__version__"]
