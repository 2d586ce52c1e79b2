"""A page runs and shows its own scripts and styles only."""

import base64
import gzip
import hashlib
import re

import pytest

from agent_client.pages.assembly import DataBlock, Page, page_bytes, page_text, policy

PAGE = Page(title='<b>"T"', body="<main></main>", styles=("a{}",), scripts=("let x;", "let y;"))


def test_the_policy_names_exactly_the_scripts_and_styles_of_the_page() -> None:
    digests = [
        base64.b64encode(hashlib.sha256(s).digest()).decode() for s in (b"let x;", b"let y;")
    ]
    rules = dict(rule.split(" ", 1) for rule in policy(PAGE).split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == " ".join(f"'sha256-{digest}'" for digest in digests)
    assert rules["connect-src"] == "'none'"
    assert "unsafe" not in policy(PAGE)


def test_the_title_is_text() -> None:
    assert "<title>&lt;b&gt;&quot;T&quot;</title>" in page_text(PAGE)


def test_data_comes_back_byte_for_byte_and_is_never_markup() -> None:
    hostile = b'"</script><script>alert(1)</script><!--"'
    blocks = [DataBlock("index", hostile), DataBlock("data-0", b"[]")]
    text = b"".join(page_bytes(PAGE, blocks)).decode()
    found = re.findall(r'<script type="[^"]+" id="([^"]+)">([A-Za-z0-9+/=]+)</script>', text)
    assert [(name, gzip.decompress(base64.b64decode(data))) for name, data in found] == [
        ("index", hostile),
        ("data-0", b"[]"),
    ]
    assert text.count("<script") == 4


def test_the_index_stands_before_the_scripts_and_the_rest_behind_them() -> None:
    blocks = [DataBlock("index", b"{}"), DataBlock("data-0", b"[]")]
    text = b"".join(page_bytes(PAGE, blocks)).decode()
    places = [text.index(mark) for mark in ('id="index"', "let x;", "let y;", 'id="data-0"')]
    assert places == sorted(places)


def test_the_same_page_is_the_same_bytes() -> None:
    block = DataBlock("index", b"{}")
    assert b"".join(page_bytes(PAGE, [block])) == b"".join(page_bytes(PAGE, [block]))


@pytest.mark.parametrize("part", [{"scripts": ("'</SCRIPT>'",)}, {"styles": ("</style>",)}])
def test_a_script_that_would_end_itself_is_refused(part: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match="would end"):
        Page(title="T", body="", **part)  # pyright: ignore[reportArgumentType]
