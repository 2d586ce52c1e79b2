"""Text from HTML, XML, feeds, JSON and plain text."""

import pytest

from mcp_server.extract import extract
from mcp_server.extract.plain_text import strip_tags
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.visit.types import Link

FILLER = "This sentence is here so that the main part has more text than the rest. " * 4


def read(markup: str, media_type: str = "text/html") -> Extracted:
    info = SourceInfo(url="https://example.com/dir/page", media_type=media_type, charset="utf_8")
    return extract(markup.encode(), info)


def test_the_main_part_is_kept_and_what_surrounds_it_is_dropped() -> None:
    page = read(
        f"""<title>The  title</title><body><header>Site</header><nav>Menu</nav>
        <main><h1>Head</h1><p>{FILLER}</p><aside>Ad</aside></main>
        <div role=navigation>More</div><footer>Imprint</footer>"""
    )
    assert page.title == "The title"
    assert page.text.startswith("# Head")
    assert FILLER.strip() in page.text
    for dropped in ("Site", "Menu", "Ad", "More", "Imprint"):
        assert dropped not in page.text


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


def test_headings_lists_tables_and_code_are_markdown() -> None:
    text = read(
        """<body><article><h2>Part</h2><ul><li>one<li>two</ul><ol><li>first</ol>
        <table><tr><th>A<th>B<tr><td>1<td>2</table>
        <pre><code>def f():
    return 1 &lt; 2</code></pre><p>Use <code>f()</code>, <b>now</b>.</article>"""
    ).text
    assert "## Part" in text
    assert "- one\n- two" in text
    assert "1. first" in text
    assert "| A | B |" in text
    assert "def f():\n    return 1 < 2" in text
    assert "Use `f()`, **now**." in text


def test_links_are_returned_apart_and_leave_their_text_behind() -> None:
    page = read(
        f"""<body><nav><a href=/menu>Menu</a></nav><main><p>{FILLER}
        <a href="../up?a=1#x">Up</a> <a href='https://other.example/a (b)'>Other</a>
        <a href="/up?a=1">Again</a> <a href="#here">Here</a> <a href="javascript:x">Bad</a>
        <a href="mailto:a@example.com">Mail</a> <a href="http://[bad/">Broken</a>
        <a href="/empty"></a> <a href="data:text/html,x">Data</a></main>"""
    )
    assert page.links == (
        Link(text="Up", url="https://example.com/up?a=1"),
        Link(text="Other", url="https://other.example/a%20%28b%29"),
    )
    assert "Up Other Again Here" in " ".join(page.text.split())
    assert "](" not in page.text


def test_relative_links_follow_the_base_of_the_page() -> None:
    page = read("<head><base href='https://cdn.example.com/x/'></head><a href='y'>Y</a>")
    assert page.links == (Link(text="Y", url="https://cdn.example.com/x/y"),)


def test_a_base_that_is_not_the_web_is_ignored() -> None:
    page = read("<head><base href='file:///etc/'></head><a href='y'>Y</a>")
    assert page.links == (Link(text="Y", url="https://example.com/dir/y"),)


def test_the_title_prefers_open_graph_and_falls_back_to_the_heading() -> None:
    og = "<meta property=og:title content='Open'><title>Plain</title>"
    assert read(f"<head>{og}</head><body>x").title == "Open"
    assert read("<title>Plain</title><body><h1>Head</h1>").title == "Plain"
    assert read("<body><h1>Head <i>line</i></h1>").title == "Head line"
    assert read("<svg><title>Icon</title></svg><p>x").title in ("", "Icon")


def test_a_main_element_with_little_text_does_not_hide_the_page() -> None:
    text = read(f"<body><main><p>Short.</p></main><div><p>{FILLER}</p></div>").text
    assert "Short." in text
    assert FILLER.strip() in text


def test_without_a_main_element_the_paragraphs_win() -> None:
    paragraphs = f"<p>{FILLER}</p>" * 3
    text = read(f"<body><div>Crumbs</div><div><div>{paragraphs}</div></div><div>Tags</div>").text
    assert "This sentence" in text
    assert "Tags" not in text


def test_a_form_around_the_whole_page_is_kept() -> None:
    assert "This sentence" in read(f"<body><form><p>{FILLER}</p></form>").text


def test_a_hidden_body_is_still_read() -> None:
    assert "This sentence" in read(f"<body style='opacity:0' hidden><p>{FILLER}</p>").text


def test_noscript_stands_in_for_a_page_that_is_otherwise_empty() -> None:
    assert "This sentence" in read(f"<body><div id=app></div><noscript>{FILLER}</noscript>").text


def test_a_page_that_only_asks_for_javascript_has_no_text() -> None:
    markup = "<body><div id=root></div><noscript>You need to enable JavaScript.</noscript>"
    assert read(markup).text == ""


@pytest.mark.parametrize("markup", ["", "<", "<html>", "<!--", "\x00", "<frameset>", "<svg><p>x"])
def test_fragments_of_pages_are_read_without_failing(markup: str) -> None:
    read(markup)


def test_plain_text_is_kept_as_it_is() -> None:
    assert read("a  b\n\n<p>c", "text/plain").text == "a  b\n\n<p>c"


def test_json_on_one_line_is_indented_and_other_json_is_kept() -> None:
    assert read('{"a":["\\u4e2d"]}', "application/json").text == '{\n "a": [\n  "中"\n ]\n}'
    assert read('{\n"a": 1}', "application/json").text == '{\n"a": 1}'


@pytest.mark.parametrize("body", ["[" * 200_000, '{"a":1}{"b":2}', "9" * 5_000, "not json"])
def test_json_that_cannot_be_parsed_is_kept(body: str) -> None:
    assert read(body, "application/json").text == body


def test_a_feed_is_readable_text() -> None:
    feed = read(
        """<?xml version="1.0"?><rss><channel><title>News</title>
        <item><title>One</title><description>&lt;p&gt;First &amp;amp; best&lt;/p&gt;</description>
        <link>https://example.com/1</link></item>
        <item><title>Two</title><description><![CDATA[<b>Second</b> item]]></description></item>
        </channel></rss>""",
        "application/rss+xml",
    )
    assert feed.title == "News"
    expected = ["News", "One", "First & best", "https://example.com/1", "Two", "Second item"]
    assert feed.text.split("\n") == expected


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


def test_a_page_with_too_many_tags_is_stripped_instead_of_parsed() -> None:
    page = read("<p>word</p>\n" * 151_000)
    assert page.text.count("word") == 151_000
