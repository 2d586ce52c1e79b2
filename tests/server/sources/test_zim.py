from pathlib import Path

import pytest

from mcp_server.corpus.sources.opening import open_source
from mcp_server.corpus.sources.zim import ZimSource
from mcp_server.errors import CorpusError
from tests.server.sources.samples import write_zim


def first_url(path: Path, base_url: str = "") -> str:
    return next(iter(open_source(path, base_url=base_url).read())).document.url


def test_pages_are_read_without_redirects_and_style_sheets(tmp_path: Path) -> None:
    source = open_source(write_zim(tmp_path / "a.zim", 2))
    assert isinstance(source, ZimSource)
    found = [item.document for item in source.read()]
    assert [page.title for page in found] == ["Page 0", "Page 1"]
    assert "Text of the document 1" in found[1].text
    assert source.skipped == 0


@pytest.mark.parametrize(
    ("metadata", "url"),
    [
        ({}, "corpus://a/Page_000"),
        ({"Source": "https://d.example.org/en"}, "https://d.example.org/en/Page_000"),
        ({"Name": "wikivoyage_de_all_maxi"}, "https://de.wikivoyage.org/wiki/Page_000"),
        (
            {"Source": "w.example.org", "Scraper": "mwoffliner 1.14"},
            "https://w.example.org/wiki/Page_000",
        ),
        ({"Source": "https://a.example.org/", "Scraper": "zimit 3"}, "https://Page_000"),
    ],
)
def test_the_url_is_that_of_the_site_which_the_archive_names(
    tmp_path: Path, metadata: dict[str, str], url: str
) -> None:
    assert first_url(write_zim(tmp_path / "a.zim", 1, metadata)) == url


def test_a_base_url_takes_the_place_of_what_the_archive_says(tmp_path: Path) -> None:
    path = write_zim(tmp_path / "a.zim", 1, {"Source": "https://docs.example.org/"})
    assert first_url(path, "https://mirror.example/x") == "https://mirror.example/x/Page_000"


@pytest.mark.parametrize("keep", [200, -300])
def test_an_archive_that_was_cut_short_is_an_error(tmp_path: Path, keep: int) -> None:
    path = write_zim(tmp_path / "a.zim", 30)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CorpusError):
        list(open_source(path).read())
