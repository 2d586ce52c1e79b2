import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.corpus.sources.wikitext import Wiki, read_wikitext
from mcp_server.visit.types import Link

WIKI = Wiki(article_url="https://en.wiki.example/wiki/")


def text_of(markup: str) -> str:
    return read_wikitext(markup, WIKI)[0]


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("'''Bold''' and ''italic'' and '''''both'''''", "Bold and italic and both"),
        ("a [[link]], [[target|label]], [[word]]s", "a link, label, words"),
        ("[[Mercury (planet)|]] and [[:Category:Stars]]", "Mercury and Category:Stars"),
        ("x[[Category:Stars]][[File:A.jpg|thumb|a [[b]] c]][[de:Stern]] y", "x y"),
        ("[[Bild:A.jpg|x]]", "x"),
        ("see [https://a.example/x?y the site] or [https://a.example]", "see the site or"),
        ("a<ref>{{cite|x}} [[y]]</ref> b<ref name=z /> c<!-- no --> d", "a b c d"),
        ("a{{citation needed|date=May 2020}} b {{Unknown|x|{{y}}}} c", "a b c"),
        ("{{lang|fr|mot}} {{convert|10|km|mi}} {{nowrap|two words}}", "mot 10 km two words"),
        ("{{Birth date and age|df=yes|1970|5|1}} {{frac|1|2}}", "1970-05-01 1/2"),
        ("Ada ({{IPA|x}}; born 1815) was ({{x}}) here", "Ada (born 1815) was here"),
        ("x&nbsp;&amp;&lt; <small>y</small><br/>z", "x &< y\nz"),
        ("<nowiki>[[no]] ''link''</nowiki> <math>a^{2}</math>", "[[no]] link a^{2}"),
        ("__NOTOC__\n----\nx", "x"),
        ("unclosed {{template and [[link", "unclosed template and link"),
        ("stray }} and ]] and | stay", "stray }} and ]] and | stay"),
        ("{{a|[[b}} c", "c"),
    ],
)
def test_markup_becomes_the_text_that_readers_see(markup: str, expected: str) -> None:
    assert text_of(markup) == expected


def test_headings_and_lists_become_markdown() -> None:
    markup = "Intro.\n== One ==\n* a\n** b\n# c\n; term\n: said\n=== Two ===\nText."
    assert text_of(markup) == (
        "Intro.\n\n## One\n\n- a\n  - b\n1. c\nterm\nsaid\n\n### Two\n\nText."
    )


def test_sections_that_hold_nothing_any_more_are_left_out() -> None:
    markup = (
        "A.\n== B ==\n=== C ===\n{{x}}\n== D ==\n=== E ===\nText.\n== References ==\n{{reflist}}"
    )
    assert text_of(markup) == "A.\n\n## D\n\n### E\n\nText."


def test_a_table_becomes_lines_of_cells() -> None:
    markup = """Before.
{| class="wikitable"
|+ Caption
! Name !! style="x" | Year
|-
| [[Ada]] || 1815
|-
| colspan=2 | both
|}
After."""
    assert text_of(markup) == "Before.\nCaption\nName | Year\nAda | 1815\nboth\nAfter."


def test_code_stays_as_it_is() -> None:
    markup = 'Text.\n<syntaxhighlight lang="c">\n* a = b[0];\n== c\n</syntaxhighlight>\nEnd.'
    assert text_of(markup) == "Text.\n\n    * a = b[0];\n    == c\n\nEnd."


def test_the_facts_of_an_infobox_follow_the_introduction() -> None:
    markup = """{{Short description|English writer}}
{{Infobox person
| name = Ada
| image = Ada.jpg
| birth_date = {{birth date|1815|12|10}}
| children = {{plainlist|
* [[Byron]]
* Anne
}}
| spouse =
}}
Ada was a writer.
== Life ==
Long."""
    assert text_of(markup) == (
        "Ada was a writer.\n\ndescription: English writer\nname: Ada\nbirth date: 1815-12-10\n"
        "children: Byron, Anne\n\n"
        "## Life\n\nLong."
    )


def test_links_to_pages_are_listed_once_with_their_urls() -> None:
    markup = "[[Analytical Engine|the engine]] [[ada#Life|her]] [[Ada]] [[File:x.jpg]] [[#here]]"
    assert read_wikitext(markup, WIKI)[1] == (
        Link(text="the engine", url="https://en.wiki.example/wiki/Analytical_Engine"),
        Link(text="her", url="https://en.wiki.example/wiki/Ada"),
    )


@pytest.mark.parametrize(
    "piece",
    [
        "{{",
        "[[",
        "{{a|",
        "[[a|",
        "<ref>",
        "<nowiki>",
        "<a ",
        "{|\n|",
        "'''",
        "[http://",
        "<!--",
        "=\n",
        "*",
        "(",
        "{{x|1=",
        "{{Infobox|a=b",
        "|a=b",
        "]]",
        "__A",
    ],
)
def test_hostile_markup_takes_linear_time(piece: str) -> None:
    started = time.process_time()
    read_wikitext(piece * (60_000 // len(piece)), WIKI)
    read_wikitext(piece * 2_000 + "x" + "}}" * 2_000 + "]]" * 2_000, WIKI)
    assert time.process_time() - started < 2


@given(st.text(alphabet="[]{}|='*#:<>/ref!-\n a", max_size=80))
def test_no_markup_breaks_the_reader(markup: str) -> None:
    text, _ = read_wikitext(markup, WIKI)
    assert "\0" not in text
