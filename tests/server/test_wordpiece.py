"""Word pieces, as BERT models read them."""

import hashlib
import time
from importlib.resources import files

import pytest

from mcp_server.semantic.wordpiece import WordPieces

START, UNKNOWN, END = 101, 100, 102


@pytest.fixture(scope="module")
def pieces() -> WordPieces:
    return WordPieces()


def test_the_vocabulary_is_the_published_one() -> None:
    vocabulary = files("mcp_server.semantic").joinpath("vocabulary.txt").read_bytes()
    assert (
        hashlib.sha256(vocabulary).hexdigest()
        == "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
    )


@pytest.mark.parametrize(
    ("text", "numbers"),
    [  # each as the `tokenizers` package gives it for bert-base-uncased
        ("", []),
        ("Who designed the lighthouse?", [2040, 2881, 1996, 10171, 1029]),
        ("Élan vital; naïve CAFÉ", [3449, 2319, 8995, 1025, 15743, 7668]),
        ("unaffable lighthouses", [14477, 20961, 3468, 10171, 2015]),
        ("don't e-mail $5.99", [2123, 1005, 1056, 1041, 1011, 5653, 1002, 1019, 1012, 5585]),
        ("Kraków, İstanbul, Straße", [14576, 1010, 9960, 1010, 2358, 27807]),
        ("灯塔 in 1874年", [UNKNOWN, UNKNOWN, 1999, 7586, 1840]),
        ("서울", [1461, 30008, 29999, 30014, 30022]),
        ("ΣΊΣΥΦΟΣ", [1173, 18199, 29733, 29735, 29736, 29730, 29733]),
        ("zero\u200bwidth\x00 and\u00a0space\ttab", [5717, 9148, 11927, 2232, 1998, 2686, 21628]),
        ("x" * 100, [22038, *[20348] * 49]),
        ("x" * 101, [UNKNOWN]),
        ("🜚 ½ ﬁ", [UNKNOWN, 1092, 1984]),
    ],
)
def test_texts_are_cut_as_the_model_learned_them(
    pieces: WordPieces, text: str, numbers: list[int]
) -> None:
    assert pieces.encode(text, 100) == [START, *numbers, END]


def test_a_page_cannot_write_the_marks_of_start_and_end(pieces: WordPieces) -> None:
    assert not {START, END} & set(pieces.encode("[CLS] harbour [SEP]", 100)[1:-1])


def test_no_more_pieces_come_than_wanted(pieces: WordPieces) -> None:
    whole = pieces.encode("unaffable lighthouses by the sea", 100)
    for most in range(2, len(whole)):
        assert pieces.encode("unaffable lighthouses by the sea", most) == [*whole[: most - 1], END]


@pytest.mark.parametrize("unit", ["a", "a ", "\u0301", "灯", "?", "é", "x" * 101 + " ", "\x00"])
def test_a_huge_text_takes_no_longer_than_its_first_pieces(pieces: WordPieces, unit: str) -> None:
    text = unit * (4_000_000 // len(unit))
    started = time.process_time()
    assert len(pieces.encode(text, 64)) <= 64
    assert time.process_time() - started < 0.5  # seconds: the whole text would take several
