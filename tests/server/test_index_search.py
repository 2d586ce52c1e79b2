from datetime import date
from pathlib import Path

import pytest

from mcp_server.corpus.build import build_index
from mcp_server.corpus.index import LocalIndex
from mcp_server.corpus.storage.schema import day_of, domains_of, name_of
from mcp_server.corpus.types import Document
from mcp_server.search.types import SearchQuery
from tests.support.document_list import DocumentList

PAGES = {
    "wiki": ("https://en.wiki.example/a", "2024-05-17"),
    "blog": ("http://user@blog.example:8080/2023/okapi?x=1", "2023-01-02T10:00:00Z"),
    "sets": ("https://hub.example/datasets/okapi", "2022-12-31"),
    "sets2": ("https://hub.example/datasets-new/okapi", ""),
    "sub": ("https://www.hub.example/datasets", "2025-02-30"),
    "upper": ("https://HUB.example./models", "May 2024"),
    "idn": ("https://münchen.example/zoo", "2024"),
    "corpus": ("corpus://animals/okapi", ""),
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> LocalIndex:
    directory = tmp_path_factory.mktemp("search") / "index"
    documents = [
        Document(id=key, url=url, title="Okapi", text="okapi " * n, published=published)
        for n, (key, (url, published)) in enumerate(PAGES.items(), start=1)
    ]
    build_index([DocumentList(documents)], directory)
    return LocalIndex(directory)


@pytest.mark.parametrize(
    ("operators", "expected"),
    [
        ({}, set(PAGES)),
        ({"include_domains": ("hub.example",)}, {"sets", "sets2", "sub", "upper"}),
        ({"include_domains": ("www.hub.example", "wiki.example")}, {"sub", "wiki"}),
        ({"include_domains": ("blog.example",)}, {"blog"}),
        ({"include_domains": ("xn--mnchen-3ya.example",)}, {"idn"}),
        ({"include_domains": ("animals",)}, {"corpus"}),
        ({"include_domains": ("ub.example",)}, set()),
        ({"exclude_domains": ("example",)}, {"corpus"}),
        ({"exclude_domains": ("hub.example/datasets",)}, set(PAGES) - {"sets", "sub"}),
        ({"exclude_domains": ("hub.example/datasets/okapi/x",)}, set(PAGES)),
        ({"exclude_domains": ("hub.example/*/okapi",)}, set(PAGES) - {"sets", "sets2"}),
        (
            {"include_domains": ("hub.example",), "exclude_domains": ("www.hub.example",)},
            {"sets", "sets2", "upper"},
        ),
        ({"after": date(2024, 5, 17)}, {"wiki", "sub"}),
        ({"before": date(2023, 1, 2)}, {"sets"}),
        ({"after": date(2023, 1, 1), "before": date(2024, 5, 18)}, {"wiki", "blog"}),
        ({"after": date(2026, 1, 1)}, set()),
    ],
)
def test_operators_are_applied(
    operators: dict[str, tuple[str, ...] | date], expected: set[str], index: LocalIndex
) -> None:
    query = SearchQuery(text="okapi", **operators)  # pyright: ignore[reportArgumentType]
    assert {hit.document_id for hit in index.search_plain(query)} == expected


def test_a_filter_does_not_change_scores(index: LocalIndex) -> None:
    def scores(query: SearchQuery) -> dict[str, float | None]:
        return {hit.document_id: hit.score for hit in index.search_plain(query)}

    everything = scores(SearchQuery(text="okapi"))
    some = scores(SearchQuery(text="okapi", include_domains=("hub.example",)))
    assert some == {key: everything[key] for key in some}


def test_exclusions_do_not_shorten_the_list(tmp_path: Path) -> None:
    documents = [
        Document(
            id=str(number),
            url=f"https://hub.example/{'datasets' if number < 80 else 'models'}/{number}",
            title="Okapi" if number < 80 else "Zebra",
            text="The okapi.",
        )
        for number in range(90)
    ]
    build_index([DocumentList(documents)], tmp_path / "index")
    query = SearchQuery(text="okapi", exclude_domains=("hub.example/datasets",), limit=8)
    hits = LocalIndex(tmp_path / "index").search_plain(query)
    assert len(hits) == 8
    assert all("/models/" in hit.url for hit in hits)


@pytest.mark.parametrize(
    ("text", "queries"),
    [
        ("东京是日本的首都，人口众多。", ["首都", "日本的首都", "京", "人口"]),
        ("東京タワーは1958年に完成した。", ["タワー", "完成", "東京タワー 1958"]),
        ("서울은 대한민국의 수도이다.", ["수도", "서울"]),
        ("กรุงเทพมหานครเป็นเมืองหลวง", ["เมืองหลวง"]),
        ("The Chinese word for cat is 猫 (māo).", ["猫", "chinese cat"]),
    ],
)
def test_text_without_spaces_is_found_by_any_part(
    text: str, queries: list[str], tmp_path: Path
) -> None:
    other = Document(id="other", url="https://x.example/o", title="Paris", text="法国的城市 Paris")
    document = Document(id="it", url="https://x.example/it", title="It", text=text)
    build_index([DocumentList([other, document])], tmp_path / "index")
    index = LocalIndex(tmp_path / "index")
    for query in queries:
        hits = index.search_plain(SearchQuery(text=query))
        assert [hit.document_id for hit in hits][:1] == ["it"], query
    page = index.page_at("https://x.example/it")
    assert page is not None
    assert page.text == text


@pytest.mark.parametrize("language", ["en", "fr", "none"])
@pytest.mark.parametrize("query", ["Tekeze", "Tekezé", "TEKEZÉ", "Tekeze\u0301"])
def test_accents_may_be_left_out(query: str, language: str, tmp_path: Path) -> None:
    texts = {"river": "The Tekezé flows west.", "other": "Another river flows east."}
    documents = [Document(id=key, url=f"x://h/{key}", title="", text=texts[key]) for key in texts]
    build_index([DocumentList(documents)], tmp_path / "index", language=language)
    index = LocalIndex(tmp_path / "index")
    for hits in (
        index.search(SearchQuery(text=query)),
        index.search_plain(SearchQuery(text=query)),
    ):
        assert [hit.document_id for hit in hits] == ["river"]


def test_nothing_is_in_a_time_where_nothing_has_a_date(tmp_path: Path) -> None:
    documents = [Document(id="1", url="x://h/1", title="", text="okapi")]
    build_index([DocumentList(documents)], tmp_path / "index")
    index = LocalIndex(tmp_path / "index")
    assert index.search(SearchQuery(text="okapi"))
    assert not index.search(SearchQuery(text="okapi", after=date(1900, 1, 1)))


def test_names_days_and_domains_are_as_the_schema_says() -> None:
    assert name_of("Mercury  (planet)") == "mercury"
    assert name_of("(What's the Story)  Morning Glory?") == "(what's the story) morning glory?"
    assert name_of("(1941)") == "(1941)"
    assert (day_of("2024-05-17"), day_of("2024-05"), day_of("")) == (20240517, 0, 0)
    assert domains_of("https://a.b.example/x") == ("a.b.example", "b.example", "example")
    assert domains_of("no url") == ()
    assert domains_of("https://" + "a." * 500 + "example/") == ()
    assert domains_of("https://[::1]:80/") == ("[::1]",)
