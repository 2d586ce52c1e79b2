"""What never leaves the server."""

import threading
import time

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
        ("filler\u3164\u034f\u180e", "filler"),
        ("☎\ufe0f sign\ufe01\ufe02\ufe01", "☎\ufe0f sign"),
        ("!\ufe00\ufe01[x](y)", "! [x](y)"),
        ("half\ud800\udc00", "half"),
        ("![x](http://evil/?q=1)", "! [x](http://evil/?q=1)"),
        ("!!![x](y)", "!!! [x](y)"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("a  \n\n\n\n b ", "a\n\n b"),
        ("a\u00a0b\tc", "a b\tc"),
        ("wow! [x]", "wow! [x]"),
        ("中文 é 🎉", "中文 é 🎉"),
    ],
)
def test_dangerous_characters_are_dropped_and_text_stays(dirty: str, expected: str) -> None:
    assert clean(dirty) == expected


def test_no_character_that_has_to_go_is_missed_in_text_that_looks_clean() -> None:
    every = "".join(map(chr, range(0x11_0000)))
    kept = set(clean(every))  # the tab in it has the text read character by character
    dropped = [char for char in every if char not in kept and not char.isspace()]
    assert len(dropped) > 6_000
    assert [char for char in dropped if clean(f"a{char}{char}b") != "ab"] == []


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


BLOCK_CHARS = 256 * 1024


@pytest.mark.parametrize("before", range(5))
@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        ("a!![b", "a!! [b"),
        ("a \n\n \n\nb", "a\n\nb"),
        ("a   b", "a   b"),
        ("a\ufe01\ufe02b", "ab"),
        ("a!\u200b[b", "a! [b"),
    ],
)
def test_a_long_text_is_cleaned_alike_wherever_it_is_cut(
    dirty: str, expected: str, before: int
) -> None:
    filler = "x" * (BLOCK_CHARS - before)
    assert clean(filler + dirty + filler) == filler + expected + filler


def test_a_long_text_keeps_nobody_waiting() -> None:
    latest, stop = [time.process_time()], threading.Event()
    gaps: list[float] = []

    def watch() -> None:
        while not stop.wait(0.002):
            now = time.process_time()
            gaps.append(now - latest[0])
            latest[0] = now

    watcher = threading.Thread(target=watch)
    watcher.start()
    clean("![" * 2_000_000 + " \n" * 1_000_000)
    stop.set()
    watcher.join()
    assert max(gaps) < 0.3  # seconds of the processor; all of it takes half a second or more


@pytest.mark.parametrize("text", ["!" * 500_000, "\n" * 500_000, " " * 500_000, "![" * 250_000])
def test_cleaning_is_linear(text: str) -> None:
    clean(text)
