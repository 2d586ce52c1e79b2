"""What pages say about themselves."""

import gzip
import json
import time
from pathlib import Path

import pytest
from selectolax.lexbor import LexborHTMLParser

from mcp_server.extract.html.metadata import iso_date, read_metadata
from mcp_server.extract.html.page_urls import PageUrls
from mcp_server.visit.types import Metadata

URL = "https://www.example.com/dir/page"


def read(markup: str, url: str = URL) -> tuple[str, Metadata]:
    tree = LexborHTMLParser(markup)
    return read_metadata(tree, PageUrls(tree, url), url)


def json_ld(value: object) -> str:
    return f'<script type="application/ld+json">{json.dumps(value)}</script>'


ARTICLE = {
    "@context": "https://schema.org",
    "@graph": [
        {"@type": "Organization", "name": "The Paper"},
        {
            "@type": "NewsArticle",
            "headline": "Rain &amp; sun",
            "author": [{"@type": "Person", "name": "Ann Lee"}, {"name": "Bob Ray"}],
            "datePublished": "2025-08-19T23:30:00-05:00",
        },
    ],
}


@pytest.mark.parametrize(
    ("markup", "title"),
    [
        ("<title>How to sail | The Paper</title><h1>How to sail</h1>", "How to sail"),
        (
            "<title>How to sail - The Paper</title><h1>The Paper</h1><h1>How to sail</h1>",
            "How to sail",
        ),
        ("<meta property=og:title content='Sail now'><title>x</title>", "Sail now"),
        ("<title>Sail now - part 2 | The Paper</title>", "Sail now"),
        ("<title>Example | Sail now</title>", "Sail now"),
        (
            "<meta property=og:site_name content='Le Mot'><title>Le Mot: Voile</title>",
            "Le Mot: Voile",
        ),
        ("<title>Read-only memory</title>", "Read-only memory"),
        (json_ld(ARTICLE) + "<title>Weather</title>", "Rain & sun"),
        ("<meta name=citation_title content='On sails'><title>Journal</title>", "On sails"),
        ("<h1>Only <i>a</i>\n heading¶</h1>", "Only a heading"),
        ("<title>Example</title>", "Example"),
        ("<p>Nothing", ""),
    ],
)
def test_the_title_is_that_of_the_page_and_not_of_the_site(markup: str, title: str) -> None:
    assert read(markup)[0] == title


@pytest.mark.parametrize(
    ("markup", "author"),
    [
        (json_ld(ARTICLE), "Ann Lee, Bob Ray"),
        (json_ld({"headline": "x", "author": "Ann Lee"}), "Ann Lee"),
        ("<meta name=author content='By Ann Lee'>", "Ann Lee"),
        (
            "<meta name=citation_author content='Lee, A'><meta name=citation_author content=B>",
            "Lee, A, B",
        ),
        ("<meta property=article:author content='https://social.example/ann'>", ""),
        ("<p>By <a rel=author href=/ann>Ann Lee</a>", "Ann Lee"),
        (
            "<div itemprop=author><img><span itemprop=name>Ann Lee</span> 14k points</div>",
            "Ann Lee",
        ),
        ("<div class='post-author'>by Ann Lee</div>", "Ann Lee"),
        ("<div class=byline>Our team of experts has tested forty of these</div>", ""),
        ("<p>x", ""),
    ],
)
def test_the_author_is_a_name(markup: str, author: str) -> None:
    assert read(markup)[1].author == author


@pytest.mark.parametrize(
    ("markup", "published"),
    [
        (json_ld(ARTICLE), "2025-08-19"),
        ("<meta property='article:published_time' content='2024-02-29T00:00:00Z'>", "2024-02-29"),
        ("<meta name=citation_publication_date content='2017/06'>", "2017-06"),
        ("<time datetime='2023-01-02T03:04'>then</time>", "2023-01-02"),
        ("<span itemprop=datePublished content='2021-05-06'>x</span>", "2021-05-06"),
        ("<p class=date>March 3, 2022</p>", "2022-03-03"),
        ("<meta property='article:modified_time' content='2020-01-01'>", "2020-01-01"),
        ("<p>x", ""),
    ],
)
def test_the_date_is_when_the_page_was_published(markup: str, published: str) -> None:
    assert read(markup)[1].published == published


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2026-11-23", "2026-11-23"),
        (" 2026-11-23T10:00:00+02:00", "2026-11-23"),
        ("20261123", "2026-11-23"),
        ("2026/11/23", "2026-11-23"),
        ("2026.11.23", "2026-11-23"),
        ("2026-11", "2026-11"),
        ("2026", "2026"),
        ("Nov. 3, 2026 at noon", "2026-11-03"),
        ("3rd November 2026", "2026-11-03"),
        ("2026-02-30", ""),
        ("Foo 3, 2026", ""),
        ("0000-00-00", ""),
        ("1763856000", ""),
        ("yesterday", ""),
        ("٢٠٢٦-١١-٢٣", ""),
    ],
)
def test_a_date_is_read_as_iso_8601(text: str, date: str) -> None:
    assert iso_date(text) == date


def test_a_byline_in_a_shop_is_not_that_of_the_page() -> None:
    metadata = read(
        "<meta property=og:type content=product><p class=author>Ann</p><p class=date>2020-01-01"
    )[1]
    assert (metadata.author, metadata.published) == ("", "")


def test_language_canonical_url_and_site_are_those_that_the_page_names() -> None:
    metadata = read(
        """<html lang="pt_BR"><link rel="canonical" href="/other?a=1">
        <meta property="og:site_name" content=" The  Paper ">"""
    )[1]
    assert metadata.language == "pt-BR"
    assert metadata.canonical_url == "https://www.example.com/other?a=1"
    assert metadata.site == "The Paper"


@pytest.mark.parametrize("href", ["javascript:x()", "file:///etc/passwd", "http://[bad", ""])
def test_a_canonical_url_is_on_the_web(href: str) -> None:
    assert read(f"<link rel=canonical href='{href}'>")[1].canonical_url == ""


@pytest.mark.parametrize(
    "markup",
    [
        '<script type="application/ld+json">' + "[" * 100_000 + "</script>",
        '<script type="application/ld+json">{"headline": "\\ud800 \\udc00x"}</script>',
        '<script type="application/ld+json">{"headline": ' + "9" * 10_000 + "}</script>",
        '<script type="application/ld+json">{"headline": "' + "x" * 600_000 + '"}</script>',
        '<script type="application/ld+json">{"author": {"name": {"a": 1}}}</script>',
        "<meta name=author content=x>" * 5_000,
        f"<title>{'long ' * 100_000}</title>",
        f"<h1>{'| ' * 100_000}</h1><title>{' ' * 100_000}</title>",
        "<p class=author>" * 2_000,
    ],
    ids="deep surrogate digits huge nested metas title spaces authors".split(),
)
def test_hostile_metadata_is_bounded_and_can_be_encoded(markup: str) -> None:
    started = time.process_time()
    title, metadata = read(markup)
    (title + metadata.author).encode()
    assert len(title) <= 300
    assert len(metadata.author) <= 2_000
    assert time.process_time() - started < 2


@pytest.mark.shared_data
def test_titles_and_dates_of_real_pages_are_mostly_right(shared_data: Path) -> None:

    folder = shared_data / "extraction"
    right = {"title": 0, "publish_date": 0}
    known = {"title": 0, "publish_date": 0}
    for path in sorted((folder / "truth").glob("*.json"))[::4]:
        record = json.loads(path.read_bytes())
        truth = record["ground_truth"]
        markup = gzip.decompress((folder / "html" / f"{path.stem}.html.gz").read_bytes())
        title, metadata = read(markup.decode("utf-8", "replace"), record["url"])
        for key, said in (("title", title), ("publish_date", metadata.published)):
            if truth[key]:
                known[key] += 1
                right[key] += "".join(said.split()).lower() == "".join(truth[key].split()).lower()
    assert right["title"] >= 0.6 * known["title"]
    assert right["publish_date"] >= 0.65 * known["publish_date"]
