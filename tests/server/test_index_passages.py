from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mcp_server.corpus.build import build_index
from mcp_server.corpus.index import LocalIndex
from mcp_server.corpus.storage.passages import MAX_WORDS, WHOLE_WORDS, count_words, split_passages
from mcp_server.corpus.storage.records import pack, unpack
from mcp_server.corpus.types import Document
from mcp_server.search.types import SearchQuery
from mcp_server.visit.types import Link
from tests.support.document_list import DocumentList

PIECES = st.sampled_from(
    [
        "word",
        "Two words",
        ". ",
        "! ",
        "\n",
        "\n\n",
        "\n\n## ",
        " ",
        "中文",
        "。",
        "x" * 50,
        "é",
        "\0",
    ]
)
TEXTS = st.lists(st.tuples(PIECES, st.integers(1, 120)), max_size=30).map(
    lambda runs: "".join(piece * times for piece, times in runs)
)


@given(TEXTS)
def test_passages_join_to_the_text_and_none_is_long(text: str) -> None:
    passages = split_passages(text)
    assert "".join(passages) == text
    assert all(passages) or passages == [""]
    assert all(count_words(passage) <= WHOLE_WORDS + 1 for passage in passages)


@given(TEXTS)
def test_a_short_text_is_one_passage(text: str) -> None:
    if count_words(text) <= WHOLE_WORDS:
        assert split_passages(text) == [text]


def test_passages_end_with_sentences_and_sections_where_they_can() -> None:
    sentence = "This is a sentence of exactly nine words here. "
    section = "## A heading\n\n" + sentence * 12 + "\n\n"
    passages = split_passages(section * 6)
    assert all(passage.startswith("## A heading") for passage in passages)
    long_paragraph = split_passages(sentence * 100)
    assert all(passage.endswith("here. ") for passage in long_paragraph)
    assert all(100 <= count_words(passage) <= MAX_WORDS for passage in long_paragraph)


def test_a_text_without_any_border_is_cut_in_linear_time() -> None:
    for text in ("a" * 300_000, "中" * 50_000, "\n" * 50_000, "! " * 50_000, ".\n" * 50_000):
        passages = split_passages(text)
        assert "".join(passages) == text
        assert max(map(len, passages)) <= 20 * WHOLE_WORDS


@given(
    st.builds(
        Document,
        id=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
        url=st.text(st.characters(codec="utf-8", exclude_characters="\0")),
        title=st.text(st.characters(codec="utf-8", exclude_characters="\0")),
        text=st.text(st.characters(codec="utf-8")),
        published=st.sampled_from(["", "2024-05-17"]),
        links=st.lists(
            st.builds(Link, text=st.text(st.characters(codec="utf-8")), url=st.just("https://a.b"))
        ).map(tuple),
    ),
)
def test_a_record_comes_back_as_it_was(document: Document) -> None:
    texts = [document.text, "", "The rest."]
    for part, packed in enumerate(pack(document, texts)):
        record = unpack(packed)
        passage = record.passage
        assert (passage.document_id, passage.url, passage.title, passage.text, passage.part) == (
            (document.id, document.url, document.title, texts[part], part)
        )
        assert passage.published == document.published
        assert record.links == (() if part else document.links)


def articles(texts: Sequence[str]) -> list[Document]:
    return [
        Document(id=f"d{number}", url=f"https://wiki.example/{number}", title="Title", text=text)
        for number, text in enumerate(texts)
    ]


def test_a_long_document_is_found_by_its_passage_and_read_whole(tmp_path: Path) -> None:
    filler = "Nothing of interest is said in this sentence about the weather. " * 30
    text = f"{filler}\n\n## Discovery\n\nThe okapi was described in 1901.\n\n{filler}"
    documents = articles([text, "A short text on okapi.", filler * 20 + "\n\n中文。" * 400])
    build_index([DocumentList(documents)], tmp_path / "index")
    index = LocalIndex(tmp_path / "index")
    assert index.manifest.documents == 3
    assert index.manifest.passages > 20
    question = SearchQuery(text="okapi described in 1901", preview_chars=200)
    plain = [hit.document_id for hit in index.search_plain(question)]
    hits = index.search(question)
    assert plain == [hit.document_id for hit in hits] == ["d0", "d1"]
    assert "The okapi was described in 1901." in hits[0].preview
    for document in documents:
        page = index.page_at(document.url)
        assert page is not None
        assert page.text == document.text


def test_hits_are_one_per_document_on_every_page(tmp_path: Path) -> None:
    section = "The okapi lives here. " + "Some more words follow in this line. " * 30
    documents = articles([f"{section}\n\n" * 40] * 12)
    build_index([DocumentList(documents)], tmp_path / "index")
    index = LocalIndex(tmp_path / "index")
    found = [
        hit.document_id
        for page in (1, 2, 3)
        for hit in index.search_plain(SearchQuery(text="okapi", limit=5, page=page))
    ]
    assert sorted(found) == sorted(document.id for document in documents)
