"""Services that fetch a page for us and give its text; each is a `PageSource` of the web."""

from mcp_server.search.readers.jina import JinaReader
from mcp_server.search.readers.serper import SerperReader

__all__ = ["JinaReader", "SerperReader"]
