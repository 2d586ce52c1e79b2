import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_client.model.tolerant_json import UnreadableJson, read_json

STRINGS = st.text(alphabet="ab \"'\\,:{}[]“”é\n1", max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | STRINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRINGS, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("source", "value", "repairs"),
    [
        ('{"a": 1}', {"a": 1}, ()),
        ("[1, 2,]", [1, 2], ("tolerant_json",)),
        ("{'a': 'b'}", {"a": "b"}, ("tolerant_json",)),
        ("{a: 1, b: None, c: True}", {"a": 1, "b": None, "c": True}, ("tolerant_json",)),
        ('{"a": 1', {"a": 1}, ("closed_brackets",)),
        ('{"a": [1, 2}', {"a": [1, 2]}, ("closed_brackets",)),
        ('{"a": "b', {"a": "b"}, ("closed_brackets",)),
        ('{"a": "b"', {"a": "b"}, ("closed_brackets",)),
        ('{"a": {"b": "c}}', {"a": {"b": "c"}}, ("closed_brackets",)),
        ("{'a': 1", {"a": 1}, ("tolerant_json", "closed_brackets")),
        ('{"a": "x "y" z"}', {"a": 'x "y" z'}, ("tolerant_json",)),
        ('{"a": "b\nc"}', {"a": "b\nc"}, ("tolerant_json",)),
        ('{"a": "\\d"}', {"a": "\\d"}, ("tolerant_json",)),
        ('{"a": "\\ud800"}', {"a": "?"}, ()),
        ("{a: .5, b: +1, c: 1_000}", {"a": 0.5, "b": 1, "c": 1000}, ("tolerant_json",)),
        ("{a: 2024-05-01}", {"a": "2024-05-01"}, ("tolerant_json",)),
    ],
)
def test_a_value_is_read_and_its_repairs_are_named(
    source: str, value: object, repairs: object
) -> None:
    read = read_json(source)
    assert (read.value, read.repairs) == (value, repairs)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("", id="nothing"),
        pytest.param('{"a": }', id="no value"),
        pytest.param('{"a" "b"}', id="no colon"),
        pytest.param('{"a": NaN}', id="not a number"),
        pytest.param('{"a": 1e999}', id="infinite"),
        pytest.param('{"a": "b, "c": 1}', id="a quote forgotten before a field"),
        pytest.param('{"a": "b": "c"}', id="two values"),
        pytest.param("{a: b c: d}", id="no comma between words"),
        pytest.param("{a: hello, world}", id="a word with a comma"),
        pytest.param("[," + "[" * 40 + "]" * 41, id="too deep"),
    ],
)
def test_what_can_mean_two_things_is_refused(source: str) -> None:
    with pytest.raises(UnreadableJson):
        read_json(source)


@settings(max_examples=50)
@given(VALUES)
def test_strict_json_is_read_as_the_standard_library_reads_it(value: object) -> None:
    source = json.dumps([value], ensure_ascii=False)
    read = read_json(source + " and more")
    assert (read.value, read.end, read.repairs) == ([value], len(source), ())


@settings(max_examples=50)
@given(VALUES)
def test_the_repr_of_python_values_is_read_or_refused(value: object) -> None:
    try:
        read = read_json(repr([value]))
    except UnreadableJson:
        return
    assert read.value == [value]


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [s for pair in value.items() for part in pair for s in _strings(part)]
    if isinstance(value, list):
        return [s for item in value for s in _strings(item)]
    return [value] if isinstance(value, str) else []


@settings(max_examples=50)
@given(st.text(alphabet="{}[]\"',: ab1", max_size=40))
def test_nothing_is_invented(source: str) -> None:
    try:
        read = read_json("{" + source)
    except UnreadableJson:
        return
    assert all(text in source for text in _strings(read.value))
