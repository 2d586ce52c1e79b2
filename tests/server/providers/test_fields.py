"""Titles, snippets and dates as providers write them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.search.providers._fields import MAX_FRAGMENT_CHARS, fragment_text, iso_day, web_hit


@pytest.mark.parametrize(
    ("fragment", "text"),
    [
        ("The <b>moons</b> of <em class='hit'>Uranus</em>", "The moons of Uranus"),
        ("A &amp; B &lt;b&gt; &#39;c&#39;&nbsp;d", "A & B <b> 'c' d"),
        ("one<br>two<br/>three<p>four</p>", "one two three four"),
        ("std::vector<int> and List<String>", "std::vector<int> and List<String>"),
        ("a < b and c > d, x <y", "a < b and c > d, x <y"),
        ("<script>alert('<b>')</script>Safe<style>b{}</style>", "Safe"),
        ("before <!-- hidden <b>note</b> --> after", "before after"),
        ("<SCRIPT SRC=x></SCRIPT ><IMG SRC=x onerror=alert(1)>text", "text"),
        ("line\none\ttwo\r\n three", "line one two three"),
        ("\u202eevil\u200b \x1b[31mred\x00", "evil [31mred"),
        ("", ""),
    ],
)
def test_fragments_become_plain_text(fragment: str, text: str) -> None:
    assert fragment_text(fragment) == text


@given(st.text(alphabet=st.sampled_from(list("<>/!-scriptbaem&;# \u202e\n")), max_size=400))
def test_any_fragment_becomes_one_short_printable_line(fragment: str) -> None:
    text = fragment_text(fragment)
    assert text.isprintable() or not text
    assert len(text) <= MAX_FRAGMENT_CHARS


@pytest.mark.parametrize("piece", ["<script ", "<!--", "<b ", "<br", "&", "<scripT>x"])
def test_a_hostile_fragment_takes_no_longer_than_its_length(piece: str) -> None:
    began = time.process_time()
    fragment_text(piece * 100_000)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("told", "day"),
    [
        ("2024-05-01", "2024-05-01"),
        ("2024-05-01T12:30:00.000Z", "2024-05-01"),
        ("2024-05-01 12:30:00+02:00", "2024-05-01"),
        ("Aug 31, 2022", "2022-08-31"),
        ("August 31 2022", "2022-08-31"),
        ("31 Aug 2022", "2022-08-31"),
        ("Wed, 31 Aug 2022 07:28:00 GMT", "2022-08-31"),
        ("3 days ago", "3 days ago"),
        ("2024-13-45", "2024-13-45"),
        ("Foo 31, 2022", "Foo 31, 2022"),
        ("0000-01-01", "0000-01-01"),
        ("", ""),
        ("x" * 100, "x" * 39 + "…"),
    ],
)
def test_dates_become_days_where_they_can_be_read(told: str, day: str) -> None:
    assert iso_day(told) == day


def test_the_url_of_a_hit_is_one_clean_line() -> None:
    assert web_hit("https://a.example/\u202ex\n", "t", "p").url == "https://a.example/x"
