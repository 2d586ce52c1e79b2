"""Reports as Markdown and HTML: complete, and inert whatever the words in them are."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from agent_client.clean import terminal_line
from agent_client.report.document import (
    Citation,
    Method,
    Question,
    Report,
    ReportSource,
    Section,
    Statement,
)
from agent_client.report.html_form import to_html
from agent_client.report.markdown_form import plain, to_markdown

METHOD = Method(
    model="scripted",
    profile="default",
    profile_digest="0123456789abcdef" * 4,
    made_at="2026-11-23 08:30",
    perspectives=("basic facts",),
    questions=(Question(text="Who?", perspective="basic facts", stop_reason="turn_limit"),),
    searches=1,
    visits=2,
    pages=2,
    model_calls=7,
    prompt_tokens=1_234,
    completion_tokens=56,
    prefix_stability=0.995,
    dropped=0,
)


def report(words: str = "Vell Dam", url: str = "https://dams.example/") -> Report:
    """A report in which the same words stand in every place that a model or page can fill."""
    found = Citation(source=1, verdict="found", passage=words)
    missing = Citation(source=1, verdict="partly", passage=words, missing=("1962",))
    return Report(
        topic=words,
        abstract=(Statement(text=words, citations=(found,), verdict="found"),),
        sections=(
            Section(
                heading=words,
                statements=(
                    Statement(text=words, citations=(missing,), verdict="partly"),
                    Statement(text=words, citations=(), verdict="not_found"),
                ),
                is_quoted=True,
            ),
        ),
        sources=(ReportSource(number=1, url=url, title=words),),
        method=replace(
            METHOD,
            model=words,
            perspectives=(words,),
            questions=(Question(text=words, perspective=words, stop_reason="answered"),),
        ),
    )


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words += data

    @property
    def targets(self) -> set[str | None]:
        return {value for name, value in self.attributes if name in ("href", "src", "action")}


class Reading:
    """Markdown as a reader of a dialect understands it."""

    def __init__(self, text: str, dialect: str) -> None:
        tokens = MarkdownIt(dialect, {"linkify": False}).parse(text)
        inline = [child for token in tokens for child in token.children or []]
        self.shape = [(token.type, [c.type for c in token.children or []]) for token in tokens]
        self.title = "".join(child.content for child in tokens[1].children or [])
        self.targets = {c.attrs["href"] for c in inline if c.type == "link_open"}


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><style>*{background:url(https://evil.example)}</style>",
    "![x](https://evil.example/x.png)",
    "[click](javascript:alert(1))",
    "<https://evil.example>",
    "[x]: https://evil.example",
    "`code` **bold** _it_ ~~no~~ | cell | $x$",
    "# heading",
    "1. item",
    "- item",
    "===",
    "&lt;b&gt;",
    "one\n\n## two\r\nthree",
    "\x1b[31mred\u202egnp\x00",
    "https://evil.example and www.evil.example",
    "\\[x](https://evil.example)",
]


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_stay_words_in_html(words: str) -> None:
    calm, hostile = Tags(to_html(report())), Tags(to_html(report(words)))
    assert hostile.tags == calm.tags
    assert [name for name, _ in hostile.attributes] == [name for name, _ in calm.attributes]
    assert hostile.targets == {"#source-1", "https://dams.example/"}
    assert "\x1b" not in hostile.words


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_stay_words_in_markdown(words: str) -> None:
    text = to_markdown(report(words))
    assert len(text.splitlines()) == len(to_markdown(report()).splitlines())
    without_ours = text.replace('<a id="source-1"></a>', "").replace("<https://dams.example/>", "")
    assert not re.search(r"(?<!\\)<", without_ours)
    links = re.findall(r"(?<!\\)\]\(([^)]*)\)", without_ours)
    assert set(links) == {"#source-1", "https://dams.example/"}
    assert not re.search(r"(?<!\\)!\[", without_ours.replace("!\\[", ""))
    assert "https://evil" not in text
    assert "www.evil" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("words", HOSTILE)
@pytest.mark.parametrize("dialect", ["commonmark", "gfm-like"])
def test_a_markdown_reader_sees_the_same_structure_and_the_words_themselves(
    words: str, dialect: str
) -> None:
    calm, hostile = (
        Reading(to_markdown(report()), dialect),
        Reading(to_markdown(report(words)), dialect),
    )
    assert hostile.shape == calm.shape
    assert hostile.title == terminal_line(words, 1_000)
    assert hostile.targets == {"#source-1", "https://dams.example/"}


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("# heading", "\\# heading"),
        ("1. item", "1\\. item"),
        ("100.0%", "100.0%"),
        ("- item", "\\- item"),
        ("a & b < c", "a & b \\< c"),
        ("AT&T &copy;", "AT&T &amp;copy;"),
        ("-5 degrees", "-5 degrees"),
        ("snake_case and _it_", "snake_case and \\_it\\_"),
        ("#tag", "#tag"),
        ("C #", "C \\#"),
        ("x > y", "x > y"),
        ("a|b", "a\\|b"),
        ("well-known: 3 * 4", "well-known: 3 * 4"),
        ("3*4*5", "3\\*4\\*5"),
        ("two\nlines", "two lines"),
    ],
)
def test_markdown_escapes_what_would_mean_something_and_nothing_else(
    words: str, shown: str
) -> None:
    assert plain(words) == shown


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "ftp://a.example/", "x y", ""]
)
def test_an_address_that_is_not_of_the_web_is_no_link(url: str) -> None:
    assert Tags(to_html(report(url=url))).targets == {"#source-1"}
    assert "](#source-1)" in to_markdown(report(url=url))
    assert set(re.findall(r"\]\(([^)]*)\)", to_markdown(report(url=url)))) == {"#source-1"}


def test_an_address_cannot_leave_its_link() -> None:
    url = 'https://a.example/x)![y](https://evil.example)"onclick="z <b>'
    assert "](https://evil" not in to_markdown(report(url=url))
    assert Tags(to_html(report(url=url))).targets == {"#source-1", url}


def test_html_allows_its_own_style_and_nothing_else() -> None:
    text = to_html(report())
    policy = dict(Tags(text).attributes)["content"] and re.search(r'content="(default[^"]*)"', text)
    assert policy
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy[1].replace("&#x27;", "'") == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert "http" not in style[1]
    assert "@import" not in style[1]


def test_a_citation_shows_the_passage_that_was_found() -> None:
    text = to_html(report("Vell Dam is high."))
    assert (
        '<a class="cite" interestfor="tip-1" aria-describedby="tip-1" href="#source-1">[1]</a>'
        '<span class="tip" id="tip-1" role="tooltip" popover="hint" dir="ltr" lang="en">'
        '<b>✓&nbsp;found</b> in <cite dir="auto" lang="">Vell Dam is high.</cite>'
        ' <q dir="auto" lang="">Vell Dam is high.</q></span>'
    ) in text
    assert '<li id="source-1"' in text


def test_each_citation_of_a_page_has_a_tip_of_its_own() -> None:
    ids = [value for name, value in Tags(to_html(report())).attributes if name == "id"]
    assert ids == ["tip-1", "tip-2", "source-1"]


def test_our_words_are_english_and_the_language_of_others_is_not_guessed() -> None:
    text = to_html(report("Staudamm"))
    assert '<html lang="en">' in text
    assert '<h1 dir="auto" lang="">Staudamm</h1>' in text
    assert '<em class="mark partly" lang="en">only partly in the source' in text


def test_markdown_has_all_parts_in_order() -> None:
    text = to_markdown(report())
    headings = re.findall(r"^#+ .*$", text, re.MULTILINE)
    assert headings == [
        "# Vell Dam",
        "## Vell Dam",
        "## Sources",
        "## Verification",
        "## How this report was made",
    ]
    assert "Of 3 sentences, 1 were found" in text
    assert "**(only partly in the source; not there: 1962)**" in text
    assert "**(no source)**" in text
    assert '1. <a id="source-1"></a>[Vell Dam](https://dams.example/)' in text
    assert "- Profile: default (0123456789abcdef)" in text
    assert "- Prefix stability: 99.5%" in text


def test_every_row_of_the_markdown_table_has_five_cells() -> None:
    rows = [line for line in to_markdown(report("a | b")).splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 3
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows)


def test_what_no_reader_could_use_is_told_as_such() -> None:
    bare = replace(report(), abstract=(), sources=(), method=replace(METHOD, prefix_stability=None))
    assert "Prefix stability: not known" in to_markdown(bare)
    assert "1 question did not come to an answer" in to_html(bare)
