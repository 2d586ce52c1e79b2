"""What the source says about the fields of a class: the string that stands behind each."""

import ast
import inspect
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType


@dataclass(frozen=True, slots=True)
class FieldDoc:
    """A field as it is written."""

    name: str
    type: str
    """The annotation, as in the source."""
    default: str
    """As in the source; "" where the field must be given."""
    text: str
    """The string behind it; "" where there is none."""


def fields_of(kind: type) -> tuple[FieldDoc, ...]:
    """The fields that the class itself declares, in order."""
    return tuple(_fields(class_node(kind)))


def class_node(kind: type) -> ast.ClassDef:
    """The definition of a class in its module's source."""
    for node in _module(inspect.getsourcefile(kind) or "").body:
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
            return node
    raise LookupError(f"{kind.__qualname__} is no class at the top of its module")


def constant_doc(module: ModuleType, name: str) -> str:
    """The string behind a constant of a module; "" where there is none."""
    body = _module(inspect.getsourcefile(module) or "").body
    for node, behind in pairwise(body):
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(it, ast.Name) and it.id == name for it in targets):
            return _text(behind)
    return ""


@cache
def _module(path: str) -> ast.Module:
    return ast.parse(Path(path).read_text(encoding="utf-8"))


def _fields(node: ast.ClassDef) -> list[FieldDoc]:
    found: list[FieldDoc] = []
    for item, behind in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(item, ast.AnnAssign) or not isinstance(item.target, ast.Name):
            continue
        if item.target.id.startswith("_") or item.target.id == "model_config":
            continue
        default = ast.unparse(item.value) if item.value else ""
        found.append(FieldDoc(item.target.id, ast.unparse(item.annotation), default, _text(behind)))
    return found


def _text(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return inspect.cleandoc(node.value.value) if isinstance(node.value.value, str) else ""
    return ""
