"""Keeps pages that publish the benchmark from the model, and marks what got through.

Our MCP server can leave mirrors out by itself (`exclude_domains = ["benchmarks"]`). This guard
works with any server: it refuses to visit a mirror, and where one was shown all the same, or where
a page that was read holds the whole question, the episode is marked.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import cast
from urllib.parse import unquote

from agent_client.agent.page_address import addresses_in, asked_urls
from agent_client.agent.page_result import page_bodies
from agent_client.conversation import ToolCall, ToolResult, ToolSpec
from agent_client.evaluation.web.shown_pages import ShownPages, hits_in, visits_in
from agent_client.ports import Toolbox
from agent_client.tool_meta import ERROR_META, ERRORS_META, SEARCH_META

MIN_QUESTION_CHARS = 40
"""A shorter question may stand in an honest page by chance."""
MAX_LEAKS = 200
"""Of one episode; it is spoilt by the first."""
_MAX_LEAK_CHARS = 500
_MAX_HOST_CHARS = 253

_SAME_REPOSITORY = (
    "raw.githubusercontent.com/",
    "media.githubusercontent.com/media/",
    "codeload.github.com/",
    "api.github.com/repos/",
    "cdn.jsdelivr.net/gh/",
)
"""Where else the files of a GitHub repository are served."""
_SCHEMES = ("http:", "https:")
_PACKAGED = Path(__file__).with_name("mirrors.txt")  # in an installed wheel
_IN_CHECKOUT = Path(__file__).resolve().parents[3] / "configs" / "benchmarks" / "mirrors.txt"
_PLAIN = re.compile(r"https?://[a-z0-9.-]+(?:[/?#][A-Za-z0-9/?#._~()',:;=&+!$*@-]*)?")
"""The usual address, which says where it leads: nothing in it is encoded."""
_WORD = re.compile(r"[^\W_]+")
_BETWEEN_WORDS = r"[\W_]{1,20}"

_REFUSAL = (
    "Error: {url} is one of the places that publish benchmark questions with their answers, which"
    " are kept out of this evaluation. Use another result; do not repeat the same call."
)


def is_mirror(url: str) -> bool:
    """Whether an address lies in one of the places of the shipped list.

    An address without a scheme counts as one of the web, and a copy in an archive, whose address
    ends in that of its original, as the original. What is no address is no mirror.
    """
    listed = _mirrors()
    if _PLAIN.fullmatch(url):
        lowered = url.lower()
        if not any(domain in lowered for domain in listed):
            return False
    place = _place_of(url if "://" in url else f"https://{url}")
    if place is None:
        return False
    host, segments = place
    return any(
        _begins_with(inner, path)
        for name, inner in ((host, segments), *_copied(segments))
        for domain in _with_parents(name)
        for path in listed.get(domain, ())
    )


class MirrorGuard:
    """The tools of one episode, without mirrors of benchmarks.

    Attributes:
        shown: the pages that the agent was given.
        blocked: visits and hits of mirrors that were kept from the model, here or by the server.
    """

    def __init__(self, tools: Toolbox, question: str, *, blocks: bool = True) -> None:
        """Stand before the tools.

        Args:
            tools: that run the calls.
            question: of the episode.
            blocks: whether mirrors are refused; without it they are only marked.
        """
        self._tools, self._blocks = tools, blocks
        self._question = _question_pattern(question)
        self._leaks: dict[str, None] = {}
        self.shown = ShownPages()
        self.blocked = 0

    @property
    def leaks(self) -> tuple[str, ...]:
        """Addresses of pages that publish the benchmark and that the agent was shown, in order."""
        return tuple(self._leaks)

    async def list_tools(self) -> Sequence[ToolSpec]:
        """List the tools.

        Raises:
            ToolServerError: the connection to the tool server is broken.
        """
        return await self._tools.list_tools()

    async def call(self, call: ToolCall) -> ToolResult:
        """Run a call, unless it asks for a mirror; a page that turns out to be one is withheld.

        Raises:
            ToolServerError: the connection to the tool server is broken.
        """
        mirror = next(filter(is_mirror, _asked_addresses(call)), "") if self._blocks else ""
        result = _refusal(call, mirror) if mirror else await self._tools.call(call)
        if self._blocks and not result.is_error:
            addresses = (url for visit in visits_in(call, result) for url in visit.addresses)
            if mirror := next(filter(is_mirror, addresses), ""):
                result = _refusal(call, mirror)
        self.saw(call, result)
        return result

    def saw(self, call: ToolCall, result: ToolResult) -> None:
        """Take in a result that the agent is given, also one that was stored before."""
        self.blocked += _kept_out(result)
        self.shown.add(call, result)
        if result.is_error:
            return
        for url, _ in hits_in(call, result):
            if is_mirror(url):
                self._mark(url)
        visits = list(visits_in(call, result))
        holds_question = bool(visits) and self._holds_question(call, result)
        for visit in visits:
            if holds_question or any(map(is_mirror, visit.addresses)):
                self._mark(visit.addresses[0])

    def _mark(self, url: str) -> None:
        if len(self._leaks) < MAX_LEAKS:
            self._leaks.setdefault(url[:_MAX_LEAK_CHARS])

    def _holds_question(self, call: ToolCall, result: ToolResult) -> bool:
        """Whether a page's own words hold the question; what the call said does not count."""
        if self._question is None:
            return False
        bodies = page_bodies(result.text)
        if not bodies and any(_holds(self._question, str(v)) for v in call.arguments.values()):
            return False  # a server without marks around the page may repeat what it was asked
        texts = [result.text[start:end] for start, end in bodies] or [result.text]
        return any(_holds(self._question, text) for text in texts)


def _question_pattern(question: str) -> re.Pattern[str] | None:
    """Finds the question's words in a row; None where it is too short to tell anything."""
    words = _WORD.findall(unicodedata.normalize("NFKC", question))
    if len(" ".join(words)) < MIN_QUESTION_CHARS:
        return None
    return re.compile(_BETWEEN_WORDS.join(words), re.IGNORECASE)


def _holds(question: re.Pattern[str], text: str) -> bool:
    return question.search(unicodedata.normalize("NFKC", text)) is not None


def _asked_addresses(call: ToolCall) -> Iterator[str]:
    """The addresses that a call asks for, also with words around them: servers find those too."""
    for url in asked_urls(call.arguments):
        yield url
        yield from addresses_in(url)


def _refusal(call: ToolCall, mirror: str) -> ToolResult:
    told = {"kind": "refused", "retryable": False, "retry_after_seconds": None, "mirror": True}
    text = _REFUSAL.format(url=mirror[:_MAX_LEAK_CHARS])
    return ToolResult(call.id, call.name, text, is_error=True, meta={ERROR_META: told})


def _kept_out(result: ToolResult) -> int:
    """How many hits and visits of mirrors were kept out of a result."""
    search = _mapping(result.meta.get(SEARCH_META)).get("excluded_mirrors")
    count = search if isinstance(search, int) and 0 < search < MAX_LEAKS else 0
    pages = result.meta.get(ERRORS_META)
    failures = cast(list[object], pages) if isinstance(pages, list) else []
    if not failures:
        failures = [result.meta.get(ERROR_META)]
    return count + sum(_mapping(failure).get("mirror") is True for failure in failures)


def _mapping(value: object) -> Mapping[str, object]:
    return cast(Mapping[str, object], value) if isinstance(value, Mapping) else {}


@cache
def _mirrors() -> Mapping[str, Sequence[tuple[str, ...]]]:
    """The paths of the shipped list by their domain; how it is written, its head says."""
    path = _PACKAGED if _PACKAGED.is_file() else _IN_CHECKOUT
    listed: dict[str, list[tuple[str, ...]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = line.partition("#")[0].strip().lower()
        if not entry:
            continue
        repository = entry.removeprefix("github.com/")
        others = _SAME_REPOSITORY if repository != entry else ()
        for written in (entry, *(prefix + repository for prefix in others)):
            domain, *segments = written.split("/")
            listed.setdefault(domain, []).append(tuple(segments))
    return listed


def _place_of(url: str) -> tuple[str, tuple[str, ...]] | None:
    """The host of an address and the segments of its path, as browsers read it, in lower case."""
    from ada_url import URL  # 10 ms that only evaluations need

    try:
        parsed = URL(url)
    except ValueError:
        return None
    path = unquote(parsed.pathname).lower()
    return parsed.hostname.rstrip("."), tuple(part for part in path.split("/") if part)


def _copied(segments: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The places of which a page is a copy, as archives name them: `/web/2024/https://a.org/b`."""
    for position, segment in enumerate(segments[:-1]):
        if segment in _SCHEMES:
            host = segments[position + 1].rpartition("@")[2].partition(":")[0].rstrip(".")
            yield host[-_MAX_HOST_CHARS:], segments[position + 2 :]


def _with_parents(host: str) -> Iterator[str]:
    while host:
        yield host
        host = host.partition(".")[2]


def _begins_with(segments: tuple[str, ...], path: tuple[str, ...]) -> bool:
    return len(segments) >= len(path) and all(
        want in ("*", given) for want, given in zip(path, segments, strict=False)
    )
