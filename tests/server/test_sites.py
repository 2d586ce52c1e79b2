"""Pages of known sites, in the markup that these sites serve."""

import json

import pytest

from mcp_server.extract.html.webpage import read_webpage
from mcp_server.extract.inline_links import take_out_links
from mcp_server.extract.types import Extracted, SourceInfo

FILLER = "This sentence stands for the many that a real page has here. " * 4


def read(url: str, markup: str) -> Extracted:
    info = SourceInfo(url=url, media_type="text/html", charset="utf_8")
    return read_webpage(markup.encode(), info)


def text_of(page: Extracted) -> str:
    return take_out_links(page.text)[0]


WIKI = f"""<html lang="en"><head><meta name="generator" content="MediaWiki 1.45.0-wmf.5">
<title>Ada Lovelace - Wikipedia</title></head><body class="mediawiki"><div id="mw-panel">Main page
</div><h1 id="firstHeading"><span class="mw-page-title-main">Ada Lovelace</span></h1>
<div id="mw-content-text"><div class="mw-content-ltr mw-parser-output" lang="en">
<div class="shortdescription nomobile noexcerpt" style="display:none">Mathematician</div>
<div role="note" class="hatnote navigation-not-searchable">For other uses, see Lovelace.</div>
<span class="geo-nondefault">51°N</span><style>.x{{}}</style>
<table class="infobox vcard"><tbody><tr><th colspan="2" class="infobox-above">Ada Lovelace</th></tr>
<tr><th scope="row">Born</th><td>10 December 1815</td></tr>
<tr><th scope="row">Died</th><td>27 November 1852</td></tr></tbody></table>
<p><b>Ada Lovelace</b> (<span class="IPA"><span>ˈ</span><span>l</span><span>ʌ</span></span>) wrote
<a href="/wiki/Program" title="Program">programs</a>.<sup id="cite_ref-1" class="reference">
<a href="#cite_note-1"><span class="cite-bracket">[</span>1<span class="cite-bracket">]</span></a>
</sup> {FILLER}</p>
<meta property="mw:PageProp/toc"><div id="toc" class="toc">Contents</div>
<div class="mw-heading mw-heading2"><h2 id="Life">Life</h2><span class="mw-editsection">
<span class="mw-editsection-bracket">[</span><a href="/w/index.php?action=edit">
edit</a>]</span></div>
<p>The sum <span class="mwe-math-element"><span class="mwe-math-mathml-inline mwe-math-mathml-a11y"
 style="display: none;"><math alttext="{{\\displaystyle \\sum _{{i}}x_{{i}}}}"><semantics><mi>x</mi>
<annotation encoding="application/x-tex">{{\\displaystyle \\sum _{{i}}x_{{i}}}}</annotation>
</semantics></math></span><img class="mwe-math-fallback-image-inline" alt="sum"></span> counts.</p>
<div class="mw-heading mw-heading2"><h2 id="References">References</h2></div>
<div class="reflist"><div class="mw-references-wrap"><ol class="references"><li id="cite_note-1">
<span class="mw-cite-backlink"><b><a href="#cite_ref-1">^</a></b></span>
<span class="reference-text">Fuegi, J. <i>Annals</i>.</span></li></ol></div></div>
<div class="mw-heading mw-heading2"><h2 id="External_links">External links</h2></div>
<ul><li><a href="https://example.org/ada">Archive</a></li></ul>
<div role="navigation" class="navbox">Computing pioneers</div></div></div></body></html>"""


@pytest.mark.parametrize(
    "url", ["https://en.wikipedia.org/wiki/Ada_Lovelace", "https://wiki.example/Ada"]
)
def test_a_wiki_article_is_its_text_with_references_last(url: str) -> None:
    page = read(url, WIKI)
    assert page.title == "Ada Lovelace"
    assert text_of(page) == (
        "# Ada Lovelace\n\nFor other uses, see Lovelace.\n\nAda Lovelace\n\n"
        "|  |  |\n| --- | --- |\n| Born | 10 December 1815 |\n| Died | 27 November 1852 |\n\n"
        f"**Ada Lovelace** (ˈlʌ) wrote programs.[1] {FILLER.strip()}\n\n"
        "## Life\n\nThe sum $\\sum _{i}x_{i}$ counts.\n\n"
        "## External links\n\n- Archive\n\n## References\n\n1. Fuegi, J. *Annals*."
    )
    assert [link.text for link in take_out_links(page.text)[1]] == ["programs", "Archive"]


ARXIV = f"""<html><head><title>[1706.03762] Attention</title></head><body><div id="abs-outer">
<div class="leftcolumn"><div class="subheader"><h1>Computer Science</h1></div>
<div id="content-inner">
<div id="abs"><div class="dateline">[Submitted on 12 Jun 2017]</div>
<h1 class="title mathjax"><span class="descriptor">Title:</span>Attention in $n^2$</h1>
<div class="authors"><span class="descriptor">Authors:</span><a href="/a/x">Ashish Vaswani</a>,
<a href="/a/y">Noam Shazeer</a></div>
<blockquote class="abstract mathjax"><span class="descriptor">Abstract:</span>{FILLER}</blockquote>
<div class="metatable"><table><tr><td class="tablecell label">Comments:</td>
<td class="tablecell comments mathjax">15 pages, 5 figures</td></tr><tr><td>Subjects:</td>
<td class="tablecell subjects"><span class="primary-subject">Computation (cs.CL)</span></td></tr>
</table></div></div></div></div><div class="extra-services"><a href="/pdf/1706.03762">View PDF</a>
<a href="https://arxiv.org/html/1706.03762" id="latexml-download-link">HTML</a></div></div>"""


def test_an_abstract_offers_the_paper() -> None:
    page = read("https://arxiv.org/abs/1706.03762", ARXIV)
    assert page.title == "Attention in $n^2$"
    assert page.notes == (
        "PDF: https://arxiv.org/pdf/1706.03762",
        "HTML: https://arxiv.org/html/1706.03762",
    )
    assert text_of(page) == (
        "# Attention in $n^2$\n\nAuthors: Ashish Vaswani, Noam Shazeer\n"
        "Submitted on 12 Jun 2017\nSubjects: Computation (cs.CL)\nComments: 15 pages, 5 figures\n\n"
        f"## Abstract\n\n{FILLER.strip()}"
    )


def test_a_paper_in_html_keeps_its_formulas() -> None:
    page = read(
        "https://arxiv.org/html/1706.03762v7",
        f"""<body><nav class="ltx_page_navbar">Contents</nav><div class="ltx_page_content">
        <article class="ltx_document"><h1 class="ltx_title ltx_title_document">Attention</h1>
        <section class="ltx_section"><h2 class="ltx_title">
        <span class="ltx_tag">1 </span>Model</h2><div class="ltx_para"><p class="ltx_p">{FILLER}
        <math alttext="d_{{k}}" display="inline"><semantics><mi>d</mi><annotation
         encoding="application/x-tex">d_{{k}}</annotation></semantics></math></p>
        <table class="ltx_equation ltx_eqn_table"><tbody><tr><td></td><td><math alttext="y=x"
         display="block"><mi>y</mi></math></td><td><span class="ltx_tag">(1)</span></td></tr>
        <tr><td></td><td>z</td><td></td></tr></tbody></table></div></section></article></div>""",
    )
    assert text_of(page) == (f"# Attention\n\n## 1 Model\n\n{FILLER}$d_{{k}}$\n\n$$y=x$$ (1)\n\nz")


QUESTION = f"""<head><title>python - How?</title></head><body><div class="left-sidebar">Home</div>
<div id="question-header"><h1><a href="/questions/1/how">How do I do it?</a></h1></div>
<div id="question" class="question js-question" data-score="42"><div class="js-vote-count">42</div>
<div class="s-prose js-post-body" itemprop="text"><p>{FILLER}</p><pre class="lang-py"><code>x = [1]
</code></pre></div><div class="post-signature"><div class="user-action-time">edited
<span title="2020-02-02 10:00:00Z" class="relativetime">Feb 2</span></div>
<div class="user-details"><a href="/users/9/ed">Ed</a></div></div>
<div class="post-signature owner"><div class="user-action-time">asked
<span title="2020-01-01 10:00:00Z" class="relativetime">Jan 1</span></div><div class="user-details"
 itemprop="author"><a href="/users/1/ann">Ann</a><span itemprop="name">Ann</span></div></div>
<ul class="comments-list"><li class="comment"><span class="comment-copy">Why `x`?</span>
<a class="comment-user" href="/users/3">Cid</a></li></ul></div>
<div id="answers"><div id="answers-header">1 Answer</div><div id="answer-2" data-score="7"
 class="answer js-answer accepted-answer js-accepted-answer"><div class="s-prose js-post-body">
<p>Like <code>this</code>.</p></div><div class="post-signature"><div class="user-action-time">
<span title="2020-01-03 10:00:00Z" class="relativetime">Jan 3</span></div>
<div class="user-details" itemprop="author"><a href="/users/2/bob">Bob</a></div></div></div></div>
<div id="sidebar">Hot Network Questions</div></body>"""


@pytest.mark.parametrize("host", ["stackoverflow.com", "unix.stackexchange.com", "superuser.com"])
def test_a_question_is_followed_by_its_answers(host: str) -> None:
    page = read(f"https://{host}/questions/1/how", QUESTION)
    assert text_of(page) == (
        "# How do I do it?\n\n## Question (score 42, by Ann, 2020-01-01)\n\n"
        f"{FILLER.strip()}\n\n```py\nx = [1]\n```\n\nComments:\n- Cid: Why `x`?\n\n"
        "## Answer (score 7, accepted, by Bob, 2020-01-03)\n\nLike `this`."
    )


def data_script(payload: object) -> str:
    return (
        '<script type="application/json" data-target="react-app.embeddedData">'
        f"{json.dumps(payload)}</script>"
    )


def test_a_repository_is_its_description_files_and_readme() -> None:
    page = read(
        "https://github.com/owner/name",
        f"""<body><header>GitHub navigation</header><div class="Layout-sidebar"><p class="f4 my-3">
        A small tool.</p></div><table><tr class="react-directory-row"><td><a title="src"
        href="/owner/name/tree/main/src">src</a></td></tr><tr class="react-directory-row"><td>
        <a title="README.md" href="/owner/name/blob/main/README.md">README.md</a></td></tr></table>
        <article class="markdown-body entry-content"><div class="markdown-heading"><h1>Name</h1>
        <a class="anchor" href="#name"><svg></svg></a></div><p>{FILLER}</p>
        <div class="highlight highlight-source-shell"><pre>make</pre></div></article>""",
    )
    assert page.title == "owner/name"
    assert text_of(page) == (
        "# owner/name\n\nA small tool.\n\nFiles: src, README.md\n\n# Name\n\n"
        f"{FILLER.strip()}\n\n```shell\nmake\n```"
    )


def test_a_file_is_its_code_with_the_place_of_the_raw_file() -> None:
    lines = ["def f():", '    return "[a](http://x.example) `b`"', *["# more"] * 30]
    page = read(
        "https://github.com/owner/name/blob/main/src/a%20b.py",
        data_script({"payload": {"blob": {"rawLines": lines}}}) + "<p>Skip to content</p>",
    )
    assert page.notes == (
        "raw file: https://raw.githubusercontent.com/owner/name/main/src/a%20b.py",
    )
    assert text_of(page).endswith("```python\n" + "\n".join(lines) + "\n```")


def test_an_issue_is_what_was_said_by_whom_and_when() -> None:
    comment = {
        "__typename": "IssueComment",
        "id": "c1",
        "author": {"login": "bob"},
        "body": "Fixed in [8](https://github.com/owner/name/pull/8).",
        "createdAt": "2025-03-02T00:00:00Z",
    }
    hidden = comment | {"id": "c2", "body": "SECRET", "isHidden": True}
    issue = {
        "id": "i1",
        "title": "It [breaks",
        "number": 7,
        "state": "CLOSED",
        "author": {"login": "ann"},
        "bodyHTML": f"<p>{FILLER}</p><p style='display:none'>SECRET</p>",
        "createdAt": "2025-03-01T00:00:00Z",
        "frontTimelineItems": {"edges": [{"node": comment}, {"node": hidden}]},
        "backTimelineItems": {"edges": [{"node": comment}]},
    }
    payload = {"payload": {"preloadedQueries": [{"result": {"data": {"issue": issue}}}]}}
    page = read("https://github.com/owner/name/issues/7", data_script(payload))
    assert text_of(page) == (
        f"# It [breaks #7\n\nState: closed\n\n## ann 2025-03-01\n\n{FILLER.strip()}\n\n"
        "## bob 2025-03-02\n\nFixed in [8](https://github.com/owner/name/pull/8)."
    )


def test_a_pull_request_is_read_from_its_elements() -> None:
    def said(author: str, day: str, body: str) -> str:
        return f"""<div class="timeline-comment"><h3><a class="author">{author}</a>
        <relative-time datetime="2025-03-{day}T00:00:00Z">then</relative-time></h3>
        <div class="comment-body markdown-body"><p>{body}</p></div></div>"""

    page = read(
        "https://github.com/owner/name/pull/8",
        f"""<body><h1 class="gh-header-title"><bdi class="js-issue-title">Fix it</bdi></h1>
        <div class="gh-header-meta"><span class="State">Merged</span></div>
        {said("ann", "01", FILLER)}{said("bob", "02", "Good.")}<div>Sign up for free</div>""",
    )
    assert text_of(page) == (
        f"# Fix it\n\nState: merged\n\n## ann 2025-03-01\n\n{FILLER.strip()}\n\n"
        "## bob 2025-03-02\n\nGood."
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://en.wikipedia.org/wiki/X",
        "https://arxiv.org/abs/1",
        "https://arxiv.org/html/1",
        "https://stackoverflow.com/questions/1",
        "https://github.com/owner/name",
        "https://github.com/owner/name/blob/main/x.py",
        "https://github.com/owner/name/issues/1",
        "https://github.com/",
    ],
)
def test_a_page_that_its_rule_does_not_know_is_read_the_general_way(url: str) -> None:
    page = read(url, f"<body><main><h1>Title</h1><p>{FILLER}</p></main>{data_script([None])}")
    assert FILLER.strip() in page.text
    assert page.notes == ()


def test_hidden_text_is_dropped_on_known_sites_too() -> None:
    hidden = WIKI.replace("<p>The sum", "<p style='display:none'>SECRET</p><p hidden>SECRET</p><p>")
    assert "SECRET" not in read("https://wiki.example/Ada", hidden).text


def test_a_wiki_category_keeps_its_lists() -> None:
    members = "".join(f"<li><a href='/wiki/L{n}'>Language {n}</a></li>" for n in range(20))
    page = read(
        "https://en.wikipedia.org/wiki/Category:Languages",
        f"""<body><h1 id="firstHeading">Category:Languages</h1><div id="mw-content-text">
        <div class="mw-parser-output"><p>About languages.</p></div><div class="mw-category">
        <h2>Pages in category</h2><ul>{members}</ul></div></div>""",
    )
    assert "About languages." in page.text
    assert "- Language 19" in text_of(page)
