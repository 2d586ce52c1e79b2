"""What is stored, from the definitions of what is written."""

import ast
import sys
from typing import Any

from agent_client.agent.outcome import Counts, PrefixStability, Source
from agent_client.conversation import Usage
from agent_client.evaluation.episode_record import EpisodeRecord, Evidence, RecordedError
from agent_client.evaluation.records.manifest import (
    DatasetStamp,
    ModelStamp,
    ProfileStamp,
    RunManifest,
    ToolsStamp,
)
from agent_client.evaluation.verdict import GradeRecord, Verdict
from agent_client.service.chat_request import ChatRequest
from tests.docs.field_docs import class_node, fields_of
from tests.docs.markdown import code, from_docstring, table


def run_manifest() -> str:
    """`run.json`."""
    kinds = (RunManifest, DatasetStamp, ProfileStamp, ModelStamp, ToolsStamp)
    return "\n\n".join(map(described, kinds))


def episode_record() -> str:
    """A line of `records.jsonl`."""
    kinds = (EpisodeRecord, Counts, Usage, Source, Evidence, PrefixStability, RecordedError)
    return "\n\n".join(map(described, kinds))


def grade_record() -> str:
    """A line of `grades.jsonl`."""
    return "\n\n".join(map(described, (GradeRecord, Verdict)))


def chat_request() -> str:
    """What `/v1/chat/completions` reads."""
    schema = ChatRequest.model_json_schema()
    rows = [
        (code(name), _json_type(told), "required" if name in schema["required"] else "")
        for name, told in schema["properties"].items()
    ]
    return table(("field", "JSON", ""), rows)


def _json_type(told: dict[str, Any]) -> str:
    """A property of a JSON schema in a few words."""
    kinds = [it for it in told.get("anyOf", [told]) if it.get("type") != "null"]
    first = kinds[0]
    if "const" in first:
        return code(str(first["const"]))
    name = first.get("type", "object" if "$ref" in first else "anything")
    most = f", at most {first['maxItems']:,}" if "maxItems" in first else ""
    return f"{name}{most}"


def described(kind: type, *, level: str = "####") -> str:
    """A class as a heading, its docstring and a table of its fields."""
    told = from_docstring(ast.get_docstring(class_node(kind)) or "")
    rows = [
        (code(it.name), code(it.type), code(_default(kind, it.default)), it.text)
        for it in fields_of(kind)
    ]
    parts = [f"{level} `{kind.__name__}`", told]
    if rows:
        parts.append(table(("field", "type", "default", "meaning"), rows))
    return "\n\n".join(parts)


def _default(kind: type, written: str) -> str:
    """A default as it is written, or the value of the constant that it names."""
    module = sys.modules[kind.__module__]
    return repr(getattr(module, written)) if written.isupper() else written
