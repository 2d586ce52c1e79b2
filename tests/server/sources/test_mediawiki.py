import bz2
from pathlib import Path

import pytest

from mcp_server.corpus.sources import mediawiki
from mcp_server.corpus.sources.opening import open_source
from mcp_server.corpus.types import Document
from mcp_server.errors import CorpusError
from mcp_server.visit.types import Link
from tests.server.sources.samples import DUMP_HEAD, dump_page, dump_pages, write_dump


def documents(path: Path, base_url: str = "") -> list[Document]:
    return [item.document for item in open_source(path, base_url=base_url).read()]


def test_articles_are_read_and_redirects_and_talk_are_not(tmp_path: Path) -> None:
    (found,) = documents(write_dump(tmp_path / "wiki.xml", 1))
    assert found == Document(
        id="Article 0",
        url="https://en.wiki.example/wiki/Article_0",
        title="Article 0",
        text="Article 0: Text of the document 0, which is about the topic 0. that",
        links=(Link(text="that", url="https://en.wiki.example/wiki/Other_0"),),
        published="2024-05-17",
    )


def test_the_wikis_own_names_of_namespaces_count(tmp_path: Path) -> None:
    path = tmp_path / "wiki.xml"
    page = dump_page("A", "x [[Datei:A.jpg|thumb|no]] y [[Category:Z]]")
    path.write_text(DUMP_HEAD + page + "</mediawiki>")
    assert documents(path)[0].text == "x y"


def test_a_base_url_takes_the_place_of_the_wikis_own(tmp_path: Path) -> None:
    path = write_dump(tmp_path / "wiki.xml", 1)
    (found,) = documents(path, "https://mirror.example/w")
    assert found.url == "https://mirror.example/w/Article_0"


def test_titles_are_quoted_as_the_wiki_does(tmp_path: Path) -> None:
    path = tmp_path / "wiki.xml"
    path.write_text(DUMP_HEAD + dump_page("AC/DC: Live? &amp; Übel", "x") + "</mediawiki>")
    assert documents(path)[0].url == "https://en.wiki.example/wiki/AC/DC:_Live%3F_%26_%C3%9Cbel"


def test_a_dump_that_ends_too_early_is_an_error_after_its_articles(tmp_path: Path) -> None:
    path = tmp_path / "wiki.xml"
    path.write_text((DUMP_HEAD + dump_pages(0, 3))[:-200])
    reading = open_source(path).read()
    assert next(reading).document.id == "Article 0"
    with pytest.raises(CorpusError, match=r"wiki\.xml:\d+: the dump is damaged"):
        list(reading)


def test_a_multistream_dump_without_its_last_streams_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "wiki.xml.bz2"
    path.write_bytes(bz2.compress(DUMP_HEAD.encode()) + bz2.compress(dump_pages(0, 3).encode()))
    with pytest.raises(CorpusError, match="the dump is damaged"):
        documents(path)


def test_declared_entities_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xml"
    path.write_text(DUMP_HEAD + dump_page("A", "fine"))
    lolz = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE x [<!ENTITY l0 "lol">{lolz}]>'
    path.write_text("<mediawiki>" + dump_page("A", "&l9;") + "</mediawiki>")
    with pytest.raises(CorpusError, match="undefined entity"):
        documents(path)
    hidden = tmp_path / "hidden.xml"
    hidden.write_text(f"{bomb}<mediawiki>" + dump_page("A", "&l9;") + "</mediawiki>")
    with pytest.raises(CorpusError, match="declares entities"):
        list(mediawiki.MediaWikiSource(hidden).read())


@pytest.mark.parametrize(
    ("hostile", "complaint"),
    [
        ("<page><title>A</title><text>" + "x" * 3_000_000, "the page 'A' of more than 1,000,000"),
        ("<page><title " + "x" * 3_000_000, "a tag longer than 1,000,000 bytes"),
        ("<page>" + "<a>" * 200, "more than 100 tags in each other"),
    ],
)
def test_what_would_fill_the_memory_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hostile: str, complaint: str
) -> None:
    monkeypatch.setattr(mediawiki, "MAX_PAGE_CHARS", 1_000_000)
    monkeypatch.setattr(mediawiki, "MAX_TAG_BYTES", 1_000_000)
    path = tmp_path / "wiki.xml"
    path.write_text(DUMP_HEAD + hostile)
    with pytest.raises(CorpusError, match=complaint):
        documents(path)
