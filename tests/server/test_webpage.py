"""HTML pages, from their bytes to Markdown, and the tag stripper that stands in for the parser."""

import html
import json
import time

import pytest

from mcp_server.extract import extract
from mcp_server.extract.plain_text import strip_tags
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.visit.media_type import sniff
from mcp_server.visit.types import Resource

FILLER = "This sentence is here so that the main part has more text than the rest. " * 4
MANY_ATTRIBUTES = " ".join(f"a{number}=1" for number in range(200_000))


def read(markup: str, media_type: str = "text/html") -> Extracted:
    info = SourceInfo(url="https://example.com/dir/page", media_type=media_type, charset="utf_8")
    return extract(markup.encode(), info)


@pytest.mark.parametrize(
    "hidden",
    [
        "<script>SECRET</script>",
        "<style>SECRET</style>",
        "<template>SECRET</template>",
        "<!-- SECRET -->",
        "<noscript>SECRET</noscript>",
        "<p hidden>SECRET</p>",
        "<p style='display: none'>SECRET</p>",
        "<p style='color:red;visibility:hidden'>SECRET</p>",
        "<p style='opacity:0'>SECRET</p>",
        "<p style='font-size:0px'>SECRET</p>",
        "<form><label>SECRET</label><input></form>",
        "<svg><text>SECRET</text></svg>",
        "<img alt=SECRET src=x>",
        "<div hidden><div hidden>SECRET</div></div>",
        "<nav><nav>SECRET</nav></nav>",
        "<nav hidden role=navigation><aside hidden role=menu>SECRET</aside></nav>",
        "<div style='display:none'><p style='opacity:0'>SECRET</p></div>",
    ],
)
def test_what_a_reader_does_not_see_is_dropped(hidden: str) -> None:
    page = read(f"<body><main><p>{FILLER}</p>{hidden}<p>End</p></main>")
    assert "SECRET" not in page.text
    assert "End" in page.text


@pytest.mark.parametrize("style", ["opacity:0.5", "font-size:0.9em", "display:block"])
def test_visible_styles_are_kept(style: str) -> None:
    assert "shown" in read(f"<body><p style='{style}'>shown</p>").text


def test_a_page_is_markdown_with_links_and_the_same_words_without_markup() -> None:
    page = read(
        f"""<html lang=en><title>Part | Example</title><body><article><p>{FILLER}</p>
        <p>{FILLER}</p><p>{FILLER} <a href="../up">Up</a> <b>now</b></p></article>"""
    )
    assert page.has_inline_links
    assert page.text.endswith(f"{FILLER}[Up](https://example.com/up) **now**")
    assert page.plain_text.split() == f"{FILLER * 3} Up now".split()
    assert page.title == "Part"
    assert page.metadata.language == "en"
    assert not page.needs_javascript


def test_a_form_around_the_whole_page_is_kept() -> None:
    assert "This sentence" in read(f"<body><form><p>{FILLER}</p></form>").text


def test_a_hidden_body_is_still_read() -> None:
    assert "This sentence" in read(f"<body style='opacity:0' hidden><p>{FILLER}</p>").text


def test_noscript_stands_in_for_a_page_that_is_otherwise_empty() -> None:
    assert "This sentence" in read(f"<body><div id=app></div><noscript>{FILLER}</noscript>").text


ASKS = "<noscript>You need to enable JavaScript to run this app.</noscript>"
SCRIPT = "<script src=/app.js></script>"
STATE = json.dumps({"props": {"title": "Sea and sky", "body": f"<p>{FILLER}</p>"}})


@pytest.mark.parametrize(
    "body",
    [
        f"<div id=root></div>{ASKS}{SCRIPT}",
        f"<div id=app>Loading…</div>{SCRIPT}",
        f"<p>Please enable JavaScript to view this page.</p>{SCRIPT}",
        f"<app-root></app-root>{SCRIPT}",
    ],
)
def test_a_shell_without_text_says_that_it_needs_javascript(body: str) -> None:
    page = read(f"<title>App</title><body>{body}")
    assert page.needs_javascript
    assert (page.text, page.plain_text, page.title) == ("", "", "App")


def test_a_short_page_with_an_empty_place_for_its_content_needs_javascript() -> None:
    page = read(f"<body><h1>Weather</h1><div id=root></div>{SCRIPT}")
    assert page.needs_javascript
    assert page.text == "# Weather"


@pytest.mark.parametrize("body", ["<p>Short.</p>", f"<p>Short.</p>{SCRIPT}", ""])
def test_a_short_or_empty_page_that_is_complete_needs_nothing(body: str) -> None:
    assert not read(f"<body>{body}").needs_javascript


@pytest.mark.parametrize(
    "data",
    [
        f'<script id="__NEXT_DATA__" type="application/json">{STATE}</script>',
        f"<script>window.__INITIAL_STATE__ = {STATE};</script>",
        f"<div data-preloaded='{html.escape(STATE)}'></div>",
    ],
    ids=["next", "assigned", "attribute"],
)
def test_a_shell_is_read_from_the_data_that_it_carries(data: str) -> None:
    page = read(f"<body><h1>Weather</h1><div id=root></div>{ASKS}{data}{SCRIPT}")
    assert page.text == f"# Weather\n\n## Sea and sky\n\n{FILLER.strip()}"
    assert page.notes == ("text taken from the page's embedded data",)
    assert not page.needs_javascript


def test_visible_text_is_not_mixed_with_embedded_data() -> None:
    script = f'<script type="application/json">{STATE}</script>'
    page = read(f"<body><main><p>{FILLER}</p></main>{script}")
    assert page.text == FILLER.strip()
    assert page.notes == ()


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (
            "<math><mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mn>2</mn></mfrac></math>",
            "(a + b)/2",
        ),
        ("<math><msup><mi>x</mi><mn>2</mn></msup></math>", "x^2"),
        ("<math alttext='x_{1}' display=block><mi>x</mi></math>", "$$x_{1}$$"),
        (
            "<span class='katex-display katex'><span class=katex><span class=katex-mathml><math>"
            "<semantics><mi>E</mi><annotation "
            "encoding='application/x-tex'>E=mc^2</annotation></semantics></math></span>"
            "<span class=katex-html aria-hidden=true>E=mc2</span></span></span>",
            "$$E=mc^2$$",
        ),
        ("<script type='math/tex; mode=display'>\\int x</script>", "$$\\int x$$"),
        (
            "<mjx-container><mjx-assistive-mml><math><mi>y</mi></math></mjx-assistive-mml>"
            "</mjx-container>",
            "y",
        ),
    ],
    ids=["fraction", "power", "alttext", "katex", "script", "mathjax"],
)
def test_formulas_are_tex_or_one_line(formula: str, text: str) -> None:
    page = read(f"<body><main><p>{FILLER}</p><p>See {formula} here.</p></main>")
    assert f"See {text} here." in page.text


@pytest.mark.parametrize("markup", ["", "<", "<html>", "<!--", "\x00", "<frameset>", "<svg><p>x"])
def test_fragments_of_pages_are_read_without_failing(markup: str) -> None:
    read(markup)


def test_plain_text_is_kept_as_it_is() -> None:
    assert read("a  b\n\n<p>c", "text/plain").text == "a  b\n\n<p>c"


def test_entities_of_xml_are_not_expanded() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;">]><x>&b; text</x>'
    assert "lollol" not in read(bomb, "application/xml").text


def test_the_tag_stripper_drops_scripts_and_comments() -> None:
    markup = (
        "<h1>A &amp; B</h1><script>if (a < b) x</script><!-- <p>no</p> --><p>1 < 2</p>"
        "<style>p{}</style><br/>end"
    )
    assert strip_tags(markup) == "A & B\n1 < 2\nend"


@pytest.mark.parametrize(
    "markup",
    ["<!--" * 100_000, "<script>" * 50_000, "<a " * 100_000, "<" * 300_000, " " * 1_000_000],
    ids=["comments", "scripts", "tags", "brackets", "spaces"],
)
def test_the_tag_stripper_is_linear(markup: str) -> None:
    strip_tags(markup)


@pytest.mark.parametrize(
    "markup",
    [
        "<body>" + "<a href=/x>x</a>" * 20_000,
        "<body>" + " \n" * 2_500_000 + "x",
        "<body>" + "<div>" * 2_000 + "x",
        "<body>" + "<table><tr><td>" * 1_000 + "x",
        "<body><math>" + "<mrow>" * 1_000 + "x",
        "<body>" + "<math><mi>x</mi></math>" * 5_000,
        "<body>x" + "<!--" * 100_000,
    ],
    ids=["links", "space", "deep", "tables", "formula", "formulas", "comments"],
)
def test_hostile_pages_are_read_in_bounded_time(markup: str) -> None:
    started = time.process_time()
    assert "x" in read(markup).text
    assert time.process_time() - started < 4


@pytest.mark.parametrize(
    "markup",
    [
        "<p>word</p>\n" * 151_000,
        "<div>" * 100_000 + "word",
        "<div>" * 20_000 + "word" + "</p>" * 5_000,
        "<p " + MANY_ATTRIBUTES + ">word</p>",
        f"<script>{'x' * 9_000}</script><p {MANY_ATTRIBUTES}>word</p>",
        f"<style id='{'x' * 9_000}'>{'x' * 90_000}</style><p {MANY_ATTRIBUTES}>word</p>",
        "<p>" + "word" * 3_000_000,
    ],
    ids=["tags", "depth", "depth with other ends", "attributes", "script", "style", "bytes"],
)
def test_a_page_that_would_hold_the_parser_is_stripped_at_once(markup: str) -> None:
    started = time.process_time()
    page = read(markup)
    assert time.process_time() - started < 2
    assert page.text.count("word") == markup.count("word")
    assert not page.has_inline_links
    assert page.notes == (
        "the page is too large for its structure to be read: this is its bare text",
    )


@pytest.mark.parametrize(
    "markup",
    [
        "<p>word<br>" * 20_000,
        "<div>word</div>" * 20_000,
        f"<p data-state='{json.dumps({'text': 'a b ' * 20_000})}'>word</p>",
        "<script>if (a <b) { " + "word " * 20_000 + "}</script><p>word</p>",
    ],
    ids=["without ends", "side by side", "data in an attribute", "script"],
)
def test_a_long_page_of_ordinary_structure_is_parsed(markup: str) -> None:
    assert read(markup).notes == ()


def test_a_stray_nul_leaves_a_page_a_page() -> None:
    body = b"<!doctype html><p>one\0two</p>"
    url = "https://example.com/"
    info = sniff(Resource(url=url, final_url=url, status=200, content_type="text/html", body=body))
    assert info.media_type == "text/html"
    assert extract(body, info).plain_text == "onetwo"
