"""Cutting a text into parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.errors import FetchError
from mcp_server.visit.reading.parts import Part, cut

TEXT = st.text(alphabet="ab \n.。!é𝄞", max_size=400)


def all_parts(text: str, max_chars: int) -> list[Part]:
    parts = [cut(text, 0, max_chars)]
    while not parts[-1].is_last:
        parts.append(cut(text, parts[-1].end, max_chars))
    return parts


@given(TEXT, st.integers(min_value=1, max_value=120))
def test_the_parts_of_a_text_joined_give_the_text(text: str, max_chars: int) -> None:
    parts = all_parts(text, max_chars)
    assert "".join(part.text for part in parts) == text
    assert all(len(part.text) <= max_chars for part in parts)
    assert all(part.total_chars == len(text) for part in parts)


@given(TEXT, st.integers(min_value=1, max_value=120))
def test_a_part_fills_at_least_four_fifths_of_its_window(text: str, max_chars: int) -> None:
    for part in all_parts(text, max_chars)[:-1]:
        assert len(part.text) >= max_chars * 0.8


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("a" * 85 + "\n\n" + "b. c\nd " * 9, "a" * 85 + "\n\n"),
        ("a" * 85 + "\n" + "b. c d " * 9, "a" * 85 + "\n"),
        ("a" * 85 + ". " + "b c d " * 9, "a" * 85 + ". "),
        ("中" * 85 + "。" + "中" * 50, "中" * 85 + "。"),
        ("a" * 85 + " " + "b" * 50, "a" * 85 + " "),
        ("a" * 200, "a" * 100),
    ],
    ids=["paragraph", "line", "sentence", "ideographic stop", "word", "nothing"],
)
def test_a_part_ends_at_the_best_boundary(text: str, first: str) -> None:
    assert cut(text, 0, 100).text == first


def test_a_short_text_is_one_part() -> None:
    part = cut("hello", 0, 100)
    assert part == Part(text="hello", start=0, end=5, total_chars=5)
    assert part.is_last


def test_an_empty_text_has_one_empty_part() -> None:
    assert cut("", 0, 10).is_last


@pytest.mark.parametrize(("start", "max_chars"), [(5, 10), (6, 10), (-1, 10), (0, 0)])
def test_a_part_outside_of_the_text_is_an_error(start: int, max_chars: int) -> None:
    with pytest.raises(FetchError):
        cut("hello", start, max_chars)


def test_a_heading_goes_with_the_text_below_it() -> None:
    text = "a" * 180 + "\n\n## Trade\n\n### Salt\n\n" + "Salt was dear. " * 20
    assert cut(text, 0, 204).text == "a" * 180 + "\n\n"
    assert cut(text, 182, 204).text.startswith("## Trade\n\n### Salt\n\nSalt was dear.")
