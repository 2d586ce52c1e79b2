"""What of a page the reader gets."""

import re

import pytest

from mcp_server.errors import FetchError
from mcp_server.visit.reading.excerpt import Wanted, read

PAGE = "Lead.\n\n# One\n\n" + "First part. " * 30 + "\n\n# Two\n\n" + "Second part. " * 30


def test_a_part_says_where_the_next_one_starts() -> None:
    excerpt = read(PAGE, Wanted(max_chars=200))
    assert PAGE.startswith(excerpt.text)
    assert f"start={excerpt.end}" in excerpt.how_to_go_on
    assert read(PAGE, Wanted(start=excerpt.end, max_chars=100_000)).how_to_go_on == ""


def test_the_headings_are_listed_on_request() -> None:
    excerpt = read(PAGE, Wanted(section="list"))
    assert "1. One" in excerpt.text
    assert "2. Two" in excerpt.text
    assert "section=" in excerpt.how_to_go_on


def test_a_long_list_of_headings_is_read_in_parts() -> None:
    page = "".join(f"# Heading {number} {'x' * 300}\n\nText.\n\n" for number in range(50))
    listed, start = "", 0
    while True:
        excerpt = read(page, Wanted(section="list", start=start, max_chars=1_000))
        listed += excerpt.text
        if "goes on" not in excerpt.how_to_go_on:
            break
        start = int(excerpt.how_to_go_on.rpartition("=")[2])
    lines = listed.splitlines()
    assert [line.partition(".")[0] for line in lines] == [str(n) for n in range(1, 51)]
    assert max(map(len, lines)) < 200
    assert read(page, Wanted(section=lines[7])).text.startswith("# Heading 7 ")


def test_a_long_section_is_read_in_parts_to_its_end_and_no_further() -> None:
    text, start = "", 0
    while True:
        excerpt = read(PAGE, Wanted(section="One", start=start, max_chars=150))
        text, start = text + excerpt.text, excerpt.end
        if not excerpt.how_to_go_on:
            break
    assert text == PAGE[PAGE.index("# One") : PAGE.index("# Two")]


def test_passages_tell_their_headings_and_where_they_come_from() -> None:
    excerpt = read(PAGE, Wanted(query="second", max_chars=400))
    assert excerpt.text.startswith("[…] Two (from ")
    assert "without query" in excerpt.how_to_go_on


def test_each_gap_in_a_page_without_headings_tells_where_the_text_goes_on() -> None:
    page = "\n\n".join(f"Record {n}. " + "Filler words here. " * 40 for n in range(9))
    excerpt = read(page, Wanted(query="3 or 7", max_chars=2_000))
    told = re.findall(r"^\[…\] \(from ([\d,]+)\):$", excerpt.text, re.MULTILINE)
    starts = [int(start.replace(",", "")) for start in told]
    assert [page[start : start + 9] for start in starts] == ["Record 3.", "Record 7."]


def test_a_query_without_an_answer_gives_the_beginning_and_says_so() -> None:
    excerpt = read(PAGE, Wanted(query="zeppelin", max_chars=200))
    assert "nothing on it matches" in excerpt.which
    assert excerpt.text.startswith("Lead.")
    assert f"start={excerpt.end}" in excerpt.how_to_go_on


def test_a_page_without_headings_says_so_when_asked_for_them() -> None:
    assert read("Plain.", Wanted(section="list")).which == "it has no headings"


@pytest.mark.parametrize("wanted", [Wanted(start=10_000), Wanted(section="Three")])
def test_what_the_page_does_not_have_is_an_error(wanted: Wanted) -> None:
    with pytest.raises(FetchError):
        read(PAGE, wanted)


def test_tokens_bound_a_part_of_a_page_without_spaces() -> None:
    page = "灯塔由玛拉设计，建于一八七四年。" * 100
    assert len(read(page, Wanted(max_tokens=200)).text) <= 200
