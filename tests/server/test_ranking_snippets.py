"""Previews of passages in search results."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.corpus.build import build_index
from mcp_server.corpus.index import LocalIndex
from mcp_server.corpus.ranking.question import Question, read_question
from mcp_server.corpus.ranking.snippets import GAP, snippet
from mcp_server.corpus.sources.json_lines import JsonLinesSource
from mcp_server.corpus.storage.snapshot import Snapshot

TEXT = (
    "## The bridge\n\nThe Harrow Bridge spans the river Ull at Norwick. "
    + "Many people cross it on foot each day of the year. " * 8
    + "Its keeper in the flood of 1911 was Alma Reed. "
    + "Boats pass under it by night, and their lamps are green. " * 8
)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    folder = tmp_path_factory.mktemp("snippets")
    (folder / "one.jsonl").write_text('{"_id": "1", "title": "One", "text": "The keeper."}\n')
    build_index([JsonLinesSource(folder / "one.jsonl")], folder / "index")
    return LocalIndex(folder / "index").snapshot()


def asked(reader: Snapshot, text: str) -> Question:
    return read_question(reader, text, "en")


def test_the_sentence_that_answers_is_shown(reader: Snapshot) -> None:
    question = asked(reader, "Who was the keeper of the Harrow Bridge in the flood of 1911?")
    shown = snippet(TEXT, "Harrow Bridge", question, 160)
    assert "was Alma Reed." in shown
    assert len(shown) <= 160


def test_sentences_that_do_not_follow_each_other_are_set_apart(reader: Snapshot) -> None:
    question = asked(reader, "keeper of the Harrow Bridge in the flood")
    shown = snippet(TEXT, "Harrow Bridge", question, 200)
    assert f"{GAP}Its keeper" in shown


def test_a_short_text_is_shown_whole_on_one_line_without_heading_marks(reader: Snapshot) -> None:
    shown = snippet("# Ull\n\nA  river.\n### Bridges\nTwo.", "Ull", asked(reader, "river"), 300)
    assert shown == "Ull A river. Bridges Two."


def test_without_a_match_the_beginning_is_shown(reader: Snapshot) -> None:
    shown = snippet(TEXT, "Harrow Bridge", asked(reader, "zebra"), 120)
    assert shown.startswith("The bridge The Harrow Bridge spans")


def test_what_is_cut_is_cut_at_a_word(reader: Snapshot) -> None:
    text = "Ull " + "flows on and on " * 100
    shown = snippet(text, "", asked(reader, "Ull"), 100)
    assert shown.endswith("…")
    assert set(shown.rstrip("…").split()) <= {"Ull", "flows", "on", "and"}


@settings(max_examples=80, deadline=None)
@given(
    st.text(max_size=600)
    | st.lists(st.sampled_from([*TEXT.split(), "塔。", "#", "\n"])).map(" ".join),
    st.text(max_size=40),
    st.integers(min_value=1, max_value=300),
)
def test_any_preview_is_one_clean_line_within_its_bound(
    reader: Snapshot, text: str, question: str, max_chars: int
) -> None:
    shown = snippet(text, question, asked(reader, question), max_chars)
    assert len(shown) <= max_chars
    assert "\n" not in shown
