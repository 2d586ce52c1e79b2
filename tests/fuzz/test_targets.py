"""What is fuzzed by `make fuzz` holds for the seeds and for what is made of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.drawing import Drawing, pieces_of
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

IN_PROCESS = [target for target in TARGETS.values() if target.name != "children"]
"""A child for each example would take a second; its seeds are read by one."""

EXAMPLES = 40
FOUND: dict[str, tuple[bytes, ...]] = {
    "escapers": (b"https://example.com/\x8c\nwords",),  # half of a surrogate pair in a URL
    "media-types": (b"application/xml\xc1\n<?xml?><a/>",),  # no letter of a media type
    "cleaning": (b"http:1...........",),  # a host that is a number without its dots
    "robots": (b"\x01User-agent: *\nDisallow: /p\nAllow: /p/q$\n\nUser-agent: Seekl\n",),
    "urls": (b"\x01a?b=]#c",),  # a bracket at the end of a redirect is no junk
    "decoders": (
        # A frame that says it holds a byte and holds none, behind one that is skipped.
        bytes.fromhex(
            "0300f90008ffff5a2a4d18010000006128b52ffd20010100000000000000020400000900006300020012"
            "7d78bb0000"
        ),
        # A frame that says it holds 14,368 bytes and ends in an empty block, cut in its middle.
        bytes.fromhex("03050002000000") + bytes.fromhex("28b52ffd602037010000"),
    ),
    # A table whose title over all columns holds no text.
    "extractors": (b"<main><table><th colspan=2><tr><td>1<td>2</table>" + b"word " * 50,),
}
"""Inputs by which a search once broke a promise."""


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_the_promise_holds_for_the_seeds_and_what_was_found_before(target: Target) -> None:
    for data in (b"", *target.seeds, *FOUND.get(target.name, ())):
        target.check(data)


@pytest.mark.parametrize("target", IN_PROCESS, ids=[target.name for target in IN_PROCESS])
def test_the_promise_holds_for_changed_seeds(target: Target) -> None:
    @settings(max_examples=EXAMPLES)
    @given(changed(target.seeds))
    def holds(data: bytes) -> None:
        target.check(data)

    holds()


@st.composite
def changed(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A seed with some bytes replaced by others: from another seed, or any."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 20)))
        other = draw(st.sampled_from(seeds))
        begin = draw(st.integers(0, len(other)))
        put = draw(st.one_of(st.binary(max_size=8), st.just(other[begin : begin + 30])))
        data = data[:start] + put + data[end:]
    return data


def test_a_drawing_gives_every_byte_once() -> None:
    drawn = Drawing(b"\x05\x01\x02line\nrest\n")
    assert (drawn.number(9), drawn.number(65_535)) == (5, 0x0201)
    assert (drawn.line(), drawn.rest(), drawn.rest()) == (b"line", b"rest\n", b"")
    assert (drawn.number(9), drawn.line()) == (0, b"")


def test_pieces_join_to_the_whole() -> None:
    assert pieces_of(b"abcdef", [2, 9, 2]) == [b"ab", b"cdef"]
    assert pieces_of(b"abcdef", [3, 1]) == [b"a", b"bc", b"def"]
