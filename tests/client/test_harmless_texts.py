"""Answers that speak of tools, JSON or tags, and call nothing."""

import json

import pytest

from agent_client.conversation import ToolSpec
from agent_client.model.reply_parser import ReplyParser

TOOLS = (
    ToolSpec("web_search", "Search.", {"properties": {"query": {"type": "string"}}}),
    ToolSpec("web_visit", "Visit.", {"properties": {"url": {"type": "string"}}}),
)
CALL = '{"name": "web_search", "arguments": {"query": "abc"}}'
WEATHER = '{"name": "get_weather", "arguments": {"city": "Paris"}}'

TEXTS = (
    "The answer is 42.",
    "Mara Voss designed it in 1871 [1].",
    '{"name": "Marie Curie", "born": 1867}',
    '{"name": "Marie Curie", "arguments": {"born": 1867}}',
    '{"name": "web_search"}',
    '{"name": "web_search", "description": "Search the web", "parameters": {"type": "object"}}',
    '{"name": "web_search", "version": "1.2.0", "arguments": ["--fast"]}',
    '{"name": "web_search", "parameters": {"type": "object", "properties": {"query": {}}}}',
    json.dumps({"name": "seekling", "dependencies": {"web_search": "^1.0.0"}}, indent=2),
    json.dumps({"tools": [json.loads(CALL)]}, indent=2),
    '[{"name": "Ostrelund", "river": "Serrin"}, {"name": "Brindlewick", "river": null}]',
    '```json\n{"name": "Ada", "role": "engineer"}\n```',
    '```json\n{\n  "name": "my-package",\n  "version": "1.0.0"\n}\n```',
    '```python\nplayer = {"name": "web", "arguments": {}}\n```',
    "```python\ndef web_search(query):\n    return index.search(query)\n```",
    "Use `web_search(query)` to search and `web_visit(url)` to read.",
    'print(web_search(query="abc"))',
    "web_search is the tool that searches; web_visit reads.",
    'web_search(query="abc") is how it is called, and it returns ten results.',
    "I used web_search twice and web_visit once.",
    f"The call is `{CALL}`.",
    f"The model wrote {CALL} and got nothing.",
    f"An example: {WEATHER}",
    f"```json\n{WEATHER}\n```",
    f"```\n<tool_call>\n{WEATHER}\n</tool_call>\n```",
    'As text:\n```xml\n<tool_call>\n{"name": <name>, "arguments": <object>}\n</tool_call>\n```',
    f"A Hermes call looks like `<tool_call>{CALL}</tool_call>` on one line.",
    "The `<tool_call>` tag begins a call.",
    'The tag "<tool_call>" begins a call and "</tool_call>" ends it.',
    "Wrap the JSON in <tool_call> and </tool_call> tags.",
    "Hermes models write <tool_call>...</tool_call> around their calls.",
    "Qwen closes a call with </tool_call> and then stops.",
    "The token <tool_call> has the id 151657.",
    "Old forms were [TOOL_CALLS] for Mistral and <|python_tag|> for Llama.",
    "Write `<function=NAME>` for Qwen3-Coder.",
    "Put the list between <tools> and </tools>.",
    "The HTML element <tools> does not exist; <details> does.",
    "x = {1, 2}\ny = [3, 4]\nz = {'a': 1}",
    "{not json at all",
    "[1] https://e.org/a\n[2] https://e.org/b",
    "- [ ] open\n- [x] done",
    "{{ template }} and {% block %}",
    'In Jinja: {{ {"name": "web_search"} | tojson }}',
    "| name | arguments |\n|---|---|\n| web_search | query |",
    'curl -d \'{"name": "x", "arguments": {}}\' https://e.org',
    "if (a < b && c > d) { return; }",
    '{"answer": "42", "sources": ["https://e.org"]}',
    '{"type": "function", "description": "of time"}',
    '{"function": "sin", "arguments": {"x": 1}}',
    '{"action": "buy", "action_input": {"shares": 3}}',
    "Action: none needed.\nAnswer: 42",
    "a </b> <c> d << e",
    "2 < 3 and 5 > 4, so <think",
    "Die Antwort „web_search“ heißt: {nichts}.",
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_calls_nothing_stays_as_it_is(text: str) -> None:
    parser = ReplyParser(TOOLS)
    parser.feed(text)
    reply = parser.finish("stop")
    assert (reply.calls, reply.malformed) == ((), ())
    assert (reply.reasoning, reply.text) == ("", text)


@pytest.mark.parametrize("text", [text for text in TEXTS if not text.startswith(("{", "`", "["))])
def test_what_is_shown_of_it_is_its_beginning(text: str) -> None:
    parser = ReplyParser(TOOLS)
    shown = "".join(parser.feed(char).text for char in text)
    assert text.startswith(shown)
    assert shown or text.startswith(("web_search", "{"))


def test_nothing_is_taken_out_of_a_reply_that_follows_a_schema_of_ours() -> None:
    parser = ReplyParser(TOOLS, reads_calls=False)
    shown = "".join(parser.feed(char).text for char in CALL)
    reply = parser.finish("stop")
    assert (shown, reply.text) == (CALL, CALL)
    assert (reply.calls, reply.malformed) == ((), ())
