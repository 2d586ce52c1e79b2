"""What never leaves the server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.clean import clean, clean_line


@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        ("a\x1b[31mb", "a[31mb"),
        ("a\x1b]52;c;eA==\x07b", "a]52;c;eA==b"),
        ("a\x9bb\x00c\x7fd", "abcd"),
        ("safe\u202egnp.exe", "safegnp.exe"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("tag\U000e0041\U000e0042", "tag"),
        ("half\ud800\udc00", "half"),
        ("![x](http://evil/?q=1)", "[x](http://evil/?q=1)"),
        ("!!![x](y)", "[x](y)"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("a  \n\n\n\n b ", "a\n\n b"),
        ("a\u00a0b\tc", "a b\tc"),
        ("wow! [x]", "wow! [x]"),
        ("中文 é 🎉", "中文 é 🎉"),
    ],
)
def test_dangerous_characters_are_dropped_and_text_stays(dirty: str, expected: str) -> None:
    assert clean(dirty) == expected


@given(st.text(alphabet=st.characters(), max_size=200))
def test_cleaning_twice_changes_nothing_and_the_result_is_encodable(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    once.encode("utf-8")


@given(st.text(alphabet="![](x)\u200b\n ", max_size=60))
def test_no_image_is_left_whatever_was_hidden_between_its_marks(text: str) -> None:
    assert "![" not in clean(text)


@given(st.text(max_size=200), st.integers(min_value=2, max_value=50))
def test_a_line_is_one_line_within_its_bound(text: str, max_chars: int) -> None:
    line = clean_line(text, max_chars)
    assert len(line) <= max_chars
    assert "\n" not in line


def test_a_long_line_is_cut_at_a_word() -> None:
    assert clean_line("one two  three\nfour", 17) == "one two three…"
    assert clean_line("one two three", 13) == "one two three"


@pytest.mark.parametrize("text", ["!" * 500_000, "\n" * 500_000, " " * 500_000, "![" * 250_000])
def test_cleaning_is_linear(text: str) -> None:
    clean(text)
