"""The diagram of the packages' parts, and who imports whom, from the real imports."""

import ast
import importlib
import inspect
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.docs.markdown import code, table

ROOT = Path(__file__).resolve().parents[3]
GROUPS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "agent_client": {
        "commands": ("cli", "__main__"),
        "composition": ("app", "evaluation_app", "grading_app", "model_choice"),
        "settings": ("config", "profiles", "setting_docs", "settings_file"),
        "the loop": ("agent", "__init__"),
        "services": ("service", "web_chat"),
        "reports": ("report",),
        "evaluation": ("evaluation",),
        "viewer": ("viewer", "timeline", "pages"),
        "sessions": ("sessions",),
        "doctor": ("doctor",),
        "model wire": ("model",),
        "tools over MCP": ("toolbox", "tool_server"),
        "engines": ("engine",),
    },
    "mcp_server": {
        "commands": ("cli", "__main__"),
        "composition": ("app", "serving_app", "settings_check"),
        "settings": ("config",),
        "transports": ("serving",),
        "who may call": ("access",),
        "MCP face": ("server", "tools", "resources", "prompts", "hidden", "services"),
        "search": ("search", "semantic"),
        "visit": ("visit",),
        "extract": ("extract",),
        "own index": ("corpus",),
        "hosts": ("hosts",),
        "doctor": ("doctor",),
        "telemetry": ("telemetry", "status"),
    },
}
"""The boxes of the diagram and the parts of the package in each."""
IMPORT_NEARLY_ALL = ("commands", "composition", "doctor")
"""Their arrows would hide all others."""
VOCABULARY: Mapping[str, frozenset[str]] = {
    "agent_client": frozenset(
        {"errors", "conversation", "events", "ports", "clean", "untrusted", "log", "loopback"}
        | {"inert_markdown", "replaced_file", "search_hits", "tool_meta"}
    ),
    "mcp_server": frozenset(
        {"errors", "clean", "log", "loopback", "sizes", "shared_file", "__init__"}
    ),
}
"""Parts without logic of their own that nearly everything imports: no box, no arrows."""


@cache
def imports_of(package: str) -> Mapping[str, frozenset[str]]:
    """Which parts of a package each part imports; a part is what stands at its top."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    folder = ROOT / package
    for path in sorted(folder.rglob("*.py")):
        part = path.relative_to(folder).parts[0].removesuffix(".py")
        found[part].update(_imported_parts(path, package) - {part})
    return {part: frozenset(names) for part, names in sorted(found.items())}


def _imported_parts(path: Path, package: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == package:
            names.update(f"{package}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    parts = {name.split(".")[1] for name in names if name.startswith(f"{package}.")}
    folder = ROOT / package
    return {part for part in parts if (folder / part).is_dir() or (folder / f"{part}.py").is_file()}


def group_of(package: str, part: str) -> str:
    """The box that a part stands in; "" for the shared vocabulary.

    Raises:
        LookupError: it stands in none: put it into `GROUPS`.
    """
    if part in VOCABULARY[package]:
        return ""
    for group, parts in GROUPS[package].items():
        if part in parts:
            return group
    raise LookupError(f"{package}.{part} stands in no box: put it into GROUPS of {__name__}")


def arrows(package: str) -> set[tuple[str, str]]:
    """The imports between boxes."""
    return {
        (group_of(package, part), group_of(package, other))
        for part, others in imports_of(package).items()
        for other in others
        if group_of(package, part) and group_of(package, other)
        if group_of(package, part) != group_of(package, other)
    }


def diagram() -> str:
    """A Mermaid diagram: a box per group, an arrow where one imports another."""
    lines = ["```mermaid", "flowchart LR"]
    for package, groups in GROUPS.items():
        lines.append(f'  subgraph {package}["{package}"]')
        there = {group_of(package, part) for part in imports_of(package)}
        lines += [f'    {_id(package, it)}["{it}"]' for it in groups if it in there]
        lines.append("  end")
    for package in GROUPS:
        lines += [
            f"  {_id(package, first)} --> {_id(package, second)}"
            for first, second in sorted(_shown(arrows(package)))
        ]
        lines += [
            f"  {_id(package, first)} -.-> {_id(package, second)}"
            for first, second in sorted(_roots(arrows(package)))
        ]
    lines.append('  agent_client_tools_over_MCP == "MCP: stdio or HTTP" ==> mcp_server_transports')
    return "\n".join([*lines, "```"])


def _shown(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The arrows without those of parts that import nearly all: commands, roots and doctors."""
    return {edge for edge in edges if edge[0] not in IMPORT_NEARLY_ALL}


def _roots(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Of the arrows that are left out those to boxes that no other arrow leads to."""
    reached = {second for _, second in _shown(edges)}
    kept = {("commands", "composition")}
    for first in ("composition", "commands"):
        for second in sorted({second for it, second in edges if it == first} - reached):
            if second not in {named for _, named in kept}:
                kept.add((first, second))
    return kept


def import_tables() -> str:
    """All parts of both packages: what each is, and which others it imports."""
    return "\n\n".join(f"### `{package}`\n\n{_import_table(package)}" for package in GROUPS)


def _import_table(package: str) -> str:
    return table(("part", "what it is", "imports"), _rows(package))


def _rows(package: str) -> Iterator[tuple[str, str, str]]:
    for part, others in imports_of(package).items():
        if not part.startswith("__"):
            yield code(part), _first_line(package, part), ", ".join(map(code, sorted(others)))


def _first_line(package: str, part: str) -> str:
    docstring = inspect.getdoc(importlib.import_module(f"{package}.{part}")) or ""
    return docstring.partition("\n")[0]


def _id(package: str, group: str) -> str:
    return f"{package}_{group.replace(' ', '_')}"
