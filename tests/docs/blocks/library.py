"""The public names of the library, its events and its errors."""

import ast
import inspect
from collections.abc import Iterator
from typing import get_args

import agent_client
from agent_client import errors as error_types
from agent_client import events as event_types
from tests.docs.blocks.records import described
from tests.docs.field_docs import class_node, constant_doc
from tests.docs.markdown import fenced, from_docstring, table


def library() -> str:
    """Every name of `agent_client.__all__`."""
    return "\n\n".join(map(_name, agent_client.__all__))


def _name(name: str) -> str:
    value = getattr(agent_client, name)
    if inspect.isclass(value):
        return "\n\n".join([described(value, level="###"), *_methods(value)])
    if isinstance(value, str):
        return f"### `{name}`\n\nThe installed version."
    module = inspect.getmodule(agent_client.Outcome)
    assert module is not None
    allowed = ", ".join(f"`{it}`" for it in get_args(value))
    return f"### `{name}`\n\nOne of {allowed}.\n\n{constant_doc(module, name)}"


def _methods(kind: type) -> Iterator[str]:
    for node in class_node(kind).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring and not node.name.startswith("_"):
                signature = _signature(node)
                told = from_docstring(docstring)
                heading = f"#### `{kind.__name__}.{node.name}`"
                yield f"{heading}\n\n{fenced(signature, 'py')}\n\n{told}"


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The definition without its body, an argument a line where it is long."""
    start = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    arguments = ast.unparse(node.args).removeprefix("self").removeprefix(", ")
    returned = f" -> {ast.unparse(node.returns).strip(chr(39))}" if node.returns else ""
    line = f"{start} {node.name}({arguments}){returned}"
    if len(line) <= 88:
        return line
    each = [
        f"    {ast.unparse(it)}={ast.unparse(value)}," if value else f"    {ast.unparse(it)},"
        for it, value in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    ]
    first = [f"    {ast.unparse(it)}," for it in node.args.args if it.arg != "self"]
    star = ["    *,"] if each else []
    return "\n".join([f"{start} {node.name}(", *first, *star, *each, f"){returned}"])


def events() -> str:
    """Every event, in the order of the union."""
    kinds = [it for it in get_args(event_types.Event) if isinstance(it, type)]
    return "\n\n".join(described(kind) for kind in kinds)


def errors() -> str:
    """Every error that the library raises, with the exit code that it gives a command."""
    kinds = [
        kind
        for _, kind in inspect.getmembers(error_types, inspect.isclass)
        if issubclass(kind, error_types.SeeklingClientError)
    ]
    rows = [
        (
            f"`{kind.__name__}`",
            f"`{kind.__mro__[1].__name__}`",
            str(kind.exit_code),
            (inspect.getdoc(kind) or "").partition("\n\n")[0],
        )
        for kind in sorted(kinds, key=lambda kind: kind.__name__)
    ]
    return table(("error", "is a", "exit code", "meaning"), rows)
