"""Undoing content codings within bounds."""

import itertools
import subprocess
import sys
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.visit.fetching.decoder import BodyDecoder, DamagedBody, TooLarge, UnknownCoding
from tests.support.fake_web import gzip_bytes

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b"All happy families are alike. " * 500
CODED = {
    "gzip": gzip_bytes(TEXT),
    "deflate": zlib.compress(TEXT),
    "br": brotli.compress(TEXT),
    "zstd": zstd.compress(TEXT),
}
SKIPPABLE = b"\x5a\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"


def decode(coding: str, *pieces: bytes, max_bytes: int = 1_000_000) -> bytes:
    decoder = BodyDecoder(coding, max_bytes=max_bytes)
    for piece in pieces:
        decoder.feed(piece)
    return decoder.finish()


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize("coding", CODED)
def test_a_body_is_decoded_whole_or_byte_by_byte(coding: str) -> None:
    assert decode(coding, CODED[coding]) == TEXT
    assert decode(coding, *bytewise(CODED[coding])) == TEXT


@pytest.mark.parametrize("coding", ["", "identity", " IDENTITY ", "X-GZip"])
def test_names_of_codings_are_read_as_servers_write_them(coding: str) -> None:
    body = gzip_bytes(b"text") if "g" in coding.lower() else b"text"
    assert decode(coding, body) == b"text"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip_bytes(b"one ") + gzip_bytes(b"two ") + gzip_bytes(b"three")),
        ("zstd", zstd.compress(b"one ") + zstd.compress(b"two ") + zstd.compress(b"three")),
        ("zstd", SKIPPABLE + zstd.compress(b"one two ") + SKIPPABLE + zstd.compress(b"three")),
    ],
    ids=["gzip", "zstd", "zstd with frames that carry nothing"],
)
def test_a_body_of_several_members_is_read_to_its_end_wherever_it_is_cut(
    coding: str, body: bytes
) -> None:
    assert decode(coding, *bytewise(body)) == b"one two three"
    for cut in range(len(body)):
        assert decode(coding, body[:cut], body[cut:]) == b"one two three"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("padding", [b"\0" * 40, b"\x1f", b"\x28\xb5", b"\n" + gzip_bytes(b"x")])
def test_padding_after_the_end_is_ignored(coding: str, padding: bytes) -> None:
    assert decode(coding, CODED[coding] + padding) == TEXT
    assert decode(coding, CODED[coding], *bytewise(padding)) == TEXT


def test_brotli_with_something_after_its_end_is_damaged_wherever_it_is_cut() -> None:
    for pieces in ([CODED["br"] + b"more"], [CODED["br"], b"more"]):
        with pytest.raises(DamagedBody):
            decode("br", *pieces)


def test_deflate_without_its_zlib_head_is_decoded() -> None:
    assert decode("deflate", CODED["deflate"][2:-4]) == TEXT


@pytest.mark.parametrize("coding", CODED)
def test_an_empty_body_is_empty(coding: str) -> None:
    assert decode(coding) == b""
    assert decode(coding, b"") == b""


@pytest.mark.parametrize("coding", CODED)
def test_a_body_that_ends_early_is_damaged(coding: str) -> None:
    for length in (1, len(CODED[coding]) // 2, len(CODED[coding]) - 1):
        with pytest.raises(DamagedBody):
            decode(coding, CODED[coding][:length])


@pytest.mark.parametrize("coding", CODED)
def test_a_body_in_another_coding_is_damaged(coding: str) -> None:
    with pytest.raises(DamagedBody):
        decode(coding, b"<!doctype html><p>This is not compressed at all, whatever it says.")


@pytest.mark.parametrize(
    "coding", ["compress", "gzip, gzip", "br,zstd", "gzip, identity", "aes128gcm", "x" * 9_999]
)
def test_an_unknown_or_second_coding_is_refused_and_named_shortly(coding: str) -> None:
    with pytest.raises(UnknownCoding) as caught:
        BodyDecoder(coding, max_bytes=10)
    assert len(str(caught.value)) <= 40


@pytest.mark.parametrize("coding", ["", *CODED])
def test_the_limit_is_exact_and_what_fits_is_kept(coding: str) -> None:
    body = CODED.get(coding, TEXT)
    assert decode(coding, body, max_bytes=len(TEXT)) == TEXT
    decoder = BodyDecoder(coding, max_bytes=len(TEXT) - 1)
    with pytest.raises(TooLarge):
        decoder.feed(body)
    assert decoder.decoded == TEXT[:-1]


def test_a_thousand_empty_members_are_damage() -> None:
    for coding, member in (("gzip", gzip_bytes(b"")), ("zstd", zstd.compress(b""))):
        assert decode(coding, member * 900) == b""
        with pytest.raises(DamagedBody):
            decode(coding, member * 1_100)


def test_a_frame_that_holds_less_than_it_declares_is_damaged_wherever_it_is_cut() -> None:
    body = bytes.fromhex("28b52ffd602037010000")  # declares 14,368 bytes, ends in an empty block
    for cut in range(len(body)):
        with pytest.raises(DamagedBody):
            decode("zstd", body[:cut], body[cut:])


def test_zstd_that_asks_for_a_large_window_is_refused() -> None:
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 24})
    body = packer.compress(TEXT) + packer.flush()
    with pytest.raises(DamagedBody):
        decode("zstd", body)


# The kernel's high-water mark also sees what the C libraries take; each bomb is met in a fork of
# its own, since the mark never falls.
BOMB_METER = """
import os, resource, zlib
import brotli
from mcp_server.visit.fetching.decoder import BodyDecoder, TooLarge, zstd

def peak_kib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

megabyte = bytes(1 << 20)
for coding, packer in {
    "gzip": zlib.compressobj(1, zlib.DEFLATED, 31),
    "deflate": zlib.compressobj(1),
    "br": brotli.Compressor(quality=1),
    "zstd": zstd.ZstdCompressor(),
}.items():
    pack = packer.process if coding == "br" else packer.compress
    finish = packer.finish if coding == "br" else packer.flush
    bomb = b"".join(pack(megabyte) for _ in range(100)) + finish()
    if child := os.fork():
        os.waitpid(child, 0)
        continue
    before = peak_kib()
    decoder = BodyDecoder(coding, max_bytes=20_000_000)
    try:
        decoder.feed(bomb)
    except TooLarge:
        print(coding, len(decoder.decoded), peak_kib() - before, flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize(
    ("coding", "bomb"),
    [
        ("gzip", gzip_bytes(bytes(30_000_000))),
        ("deflate", zlib.compress(bytes(30_000_000))),
        ("br", brotli.compress(bytes(30_000_000), quality=5)),
        ("zstd", zstd.compress(bytes(30_000_000))),
    ],
)
def test_a_bomb_is_decoded_in_steps_between_which_others_may_work(coding: str, bomb: bytes) -> None:
    decoder = BodyDecoder(coding, max_bytes=20_000_000)
    seen = [0]
    with pytest.raises(TooLarge):
        seen.extend(decoder.decoded_bytes for _ in decoder.steps(bomb))
    assert len(seen) > 20
    assert max(later - sooner for sooner, later in itertools.pairwise(seen)) <= 512 * 1024


def test_a_bomb_takes_little_more_memory_than_the_limit() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BOMB_METER], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["gzip", "deflate", "br", "zstd"]
    for coding, decoded_bytes, growth_kib in rows:
        assert int(decoded_bytes) == 20_000_000
        assert int(growth_kib) <= 50_000, f"{coding} took {growth_kib} KiB"


@given(
    data=st.binary(max_size=5_000),
    coding=st.sampled_from(sorted(CODED)),
    cuts=st.lists(st.integers(0, 5_000), max_size=4),
)
def test_any_body_survives_any_cutting(data: bytes, coding: str, cuts: list[int]) -> None:
    coded = {
        "gzip": gzip_bytes,
        "deflate": zlib.compress,
        "br": brotli.compress,
        "zstd": zstd.compress,
    }[coding](data)
    edges = sorted({0, *(min(cut, len(coded)) for cut in cuts), len(coded)})
    pieces = [coded[start:end] for start, end in itertools.pairwise(edges)]
    assert decode(coding, *pieces) == data


@given(data=st.binary(max_size=300), coding=st.sampled_from(sorted(CODED)))
def test_noise_is_damage_or_a_bounded_body(data: bytes, coding: str) -> None:
    start = CODED[coding][:20]
    try:
        assert len(decode(coding, start + data, max_bytes=1_000)) <= 1_000
    except (DamagedBody, TooLarge):
        return
