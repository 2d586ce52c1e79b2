"""Domains to search in or to leave out: how they are written, and which URLs lie within them."""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import unquote

from mcp_server.errors import BadQuery
from mcp_server.visit.urls import parse_url

MIRRORS_WORD = "benchmarks"
"""Stands among excluded domains for the whole list of `load_mirrors`."""

MAX_ENTRY_CHARS = 500
MAX_HOST_CHARS = 253
"""Longest name that exists; of a longer one its end is judged."""
_MISSPELT = 0.8
"""How alike a word and `MIRRORS_WORD` are, of 1, when the latter is meant."""

_SAME_REPOSITORY = (
    "raw.githubusercontent.com/",
    "media.githubusercontent.com/media/",
    "codeload.github.com/",
    "api.github.com/repos/",
    "cdn.jsdelivr.net/gh/",
)
"""Where else the files of a GitHub repository are served."""
_SCHEMES = ("http:", "https:")
_PACKAGED = Path(__file__).with_name("benchmarks")  # in an installed wheel
_IN_CHECKOUT = Path(__file__).resolve().parents[2] / "configs" / "benchmarks"


def read_domain(text: str) -> str:
    """A domain as people and models write it, in its one form: lower case, ASCII, no scheme.

    Read are `Example.org`, `www.example.org`, `*.example.org`, `.example.org`, `bücher.example`
    and any URL, of which only the host is taken. A leading `www.` goes: the rest contains it.

    Raises:
        BadQuery: there is no host in the text.
    """
    return _split_entry(text)[0]


def read_exclusion(text: str) -> str:
    """A domain to leave out, with a path where the text has one: `huggingface.co/datasets`.

    A path leaves out what lies below it; a segment `*` stands for any one segment, as in
    `github.com/*/simple-evals`.

    Raises:
        BadQuery: there is no host in the text.
    """
    host, segments = _split_entry(text)
    return "/".join((host, *segments))


def read_exclusions(texts: Iterable[str]) -> tuple[str, ...]:
    """Domains to leave out; the word `benchmarks` among them brings the shipped list.

    Raises:
        BadQuery: one of them has no host, or is that word with a spelling mistake.
    """
    entries: dict[str, None] = {}
    for text in texts:
        word = text.strip().lower()
        if word == MIRRORS_WORD:
            entries.update(dict.fromkeys(load_mirrors()))
        elif difflib.get_close_matches(word, [MIRRORS_WORD], cutoff=_MISSPELT):
            # As a domain it would leave out nothing, and an evaluation would never know.
            raise BadQuery(f"{text[:80]!r} is no domain", hint=f"did you mean {MIRRORS_WORD!r}?")
        else:
            entries[read_exclusion(text)] = None
    return tuple(entries)


@cache
def load_mirrors() -> tuple[str, ...]:
    """The shipped list of places that republish benchmark questions with their answers."""
    folder = _PACKAGED if _PACKAGED.is_dir() else _IN_CHECKOUT
    text = folder.joinpath("mirrors.txt").read_text("utf-8")
    entries: dict[str, None] = {}
    for line in text.splitlines():
        written = line.partition("#")[0].strip()
        if not written:
            continue
        entry = read_exclusion(written)
        entries[entry] = None
        repository = entry.removeprefix("github.com/")
        if repository != entry:
            entries.update(dict.fromkeys(prefix + repository for prefix in _SAME_REPOSITORY))
    return tuple(entries)


def mirrors_among(entries: Iterable[str]) -> tuple[str, ...]:
    """The shipped list, where excluded domains hold all of it; else nothing."""
    given = frozenset(entries)
    return load_mirrors() if given and given.issuperset(load_mirrors()) else ()


def is_within(host: str, domain: str) -> bool:
    """Whether a host is the domain or one below it."""
    return host == domain or host.endswith(f".{domain}")


@dataclass(frozen=True, slots=True)
class DomainFilter:
    """Which URLs a query wants, by its domains.

    What is left out is left out in an archive too, where the address of a page ends in that of its
    original.
    """

    include: tuple[str, ...] = ()
    """From `read_domain`; empty means all."""
    exclude: tuple[str, ...] = ()
    """From `read_exclusion`."""

    def wants(self, url: str) -> bool:
        """Whether a URL may be shown; one without a readable host may not, if there is a filter."""
        if not self.include and not self.exclude:
            return True
        place = _place_of(url)
        if place is None:
            return False
        host, segments = place
        if self.include and not any(is_within(host, domain) for domain in self.include):
            return False
        paths = _paths_by_domain(self.exclude)
        return not any(
            _begins_with(inner, path)
            for name, inner in ((host, segments), *_copied(segments))
            for domain in _with_parents(name)
            for path in paths.get(domain, ())
        )


def _split_entry(text: str) -> tuple[str, tuple[str, ...]]:
    written = text.strip().strip("\"'").removeprefix("*").lstrip(".")
    if len(written) > MAX_ENTRY_CHARS or any(char.isspace() for char in written):
        raise _no_domain(text)
    place = _place_of(written if "://" in written else f"https://{written}")
    if place is None or not place[0]:
        raise _no_domain(text)
    host, segments = place
    bare = host.removeprefix("www.")
    return (bare if "." in bare else host), segments


def _no_domain(text: str) -> BadQuery:
    return BadQuery(f"{text[:80]!r} is no domain", hint="write it like example.org, without spaces")


def _place_of(url: str) -> tuple[str, tuple[str, ...]] | None:
    """The host of a URL and the segments of its path, decoded and in lower case."""
    try:
        parsed = parse_url(url)
    except ValueError:
        return None
    _, _, rest = parsed.href.partition("://")
    path = rest.partition("#")[0].partition("?")[0].partition("/")[2]
    segments = tuple(part for part in unquote(path).lower().split("/") if part)
    return parsed.host.rstrip("."), segments


def _copied(segments: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The places of which a page is a copy, as archives name them: `/web/2024/https://a.org/b`."""
    for position, segment in enumerate(segments[:-1]):
        if segment in _SCHEMES:
            host = segments[position + 1].rpartition("@")[2].partition(":")[0].rstrip(".")
            yield host[-MAX_HOST_CHARS:], segments[position + 2 :]


@lru_cache(maxsize=16)
def _paths_by_domain(entries: tuple[str, ...]) -> dict[str, list[list[str]]]:
    paths: dict[str, list[list[str]]] = {}
    for entry in entries:
        domain, *path = entry.split("/")
        paths.setdefault(domain, []).append(path)
    return paths


def _with_parents(host: str) -> Iterator[str]:
    while host:
        yield host
        host = host.partition(".")[2]


def _begins_with(segments: tuple[str, ...], path: list[str]) -> bool:
    return len(segments) >= len(path) and all(
        want in ("*", given) for want, given in zip(path, segments, strict=False)
    )
