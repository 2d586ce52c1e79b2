"""Operators in a query's text, and explicit arguments beside them."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.errors import BadQuery
from mcp_server.search.locales import LANGUAGES, REGIONS
from mcp_server.search.operators import MAX_TEXT_CHARS, QueryFields, build_query, parse_query
from mcp_server.search.types import MAX_LIMIT, MAX_PAGE, SearchQuery


@pytest.mark.parametrize(
    ("text", "words", "fields"),
    [
        ("plain words", "plain words", QueryFields()),
        ("lake at site:example.org", "lake at", QueryFields(include_domains=("example.org",))),
        ("SITE:Example.ORG lake", "lake", QueryFields(include_domains=("example.org",))),
        ("site:*.example.org lake", "lake", QueryFields(include_domains=("example.org",))),
        ("site:.gov lake", "lake", QueryFields(include_domains=("gov",))),
        ('site:"example.org", lake', "lake", QueryFields(include_domains=("example.org",))),
        (
            "site:https://www.example.org/a lake",
            "a lake",
            QueryFields(include_domains=("example.org",)),
        ),
        (
            "site:github.com/openai/evals lake",
            "openai evals lake",
            QueryFields(include_domains=("github.com",)),
        ),
        (
            "lake (site:a.org OR site:b.org) depth",
            "lake depth",
            QueryFields(include_domains=("a.org", "b.org")),
        ),
        ("lake site:a.org,b.org", "lake", QueryFields(include_domains=("a.org", "b.org"))),
        ("free() (site:a.org)", "free()", QueryFields(include_domains=("a.org",))),
        ("cats OR dogs site:a.org", "cats OR dogs", QueryFields(include_domains=("a.org",))),
        (
            "lake -site:a.org -site:b.org/x/y",
            "lake",
            QueryFields(exclude_domains=("a.org", "b.org/x/y")),
        ),
        ("site:bücher.example x", "x", QueryFields(include_domains=("xn--bcher-kva.example",))),
        ("x after:2020", "x", QueryFields(after=date(2020, 1, 1))),
        ("x after:2020-05 before:2021/06/07", "x", QueryFields(
            after=date(2020, 5, 1), before=date(2021, 6, 7))),
        ("x after:2019 after:2020", "x", QueryFields(after=date(2020, 1, 1))),
        ("x lang:de", "x", QueryFields(language="de")),
        ("x language:de-AT", "x", QueryFields(language="de", region="at")),
        ("x region:UK", "x", QueryFields(region="gb")),
        ("x lang:en_UK", "x", QueryFields(language="en", region="gb")),
        ("x page:3", "x", QueryFields(page=3)),
    ],
)  # fmt: skip
def test_operators_are_taken_out(text: str, words: str, fields: QueryFields) -> None:
    assert parse_query(text) == (words, fields)


@pytest.mark.parametrize(
    "text",
    [
        "what happens after:soon",
        "before: the war",
        "site: example.org lake",
        "site: lake",
        "-after:2020 x",
        "lang:python tutorial",
        "lang:de-lux x",
        "region:eu x",
        "region:- x",
        "lang:-de x",
        "page:two x",
        "page:-1 x",
        "site:a_b!c x",
        "site:wikipedia x",
        "malloc() of ( ) and foo()",
        "site:(a.org) x",
        'he wrote "site:example.org" there',
        '"after:2020 lang:de"',
        "filetype:pdf intitle:lake -word +word",
        'an "unclosed quote',
        "on-site:a.org x",
        "http://a.org/?lang:de",
    ],
)
def test_what_has_not_the_form_of_an_operator_stays_as_it_is(text: str) -> None:
    assert parse_query(text) == (text, QueryFields())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x after:2020-13", "'2020-13' is no date"),
        ("x before:2021-02-30", "is no date"),
        ("x after:0000", "is no date"),
        ("x after:2021 before:2020", "no day"),
        ("x after:2021 before:2021", "no day"),
        ("x lang:de lang:fr", "two values of language"),
        ("x region:at region:de", "two values of region"),
        ("x page:1 page:2", "two values of page"),
        (f"x page:{MAX_PAGE + 1}", "page 11 is out of range"),
        ("x page:0", "page 0 is out of range"),
        ("x site:a.b.org -site:b.org", "both wanted and left out"),
    ],
)
def test_an_impossible_or_contradicting_operator_is_an_error(text: str, told: str) -> None:
    with pytest.raises(BadQuery, match=told):
        parse_query(text)


def test_part_of_a_site_may_be_left_out() -> None:
    _, fields = parse_query("x site:a.org -site:a.org/forum -site:b.a.org")
    assert fields.include_domains == ("a.org",)
    assert fields.exclude_domains == ("a.org/forum", "b.a.org")


@given(st.text(st.sampled_from('site:-aflngr.20/"( )|ORé'), max_size=60))
def test_no_word_is_lost_in_any_text(text: str) -> None:
    try:
        words, fields = parse_query(text)
    except BadQuery:
        return
    if fields == QueryFields():
        kept = [word for word in text.split() if word.strip("()")]
        assert [word for word in words.split() if word.strip("()")] == kept


@given(st.text(max_size=1_500))
def test_any_text_gives_a_query_or_a_bad_query(text: str) -> None:
    try:
        query = build_query(text)
    except BadQuery:
        return
    assert query.text == " ".join(query.text.split())
    assert 0 < len(query.text) <= MAX_TEXT_CHARS


def test_explicit_arguments_and_the_text_both_hold() -> None:
    query = build_query(
        "lake site:de.example.org -site:x.org after:2020 lang:de",
        limit=5,
        preview_chars=100,
        include_domains=["https://Example.org/page", "other.org"],
        exclude_domains=["y.org", "*.z.org"],
        after=date(2019, 1, 1),
        before="2022-05",
        language="de",
        region="at",
        page=2,
    )
    assert query == SearchQuery(
        text="lake",
        limit=5,
        preview_chars=100,
        include_domains=("de.example.org",),
        exclude_domains=("y.org", "z.org", "x.org"),
        after=date(2020, 1, 1),
        before=date(2022, 5, 1),
        language="de",
        region="at",
        page=2,
    )


def test_the_page_of_the_text_holds_where_the_caller_says_none() -> None:
    assert build_query("x page:3").page == 3
    assert build_query("x").page == 1


def test_the_word_benchmarks_leaves_out_the_shipped_list() -> None:
    excluded = build_query("x", exclude_domains=["mine.org", "benchmarks"]).exclude_domains
    assert excluded[0] == "mine.org"
    assert "huggingface.co/datasets" in excluded


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"limit": 0}, "limit 0 is out of range"),
        ({"limit": MAX_LIMIT + 1}, "out of range"),
        ({"preview_chars": 0}, "out of range"),
        ({"page": 11}, "page 11 is out of range"),
        ({"page": 0}, "page 0 is out of range"),
        ({"include_domains": ["two words"]}, "'two words' is no domain"),
        ({"include_domains": [""]}, "is no domain"),
        ({"exclude_domains": ["http://"]}, "is no domain"),
        ({"include_domains": [f"{number}.org" for number in range(51)]}, "51 domains are too many"),
        ({"after": "soon"}, "'soon' is no date"),
        ({"after": "2021", "before": date(2020, 1, 1)}, "no day"),
        ({"language": "deutsch"}, "no language code"),
        ({"region": "eu"}, "no region code"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, object], told: str) -> None:
    with pytest.raises(BadQuery, match=told):
        build_query("x", **arguments)  # pyright: ignore[reportArgumentType]


def test_sites_of_text_and_arguments_that_exclude_each_other_are_an_error() -> None:
    with pytest.raises(BadQuery, match=r"no page is within both a\.org and b\.org"):
        build_query("x site:b.org", include_domains=["a.org"])


@pytest.mark.parametrize("text", ["", "  ", "site:example.org", "\u200b", "lang:de ()"])
def test_a_query_without_words_is_an_error(text: str) -> None:
    with pytest.raises(BadQuery, match="no words"):
        build_query(text)


def test_a_very_long_query_is_an_error_and_takes_no_time() -> None:
    with pytest.raises(BadQuery, match="longer than 1000"):
        build_query('"(site:a' * 100_000)


def test_the_code_lists_are_whole() -> None:
    assert (len(LANGUAGES), len(REGIONS)) == (184, 249)
    assert all(len(code) == 2 and code.islower() for code in LANGUAGES | REGIONS)
