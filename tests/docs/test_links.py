"""Every link of every document leads somewhere, and every page can be found."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.fences import ROOT, documents, without_fences

_LINK = re.compile(r"\]\(<?([^()\s>]{1,300}(?:\([^()\s]{0,100}\))?)>?\)")
_HEADING = re.compile(r"#{1,6}\s+(.{1,300})")
_CODE = re.compile(r"`[^`\n]{1,300}`")
_PATH = re.compile(
    r"`((?:tests|configs|docs|agent_client|mcp_server)/[\w./-]{1,200}\.(?:py|md|toml|nft|service|txt|jsonl))`"
)
_FOREIGN = re.compile(r"[a-z][a-z0-9+.-]{1,20}:")


def links_of(page: Path) -> Iterator[str]:
    """The targets of a page's links, those in code left out."""
    prose = _CODE.sub("`x`", without_fences(page.read_text(encoding="utf-8")))
    return (found[1] for found in _LINK.finditer(prose))


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """The anchors that GitHub gives the headings of a page."""
    found: dict[str, int] = {}
    anchors: set[str] = set()
    for line in without_fences(page.read_text(encoding="utf-8")).splitlines():
        if heading := _HEADING.fullmatch(line.rstrip()):
            name = anchor_of(heading[1])
            count = found.get(name, 0)
            found[name] = count + 1
            anchors.add(f"{name}-{count}" if count else name)
    return frozenset(anchors)


def anchor_of(heading: str) -> str:
    """How GitHub names a heading: in lower case, without signs, spaces as hyphens."""
    words = re.sub(r"\[([^\]]{0,200})\]\([^)]{0,300}\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", words.lower()).strip().replace(" ", "-")


def broken(page: Path) -> Iterator[str]:
    for target in links_of(page):
        if _FOREIGN.match(target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / unquote(path)).resolve() if path else page
        if not file.exists():
            yield f"{target}: there is no such file"
        elif anchor and anchor not in anchors_of(file):
            yield f"{target}: there is no such heading"


@pytest.mark.parametrize("page", documents(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert list(broken(page)) == []


@pytest.mark.parametrize("page", documents(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_file_that_is_named_is_there(page: Path) -> None:
    if page.name == "CHANGELOG.md":  # it may tell of what is gone
        return
    text = without_fences(page.read_text(encoding="utf-8"))
    named = {found[1] for found in _PATH.finditer(text)}
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_no_page_of_the_documents_is_an_orphan() -> None:
    start = ROOT / "docs" / "README.md"
    found, waiting = {start}, [start]
    while waiting:
        page = waiting.pop()
        targets = (target.partition("#")[0] for target in links_of(page))
        for target in targets:
            file = (page.parent / target).resolve() if target else page
            if file.suffix == ".md" and file.is_file() and file not in found:
                found.add(file)
                waiting.append(file)
    assert set((ROOT / "docs").rglob("*.md")) - found == set()


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("The client, `seekling`", "the-client-seekling"),
        ("Facts for `--where`", "facts-for---where"),
        ("What it costs", "what-it-costs"),
    ],
)
def test_headings_are_named_as_github_names_them(heading: str, anchor: str) -> None:
    assert anchor_of(heading) == anchor
