import pytest

from agent_client.conversation import ToolSpec
from agent_client.model.call_arguments import (
    UnfitArguments,
    describe_tool,
    find_tool,
    fit_arguments,
)

TOOL = ToolSpec(
    "find",
    "",
    {
        "type": "object",
        "properties": {
            "query": {"type": "string"},
            "limit": {"type": "integer", "default": 10},
            "ratio": {"type": "number"},
            "fresh": {"type": "boolean"},
            "sites": {"type": "array", "items": {"type": "string"}},
            "years": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]},
            "order": {"enum": ["date", "rank"]},
            "extra": {"type": ["object", "null"]},
            "any": {},
        },
        "required": ["query"],
    },
)
CLOSED = ToolSpec("find", "", {**TOOL.parameters, "additionalProperties": False})


@pytest.mark.parametrize(
    ("given", "fitted"),
    [
        ({"query": 5}, {"query": "5"}),
        ({"query": True}, {"query": "true"}),
        ({"query": ["a"]}, {"query": "a"}),
        ({"q": "a"}, {"query": "a"}),
        ({"search_query": "a", "num_results": "5"}, {"query": "a", "limit": 5}),
        ({"Query": "a"}, {"query": "a"}),
        ({"query": "a", "limit": "5"}, {"query": "a", "limit": 5}),
        ({"query": "a", "limit": 5.0}, {"query": "a", "limit": 5}),
        ({"query": "a", "limit": None}, {"query": "a"}),
        ({"query": "a", "ratio": "0.5"}, {"query": "a", "ratio": 0.5}),
        ({"query": "a", "fresh": "Yes"}, {"query": "a", "fresh": True}),
        ({"query": "a", "sites": "b.org"}, {"query": "a", "sites": ["b.org"]}),
        ({"query": "a", "sites": [1]}, {"query": "a", "sites": ["1"]}),
        ({"query": "a", "sites": '["b.org"]'}, {"query": "a", "sites": ["b.org"]}),
        ({"query": "a", "years": "1871"}, {"query": "a", "years": [1871]}),
        ({"query": "a", "order": "Date"}, {"query": "a", "order": "date"}),
        ({"query": "a", "extra": '{"b": 1}'}, {"query": "a", "extra": {"b": 1}}),
        ("a", {"query": "a"}),
        (["a"], {"query": "a"}),
        ([{"query": "a"}], {"query": "a"}),
    ],
)
def test_arguments_are_brought_to_what_the_schema_asks_for(given: object, fitted: object) -> None:
    result = fit_arguments(given, TOOL)
    assert (result.arguments, result.is_changed) == (fitted, True)


@pytest.mark.parametrize(
    "given",
    [
        {"query": "5", "limit": 5, "ratio": 1, "fresh": False, "sites": [], "years": None},
        {"query": "null", "any": "5", "order": "date", "extra": None},
        {"query": "a", "limit": "many", "fresh": 1},
        {"query": "a", "q": "b"},
        {"query": ["a", "b"]},
        {"q": "a", "question": "b"},
        {"query": "a", "lang": "de"},
        {},
    ],
)
def test_arguments_that_fit_or_have_no_one_meaning_stay_as_they_are(
    given: dict[str, object],
) -> None:
    result = fit_arguments(given, TOOL)
    assert (result.arguments, result.is_changed) == (given, False)


def test_unknown_arguments_are_dropped_only_where_the_schema_forbids_them() -> None:
    given = {"query": "a", "lang": "de"}
    assert fit_arguments(given, TOOL).arguments == given
    result = fit_arguments(given, CLOSED)
    assert (result.arguments, result.is_changed) == ({"query": "a"}, True)


def test_arguments_of_an_unknown_tool_are_not_touched() -> None:
    given = {"q": "5", "limit": None}
    result = fit_arguments(given, None)
    assert (result.arguments, result.is_changed) == (given, False)


@pytest.mark.parametrize("given", [["a", "b"], [["a"], 1]])
def test_a_list_is_no_arguments(given: object) -> None:
    with pytest.raises(UnfitArguments, match="a list"):
        fit_arguments(given, TOOL)


@pytest.mark.parametrize("schema", [{}, {"properties": 3}, {"properties": {"a": 4}, "required": 5}])
def test_a_strange_schema_changes_nothing(schema: dict[str, object]) -> None:
    assert fit_arguments({"a": "5"}, ToolSpec("t", "", schema)).arguments == {"a": "5"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("web_search", "web_search"),
        ("functions.web_search:0", "web_search"),
        ("Web-Search", "web_search"),
        ("mcp__seekling__web_search", "web_search"),
        ("research", None),
        ("my_web_search_tool", None),
        ("", None),
    ],
)
def test_a_tool_is_found_by_the_names_that_models_give_it(name: str, found: str | None) -> None:
    tools = [ToolSpec("web_search", "", {}), ToolSpec("search", "", {}), ToolSpec("visit", "", {})]
    tool = find_tool(name, tools)
    assert (tool.name if tool else None) == found


def test_a_tool_is_described_by_its_arguments() -> None:
    text = describe_tool(TOOL)
    assert text.startswith("find(query: string; limit: integer, optional; ")
    assert "years: array/null, optional" in text
