"""Markdown written from HTML: one row per construct."""

import time

import ada_url
import pytest
from selectolax.lexbor import LexborHTMLParser

from mcp_server.extract.html.markdown import to_markdown
from mcp_server.extract.html.page_urls import PageUrls

PAGE = "https://example.com/dir/page"


def markdown(markup: str) -> str:
    tree = LexborHTMLParser(markup)
    assert tree.body is not None
    return to_markdown(tree.body, PageUrls(tree, PAGE))


CONSTRUCTS = {
    "headings": (
        "<h1>One</h1><h2>Two <em>x</em></h2><h6>Six</h6><h3></h3><p>End",
        "# One\n\n## Two *x*\n\n###### Six\n\nEnd",
    ),
    "heading-with-blocks-and-breaks": ("<h2><div>A</div><div>B</div><br>C</h2>", "## A B C"),
    "heading-permalink": ('<h2>Part<a class="headerlink" href="#part">¶</a></h2>', "## Part"),
    "heading-edit-link": ('<h2>Part<a href="/w?action=edit#x">[edit]</a></h2>', "## Part"),
    "bold-heading": ("<h2><b>Part</b> one</h2>", "## Part one"),
    "paragraphs": ("<p>a\n  b</p> <p>c</p><div>d</div>", "a b\n\nc\n\nd"),
    "line-breaks": ("<p>a<br>b<br/><br>c", "a\nb\n\nc"),
    "rule": ("<hr><p>a</p><hr><hr><p>b</p><hr>", "a\n\n---\n\nb"),
    "emphasis": ("<b>bold</b> <i>it</i> <em>em</em> <del>no</del>", "**bold** *it* *em* ~~no~~"),
    "spaces-around-emphasis": ("a<b> bold </b>b", "a **bold** b"),
    "nested-same-emphasis": ("<b>a <strong>b</strong></b>", "**a b**"),
    "adjacent-emphasis": ("<b>a</b><b>b</b>", "**ab**"),
    "emphasis-across-blocks": ("<b><p>a</p><p>b</p></b>", "**a**\n\n**b**"),
    "emphasis-without-words": ("a <b> </b><i></i><b>:</b> b", "a : b"),
    "emphasis-that-was-not-ended": ("<b>" + "long text " * 60, ("long text " * 60).strip()),
    "list": ("<ul><li>a<li>b</ul>", "- a\n- b"),
    "nested-list": (
        "<p>x</p><ul><li>a<ul><li>b<ol><li>c</ol></ul><li>d</ul>",
        "x\n\n- a\n  - b\n    1. c\n- d",
    ),
    "nested-list-without-item": ("<ul><li>a</li><ul><li>b</ul></ul>", "- a\n  - b"),
    "list-start-and-value": ("<ol start=9><li>a<li value=20>b<li>c", "9. a\n20. b\n21. c"),
    "list-item-with-blocks": (
        "<ol><li><p>a</p><p>b</p><pre>c\n  d</pre><li>e</ol>",
        "1. a\n\n   b\n\n   ```\n   c\n     d\n   ```\n2. e",
    ),
    "two-lists": ("<ul><li>a</ul><ol><li>b</ol>", "- a\n\n1. b"),
    "empty-items": ("<ul><li><li> <li>a</ul>", "- a"),
    "lone-item": ("<div><li>a</li><li>b</li></div>", "- a\n- b"),
    "quote": (
        "<blockquote><p>a</p><blockquote>b</blockquote><ul><li>c</ul></blockquote>",
        "> a\n>\n> > b\n>\n> - c",
    ),
    "definitions": (
        "<dl><dt>T<dd>one<dd><p>two</p><p>more</p><dt>U<dd>three</dl>",
        "T\n: one\n: two\n\n  more\n\nU\n: three",
    ),
    "code-block": (
        '<pre><code class="language-python">def f():\n    return 1\n\n\n</code></pre>',
        "```python\ndef f():\n    return 1\n```",
    ),
    "code-language-of-sphinx": (
        '<div class="highlight-python3 notranslate"><div class="highlight"><pre><span></span>'
        '<span class="n">x</span> <span class="o">=</span> 1\n</pre></div></div>',
        "```python\nx = 1\n```",
    ),
    "code-language-of-github": (
        '<div class="highlight highlight-source-shell"><pre>ls</pre></div>',
        "```shell\nls\n```",
    ),
    "code-language-of-jekyll": (
        '<div class="language-ruby highlighter-rouge"><div class="highlight">'
        '<pre class="highlight"><code>puts 1</code></pre></div></div>',
        "```ruby\nputs 1\n```",
    ),
    "code-language-of-pandoc": (
        '<pre class="sourceCode haskell"><code class="sourceCode haskell">id</code></pre>',
        "```haskell\nid\n```",
    ),
    "code-without-language": ('<pre class="highlight">a</pre>', "```\na\n```"),
    "code-with-fence-inside": ("<pre>```\na\n```</pre>", "````\n```\na\n```\n````"),
    "code-lines-as-elements": (
        "<pre><div>a</div><div>  b</div></pre><pre>c<br>d</pre>",
        "```\na\n  b\n```\n\n```\nc\nd\n```",
    ),
    "code-line-numbers": (
        '<table class="highlighttable"><tr><td class="linenos"><pre>1\n2</pre><td class="code">'
        "<pre>a\nb</pre></table>",
        "```\na\nb\n```",
    ),
    "code-line-numbers-in-lines": (
        '<pre><span class="lineno">1</span>a\n'
        '<b class="lineno line-number"><i class="lineno">2</i></b>b</pre>',
        "```\na\nb\n```",
    ),
    "inline-code": (
        "<code>a</code> <kbd>b</kbd> <code>c`d</code> <code>`</code>",
        "`a` `b` ``c`d`` `` ` ``",
    ),
    "adjacent-code": ("<code>a</code><code>b</code>", "`a` `b`"),
    "table": (
        "<table><caption>Cap</caption><thead><tr><th>A<th>B<tbody><tr><td>1<td>2</table>",
        "Cap\n\n| A | B |\n| --- | --- |\n| 1 | 2 |",
    ),
    "table-without-header": (
        "<table><tr><td>A<td>B<tr><td>1<td>2</table>",
        "| A | B |\n| --- | --- |\n| 1 | 2 |",
    ),
    "table-with-row-headers": (
        "<table><tr><th colspan=2>Name<tr><th>A<td>1<tr><th>B<td>2</table>",
        "Name\n\n|  |  |\n| --- | --- |\n| A | 1 |\n| B | 2 |",
    ),
    "table-cells": (
        "<table><tr><th>A<th>B<tr><td>a|b<br>c<td><p>d</p><ul><li>e<li><b>f</b></ul></table>",
        "| A | B |\n| --- | --- |\n| a\\|b c | d e **f** |",
    ),
    "table-with-empty-title": (
        "<table><tr><th colspan=2><img src=x><tr><th>A<td>1<tr><th>B<td>2</table>",
        "|  |  |\n| --- | --- |\n| A | 1 |\n| B | 2 |",
    ),
    "table-spans": (
        "<table><tr><th>A<th>B<th>C<tr><td rowspan=2>x<td colspan=2>y<tr><td>z<td>w</table>",
        "| A | B | C |\n| --- | --- | --- |\n| x | y |\n| x | z | w |",
    ),
    "layout-table": (
        "<table><tr><td><h2>A</h2><p>b</p><td><table><tr><td>c</table></table>",
        "## A\n\nb\n\nc",
    ),
    "data-table-in-a-layout-table": (
        "<table><tr><td><h2>A</h2><td><table><tr><th>B<th>C<tr><td>d<td>e</table></table>",
        "## A\n\n| B | C |\n| --- | --- |\n| d | e |",
    ),
    "presentation-table": (
        "<table role=presentation><tr><td>a<td>b<tr><td>c<td>d</table>",
        "a\n\nb\n\nc\n\nd",
    ),
    "one-column-table": ("<table><tr><td>a<tr><td>b</table>", "a\n\nb"),
    "superscripts": (
        "x<sup>2</sup> 10<sup>-3</sup> e<sup>a + b</sup> 1<sup>st</sup> A<sup>TM</sup>",
        "x^2 10^-3 e^(a + b) 1st ATM",
    ),
    "subscripts": ("H<sub>2</sub>O a<sub>n</sub> a<sub>n+1</sub>", "H2O a_n a_(n+1)"),
    "footnote": ('said<sup><a href="#fn1">1</a></sup>.', "said[1]."),
    "quotation": ("He said <q>yes</q>.", "He said “yes”."),
    "ruby": ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>", "漢(kan)"),
    "image": (
        '<p>Look:<img src=x alt="A red fox in the snow">there</p>',
        "Look: [image: A red fox in the snow] there",
    ),
    "image-in-a-figure": (
        '<figure><picture><img alt="A red fox in the snow"></picture></figure>',
        "[image: A red fox in the snow]",
    ),
    "image-with-long-description": (
        f"<p><img alt='{'word ' * 40}'></p>",
        "[image: " + ("word " * 23).strip() + "…]",
    ),
    "image-that-says-nothing": (
        "<p><img alt=''><img alt=logo><img alt='IMG_20240101.jpg'><img>x",
        "x",
    ),
    "image-with-the-same-caption": (
        "<figure><img alt='A red fox in the snow'>"
        "<figcaption>A red fox in the snow, 2024</figcaption></figure>",
        "A red fox in the snow, 2024",
    ),
    "image-with-another-caption": (
        "<figure><img alt='A red fox in the snow'><figcaption>Fig. 1</figcaption></figure>",
        "[image: A red fox in the snow]\n\nFig. 1",
    ),
    "image-again": (
        "<p>a<img alt='A red fox in the snow'><p>b<img alt='A red fox in the snow'>",
        "a [image: A red fox in the snow]\n\nb",
    ),
    "thumbnail": ("<div><img alt='A red fox in the snow'>Fox</div>", "Fox"),
    "details": ("<details><summary>More</summary><p>Text</p></details>", "More\n\nText"),
    "parts-that-style-sheets-part": (
        "<div><span>Price</span><span>9</span><a>Buy</a></div><span>a</span><span>b</span>",
        "Price 9 Buy\n\nab",
    ),
    "scripts": ("a<script>b</script><style>c</style><template>d</template><!-- e -->", "a"),
}

LINKS = {
    "relative": ('<a href="../up?a=1&amp;b#x">Up</a>', "[Up](https://example.com/up?a=1&b#x)"),
    "absolute-path": ('<a href="/a/b.html">B</a>', "[B](https://example.com/a/b.html)"),
    "other-scheme-of-the-page": ('<a href="//x.example/y">Y</a>', "[Y](https://x.example/y)"),
    "unsafe-characters": (
        '<a href="https://x.example/a (b)?q=<i>">X</a>',
        "[X](https://x.example/a%20%28b%29?q=%3Ci%3E)",
    ),
    "international": ('<a href="/ü">U</a>', "[U](https://example.com/%C3%BC)"),
    "brackets-in-text": ('<a href="/x">go [1]</a>', r"[go \[1\]](https://example.com/x)"),
    "code-in-text": ('<a href="/x"><code>f()</code></a>', "[`f()`](https://example.com/x)"),
    "bold-in-text": ('<a href="/x">a <b>b</b></a>', "[a **b**](https://example.com/x)"),
    "break-in-text": ('<a href="/x">a<br>b</a>', "[a b](https://example.com/x)"),
    "neighbours": (
        '<a href="/a">A</a><a href="/b">B</a>!<a href="/c">C</a>',
        "[A](https://example.com/a) [B](https://example.com/b)! [C](https://example.com/c)",
    ),
    "card": (
        '<a href="/x"><p><img alt="A red fox in the snow"></p><h3>Fox</h3><p>More</p></a>',
        "### [Fox](https://example.com/x)\n\nMore",
    ),
    "empty": ('a<a href="/x"></a><a href="/y"> </a>b', "a b"),
    "symbol-only": ('<a href="/x">»</a>', "»"),
    "same-page": ('<a href="#here">Here</a> <a href="page#y">There</a>', "Here There"),
    "script": ('<a href=" JavaScript:x()">Run</a>', "Run"),
    "data": ('<a href="data:text/html,x">Data</a>', "Data"),
    "mail": ('<a href="mailto:a@b.example">Mail</a>', "Mail"),
    "file": ('<a href="file:///etc/passwd">File</a>', "File"),
    "invalid": ('<a href="http://[bad/">Bad</a>', "Bad"),
    "too-long": (f'<a href="/{"x" * 3_000}">Long</a>', "Long"),
    "link-like-text": ("[a](http://evil.example) `b`", "[a\\](http://evil.example) \\`b\\`"),
    "backslash-before-code": (r"C:\<code>x</code>", "C:\\\\`x`"),
}


HREFS = [
    *("/a", "b", "?q='", "/x/../a", "/x/./a", "/.a", "//other.example/", "/a//b", "/a?b//c"),
    *("https://x.example/a?q=1#c", "https://x.example", "https://x.example:443/", "http://1.2/a"),
    *("https://x.example/q?a='", "https://X.example/a", "https://xn--a.example/"),
    *("https://user@x.example/", "https://x.example/%7e", "https://x.example/ü", "http:/a"),
]
"""Plain addresses, and such in which the URL rules change something."""


@pytest.mark.parametrize(("markup", "expected"), CONSTRUCTS.values(), ids=CONSTRUCTS)
def test_a_construct_keeps_its_meaning(markup: str, expected: str) -> None:
    assert markdown(markup) == expected


@pytest.mark.parametrize(("markup", "expected"), LINKS.values(), ids=LINKS)
def test_a_link_is_kept_only_where_it_leads_to_another_page(markup: str, expected: str) -> None:
    assert markdown(markup) == expected


def test_links_follow_the_base_of_the_page() -> None:
    base = "<head><base href='https://cdn.example.com/x/'></head>"
    assert markdown(f"{base}<a href=y>Y</a>") == "[Y](https://cdn.example.com/x/y)"
    assert markdown("<head><base href='file:///etc/'></head><a href=y>Y</a>") == (
        "[Y](https://example.com/dir/y)"
    )


@pytest.mark.parametrize("page", ["https://example.com/d/", "HTTPS://EXAMPLE.com:443/./d/"])
@pytest.mark.parametrize("href", HREFS)
def test_a_link_is_resolved_by_the_url_rules(page: str, href: str) -> None:
    urls = PageUrls(LexborHTMLParser("<p>"), page)
    assert urls.absolute(href) == ada_url.join_url(page, href)


@pytest.mark.parametrize("url", ["", "file:///home/me/page.html", "page.html"])
def test_a_page_without_an_address_on_the_web_keeps_only_absolute_links(url: str) -> None:
    tree = LexborHTMLParser("<a href=/a>A</a> <a href=b>B</a> <a href=https://x.example/>C</a>")
    assert tree.body is not None
    assert to_markdown(tree.body, PageUrls(tree, url)) == "A B [C](https://x.example/)"


def test_no_line_ends_in_white_space_and_no_two_lines_are_blank() -> None:
    text = markdown(
        "<p> a </p>\n\n<blockquote> <p>b <br> c</p> <p>d</p></blockquote><pre>e  \n\n\n\nf</pre>"
    )
    assert all(line == line.rstrip() for line in text.split("\n"))
    assert "\n\n\n" not in text


@pytest.mark.parametrize(
    "markup",
    [
        "<div>" * 1_000 + "x",
        "<ul><li>" * 1_000 + "x",
        "<blockquote>" * 1_000 + "x",
        "<b><i>" * 1_000 + "x",
        "<table><tr><td>" * 500 + "x",
        "<dl><dd>" * 1_000 + "x",
        "<sup>" * 1_000 + "x",
        "<span>" * 1_000 + "x",
    ],
    ids=["div", "list", "quote", "emphasis", "table", "definition", "superscript", "span"],
)
def test_deep_nesting_keeps_its_text(markup: str) -> None:
    assert "x" in markdown(markup)


@pytest.mark.parametrize(
    "markup",
    [
        "".join(f"<a href='/{n}'>link {n}</a> " for n in range(10_000)),
        " \n" * 1_000_000 + "x",
        "<p>" + "`" * 100_000 + "x",
        "<p>" + "\\" * 100_000 + "x",
        "<p>" + "[](" * 50_000 + "x",
        "<pre>" + "`" * 20_000 + "x",
        "<table>" + "<tr><td rowspan=100 colspan=100>x" * 500,
        "<p>" + "<b>x</b>" * 10_000,
    ],
    ids=["links", "space", "backticks", "slashes", "brackets", "fences", "spans", "bold"],
)
def test_hostile_markup_costs_no_more_than_its_size(markup: str) -> None:
    started = time.process_time()
    text = markdown(markup)
    assert "x" in text or "link 9999" in text
    assert len(text) < 3 * len(markup) + 100_000
    assert time.process_time() - started < 2


def test_a_long_base_does_not_multiply_the_size_of_a_page() -> None:
    base = f"<head><base href='https://example.com/{'x' * 1_900}/'></head>"
    text = markdown(base + "<a href=a>b</a> " * 5_000)
    assert len(text) < 5_000_000
    assert text.endswith("b b b")
