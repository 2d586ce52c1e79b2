"""Find the tool calls in a text and take them out.

What is clearly a call is read; what was meant as one and cannot be read is reported with its raw
text; what merely speaks of calls stays text. In doubt, tags make a call, and bare JSON does only
when it names a tool that was offered and stands at the beginning of a line.
"""

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

from agent_client.conversation import (
    MalformedCall,
    MalformedKind,
    Repair,
    ToolCall,
    ToolSpec,
)
from agent_client.model.call_arguments import find_tool
from agent_client.model.call_entries import finish_call, in_ladder_order, malformed_call
from agent_client.model.call_forms import (
    Body,
    RepeatedDefinition,
    UnreadableCall,
    WrittenCall,
    named_tool,
    read_action,
    read_body,
)

MAX_CALL_CHARS = 100_000
"""Longest call that is read."""
MAX_CALLS = 100
"""Most calls, broken ones included, that are taken from one text."""

# The tags begin with a set of two characters because the search for such a set is fast.
_OPEN_REST = (
    r"(?:\|?(?:tool_calls?|toolcall|function_calls?|tools)\|?>"
    r"|\|(?:tool_calls_section_begin|tool_call_begin|python_tag)\|>"
    r"|TOOL_CALLS\]"
    r"|function=|invoke\s{1,9}name=)"
)
OPEN_TAG = re.compile(rf"[<\[]{_OPEN_REST}")
"""What begins a call, in the languages of the usual model families."""

_MAX_REPAIR_CHARS = 400_000  # read with repairs in one text, all tries together: about 1 s
_MAX_LIMITS = 4
_MAX_TRIES = 300  # places in one text that are looked at closely
_POSSIBLE_WITHIN_CHARS = 2_000
_CLOSE_REST = (
    r"(?:/\|?(?:tool_calls?|toolcall|function_calls?|tools)\|?>|\|/tool_call\|>"
    r"|\|tool_calls?(?:_section)?_end\|>|/TOOL_CALLS\]|\|e(?:om|ot)_id\|>)"
)
_CLOSE = rf"[<\[]{_CLOSE_REST}"
_CLOSE_TAG = re.compile(_CLOSE)
_UNQUOTED_CLOSE_TAG = re.compile(rf"[<\[](?<![`\"'“].){_CLOSE_REST}")
_BOUNDARY = re.compile(rf"[<\[](?:(?P<close>{_CLOSE_REST})|{_OPEN_REST})")
_BARE_BOUNDARY = re.compile(r"\n[ \t]*+\n|\n[ \t]*+```|\n(?=[ \t]*+\{\s*+\"name\")")
_ENDING = re.compile(rf"[\s}}\])]*+(?:```)?\s*+(?:{_CLOSE}\s*+)+")
_REPEATED_TAG = re.compile(r"\s*+<tool_call>(?=\s*+(?:\Z|<tool_call>))")
_PARTIAL_CLOSE = re.compile(r"[\s}\])]*+(?:<[/|][\w|/]{0,30}|<)?\Z")
_CUT_TAG = re.compile(r"<[/|][\w|/]{0,30}\Z")
_CUT_OPEN_TAG = re.compile(r"<tool(?:_(?:c(?:a(?:l(?:l)?)?)?)?)?\Z")
_LEFT_CALL = re.compile(
    r"""[\s,;\]]*+(?=\{\s*+["“']?(?:name|function|tool)["”']?\s*+[:=])""",
)
_CALL_LIKE = re.compile(
    r"""[\s\ufeff]*+(?:```[\w-]*+\s*+|json\s++)?(?:[{\[]|["'](?=[\w{\\])|<(?!/|tool_call>)"""
    r"""|[A-Za-z_][\w.-]*+(?::\d{1,4})?(?:\s*+\{|\(|\s*+<arg_key>))"""
)
_INNER_FENCE = re.compile(r"\s*+```[\w-]{0,20}\s*+")
_FENCE = re.compile(r"^[ \t]*+```", re.MULTILINE)
_OPEN_FENCE_LAST = re.compile(r"```[\w-]{0,20}\s*+\Z")
_FENCE_END = re.compile(r"\n[ \t]*+```")
_CLOSING_FENCE = re.compile(r"[\s}\]]*+```")
_SURPLUS = re.compile(r"[}\]]*+")
_NOTHING_MORE = re.compile(r"[\s)\]}]*+(?:```)?\s*+\Z")
_QUOTES = {"`": "`", '"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "(": ")"}
_GLUE = frozenset({"", "and", "or", "/", ",", "...", "…", "to", "&", "then", "with"})
# SGLang's streaming parser swallows the head of a call to an unknown tool and leaves this tail.
_HEADLESS = re.compile(r'\s*+"(?:arguments|parameters)"\s*+:\s*+\{')
_BARE = re.compile(r"^[ \t]*+(?P<fence>```[\w-]{0,20}\s*+)?(?P<body>[\[{])", re.MULTILINE)
_ACTION = re.compile(
    r"^[ \t]*+Action:[ \t]*+`?(?P<name>[\w.-]{1,128})`?[ \t]*+\n\s*+Action[ _]Input:\s*+(?=\{)",
    re.MULTILINE,
)
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class CallsInText:
    """A text, taken apart."""

    text: str
    """What is left without the calls; outer whitespace is dropped."""
    calls: tuple[ToolCall, ...] = ()
    malformed: tuple[MalformedCall, ...] = ()


def read_calls(
    text: str, tools: Sequence[ToolSpec], *, is_cut: bool, reads_bare: bool = True
) -> CallsInText:
    """Take the calls out of a text.

    Args:
        text: a reply without its reasoning, or the reasoning alone.
        tools: what the model was offered; tagged calls may name others.
        is_cut: whether the token limit ended the text; an unfinished call is then malformed.
        reads_bare: whether calls without tags count.
    """
    reads_bare = reads_bare and bool(tools)
    if reads_bare and _HEADLESS.match(text):
        error = UnreadableCall("the server cut its head off, as it does when no tool has that name")
        return CallsInText("", (), (malformed_call(text.strip(), error, tools),))
    if not reads_bare and not OPEN_TAG.search(text) and not is_cut:
        return CallsInText(text.strip())
    scan = _Scan(text, tools, is_cut=is_cut, reads_bare=reads_bare)
    scan.run()
    return scan.result()


@lru_cache(maxsize=64)
def _bare_patterns(names: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Compile what shows that JSON is a call of one of the tools: possibly, and certainly."""
    alternatives = "|".join(re.escape(name) for name in sorted(names))
    quoted = rf"[\"'“]?(?:functions?\.)?(?:{alternatives})(?::\d{{1,4}})?[\"'”]"
    possible = re.compile(
        rf"[\"'“]?(?:name|tool|tool_name|function|function_name|action)[\"'”]?\s*+[:=]\s*+{quoted}"
        rf"|[\"'“](?:{alternatives})[\"'”]\s*+:\s*+\{{"
    )
    certain = re.compile(
        rf"[\[{{\s]*+[\"'“]?name[\"'”]?\s*+[:=]\s*+{quoted}\s*+,?\s*+"
        r"(?:[\"'“]?(?:arguments|parameters)|\Z)"
    )
    return possible, certain


@lru_cache(maxsize=64)
def spelled_call(names: tuple[str, ...]) -> re.Pattern[str]:
    """Compile what begins a call without JSON around it: `web_search(`, `web_search:0 {`."""
    alternatives = "|".join(re.escape(name) for name in sorted(names))
    return re.compile(
        rf"\s*+(?:```[\w-]{{0,20}}\s*+)?\[?(?:functions?\.)?(?:{alternatives})"
        r"(?:\.call)?(?::\d{1,4})?\s*+(?:\[ARGS\])?\s*+[({]"
    )


class _Scan:
    """One pass over a text."""

    def __init__(
        self, source: str, tools: Sequence[ToolSpec], *, is_cut: bool, reads_bare: bool
    ) -> None:
        self._source = source
        self._tools = tools
        self._names = tuple(tool.name for tool in tools)
        self._is_cut = is_cut
        self._reads_bare = reads_bare
        self._kept: list[str] = []
        self._calls: list[ToolCall] = []
        self._malformed: list[MalformedCall] = []
        self._repair_chars = _MAX_REPAIR_CHARS  # what may still be read with repairs
        self._fences = (0, 0)  # how many stand before a position
        self._tries = _MAX_TRIES

    def result(self) -> CallsInText:
        text = "".join(self._kept)
        if self._calls or self._malformed:
            text = _UNQUOTED_CLOSE_TAG.sub("", text)
        return CallsInText(text.strip(), tuple(self._calls), tuple(self._malformed))

    def run(self) -> None:
        source = self._source
        position = kept_to = 0
        while not self._is_full() and (tag := OPEN_TAG.search(source, position)):
            if self._is_mention(tag):
                position = tag.end()
                continue
            self._keep(kept_to, tag.start())
            if self._calls and not self._is_cut and not source[tag.end() :].strip():
                kept_to = len(source)  # a tag and the end: nothing was written
                break
            position, is_open = self._take(tag.start(), self._body_start(tag), tag.group())
            while is_open and not self._is_full() and (left := _LEFT_CALL.match(source, position)):
                position, is_open = self._take(position, left.end(), "")
            kept_to = position
        if self._is_full() and OPEN_TAG.search(source, position):
            self._kept.append(source[kept_to:position])
            error = UnreadableCall(f"the reply has more than {MAX_CALLS} calls")
            self._malformed.append(malformed_call(source[position:].strip(), error, self._tools))
            return
        self._keep(kept_to, len(source))
        if self._reads_bare and not (self._calls or self._malformed):
            self._take_spelled()
        if self._is_cut:
            self._take_cut_head()

    def _is_full(self) -> bool:
        return self._tries <= 0 or len(self._calls) + len(self._malformed) >= MAX_CALLS

    # Calls in tags

    def _take(self, start: int, body: int, tag: str) -> tuple[int, bool]:
        """Read what follows a tag; give the position behind it, and whether the tag is open."""
        source = self._source
        try:
            found = self._read(body, self._limits(body))
            calls = self._finished(found)
        except UnreadableCall as error:
            return self._report(start, body, error), False
        ending = _ENDING.match(source, found.end)
        if ending is None and self._is_unfinished(found):
            return self._report(start, body, UnreadableCall("", name=calls[0].name)), False
        end = ending.end() if ending else self._loose_end(body, found.end)
        repairs: set[Repair] = set()
        if ending is None or tag != "<tool_call>":
            repairs.add("relaxed_form")
        if ending and ending.group().lstrip()[:1] in ("}", "]"):
            repairs.add("tolerant_json")
        self._add(calls, source[start:end].strip(), repairs)
        return end, ending is None

    def _loose_end(self, body: int, end: int) -> int:
        """Find where a call without closing tag is over."""
        if _INNER_FENCE.match(self._source, body) and (
            fence := _CLOSING_FENCE.match(self._source, end)
        ):
            return fence.end()
        for pattern in (_REPEATED_TAG, _PARTIAL_CLOSE, _SURPLUS):
            if match := pattern.match(self._source, end):
                return match.end()
        return end

    def _body_start(self, tag: re.Match[str]) -> int:
        """Skip further opening tags: `<tool_calls><tool_call>`."""
        while not tag.group().endswith("="):
            position = tag.end()
            while self._source[position : position + 1].isspace():
                position += 1
            following = OPEN_TAG.match(self._source, position)
            if following is None:
                return tag.end()
            tag = following
        return tag.start()

    def _limits(self, body: int) -> list[int]:
        """Find where the call that begins here may be over, the likeliest place first.

        A tag further on counts too: the first may stand inside of a string. None counts behind
        a tag with which the next call begins.
        """
        source = self._source
        own = OPEN_TAG.match(source, body)
        position = own.end() if own else body
        limits: list[int] = []
        fence = _INNER_FENCE.match(source, body)
        if fence and (end := _FENCE_END.search(source, fence.end())):
            limits.append(end.start())
        for boundary in _BOUNDARY.finditer(source, position):
            limits.append(boundary.start())
            is_next = not boundary["close"] and _CALL_LIKE.match(source, boundary.end())
            if is_next or len(limits) == _MAX_LIMITS:
                return limits
        cut = _CUT_TAG.search(source, max(len(source) - 32, position))
        return [*limits, cut.start() if cut else len(source)]

    def _read(self, body: int, limits: Sequence[int]) -> Body:
        """Read up to the first limit or, if that leaves something open, to one of the others.

        Raises:
            UnreadableCall: with the reason that the first limit gave.
        """
        if limits[0] - body > MAX_CALL_CHARS:
            name = named_tool(self._source[body : body + 1_000])
            raise UnreadableCall(f"it is longer than {MAX_CALL_CHARS:,} characters", name=name)
        first: Body | UnreadableCall | None = None
        for limit in limits:
            if limit - body > min(self._repair_chars, MAX_CALL_CHARS):
                break
            found = self._try(body, limit)
            if isinstance(found, Body) and not _has(found, "closed_brackets"):
                is_ended = first is None or _ENDING.match(self._source, found.end) is not None
                if is_ended:
                    return found
            first = first or found
        if isinstance(first, Body):
            return first
        raise first or UnreadableCall("too much of this reply is broken")

    def _try(self, body: int, limit: int) -> Body | UnreadableCall:
        try:
            found = read_body(self._source, body, limit, self._tools)
        except UnreadableCall as error:
            found = error
        if isinstance(found, UnreadableCall) or _has(found, "tolerant_json", "closed_brackets"):
            self._repair_chars -= limit - body
        return found

    def _finished(self, body: Body) -> list[ToolCall]:
        return [finish_call(call, self._tools, raw="") for call in body.calls]

    def _add(self, calls: Sequence[ToolCall], raw: str, repairs: Collection[Repair]) -> None:
        for call in calls:
            self._calls.append(
                replace(call, raw=raw, repairs=in_ladder_order({*call.repairs, *repairs}))
            )

    def _is_unfinished(self, found: Body) -> bool:
        is_last = _PARTIAL_CLOSE.match(self._source, found.end) is not None
        is_doubtful = _has(found, "tolerant_json", "closed_brackets")
        return self._is_cut and is_last and is_doubtful

    def _report(self, start: int, body: int, error: UnreadableCall) -> int:
        """Report what stands between the tags; give the position behind it."""
        source = self._source
        own = OPEN_TAG.match(source, body)
        position = own.end() if own else body
        boundary = _BOUNDARY.search(source, position)
        is_closed = boundary is not None and boundary["close"] is not None
        end = len(source) if boundary is None else boundary.start()
        if boundary is not None and is_closed:
            end = boundary.end()
        kind: MalformedKind = "cut_off" if self._is_cut and boundary is None else "unreadable"
        self._malformed.append(
            malformed_call(source[start:end].strip(), error, self._tools, kind=kind)
        )
        return end

    def _is_mention(self, tag: re.Match[str]) -> bool:
        """Tell whether the text only speaks of the tag, or shows it as an example."""
        self._tries -= 1
        source, start = self._source, tag.start()
        end = start if tag.group().endswith("=") else tag.end()
        quote = source[start - 1 : start]
        if quote and _QUOTES.get(quote) == source[tag.end() : tag.end() + 1]:
            return True
        line = source[source.rfind("\n", 0, start) + 1 : start].strip()
        if quote == "`" and not line.endswith("```"):
            return bool(line.strip("`"))
        close = _CLOSE_TAG.search(source, end)
        if self._tools and self._is_in_fence(start):
            inside = source[end : close.start() if close else len(source)][:_POSSIBLE_WITHIN_CHARS]
            return find_tool(named_tool(inside), self._tools) is None
        if end == start or _CALL_LIKE.match(source, end):
            return False
        if not line:
            return "tool_call" not in tag.group().lower() and "TOOL" not in tag.group()
        return close is None or source[end : close.start()].strip().lower() in _GLUE

    def _is_in_fence(self, position: int) -> bool:
        counted_to, count = self._fences
        count += sum(1 for _ in _FENCE.finditer(self._source, counted_to, position))
        self._fences = (position, count)
        return count % 2 == 1

    # Calls without tags

    def _keep(self, start: int, end: int) -> None:
        """Keep a part of the text, except for bare calls in it."""
        source = self._source
        if not self._reads_bare or not self._may_hold_bare(start, end):
            self._kept.append(source[start:end])
            return
        possible, _ = _bare_patterns(self._names)
        kept_to = position = start
        while not self._is_full() and (match := _BARE.search(source, position, end)):
            body = match.start("body")
            position = body + 1
            nearby = min(body + _POSSIBLE_WITHIN_CHARS, end)
            if self._may_hold_bare(body, nearby) and possible.search(source, body, nearby):
                is_call, position = self._take_bare(match, end)
                if is_call:
                    self._kept.append(source[kept_to : match.start()])
                    kept_to = position
        self._kept.append(source[kept_to:end])

    def _may_hold_bare(self, start: int, end: int) -> bool:
        return any(self._source.find(name, start, end) >= 0 for name in self._names)

    def _take_bare(self, match: re.Match[str], end: int) -> tuple[bool, int]:
        """Read JSON that stands alone; tell whether it is a call, and where it is over."""
        source, body = self._source, match.start("body")
        self._tries -= 1
        boundaries = islice(_BARE_BOUNDARY.finditer(source, body, end), _MAX_LIMITS - 1)
        limits = [*(found.start() for found in boundaries), end]
        if match["fence"] and (fence := _FENCE_END.search(source, body, end)):
            limits = [fence.start()]
        _, certain = _bare_patterns(self._names)
        try:
            found = self._read(body, limits)
            if not all(self._is_offered(call) for call in found.calls):
                return False, found.end
            calls = self._finished(found)
        except UnreadableCall as error:
            is_definition = isinstance(error, RepeatedDefinition)
            if is_definition or not certain.match(source, body, end):
                return False, self._end_of_json(body, end)
            return True, self._report_bare(match, limits[0], error)
        if self._is_unfinished(found):
            error = UnreadableCall("", name=calls[0].name)
            return True, self._report_bare(match, end, error)
        position = self._bare_end(match, found.end, end)
        self._add(calls, source[match.start() : position].strip(), {"relaxed_form"})
        return True, position

    def _end_of_json(self, body: int, end: int) -> int:
        """Skip JSON that is no call, with all that is in it; one character where it is broken."""
        try:
            return _DECODER.raw_decode(self._source[:end], body)[1]
        except (ValueError, RecursionError):
            return body + 1

    def _bare_end(self, match: re.Match[str], position: int, end: int) -> int:
        pattern = _CLOSING_FENCE if match["fence"] else _SURPLUS
        closing = pattern.match(self._source, position, end)
        return closing.end() if closing else position

    def _report_bare(self, match: re.Match[str], limit: int, error: UnreadableCall) -> int:
        position = self._bare_end(match, limit, len(self._source))
        is_last = position == len(self._source)
        self._malformed.append(
            malformed_call(
                self._source[match.start() : position].strip(),
                error,
                self._tools,
                kind="cut_off" if self._is_cut and is_last else "unreadable",
            )
        )
        return position

    def _is_offered(self, call: WrittenCall) -> bool:
        return (
            call.arguments is not None
            and not call.has_extras
            and find_tool(call.name, self._tools) is not None
        )

    def _take_spelled(self) -> None:
        """Read `web_search(query="…")` if the text is nothing else, and ReAct's `Action:`."""
        source = self._source
        readers: list[tuple[int, Callable[[], Body]]] = []
        if spelled_call(self._names).match(source):
            readers.append((0, lambda: self._read(0, [len(source)])))
        if action := _ACTION.search(source):
            readers.append((action.start(), lambda: read_action(source, action, self._tools)))
        for start, read in readers:
            try:
                found = read()
                calls = self._finished(found)
            except UnreadableCall:
                continue
            is_all = start > 0 or _NOTHING_MORE.match(source, found.end)
            if is_all and all(self._is_offered(call) for call in found.calls):
                end = len(source) if start == 0 else found.end
                self._kept = [source[:start], source[end:]]
                self._add(calls, source[start:end].strip(), {"relaxed_form"})
                return

    def _take_cut_head(self) -> None:
        """Report a call of which the token limit left only the first characters."""
        rest = self._kept[-1].rstrip() if self._kept else ""
        head = rest[rest.rfind("\n") + 1 :].strip()
        tag = _CUT_OPEN_TAG.search(rest[-16:])
        squeezed = re.sub(r"\s", "", rest[max(rest.rfind("{"), 0) :][:200])
        is_json = len(squeezed) > 1 and any(
            f'{{"name":"{name}","arguments"'.startswith(squeezed) for name in self._names
        )
        if not tag and not (self._reads_bare and is_json and head.startswith("{")):
            return
        raw = rest[rest.rfind("<") :] if tag else head
        before = rest[: len(rest) - len(raw)]
        if fence := _OPEN_FENCE_LAST.search(before[-40:]):
            raw = fence.group() + raw
        self._kept[-1] = rest[: len(rest) - len(raw)]
        error = UnreadableCall("", name=named_tool(raw))
        self._malformed.append(malformed_call(raw, error, self._tools, kind="cut_off"))


def _has(body: Body, *repairs: Repair) -> bool:
    return any(not call.repairs.isdisjoint(repairs) for call in body.calls)
