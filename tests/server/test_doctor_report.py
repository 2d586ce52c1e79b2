"""How the doctor tells what was found, and how it runs its checks."""

import re
from collections.abc import Sequence

import anyio

from mcp_server.doctor.examination import Check, Part, blocking, examine
from mcp_server.doctor.findings import Finding, Section
from mcp_server.doctor.report import as_json, conclusion, section_text
from mcp_server.errors import CorpusError

WELL = Finding("python", "ok", "3.11 at /usr/bin/python")
NOTED = Finding("clock", "note", "slow", "set it")
BROKEN = Finding("page", "problem", "word " * 60, "do " * 60, seconds=1.26)


def test_lines_fit_the_terminal_and_problems_say_what_to_do() -> None:
    text = section_text(Section("pages", (WELL, BROKEN)), width=80)
    lines = text.splitlines()
    assert lines[:2] == ["pages", "  ok       python         3.11 at /usr/bin/python"]
    assert lines[2].startswith("  problem  page           word word")
    assert max(map(len, lines)) <= 80
    assert "(1.3 s)" in text
    assert re.search(r"^ {11}-> do do .*\n {14}do do", text, re.MULTILINE)


def test_colours_are_for_terminals_only() -> None:
    section = Section("pages", (WELL, NOTED, BROKEN))
    assert "\x1b" not in section_text(section)
    coloured = section_text(section, has_colour=True)
    assert re.sub("\x1b\\[[0-9]*m", "", coloured) == section_text(section)


def test_nothing_from_outside_reaches_the_terminal_as_it_is() -> None:
    hostile = Finding("page", "problem", "a\x1b[2Jb\u202ec", "see http://me:secret@p/?token=sesame")
    for told in (section_text(Section("x", (hostile,))), str(as_json([Section("x", (hostile,))]))):
        assert "\x1b" not in told
        assert "\u202e" not in told
        assert "secret" not in told
        assert "sesame" not in told


def test_the_last_line_counts() -> None:
    assert conclusion([Section("a", (WELL,))]) == "all that is needed works"
    assert conclusion([Section("a", (NOTED,))]) == "all that is needed works, with 1 note"
    both = [Section("a", (BROKEN, NOTED)), Section("b", (BROKEN, NOTED))]
    assert conclusion(both) == "2 problems, with 2 notes: what to do stands after ->"


def test_json_holds_everything() -> None:
    told = as_json([Section("a", (NOTED,)), Section("b", (BROKEN,))])
    assert (told["outcome"], told["problems"], told["notes"]) == ("problem", 1, 1)
    assert told["sections"][0] == {  # pyright: ignore[reportIndexIssue]
        "title": "a",
        "findings": [
            {"check": "clock", "outcome": "note", "told": "slow", "advice": "set it", "seconds": 0}
        ],
    }


async def shown(*parts: Part) -> list[Section]:
    sections: list[Section] = []
    with anyio.fail_after(10):
        await examine(parts, sections.append)
    return sections


async def test_parts_are_shown_in_their_order_whichever_is_done_first() -> None:
    is_second_done = anyio.Event()

    async def first() -> list[Finding]:
        await is_second_done.wait()
        return [WELL]

    async def second() -> list[Finding]:
        is_second_done.set()
        return [NOTED]

    sections = await shown(
        Part("one", [Check("a", first, 9)]), Part("two", [Check("b", second, 9)])
    )
    assert [section.title for section in sections] == ["one", "two"]


async def test_a_check_that_hangs_or_breaks_is_a_finding_beside_the_others() -> None:
    def breaks() -> list[Finding]:
        raise CorpusError("the index is damaged", hint="build it anew")

    def has_no_disk() -> list[Finding]:
        raise OSError(5, "Input/output error")

    async def hangs() -> list[Finding]:
        await anyio.sleep_forever()
        return []

    def last(findings: Sequence[Finding]) -> Sequence[Finding]:
        return [*findings, WELL]

    checks = [
        Check("slow", hangs, 0.05),
        Check("index", blocking(breaks), 5),
        Check("disk", blocking(has_no_disk), 5),
    ]
    (section,) = await shown(Part("one", checks, last))
    assert [(f.check, f.outcome, f.told, f.advice) for f in section.findings[:3]] == [
        ("slow", "problem", "not done after 0.05 s", ""),
        ("index", "problem", "the index is damaged", "build it anew"),
        ("disk", "problem", "Input/output error", ""),
    ]
    assert section.findings[3] == WELL
