"""Which addresses are one page, and which are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.search.canonical import canonical_url, is_shown


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://example.org/a", "https://example.org/a"),
        ("https://example.org:443/a", "https://EXAMPLE.org/a"),
        ("https://example.org", "https://www.example.org/"),
        ("https://example.org/a", "https://example.org/a/"),
        ("https://example.org/a", "https://example.org/a#section"),
        ("https://example.org/a", "https://example.org/a#:~:text=x"),
        ("https://example.org/a?x=1&y=2", "https://example.org/a?y=2&x=1"),
        ("https://example.org/a", "https://example.org/a?"),
        ("https://example.org/a?x=1", "https://example.org/a?utm_source=n&x=1&gclid=7&fbclid=8"),
        ("https://example.org/a", "https://example.org/a?utm%5Fsource=n&UTM_Medium=m"),
        ("https://example.org/a", "https://example.org/a?mc_cid=1&igshid=2&ref_src=twsrc"),
        ("https://example.org/", "https://example.org/index.html"),
        ("https://example.org/a/", "https://example.org/a/index.htm"),
        ("https://example.org/~a", "https://example.org/%7Ea"),
        ("https://example.org/%c3%a4", "https://example.org/%C3%A4"),
        ("https://example.org/%C3%A4", "https://example.org/ä"),
        ("https://example.org/?q=a+b", "https://example.org/?q=a%20b"),
        ("https://example.org/a/../b", "https://example.org/b"),
        ("https://en.wikipedia.org/wiki/A", "https://en.m.wikipedia.org/wiki/A"),
        ("https://example.org/", "https://m.example.org/"),
        ("https://example.org/", "http://www.mobile.example.org/"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://example.org/one-two-three", "https://example.org/one-two-three/amp/"),
        ("https://example.org/a.html", "https://example.org/a.html/amp"),
        ("https://example.org/a.html", "https://example.org/a.amp.html"),
        ("https://example.org/a", "https://amp.example.org/a?amp=1"),
        ("https://example.org/a", "https://www.google.com/amp/s/example.org/a"),
        ("https://example.org/a", "https://example-org.cdn.ampproject.org/c/s/example.org/a"),
    ],
)
def test_addresses_of_one_page_have_one_identity(one: str, other: str) -> None:
    assert canonical_url(one) == canonical_url(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://example.org/a", "https://example.org/A"),
        ("https://example.org/a", "https://example.org/b"),
        ("https://example.org/a", "https://example.net/a"),
        ("https://example.org/a", "https://de.example.org/a"),
        ("https://example.org/a", "https://example.org:8080/a"),
        ("https://example.org/?id=1", "https://example.org/?id=2"),
        ("https://example.org/?x=1&x=2", "https://example.org/?x=2&x=1"),
        ("https://example.org/?ref=main", "https://example.org/?ref=dev"),
        ("https://example.org/?a=1%262", "https://example.org/?a=1&2"),
        ("https://example.org/a%2Fb", "https://example.org/a/b"),
        ("https://example.org/#!/a", "https://example.org/#!/b"),
        ("https://example.org/#/a", "https://example.org/#/b"),
        ("https://example.org/products", "https://example.org/products/amp"),
        ("https://example.org/wiki/amp", "https://example.org/wiki"),
        ("https://example.org/index.php?title=A", "https://example.org/index.php?title=B"),
        ("https://m.co.uk/", "https://co.uk/"),
        ("https://m.com/", "https://com/"),
        ("https://user@example.org/", "https://example.org/"),
        ("https://192.168.0.1/", "https://168.0.1/"),
        ("corpus://a/1", "corpus://a/2"),
        ("corpus://a/1#x", "corpus://a/1"),
    ],
)
def test_different_pages_keep_different_identities(one: str, other: str) -> None:
    assert canonical_url(one) != canonical_url(other)


@pytest.mark.parametrize("text", ["", "no url", "http://[bad", "http://", "mailto:a@b.c"])
def test_what_is_no_web_url_is_its_own_identity(text: str) -> None:
    assert canonical_url(text) == text


@given(st.text(max_size=200))
def test_any_text_has_an_identity(text: str) -> None:
    assert isinstance(canonical_url(text), str)
    assert canonical_url(f"http://a.org/{text}").startswith(("http://", "https://"))


@given(st.lists(st.sampled_from(["a=1", "b=2", "c=%2f", "utm_id=3", "d"]), unique=True))
def test_the_order_of_parameters_never_matters(parameters: list[str]) -> None:
    forwards = canonical_url(f"https://a.org/?{'&'.join(parameters)}")
    assert forwards == canonical_url(f"https://a.org/?{'&'.join(reversed(parameters))}")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.org/", True),
        ("HTTP://a.org/", True),
        ("corpus://notes/1", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("ftp://a.org/", False),
        ("file:///etc/passwd", False),
        ("//a.org/", False),
        ("", False),
    ],
)
def test_only_what_can_be_visited_is_shown(url: str, shown: bool) -> None:
    assert is_shown(url) is shown
