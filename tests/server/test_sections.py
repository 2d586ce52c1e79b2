"""Sections of a page."""

import re

import pytest

from mcp_server.errors import FetchError
from mcp_server.visit.reading.sections import find_section, find_sections, outline

PAGE = """Lead paragraph.

# Kraków

About the city.

## History

Old.

### Middle *Ages*

```
# not a heading
```

## Economy ##

Trade.

# See `also`

Links."""


def section_text(wanted: str, page: str = PAGE) -> str:
    start, end = find_section(find_sections(page), wanted)
    return page[start:end]


def test_the_list_tells_each_heading_with_its_size() -> None:
    history = len(section_text("History"))
    assert outline(find_sections(PAGE)).splitlines() == [
        "0. (before the first heading) (17 characters)",
        f"1. Kraków ({len(section_text('Kraków'))} characters)",
        f"  2. History ({history} characters)",
        f"    3. Middle Ages ({len(section_text('Middle Ages'))} characters)",
        f"  4. Economy ({len(section_text('Economy'))} characters)",
        f"5. See also ({len(section_text('See also'))} characters)",
    ]


def test_a_section_reaches_to_the_next_heading_of_its_level() -> None:
    assert section_text("History").startswith("## History")
    assert section_text("History").endswith("```\n\n")
    assert "# not a heading" in section_text("History")
    assert section_text("Kraków").endswith("Trade.\n\n")


@pytest.mark.parametrize(
    ("wanted", "same_as"),
    [
        ("2", "History"),
        ("history", "History"),
        ("## History", "History"),
        ("middle", "Middle Ages"),
        ("econ", "Economy"),
        ("0", "(before the first heading)"),
        ("2.", "History"),
        ("section 2", "History"),
        ("2. History (47 characters)", "History"),
        ("KRAKOW", "Kraków"),
        ("krako", "Kraków"),
    ],
)
def test_a_section_is_found_by_number_heading_or_a_part_of_it(wanted: str, same_as: str) -> None:
    assert section_text(wanted) == section_text(same_as)


def test_a_range_of_sections_comes_as_one() -> None:
    assert section_text("2-4") == PAGE[PAGE.index("## History") : PAGE.index("# See")]


def test_pages_of_a_pdf_are_asked_for_by_number_or_range() -> None:
    page = "".join(f"## Page {number}\n\nText {number}.\n\n" for number in range(1, 13))
    assert section_text("page 2", page) == "## Page 2\n\nText 2.\n\n"
    assert section_text("pages 3-5", page).count("Text") == 3
    assert "Text 12" in section_text("p. 12", page)


@pytest.mark.parametrize(
    ("wanted", "texts"),
    [
        ("pages 2 to 4", [2, 4]),  # the third page has no text
        ("page 4-page 5", [4, 5]),
        ("pages 4–99", [4, 5]),
        ("Pages 1 and 2", [1, 2]),
    ],
)
def test_of_a_range_of_pages_comes_what_there_is(wanted: str, texts: list[int]) -> None:
    page = "".join(f"## Page {number}\n\nText {number}.\n\n" for number in (1, 2, 4, 5))
    found = section_text(wanted, page)
    assert [int(number) for number in re.findall(r"Text (\d)", found)] == texts


def test_slides_are_asked_for_by_their_own_numbers() -> None:
    page = "Lead.\n\n# Talk\n\n## Slide 1: Start\n\nA.\n\n## Slide 2: End\n\nB."
    assert section_text("slide 2", page) == "## Slide 2: End\n\nB."
    assert section_text("slides 1-2", page) == page[page.index("## Slide 1") :]


def test_underlined_headings_are_headings() -> None:
    page = "Guide\n=====\n\nText.\n\nSetup\n-----\n\nMore.\n\n| a |\n| --- |\n\nlast\n\n---\n"
    assert [section.heading for section in find_sections(page)] == ["Guide", "Setup"]
    assert section_text("setup", page).startswith("Setup\n-----\n\nMore.")


@pytest.mark.parametrize(
    ("wanted", "says"),
    [("Econmy", "'Economy'"), ("Sports", "its sections"), ("9", "its sections"), ("4-2", "its")],
)
def test_an_unknown_section_is_an_error_that_names_those_there_are(wanted: str, says: str) -> None:
    with pytest.raises(FetchError) as caught:
        section_text(wanted)
    assert says in caught.value.hint


def test_a_page_without_headings_says_how_else_to_read_it() -> None:
    assert find_sections("Plain text.\n\n#hashtag") == ()
    with pytest.raises(FetchError) as caught:
        section_text("Intro", "Plain text.")
    assert "query" in caught.value.hint
