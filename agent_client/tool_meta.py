"""What our MCP server says to programs beside the text of a result, in its `_meta`.

The server writes these names in `mcp_server/tools/result_meta.py`; the two packages meet only over
MCP, so each has them. Other servers say nothing of it.
"""

ERROR_META = "seekling/error"
"""Why a call failed: `kind`, `retryable`, `retry_after_seconds`, of a search also `providers`."""
ERRORS_META = "seekling/errors"
"""The same of each page that failed in a call for several, with its `url`."""
SEARCH_META = "seekling/search"
"""What a search found: `provider`, `urls`, `providers`, `excluded_mirrors`, `cached`."""
