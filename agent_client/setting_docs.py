"""What each setting means, and its default: read from the settings' own docstrings."""

import ast
import inspect
import textwrap
from dataclasses import dataclass
from functools import cache
from typing import Any

from agent_client.config import FOREIGN_ENV, SECRETS, ClientConfig, known_keys, variable_of
from agent_client.profiles.sections import Section


@dataclass(frozen=True, slots=True)
class DescribedSetting:
    """One setting."""

    key: str
    """A section's with a dot."""
    default: object
    """None: it is unset, or a secret."""
    meaning: str
    """On one line, in plain words; with backquotes around code."""
    variables: tuple[str, ...]
    """The environment variables that set it, the strongest first."""
    is_secret: bool


def described_settings() -> tuple[DescribedSetting, ...]:
    """All settings, in the order of `known_keys()`."""
    return tuple(map(_described, known_keys()))


def _described(key: str) -> DescribedSetting:
    section, _, name = key.rpartition(".")
    model: type[Section] = ClientConfig
    if section:
        annotation: Any = ClientConfig.model_fields[section].annotation
        model = annotation
    default = None if key in SECRETS else model.model_fields[name].default
    names = SECRETS.get(key) or (variable_of(key), *filter(None, [FOREIGN_ENV.get(key)]))
    meaning = _meanings(model).get(name) or _first_sentence(model)
    return DescribedSetting(key, default, meaning, names, key in SECRETS)


@cache
def _meanings(model: type[Section]) -> dict[str, str]:
    """The docstrings of a section's fields, those of its bases included."""
    told: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, Section) and base is not Section:
            told |= _field_docstrings(base)
    return told


def _field_docstrings(model: type[Section]) -> dict[str, str]:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(tree, ast.ClassDef)
    told: dict[str, str] = {}
    for field, after in zip(tree.body, tree.body[1:], strict=False):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        match after:
            case ast.Expr(ast.Constant(str(text))):
                told[field.target.id] = " ".join(text.split())
            case _:
                pass
    return told


def _first_sentence(model: type[Section]) -> str:
    """What a field without words of its own is part of."""
    return " ".join(inspect.cleandoc(model.__doc__ or "").split()).partition(". ")[0]
