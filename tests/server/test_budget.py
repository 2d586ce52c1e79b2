"""Estimating tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.visit.reading.budget import chars_within, estimate_tokens

ENGLISH = "The river Vistula flows through Warsaw and Kraków to the Baltic Sea. " * 40
CHINESE = "维斯瓦河流经华沙和克拉科夫，最后注入波罗的海。" * 60
RUSSIAN = "Висла протекает через Варшаву и Краков и впадает в Балтийское море. " * 40


def test_a_budget_holds_fewer_characters_where_each_costs_more() -> None:
    english, russian, chinese = (chars_within(text, 0, 300) for text in (ENGLISH, RUSSIAN, CHINESE))
    assert english > 1.5 * russian > 2 * chinese
    assert chinese == pytest.approx(300, abs=1)


@given(st.text(alphabet="ab 中я\n", max_size=3_000), st.integers(1, 400), st.integers(0, 50))
def test_what_fits_costs_no_more_than_the_budget_and_one_more_would(
    text: str, max_tokens: int, start: int
) -> None:
    start = min(start, len(text))
    chars = chars_within(text, start, max_tokens)
    assert estimate_tokens(text[start : start + chars]) <= max_tokens + 1e-6 or chars == 1
    if start + chars < len(text):
        assert estimate_tokens(text[start : start + chars + 1]) > max_tokens - 1e-6


def test_there_is_always_a_step_forward() -> None:
    assert chars_within("中中", 0, 0) == 1
    assert chars_within("", 0, 10) == 0
