"""RSS, Atom and JSON feeds."""

import json

from mcp_server.extract import extract
from mcp_server.extract.types import Extracted, SourceInfo

RSS = """<?xml version="1.0"?>
<rss version="2.0" xmlns:content="urn:content" xmlns:dc="urn:dc"><channel>
  <title>News &amp; Views</title><link>https://example.com/</link>
  <description>All of it</description><language>en-gb</language>
  <item>
    <title><![CDATA[First <b>item</b> [new]]]></title>
    <link>https://example.com/1?a=1&amp;b=2</link>
    <pubDate>Mon, 06 Sep 2021 00:01:00 +0000</pubDate><dc:creator>Ann</dc:creator>
    <description>&lt;p&gt;See &lt;a href="/more"&gt;more&lt;/a&gt;.&lt;/p&gt;
    &lt;script&gt;x&lt;/script&gt;
    &lt;p&gt;Second&lt;/p&gt;</description>
    <content:encoded>the whole article</content:encoded>
  </item>
  <item><title>Tom & Jerry &nbsp; broken</title><guid>https://example.com/2</guid>
    <content:encoded><![CDATA[<p>Only content</p>]]></content:encoded></item>
</channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de"><title>Blog</title>
  <entry><title type="html">One &amp;amp; only</title><link rel="self" href="x"/>
    <link href="/one"/><updated>2021-02-03T04:05:06Z</updated><author><name>Bo</name></author>
    <content type="xhtml"><div><p>First <em>word</em></p><p>1 &lt; 2</p></div></content></entry>
  <entry><title>Bad link</title><link href="javascript:alert(1)"/><updated>soon</updated></entry>
</feed>"""


def read(body: str, media_type: str = "application/rss+xml") -> Extracted:
    info = SourceInfo(url="https://example.com/feeds/a", media_type=media_type, charset="utf_8")
    return extract(body.encode(), info)


def test_rss_is_a_title_and_items_with_date_link_and_summary() -> None:
    found = read(RSS)
    assert (found.title, found.metadata.language) == ("News & Views", "en-gb")
    assert found.metadata.published == "2021-09-06"
    assert not found.has_inline_links  # a reader nearly always opens one of the items
    assert found.text.split("\n") == [
        "All of it",
        "",
        r"## [First item \[new\]](https://example.com/1?a=1&b=2)",
        "2021-09-06 00:01 · Ann",
        "See [more](https://example.com/more).",
        "",
        "Second",
        "",
        "## [Tom & Jerry broken](https://example.com/2)",
        "Only content",
    ]


def test_atom_resolves_links_and_reads_xhtml() -> None:
    found = read(ATOM, "application/atom+xml")
    assert (found.title, found.metadata.language) == ("Blog", "de")
    assert found.text.split("\n") == [
        "## [One & only](https://example.com/one)",
        "2021-02-03 04:05 · Bo",
        "First *word*",
        "",
        "1 < 2",
        "",
        "## Bad link",
    ]


def test_rdf_and_unknown_feeds_keep_their_items() -> None:
    rdf = "<rdf:RDF><channel><title>R</title></channel><item><title>A</title></item></rdf:RDF>"
    assert read(rdf).text == "## A"
    assert read("<rss>only <b>text</b></rss>").text == "only text"


def test_a_json_feed_reads_like_the_others() -> None:
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "J <1>",
        "items": [
            {
                "url": "https://example.com/1",
                "title": "T",
                "content_html": "<p>a <b>b</b></p>",
                "date_published": "2020-01-02T03:04:05Z",
                "authors": [{"name": "Z"}],
            },
            {"id": 7, "content_text": "a <b"},
            "damaged",
        ],
    }
    found = read(json.dumps(feed), "application/feed+json")
    assert found.title == "J <1>"
    assert found.text == ("## [T](https://example.com/1)\n2020-01-02 03:04 · Z\na **b**\n\na <b")
    assert read("[1]", "application/feed+json").text == "[1]"


def test_long_summaries_are_cut_between_words_and_never_within_a_link() -> None:
    words = "word " * 295 + '<a href="https://example.com/a-long-way">a link</a>' + " end" * 99
    item = f"<rss><channel><item><title>A</title><description><![CDATA[{words}]]></description>"
    text = read(item).text
    assert text.endswith("word …")
    assert len(text) < 1_600


def test_a_feed_of_very_many_items_is_bounded() -> None:
    text = read("<rss>" + "<item><title>x</title></item>" * 2_000).text
    assert text.count("## x") == 500
