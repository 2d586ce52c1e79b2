"""Conditions on the fields of questions and episodes."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_client.errors import ConfigError
from agent_client.evaluation.where import compile_where

ROW: dict[str, Any] = {
    "hops": 3,
    "turns": "12",
    "topic": "Music",
    "freshness": "slow-changing",
    "types": ["Temporal reasoning", "Multiple constraints"],
    "asked": "2025-10-29",
    "correct": True,
    "repair_used": False,
    "note": "no",
    "show kind": "TV shows",
    "nothing": None,
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hops=3",
        "hops==3.0",
        "hops>=3 and hops<=3 and hops>2 and hops<10",
        "turns>9",  # as a number: "12" is before "9" as text
        "topic=music",
        "topic!=Art",
        "freshness in (never-changing, slow-changing)",
        "freshness not in (never-changing, fast-changing)",
        "types='temporal reasoning'",
        'types~"constraints"',
        "types!='Numerical reasoning'",
        "asked>=2025-01-01 and asked<2026-01-01",
        "correct and not repair_used and turns<=12",
        "correct=true",
        "not note",
        "not nothing and not missing",
        "missing!=x and missing!~x and missing not in (x)",
        "'show kind'='TV shows'",
        "hops=2 or topic=Music",
        "hops=2 and topic=Art or topic=Music",  # and binds closer
        "not (hops=2 or topic=Art)",
        "not not correct",
        "not hops=2 and correct",  # not binds closest
        "((hops=3))",
        "topic=Music and(correct)",
    ],
)
def test_a_row_that_fulfils_a_condition_is_taken(text: str) -> None:
    assert compile_where(text)(ROW)


@pytest.mark.parametrize(
    "text",
    [
        "hops=2",
        "hops<3",
        "topic<5",  # no number: compared as text
        "topic=Mus",
        "hops~4",
        "types=reasoning",
        "types!='temporal reasoning'",
        "repair_used",
        "missing",
        "missing=x or missing>0 or missing~x or nothing=null",
        "correct and topic=Art",
        "hops=2 and (topic=Art or topic=Music)",
        "freshness in (x)",
        "correct=1",
    ],
)
def test_a_row_that_does_not_is_left(text: str) -> None:
    assert not compile_where(text)(ROW)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hops>=", "a value was expected instead of its end"),
        ("hops 3", "'3' at character 6"),
        ("topic=TV shows", "'shows' at character 10"),
        ("(hops=3", r"'\)' was expected instead of its end"),
        ("hops=3)", r"instead of '\)' at character 7"),
        ("topic='TV", 'a quote is not closed: "\'" at character 7'),
        ("and", "a field was expected instead of 'and'"),
        ("hops=3 and", "a field was expected instead of its end"),
        ("hops in 3", r"'\(' was expected instead of '3' at character 9"),
        ("hops in ()", "a value was expected"),
        ("hops not 3", "'in' was expected"),
        ("hops ! 3", "this means nothing here: '!' at character 6"),
        ("(" * 60 + "a" + ")" * 60, "more than 50 levels"),
        ("not " * 60 + "a", "more than 50 levels"),
        ("a" * 10_001, "longer than 10,000 characters"),
    ],
)
def test_what_cannot_be_read_is_shown_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        compile_where(text)


def test_the_fields_that_are_asked_for_are_known() -> None:
    where = compile_where("hops>=3 and not (topic in (Music, Art) or correct)")

    assert where.fields == {"hops", "topic", "correct"}


def test_a_field_that_is_not_there_is_met_with_those_that_are() -> None:
    where = compile_where("topic=Science and technology")

    with pytest.raises(ConfigError, match="asks for 'technology'") as caught:
        where.check_fields({"topic": "Science and technology", "hops": 2})
    assert caught.value.hint == 'there are: hops (2), topic ("Science and technology")'


def test_a_field_that_is_there_is_no_error() -> None:
    compile_where("topic=Music").check_fields({"topic": "Art"})


def test_the_longest_condition_takes_no_time() -> None:
    started = time.process_time()
    compile_where(" or ".join(["a=1"] * 1_400))({"a": 2})
    with pytest.raises(ConfigError):
        compile_where(" " * 9_000 + "!")

    assert time.process_time() - started < 0.5


@given(st.text(st.sampled_from("ab1 ()=<>!~,'\"andortinx"), max_size=40))
def test_any_text_is_a_condition_or_a_clear_error(text: str) -> None:
    try:
        where = compile_where(text)
    except ConfigError as error:
        assert str(error)
    else:
        assert where(ROW) in {True, False}
        assert where({}) in {True, False}


@settings(max_examples=40)
@given(st.text(max_size=20), st.text(max_size=20))
def test_what_stands_in_quotes_is_equal_to_itself(name: str, value: str) -> None:
    quote = {name: '"' if "'" in name else "'", value: '"' if "'" in value else "'"}
    if any(sign in text for text, sign in quote.items()):
        return  # both kinds of quotes in one text cannot be written

    where = compile_where(f"{quote[name]}{name}{quote[name]}={quote[value]}{value}{quote[value]}")

    assert where({name: value})
