from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_client.model.reasoning import Piece, ReasoningSplitter, ShownText, split_reasoning

PARTS = st.lists(
    st.sampled_from(["<think>", "</think>", "<th", "ink>", "</", "<", " ", "\n", "a", "é", "wörd"]),
    max_size=12,
).map("".join)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("42", Piece("", "42"), id="no reasoning"),
        pytest.param("<think>\nhm\n</think>\n\n42", Piece("hm", "42"), id="both tags"),
        pytest.param("hm\n</think>\n42", Piece("hm", "42"), id="only the closing tag"),
        pytest.param("<think>hm", Piece("hm", ""), id="never closed"),
        pytest.param("<think></think>42", Piece("", "42"), id="empty reasoning"),
        pytest.param("<think>a</think>b<think>c</think>d", Piece("a\n\nc", "b\n\nd"), id="twice"),
        pytest.param("1 <thin 2", Piece("", "1 <thin 2"), id="almost a tag"),
        pytest.param("", Piece(), id="nothing"),
    ],
)
def test_reasoning_is_told_from_text(raw: str, expected: Piece) -> None:
    assert split_reasoning(raw) == expected


def _fed(raw: str, cuts: list[int]) -> tuple[str, str, Piece]:
    splitter = ReasoningSplitter()
    places = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    pieces = [splitter.feed(raw[start:end]) for start, end in pairwise(places)]
    reasoning = "".join(piece.reasoning for piece in pieces)
    return reasoning, "".join(piece.text for piece in pieces), splitter.finish()


@given(raw=PARTS, cuts=st.lists(st.integers(min_value=0, max_value=60), max_size=8))
def test_the_result_does_not_depend_on_how_the_text_was_cut(raw: str, cuts: list[int]) -> None:
    assert _fed(raw, cuts) == _fed(raw, [])


@given(raw=PARTS)
def test_the_result_is_the_same_one_character_at_a_time(raw: str) -> None:
    assert _fed(raw, list(range(len(raw)))) == _fed(raw, [])


def test_pieces_come_out_as_soon_as_they_are_certain() -> None:
    splitter = ReasoningSplitter()
    fed = ["<thi", "nk>\nI wo", "nder", " </th", "ink>\n\n", "4", "2"]
    assert [splitter.feed(chunk) for chunk in fed] == [
        Piece(),
        Piece("I wo"),
        Piece("nder"),
        Piece(),
        Piece(),
        Piece("", "4"),
        Piece("", "2"),
    ]


@given(st.lists(st.sampled_from(["a", " ", "<tool", "_call>", "<", "{}"]), max_size=8))
def test_text_is_shown_up_to_a_call_and_without_outer_space(parts: list[str]) -> None:
    shown = ShownText("<tool_call>")
    told = "".join(shown.feed(part) for part in parts)
    before, tag, _ = "".join(parts).partition("<tool_call>")
    assert before.strip().startswith(told)
    if tag:
        assert told == before.strip()
