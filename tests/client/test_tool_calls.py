import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_client.model.tool_calls import parse_arguments, parse_tool_calls

TOOLS = ("web_search", "web_visit")
SEARCH = '{"name": "web_search", "arguments": {"query": "abc"}}'
VISIT = '{"name": "web_visit", "arguments": {"url": "https://e.org/?a=1&b={2}"}}'
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"<tool_call>\n{SEARCH}\n</tool_call>", id="as documented"),
        pytest.param(f"<tool_call>{SEARCH}</tool_call>", id="no newlines"),
        pytest.param(f"<tool_call>\n{SEARCH}", id="no closing tag"),
        pytest.param(f"<tool_call>\n```json\n{SEARCH}\n```\n</tool_call>", id="fence in the tag"),
        pytest.param(f"<tool_call>[{SEARCH}]</tool_call>", id="a list"),
        pytest.param(f"<tool_call>{SEARCH}}}}}</tool_call>", id="surplus braces"),
        pytest.param(f"<tool_call>{SEARCH[:-1]}</tool_call>", id="one brace missing"),
        pytest.param(f"<tool_call>{SEARCH[:-2]}</tool_call>", id="two braces missing"),
        pytest.param(f"<tool_call>{SEARCH[:-2]}", id="braces and tag missing"),
        pytest.param(
            '<tool_call>{"name": "web_search", "arguments": {"query": "abc",},}</tool_call>',
            id="trailing commas",
        ),
        pytest.param(
            '<tool_call>{"name": "web_search", "parameters": {"query": "abc"}}</tool_call>',
            id="parameters for arguments",
        ),
        pytest.param(
            '<tool_call>{"name": "web_search", "arguments": "{\\"query\\": \\"abc\\"}"}'
            "</tool_call>",
            id="arguments as a string",
        ),
        pytest.param(
            f'<tool_call>{{"type": "function", "function": {SEARCH}}}</tool_call>', id="wrapped"
        ),
        pytest.param(f"```json\n{SEARCH}\n```", id="fenced"),
        pytest.param(f"\n\n{SEARCH}", id="bare"),
        pytest.param(SEARCH[:-1], id="bare without its last brace"),
        pytest.param(json.dumps(json.loads(SEARCH), indent=2), id="bare on many lines"),
    ],
)
def test_a_call_is_read_in_every_form_that_models_write(text: str) -> None:
    parsed = parse_tool_calls(text, TOOLS)
    assert [(call.name, call.arguments) for call in parsed.calls] == [
        ("web_search", {"query": "abc"})
    ]
    assert (parsed.text, parsed.malformed) == ("", ())
    assert parsed.calls[0].raw == text.strip()


def test_text_around_calls_is_kept() -> None:
    text = f"Let me look.\n<tool_call>{SEARCH}</tool_call>\nand\n<tool_call>{VISIT}\nDone [1]."
    parsed = parse_tool_calls(text, TOOLS)
    assert [call.name for call in parsed.calls] == ["web_search", "web_visit"]
    assert parsed.calls[1].arguments == {"url": "https://e.org/?a=1&b={2}"}
    assert parsed.text == "Let me look.\n\nand\n\nDone [1]."


def test_several_calls_share_one_tag_and_have_ids_of_their_own() -> None:
    parsed = parse_tool_calls(f"<tool_call>\n{SEARCH}\n{VISIT}\n</tool_call>", TOOLS)
    assert [call.name for call in parsed.calls] == ["web_search", "web_visit"]
    assert len({call.id for call in parsed.calls}) == 2


def test_several_bare_calls_are_read() -> None:
    parsed = parse_tool_calls(f"First:\n{SEARCH}\n{VISIT}\nthen", TOOLS)
    assert [call.name for call in parsed.calls] == ["web_search", "web_visit"]
    assert parsed.text.split() == ["First:", "then"]


def test_a_tagged_call_of_an_unknown_tool_is_kept_for_the_loop_to_answer() -> None:
    parsed = parse_tool_calls('<tool_call>{"name": "web_open", "arguments": {}}</tool_call>', TOOLS)
    assert [call.name for call in parsed.calls] == ["web_open"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"name": "Marie Curie", "arguments": {"born": 1867}}', id="not a tool"),
        pytest.param('{"name": "web_search"}', id="no arguments"),
        pytest.param(f"The call is `{SEARCH}`.", id="inside of a sentence"),
        pytest.param("There is no call here.", id="prose"),
    ],
)
def test_bare_json_that_is_no_call_stays_text(text: str) -> None:
    parsed = parse_tool_calls(text, TOOLS)
    assert (parsed.text, parsed.calls, parsed.malformed) == (text, (), ())


@pytest.mark.parametrize(
    "body",
    [
        'web_search(query="abc")',
        '{"name": "web_search", "arguments": {"query": "abc}}',
        '{"name": "web_search", "arguments": {"query": NaN}}',
        '{"name": "web_search", "arguments": {"query": 1e999}}',
        '{"name": "web_search", "arguments": ["abc"]}',
        '{"name": "web_search", "query": "abc"}',
        '{"name": 3, "arguments": {}}',
        '{"arguments": {}}',
        "[" * 50_000,
        "",
    ],
    ids=lambda body: body[:40],
)
def test_an_unreadable_call_is_reported_with_its_raw_text(body: str) -> None:
    raw = f"<tool_call>{body}</tool_call>"
    parsed = parse_tool_calls(f"before {raw} after", TOOLS)
    assert parsed.malformed == (raw,)
    assert parsed.calls == ()
    assert parsed.text == "before  after"


def test_an_unreadable_call_does_not_take_the_next_one_along() -> None:
    parsed = parse_tool_calls(f"<tool_call>web_search(\n<tool_call>{VISIT}</tool_call>", TOOLS)
    assert parsed.malformed == ("<tool_call>web_search(",)
    assert [call.name for call in parsed.calls] == ["web_visit"]


@pytest.mark.parametrize("prefix", ["<tool_call>\n", "", "```json\n"])
@pytest.mark.parametrize("size", range(len('{"name": "web_search"'), len(SEARCH)))
def test_a_call_cut_off_by_the_token_limit_is_malformed(prefix: str, size: int) -> None:
    parsed = parse_tool_calls(prefix + SEARCH[:size], TOOLS, is_complete=False)
    assert parsed.calls == ()
    assert parsed.malformed == ((prefix + SEARCH[:size]).strip(),)


def test_a_finished_call_counts_although_the_text_after_it_was_cut_off() -> None:
    parsed = parse_tool_calls(f"<tool_call>{SEARCH}</tool_", TOOLS, is_complete=False)
    assert [call.name for call in parsed.calls] == ["web_search"]


def test_the_tail_of_a_call_whose_head_the_server_swallowed_is_malformed() -> None:
    parsed = parse_tool_calls('\n\n "arguments": {"x": 1}}\n', TOOLS)
    assert parsed.malformed == ('"arguments": {"x": 1}}',)


@given(arguments=st.dictionaries(st.text(), JSON, max_size=4))
def test_any_arguments_survive_the_way_through_text(arguments: Mapping[str, object]) -> None:
    raw = json.dumps({"name": "web_search", "arguments": arguments})
    parsed = parse_tool_calls(f"<tool_call>\n{raw}\n</tool_call>", TOOLS)
    assert [call.arguments for call in parsed.calls] == [arguments]


@given(st.text(alphabet='{}[]",:\\ \nab1<>`', max_size=60), st.booleans())
def test_no_text_breaks_the_parser_and_every_tag_is_accounted_for(
    body: str, is_complete: bool
) -> None:
    parsed = parse_tool_calls(f"<tool_call>{body}", TOOLS, is_complete=is_complete)
    assert parsed.calls or parsed.malformed
    parse_tool_calls(f'{{"name": "web_search"{body}', TOOLS, is_complete=is_complete)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", {}),
        ("{}", {}),
        ('{"a": 1}}', {"a": 1}),
        ('{"a": [1, 2}', {"a": [1, 2]}),
        ('{"a": "line\nline"}', {"a": "line\nline"}),
        ('{"a": "\\ud800"}', {"a": "?"}),
        ('"text"', None),
        ("[]", None),
        ('{"a": 1} and more', None),
        ('{"a": "b', None),
    ],
)
def test_arguments_are_an_object_or_nothing(raw: str, expected: object) -> None:
    assert parse_arguments(raw) == expected
