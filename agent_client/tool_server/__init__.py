"""One MCP server as its client sees it: where it is, how it is reached, and one connection to it.

`toolbox.McpToolbox` is what others use; it makes new connections when one is lost.
"""
