"""What a terminal shows of a tool call: what was asked, and what came back of it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from agent_client.agent.page_result import told_pages
from agent_client.clean import terminal_line
from agent_client.conversation import ToolCall, ToolResult
from agent_client.search_hits import read_hits
from agent_client.tool_meta import ERROR_META, ERRORS_META, SEARCH_META

MAX_ASKED_CHARS = 300
MAX_REASON_CHARS = 200
_SCHEME = re.compile(r"(?i)^https?://(?:www\.)?")
_ERROR_START = re.compile(r"^Error(?: executing tool \w{1,100})?:\s*")
_KINDS = {
    "rate_limited": "rate limited",
    "blocked": "blocked",
    "unavailable": "not available",
    "timeout": "took too long",
    "not_found": "not found",
    "refused": "refused",
    "bad_request": "bad request",
    "unreadable": "not readable",
}


def asked(call: ToolCall) -> str:
    """The query in quotation marks, the address without its scheme, or all arguments."""
    given = call.arguments
    for name in ("query", "queries"):
        if name in given:
            return _joined(f'"{value}"' for value in _texts(given[name]))
    for name in ("url", "urls"):
        if name in given:
            return _joined(_SCHEME.sub("", value) for value in _texts(given[name]))
    return _joined(str(value) for value in given.values())


def came_back(result: ToolResult) -> str:
    """How much came back and from whom, or why nothing did."""
    if result.is_error:
        return _failure(result)
    search = _mapping(result.meta.get(SEARCH_META))
    if search:
        return _searched(search)
    pages = told_pages(result)
    if pages:
        return _visited(pages, result)
    if hits := read_hits(result.text).hits:
        return count(len(hits), "result")
    if result.text.startswith("No results"):
        return "no results"
    return f"{len(result.text):,} characters"


def next_step(result: ToolResult) -> str:
    """What the model can do after a failure that our server tells about; else "".

    The server has tried its other ways before it gave up.
    """
    told = _mapping(result.meta.get(ERROR_META))
    if not (told and result.is_error):
        return ""
    if told.get("retryable") is not True:
        return "looks elsewhere"
    seconds = told.get("retry_after_seconds")
    if isinstance(seconds, int | float) and 0 < seconds < 1e6:
        return f"again in {seconds:,.0f} s"
    return "again later"


def count(number: int, one: str, many: str = "") -> str:
    """Such as "1 source" and "2 sources"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _searched(told: Mapping[str, object]) -> str:
    urls = told.get("urls")
    number = len(cast(list[object], urls)) if isinstance(urls, list) else 0
    provider = str(told.get("provider") or "")
    missed = [
        f"{name} {outcome}"
        for name, outcome in _mapping(told.get("providers")).items()
        if outcome in ("blocked", "failed")
    ]
    parts = [count(number, "result") if number else "no results"]
    parts.append(" → ".join([*missed, provider]) if provider else ", ".join(missed))
    if told.get("cached") is True:
        parts.append("cached")
    return _parts(parts)


def _visited(pages: Sequence[Mapping[str, object]], result: ToolResult) -> str:
    shown = sum(max(0, _number(page.get("end")) - _number(page.get("start"))) for page in pages)
    whole = sum(_number(page.get("total_chars")) for page in pages)
    size = f"{shown:,} of {whole:,} characters" if shown < whole else f"{shown:,} characters"
    failed = result.meta.get(ERRORS_META)
    missing = len(cast(list[object], failed)) if isinstance(failed, list) else 0
    return _parts(
        [
            count(len(pages), "page") if len(pages) > 1 else "",
            size,
            f"{count(missing, 'page')} failed" if missing else "",
            "cached" if all(page.get("cached") is True for page in pages) else "",
        ]
    )


def _failure(result: ToolResult) -> str:
    told = _mapping(result.meta.get(ERROR_META))
    first = _ERROR_START.sub("", result.text).partition(". ")[0]
    reason = terminal_line(first, MAX_REASON_CHARS).rstrip(".")
    kind = _KINDS.get(str(told.get("kind")), "")
    by_provider = [
        f"{name} {_KINDS.get(str(why), str(why))}"
        for name, why in _mapping(told.get("providers")).items()
    ]
    if by_provider:
        reason = _joined(by_provider)
    elif kind and kind not in reason.lower():
        reason = f"{kind}: {reason}"
    return reason


def _parts(parts: Sequence[str]) -> str:
    return terminal_line(" · ".join(part for part in parts if part), MAX_ASKED_CHARS)


def _joined(texts: Iterable[str]) -> str:
    return terminal_line(", ".join(texts), MAX_ASKED_CHARS)


def _texts(value: object) -> list[str]:
    values = cast(list[object], value) if isinstance(value, list) else [value]
    return [str(each) for each in values]


def _mapping(value: object) -> Mapping[str, object]:
    return cast(Mapping[str, object], value) if isinstance(value, Mapping) else {}


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
