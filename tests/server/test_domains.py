"""Domains as people write them, and which URLs lie within."""

import time

import pytest

from mcp_server.errors import BadQuery
from mcp_server.search.domains import (
    DomainFilter,
    load_mirrors,
    mirrors_among,
    read_domain,
    read_exclusion,
    read_exclusions,
)
from tests.support.mirror_cases import HONEST, MIRRORS


@pytest.mark.parametrize(
    ("written", "domain"),
    [
        ("example.org", "example.org"),
        ("  Example.ORG. ", "example.org"),
        ("www.example.org", "example.org"),
        ("*.example.org", "example.org"),
        (".example.org", "example.org"),
        ("https://user@www.example.org:8080/a/b?q#f", "example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("例え.jp", "xn--r8jz45g.jp"),
        ("gov", "gov"),
        ("www.gov", "www.gov"),
        ("localhost", "localhost"),
        ("192.168.1.1", "192.168.1.1"),
    ],
)
def test_a_domain_has_one_form(written: str, domain: str) -> None:
    assert read_domain(written) == domain


@pytest.mark.parametrize("written", ["", " ", "two words", "*.", "http://", "a b.org", "x" * 600])
def test_what_is_no_domain_is_an_error(written: str) -> None:
    with pytest.raises(BadQuery, match="is no domain"):
        read_domain(written)


def test_an_exclusion_keeps_its_path() -> None:
    assert read_exclusion("https://GitHub.com/OpenAI//simple-evals/?x") == (
        "github.com/openai/simple-evals"
    )
    assert read_exclusion("github.com/*/hotpot") == "github.com/*/hotpot"


@pytest.mark.parametrize(
    ("url", "is_wanted"),
    [
        ("https://example.org/", True),
        ("https://EXAMPLE.org./x", True),
        ("http://a.b.example.org:8080/x", True),
        ("https://example.org@evil.net/", False),
        ("https://notexample.org/", False),
        ("https://example.org.evil.net/", False),
        ("https://evil.net/example.org", False),
        ("https://[bad", False),
        ("corpus://example/7", False),
    ],
)
def test_a_wanted_domain_holds_at_label_borders(url: str, is_wanted: bool) -> None:
    assert DomainFilter(include=("example.org",)).wants(url) is is_wanted


@pytest.mark.parametrize(
    ("url", "is_wanted"),
    [
        ("https://huggingface.co/datasets", False),
        ("https://www.huggingface.co/Datasets/x/viewer", False),
        ("https://huggingface.co//datasets/x", False),
        ("https://huggingface.co/%64atasets/x", False),
        ("https://huggingface.co/a/../datasets/x", False),
        ("https://huggingface.co/datasets-blog", True),
        ("https://huggingface.co/docs/datasets", True),
        ("https://github.com/anyone/simple-evals/blob/main/a.csv", False),
        ("https://github.com/anyone", True),
        ("https://github.com/anyone/other", True),
        ("https://[bad", False),
        ("corpus://notes/7", True),
    ],
)
def test_an_exclusion_holds_at_segment_borders(url: str, is_wanted: bool) -> None:
    exclude = ("huggingface.co/datasets", "github.com/*/simple-evals")
    assert DomainFilter(exclude=exclude).wants(url) is is_wanted


def test_without_a_filter_everything_is_wanted() -> None:
    assert DomainFilter().wants("no url at all")


@pytest.mark.parametrize("url", MIRRORS)
def test_copies_of_benchmarks_are_on_the_shipped_list(url: str) -> None:
    assert not DomainFilter(exclude=load_mirrors()).wants(url)


@pytest.mark.parametrize("url", HONEST)
def test_honest_sources_are_not_on_the_shipped_list(url: str) -> None:
    assert DomainFilter(exclude=load_mirrors()).wants(url)


def test_an_excluded_page_is_excluded_in_an_archive_too() -> None:
    exclude = DomainFilter(exclude=("example.org",))
    assert not exclude.wants("https://web.archive.org/web/2024/https://www.example.org/a")
    assert exclude.wants("https://who.example/is/example.org")
    hostile = "https://a.example" + "/http:" * 700 + "/" + "a." * 1_500
    started = time.process_time()
    assert exclude.wants(hostile)
    assert time.process_time() - started < 0.2


def test_the_shipped_list_is_told_from_what_else_is_excluded() -> None:
    assert mirrors_among(read_exclusions(["a.org", "benchmarks"])) == load_mirrors()
    assert mirrors_among(read_exclusions(["a.org", "data.world"])) == ()
    assert mirrors_among(()) == ()


def test_the_word_benchmarks_stands_for_the_list_and_repeats_go() -> None:
    entries = read_exclusions(["a.org", "Benchmarks", "www.a.org"])
    assert entries == ("a.org", *load_mirrors())
    assert len(set(entries)) == len(entries)


@pytest.mark.parametrize("written", ["benchmark", "Benchmarks.", "bencmarks", "benchmarks/"])
def test_a_misspelt_name_of_the_shipped_list_is_an_error_and_no_domain(written: str) -> None:
    with pytest.raises(BadQuery) as caught:
        read_exclusions([written])
    assert "'benchmarks'" in caught.value.hint
    assert read_exclusions(["benchmark.example", "gov"]) == ("benchmark.example", "gov")
