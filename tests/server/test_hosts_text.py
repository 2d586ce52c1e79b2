import json
import tomllib
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.errors import UnusableSettings
from mcp_server.hosts.json_reader import MAX_DEPTH, read_json
from mcp_server.hosts.json_text import JsonText
from mcp_server.hosts.settings_text import Entry
from mcp_server.hosts.toml_text import TomlText
from mcp_server.hosts.yaml_text import YamlText

ENTRY: Entry = {
    "command": "/opt/ä b/seekling-mcp",
    "args": ["serve", "--x=1"],
    "env": {"K": 'a"\\'},
}
SERVERS = ("mcpServers",)

JSON_TEXTS = {
    "empty table": '{"mcpServers":{}}',
    "spread out": '{\n  "mcpServers": {}\n}\n',
    "tabs, comments": '{\n\t"mcpServers": {\n\t\t"x": {"command": "y"} // note\n\t}, // more\n}\n',
    "windows": '\ufeff{\r\n    // c\r\n    "mcpServers": {\r\n        "o": {},\r\n    },\r\n}\r\n',
    "one line": '{ "mcpServers": { "o": {"a": [1, 2.5e3, null, true]} }, "z": "\\u00e9" }',
    "one line, trailing comma": '{ "mcpServers": { "o": {}, } }',
    "no newline at the end": '{\n "a": 1, "mcpServers": {\n  "o": {}\n }}',
    "block comment": '{"mcpServers": { /* none // yet */ "o": {} /* last */ } /* end */}',
    "comment with quotes": '{\n  // "mcpServers": {}\n  "mcpServers": {\n    "o": {}\n  }\n}\n',
    "last of many": '{\n  "mcpServers": {\n    "a": {},\n    "b": {"url": "http://x//y"}\n  }\n}\n',
}


@pytest.mark.parametrize("text", JSON_TEXTS.values(), ids=JSON_TEXTS)
def test_what_goes_in_and_out_of_json_leaves_every_byte_as_it_was(text: str) -> None:
    put = JsonText().put(text, SERVERS, "seekling", ENTRY)
    assert JsonText().find(put, SERVERS, "seekling") == JsonText().plain(ENTRY)
    assert JsonText().drop(put, SERVERS, "seekling") == text
    assert ("\r\n" in put) == ("\r\n" in text)
    assert put.replace("\r\n", "").count("\r") == 0


def test_json_is_written_as_the_rest_of_it_is() -> None:
    text = '{\r\n\t"servers": {\r\n\t\t"x": {} // mine\r\n\t}\r\n}\r\n'
    assert JsonText().put(text, ("servers",), "s", {"command": "c", "args": ["serve"]}) == (
        '{\r\n\t"servers": {\r\n\t\t"x": {}, // mine\r\n\t\t"s": {\r\n\t\t\t"command": "c",\r\n'
        '\t\t\t"args": ["serve"]\r\n\t\t}\r\n\t}\r\n}\r\n'
    )


def test_an_entry_is_replaced_where_it_stands() -> None:
    text = '{"mcpServers": {"s": {"command": "old"}, /* x */ "o": {}}}'
    put = JsonText().put(text, SERVERS, "s", {"command": "new"})
    assert list(json.loads(put.replace("/* x */", ""))["mcpServers"]) == ["s", "o"]
    assert "/* x */" in put and "old" not in put


def test_the_first_of_several_entries_leaves_alone() -> None:
    text = '{\n  "mcpServers": {\n    "s": {},\n    "o": {}\n  }\n}'
    assert JsonText().drop(text, SERVERS, "s") == '{\n  "mcpServers": {\n    "o": {}\n  }\n}'


@pytest.mark.parametrize(
    "text",
    [
        "[]", '"x"', "{", '{"a" 1}', '{"a": 1,, }', "{'a': 1}", '{"a": 01}', '{"a": "\n"}',
        '{"mcpServers": []}', '{"mcpServers": null}', '{"mcpServers": {}, "mcpServers": {}}',
        '{"a": /* }', '{"a": 1} x', '{"a": "\\q"}', "{" + '"a":[' * 200, '{"a": tru}', "{,}",
    ],
)  # fmt: skip
def test_json_that_is_malformed_or_ambiguous_is_refused(text: str) -> None:
    with pytest.raises(UnusableSettings):
        JsonText().put(text, SERVERS, "s", ENTRY)


def test_deep_nesting_is_refused_before_the_stack_ends() -> None:
    with pytest.raises(UnusableSettings, match=f"more than {MAX_DEPTH} deep"):
        read_json("[" * 1_000_000)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(max_size=4).filter(lambda key: key != "s"), json_values, max_size=3),
    st.sampled_from([None, 1, 2, "\t"]),
    st.booleans(),
)
def test_any_json_means_the_same_with_the_entry_and_is_the_same_without(
    servers: dict[str, Any], indent: int | str | None, ascii_only: bool
) -> None:
    value = {"a": [1], "mcpServers": servers, "b": {}}
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    put = JsonText().put(text, SERVERS, "s", ENTRY)
    assert json.loads(put) == {**value, "mcpServers": {**servers, "s": ENTRY}}
    assert JsonText().drop(put, SERVERS, "s") == text


TOML_TEXTS = {
    "empty": "",
    "keys": 'model = "x"\n',
    "comments": '# c\n[mcp_servers.o]\ncommand = "y" # z\nargs = [\n  "a",\n  ["b"],\n]\n# end\n',
    "windows": 'a = 1\r\n\r\n[b]\r\nc = """\r\n[mcp_servers.x]\r\n"""\r\n',
}


@pytest.mark.parametrize("text", TOML_TEXTS.values(), ids=TOML_TEXTS)
def test_what_goes_in_and_out_of_toml_leaves_every_byte_as_it_was(text: str) -> None:
    put = TomlText().put(text, ("mcp_servers",), "seekling", ENTRY)
    assert tomllib.loads(put)["mcp_servers"]["seekling"] == ENTRY
    assert TomlText().drop(put, ("mcp_servers",), "seekling") == text
    assert ("\r\n" in put) == ("\r\n" in text)


def test_a_toml_entry_is_taken_out_from_between_others_with_its_subtables() -> None:
    before, after = '[mcp_servers.a]\nurl = "x"\n', "\n# of b\n[mcp_servers.b]\nargs = []\n"
    ours = '\n["mcp_servers" . s]\ncommand = "y"\n[mcp_servers.s.env]\nK = "v"\n'
    assert TomlText().drop(before + ours + after, ("mcp_servers",), "s") == before + after


@pytest.mark.parametrize(
    "text",
    ['mcp_servers = {}\n', "a = ", "mcp_servers = 1", "\ufeffa = 1\n", "a = 1\na = 2\n"],
)  # fmt: skip
def test_toml_that_cannot_be_edited_safely_is_refused(text: str) -> None:
    with pytest.raises(UnusableSettings):
        TomlText().put(text, ("mcp_servers",), "s", ENTRY)


def test_a_toml_entry_in_an_inline_table_is_not_torn_out() -> None:
    with pytest.raises(UnusableSettings, match="safely"):
        TomlText().drop("mcp_servers = { s = { url = 'x' }, o = {} }\n", ("mcp_servers",), "s")


YAML_TEXTS = {
    "others": "GOOSE_MODE: auto\nextensions:\n  dev:\n    enabled: true\n    args:\n    - x\n",
    "none": "extensions: {}\nb: 1\n",
    "comments": "# a\nextensions: # ours\n    dev: # d\n        cmd: 'x: y'\n\n# of z\nz: 1",
    "a long text": "extensions:\n  dev:\n    description: |\n      a\n      # no comment\nz: 1\n",
    "windows": "extensions:\r\n  dev:\r\n    cmd: x\r\n",
}


@pytest.mark.parametrize("text", YAML_TEXTS.values(), ids=YAML_TEXTS)
def test_what_goes_in_and_out_of_yaml_leaves_every_byte_as_it_was(text: str) -> None:
    put = YamlText().put(text, ("extensions",), "seekling", ENTRY)
    was = yaml.safe_load(text)
    assert yaml.safe_load(put) == {
        **was, "extensions": {**was["extensions"], "seekling": ENTRY}
    }  # fmt: skip
    assert YamlText().drop(put, ("extensions",), "seekling") == text
    assert ("\r\n" in put) == ("\r\n" in text)


@pytest.mark.parametrize("text", ["", "a: 1", "# only a comment\n"])
def test_yaml_without_the_table_gets_one(text: str) -> None:
    put = YamlText().put(text, ("extensions",), "s", ENTRY)
    assert yaml.safe_load(put) == {**(yaml.safe_load(text) or {}), "extensions": {"s": ENTRY}}
    assert yaml.safe_load(YamlText().drop(put, ("extensions",), "s"))["extensions"] == {}


@pytest.mark.parametrize(
    "text",
    [
        "extensions: {dev: {cmd: x}}\n", "extensions:\n- dev\n", "extensions:\n  - dev\n",
        "extensions:\n\tdev: 1\n", "{extensions: 1}\n", "a: 1\n---\nb: 2\n", "extensions: *x\n",
        "extensions:\n  a: 1\nextensions:\n  b: 2\n", "extensions: &x\n  a: 1\n",
        "extensions:\n  ? complex\n  : 1\n",
    ],
)  # fmt: skip
def test_yaml_in_other_styles_is_refused(text: str) -> None:
    with pytest.raises(UnusableSettings):
        YamlText().put(text, ("extensions",), "s", ENTRY)


@given(st.text(max_size=30))
def test_any_value_is_read_back_from_toml_and_yaml(value: str) -> None:
    entry: Entry = {"command": value, "args": [value], "env": {"K": value}}
    put = TomlText().put("", ("m",), "s", entry)
    assert tomllib.loads(put)["m"]["s"] == entry
    printable = "".join(char for char in value if char.isprintable())  # pyyaml wants no others
    entry = {"command": printable, "args": [printable], "env": {"K": printable}}
    put = YamlText().put("", ("m",), "s", entry)
    assert yaml.safe_load(put)["m"]["s"] == entry
