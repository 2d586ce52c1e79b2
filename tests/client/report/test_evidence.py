"""Pages that were read, and the passages that sections are written from."""

from agent_client.agent.outcome import VisitedPage
from agent_client.report.evidence import Evidence, page_words
from agent_client.report.sentences import page_lines, split_sentences, tokens_of

MARK = "untrusted-page-0123456789ab"


def page(url: str, text: str, title: str = "Vell Dam") -> VisitedPage:
    return VisitedPage(url=url, title=title, text=text)


def block(url: str, words: str) -> str:
    return f"Title: T\nURL: {url}\nLength: 9\n\n<{MARK}>\n{words}\n</{MARK}>"


def test_a_page_has_its_own_words_only() -> None:
    both = (
        f"Page 1 of 2\n{block('https://a.example', 'One.')}\n\n{block('https://b.example', 'Two.')}"
    )
    assert page_words(page("https://a.example/", both)) == "One."
    assert page_words(page("https://b.example", both)) == "Two."
    assert page_words(page("https://c.example", both)) == "One.\n\nTwo."  # redirected
    parts = f"{block('https://a.example', 'One.')}\n{block('https://a.example', 'Two.')}"
    assert page_words(page("https://a.example", parts)) == "One.\n\nTwo."
    assert page_words(page("https://a.example", "Title: T\nURL: x\n\nOne.")) == "One."
    assert page_words(page("https://a.example", "One.\n\nTwo.")) == "One.\n\nTwo."


def test_a_page_that_several_questions_read_is_one_source() -> None:
    evidence = Evidence(
        "Vell Dam",
        [
            page("https://a.example/x", "Vell Dam is a gravity dam."),
            page("http://a.example/x/#top", "Vell Dam is a gravity dam."),
            page("https://a.example/x", "Twelve workers died at Vell Dam."),
        ],
    )
    assert [(page.url, page.text.text) for page in evidence.pages] == [
        ("https://a.example/x", "Vell Dam is a gravity dam.\n\nTwelve workers died at Vell Dam.")
    ]


def test_each_passage_goes_to_the_query_it_answers_and_to_one_only() -> None:
    evidence = Evidence(
        "Vell Dam",
        [
            page(
                "https://a.example",
                "Fish ladders were added to Vell Dam in 2004.\n\n"
                "Four turbines in Vell Dam produce power.\n\n"
                "In 2004 fish ladders were added to Vell Dam.",
            )
        ],
    )
    power, fish = evidence.best(["turbines and power", "fish ladders"], 5)
    assert [passage.text for passage in power] == ["Four turbines in Vell Dam produce power."]
    assert [passage.text for passage in fish] == ["Fish ladders were added to Vell Dam in 2004."]


def test_a_page_on_something_else_is_left_out_when_there_is_enough_on_the_topic() -> None:
    about = page(
        "https://a.example",
        "Vell Dam is a gravity dam on the Orra. It has four turbines with great power."
        " Twelve workers died during its construction. Fish ladders were added later on.",
    )
    other = page(
        "https://b.example", "Power is measured in watts, named after James Watt.", title="Power"
    )
    both = Evidence("Vell Dam", [about, other]).best(["power"], 9)[0]
    assert all("watts" not in passage.text for passage in both)
    alone = Evidence("Vell Dam", [other]).best(["power"], 9)[0]
    assert [passage.text for passage in alone] == [
        "Power is measured in watts, named after James Watt."
    ]


def test_menus_questions_and_fragments_are_no_passages() -> None:
    text = "Home\n\n- Log in\n\nWhat is the height of Vell Dam today?\n\n" + "word " * 200
    assert Evidence("Vell Dam", [page("https://a.example", text)]).best(["dam"], 9) == [[]]


def test_sentences_end_where_a_reader_would_end_them() -> None:
    text = (
        "Dr. A. Brandt came in 1961. “It is high.” She left! 3 men stayed… and e.g. Tom. No. 5 won."
    )
    assert split_sentences(text) == [
        "Dr. A. Brandt came in 1961.",
        "“It is high.”",
        "She left!",
        "3 men stayed… and e.g. Tom.",
        "No. 5 won.",
    ]
    assert split_sentences("湖は深い。水は冷たい！「はい。」と言う。") == [
        "湖は深い。",
        "水は冷たい！",
        "「はい。」",
        "と言う。",
    ]


def test_wrapped_lines_are_joined_and_headings_and_items_stay_apart() -> None:
    text = "# Vell Dam\nIt is high\nand **wide**.\n\n## Use [now](x)\n- for power\n- for water\n"
    assert [(line.heading, line.text) for line in page_lines(text)] == [
        ("Vell Dam", "It is high and wide."),
        ("Use now", "for power"),
        ("Use now", "for water"),
    ]


def test_numbers_have_one_spelling() -> None:
    assert tokens_of("1,350,000 and 1.350.000 and 1350000").numbers == {"1350000"}
    assert tokens_of("7,5 and 7.5").numbers == {"7.5"}
    assert tokens_of("eight years").numbers == tokens_of("8 years").numbers == {"8"}
    assert tokens_of("1,234.5 m").numbers == {"1234.5"}
