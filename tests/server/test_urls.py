"""Reading URLs by the WHATWG rules, and repairing what models write."""

import gzip
import json
import time
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.visit.urls import MAX_TEXT_CHARS, origin_of, parse_url, repair_url, split_urls

REPAIRS = {
    # written: meant
    # wrapped
    '"https://x.org/a"': "https://x.org/a",
    "'https://x.org/a'": "https://x.org/a",
    "`https://x.org/a`": "https://x.org/a",
    "“https://x.org/a”": "https://x.org/a",
    "<https://x.org/a>": "https://x.org/a",
    "  <https://x.org/a>\n": "https://x.org/a",
    "(https://x.org/a_(b)).": "https://x.org/a_(b)",
    "**https://x.org/a**": "https://x.org/a",
    "'https://x.org/it's'": "https://x.org/it's",
    # Markdown, HTML, JSON
    "[text](https://x.org/a)": "https://x.org/a",
    "[text](https://x.org/a_(b)) and more": "https://x.org/a_(b)",
    "[https://x.org/…](https://x.org/whole)": "https://x.org/whole",
    "https://x.org/snake\\_case\\_(b\\)": "https://x.org/snake_case_(b)",
    '<a href="https://x.org/a">text</a>': "https://x.org/a",
    "https://x.org/a</a>": "https://x.org/a",
    "https://x.org/?a=1&amp;b=2&amp;amp;c=3": "https://x.org/?a=1&b=2&c=3",
    "&lt;https://x.org/a&gt;": "https://x.org/a",
    '{"url": "https://x.org/a", "start": 3}': "https://x.org/a",
    '{"url":"https://x.org/a","start":3}': "https://x.org/a",
    '["https://x.org/a"]': "https://x.org/a",
    'https://x.org/a"}': "https://x.org/a",
    'https://x.org/a","start":3}': "https://x.org/a",
    'https:\\/\\/x.org\\/a\\"': "https://x.org/a",
    "https://x.org/?a=1\\u0026b=2": "https://x.org/?a=1&b=2",
    # marks at the end
    "https://x.org/a,": "https://x.org/a",
    "https://x.org/a).": "https://x.org/a",
    "https://x.org/a;": "https://x.org/a",
    "https://x.org/a…": "https://x.org/a",
    "https://x.org/a。": "https://x.org/a",
    "https://x.org/a'": "https://x.org/a",
    "https://x.org/a%22": "https://x.org/a",
    "https://x.org/a%22%7D": "https://x.org/a",
    "https://x.org/a%29": "https://x.org/a",
    "https://x.org/a\\n": "https://x.org/a",
    "https://x.org/a%0A": "https://x.org/a",
    "https://x.org.": "https://x.org",
    # marks that belong to it
    "https://x.org/film_(1979)": "https://x.org/film_(1979)",
    "https://x.org/film_%281979%29": "https://x.org/film_%281979%29",
    "https://x.org/%22Heroes%22": "https://x.org/%22Heroes%22",
    "https://x.org/Help!": "https://x.org/Help!",
    "https://x.org/Davis_Jr.": "https://x.org/Davis_Jr.",
    "https://x.org/Washington,_D.C.": "https://x.org/Washington,_D.C.",
    "https://x.org/Products('a')": "https://x.org/Products('a')",
    # text around it
    "URL: https://x.org/a": "https://x.org/a",
    "url=https://x.org/a": "https://x.org/a",
    "Link:https://x.org/a": "https://x.org/a",
    "the page https://x.org/a says": "https://x.org/a",
    "请看https://x.org/页面。": "https://x.org/页面",
    "https://x.org/page and then": "https://x.org/page",
    "https://x.org/page\nnext line": "https://x.org/page",
    "https://x.org/a, https://x.org/b": "https://x.org/a",
    # spaces inside it
    "https://x.org/wiki/Marie Curie": "https://x.org/wiki/Marie%20Curie",
    "https://x.org/wiki/Battle of Hastings": "https://x.org/wiki/Battle%20of%20Hastings",
    "https://x.org/wiki/Alien (1979 film) is": "https://x.org/wiki/Alien%20(1979%20film)",
    "https://x.org/wiki/Marie Curie for the details": "https://x.org/wiki/Marie%20Curie",
    "https://x.org/wiki/Paris. The capital": "https://x.org/wiki/Paris",
    "https://x.org/?q=marie curie 1903": "https://x.org/?q=marie%20curie%201903",
    "https://x.org/?id=3 is the page": "https://x.org/?id=3",
    # the scheme
    "x.org/page": "https://x.org/page",
    "x.org:8443/page": "https://x.org:8443/page",
    "//x.org/page": "https://x.org/page",
    "www.x.org is the site": "https://www.x.org",
    "see x.org/page, please": "https://x.org/page",
    "10.1.2.3/page": "https://10.1.2.3/page",
    "[::1]:8080/page": "https://[::1]:8080/page",
    "http//x.org/a": "http://x.org/a",
    "https:/x.org/a": "https://x.org/a",
    "https: //x.org/a": "https://x.org/a",
    "https：//x.org/a": "https://x.org/a",
    "ttps://x.org/a": "https://x.org/a",
    "hxxps://x[.]org/a": "https://x.org/a",
    "https://https://x.org/a": "https://x.org/a",
    "https://http://x.org/a": "http://x.org/a",
    # invisible characters
    "https://x\u200b.org/a\u202e\ufeff": "https://x.org/a",
    "https://x.org/a\ud800": "https://x.org/a",
    "https://x.org/a\u200cb": "https://x.org/ab",
    "https://fa.x.org/wiki/می\u200cخواهم": "https://fa.x.org/wiki/می\u200cخواهم",
    # not for us to repair
    "file:///etc/passwd": "file:///etc/passwd",
    "jar:http://x.org/!/": "jar:http://x.org/!/",
    "x.org/?next=http://y.org/": "https://x.org/?next=http://y.org/",
    "https://web.archive.org/web/2020/https://x.org/": (
        "https://web.archive.org/web/2020/https://x.org/"
    ),
    # no URL at all
    "": "",
    '""': "",
    "Marie Curie": "",
    "Node.js documentation": "",
    "3.14": "",
    "me@x.org": "",
    "/etc/passwd": "",
}

URL_CHARS = st.text(
    st.one_of(
        st.sampled_from("abcXYZ019!$&'*+,-./:;=@_~"),
        st.sampled_from("éßя中あא"),
    ),
    max_size=20,
)
HOSTS = st.from_regex(r"[a-z]{1,8}(\.[a-z]{2,6}){1,3}|10\.1\.2\.3|\[2001:db8::1\]", fullmatch=True)


@st.composite
def well_formed_urls(draw: st.DrawFn) -> str:
    """URLs of URL characters only, ending in a letter, a digit or a slash."""
    path = draw(st.lists(st.one_of(URL_CHARS, URL_CHARS.map("({})".format)), max_size=4))
    text = draw(st.sampled_from(["http://", "https://", "HTTPS://"])) + draw(HOSTS)
    text += draw(st.sampled_from(["", ":8080"])) + "/" + "/".join(path)
    text += draw(st.one_of(st.just(""), URL_CHARS.map("?a={}&b=c".format)))
    text += draw(st.one_of(st.just(""), URL_CHARS.map("#{}".format)))
    return text + draw(st.sampled_from(["/", "a", "9", "é"]))


@pytest.mark.parametrize(("written", "meant"), REPAIRS.items(), ids=ascii)
def test_what_models_add_to_a_url_is_taken_off(written: str, meant: str) -> None:
    assert repair_url(written) == meant


@given(well_formed_urls())
def test_a_well_formed_url_is_never_changed(url: str) -> None:
    assert repair_url(url) == url


@settings(max_examples=60)
@given(
    well_formed_urls(),
    st.sampled_from(
        [
            '"{}"',
            "<{}>",
            "`{}`",
            "**{}**",
            "[text]({})",
            "({}).",
            "see {}.",
            "{}, and",
            "URL: {}",
            '{{"url": "{}"}}',
            '{}"}}',
            "{}\n",
        ]
    ),
)
def test_a_well_formed_url_is_found_in_what_wraps_it(url: str, wrapping: str) -> None:
    if "'" in url or "*" in url:
        return  # these close a quote or bold text now and then
    assert repair_url(wrapping.format(url)) == url


@given(st.one_of(st.text(max_size=80), st.text("htps:/.x()[]{}<>\"'\\ \n%2&;,a", max_size=80)))
def test_repair_takes_any_text_and_gives_one_line(text: str) -> None:
    repaired = repair_url(text)
    assert len(repaired.splitlines()) <= 1
    assert len(repaired) <= len(text) * 3 + len("https://")


@pytest.mark.parametrize(
    "text",
    ["https://x.org/" + char * 1_000_000 for char in ')"*.[ %\\']
    + ["https://" * 200_000, "a." * 500_000, "[](" * 300_000, "A " * 500_000, "&amp;" * 200_000],
    ids=range(13),
)
def test_a_megabyte_of_marks_is_looked_through_in_bounds(text: str) -> None:
    begin = time.process_time()
    assert len(repair_url(text)) <= 3 * MAX_TEXT_CHARS
    assert split_urls(text)
    assert time.process_time() - begin < 2


@pytest.mark.parametrize(
    ("written", "pieces"),
    [
        ("https://x.org/a", ["https://x.org/a"]),
        ("https://x.org/a https://x.org/b", ["https://x.org/a", "https://x.org/b"]),
        ("https://x.org/a,http://x.org/b;\nx", ["https://x.org/a", "http://x.org/b;\nx"]),
        ("https://x.org/a,b and c", ["https://x.org/a,b and c"]),
        ("1. https://x.org/a\n2. https://x.org/b", ["https://x.org/a\n2.", "https://x.org/b"]),
        ('["https://x.org/a", "https://x.org/b"]', ['["https://x.org/a"', '"https://x.org/b"]']),
        ("x.org/a", ["x.org/a"]),
        ("no address", ["no address"]),
        ("", [""]),
    ],
)
def test_an_argument_of_several_urls_is_split(written: str, pieces: list[str]) -> None:
    assert split_urls(written) == pieces


@settings(max_examples=30)
@given(st.lists(well_formed_urls(), min_size=1, max_size=4))
def test_urls_in_a_row_come_back_one_by_one(urls: list[str]) -> None:
    assert [repair_url(piece) for piece in split_urls(" ".join(urls))] == urls


def test_the_origin_has_the_port_only_where_it_is_not_the_usual_one() -> None:
    assert origin_of(httpx.URL("https://x.org:443/a?b#c")) == "https://x.org"
    assert origin_of(httpx.URL("http://[2001:db8::1]:8080/a")) == "http://[2001:db8::1]:8080"


def whatwg_cases(shared_data: Path) -> list[dict[str, Any]]:
    packed = (shared_data / "nasty" / "urltestdata.json.gz").read_bytes()
    cases = cast(list[object], json.loads(gzip.decompress(packed)))
    return [cast(dict[str, Any], case) for case in cases if isinstance(case, dict)]


def tried(case: dict[str, Any]) -> tuple[object, ...] | None:
    try:
        url = parse_url(case["input"], case["base"] or "")
    except ValueError:
        return None
    return (url.href, url.scheme + ":", url.host, url.port, url.has_credentials)


@pytest.mark.shared_data
def test_every_web_url_of_the_standards_own_tests_is_read_as_expected(shared_data: Path) -> None:
    cases = [
        case
        for case in whatwg_cases(shared_data)
        if not case.get("failure") and case["protocol"] in ("http:", "https:")
    ]
    assert len(cases) == 247
    for case in cases:
        assert tried(case) == (
            case["href"],
            case["protocol"],
            case["hostname"].strip("[]"),
            int(case["port"]) if case["port"] else None,
            bool(case["username"] or case["password"]),
        ), case


@pytest.mark.shared_data
def test_every_failure_of_the_standards_own_tests_is_refused(shared_data: Path) -> None:
    failures = [case for case in whatwg_cases(shared_data) if case.get("failure")]
    assert len(failures) == 267
    assert [case["input"] for case in failures if tried(case) is not None] == []


@pytest.mark.shared_data
def test_the_http_client_reads_every_normalised_url_alike(shared_data: Path) -> None:
    for case in whatwg_cases(shared_data):
        if not case.get("failure") and case["protocol"] in ("http:", "https:"):
            parsed = parse_url(case["input"], case["base"] or "")
            dialled = httpx.URL(parsed.href)
            assert dialled.raw_host.decode() == parsed.host
            assert dialled.port == parsed.port
            target = dialled.raw_path.decode()
            assert target.removesuffix("?") == (case["pathname"] + case["search"])
