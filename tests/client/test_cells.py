"""Texts fit into the cells that a terminal has."""

import pytest
import wcwidth

from agent_client.clean import terminal_text
from agent_client.cli.cells import cells, clipped, clipped_before, wrapped

TEXTS = (
    "plain words only",
    "灯塔建于一八七一年，位于海岸线的北端。",
    "e\u0301te\u0301 a\u0302\u0323 Việt Nam",
    "한국어 \u1112\u1161\u11ab 가나다",
    "ﾊﾝｶｸ ｶﾅ ＡＢＣ",
    "สวัสดี ภาษาไทย",
    "🙂 and 🚀🚀 emoji",
    "❤\ufe0f a heart",
    "مرحبا بالعالم",
    "x" * 300,
    "",
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_takes_at_least_the_cells_that_a_terminal_gives_it(text: str) -> None:
    width = wcwidth.wcswidth(text)
    assert width <= cells(text) <= width + text.count("\ufe0f")


@pytest.mark.parametrize("width", [2, 7, 40])
@pytest.mark.parametrize("text", TEXTS)
def test_wrapped_lines_fit_and_lose_nothing_but_blanks(text: str, width: int) -> None:
    lines = wrapped(f"{text}\n\n{text}", width)
    assert max(map(cells, lines)) <= width
    assert "".join("".join(lines).split()) == "".join((text + text).split())
    assert "" in lines


@pytest.mark.parametrize("width", [0, 1, 2, 9])
@pytest.mark.parametrize("text", TEXTS)
def test_a_cut_line_fits_from_either_side(text: str, width: int) -> None:
    for cut in (clipped(text, width), clipped_before(text, width)):
        assert cells(cut) <= width
    if cells(text) <= width:
        assert clipped(text, width) == clipped_before(text, width) == text


def test_lines_are_broken_between_words_where_there_are_any() -> None:
    assert wrapped("one two  three", 8) == ["one two", "three"]
    assert wrapped("see 灯塔建于。海", 10) == ["see 灯塔建", "于。海"]
    assert wrapped("see 灯塔建。海", 10) == ["see 灯塔", "建。海"]
    assert wrapped("- a\tb", 20) == ["- a    b"]
    assert wrapped("abcdefgh ij", 5) == ["abcde", "fgh", "ij"]


def test_a_mark_stays_with_its_letter() -> None:
    assert wrapped("か\u3099か\u3099", 3) == ["か\u3099", "か\u3099"]
    assert wrapped("ae\u0301" * 2, 2) == ["ae\u0301", "ae\u0301"]
    assert clipped_before("xe\u0301z", 2) == "…z"


def test_a_flood_of_marks_is_cut_and_real_words_are_not() -> None:
    assert terminal_text("a" + "\u0301" * 50 + "b") == "a" + "\u0301" * 4 + "b"
    for text in TEXTS:
        assert terminal_text(text) == text
