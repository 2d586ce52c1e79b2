"""The structure that the code keeps to: who imports whom, and how large things get."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from agent_client import tool_meta
from agent_client.agent import page_result
from mcp_server.tools import result_meta

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("mcp_server", "agent_client")
MAX_MODULE_LINES = 500
MAX_FUNCTION_LINES = 50


def modules(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def imports_of(package: str) -> dict[str, frozenset[str]]:
    """What each module of a package imports; both by name."""
    return {name_of(path): frozenset(imports(path)) for path in modules(package)}


def importers_of(package: str, *prefixes: str) -> set[str]:
    """Modules of a package that import anything under one of the prefixes."""
    return {
        module
        for module, names in imports_of(package).items()
        for name in names
        if any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)
    }


def test_the_two_packages_meet_only_over_mcp() -> None:
    assert importers_of("mcp_server", "agent_client") == set()
    assert importers_of("agent_client", "mcp_server") == set()


def test_both_packages_call_what_a_result_tells_programs_by_the_same_names() -> None:
    for name in ("ERROR_META", "ERRORS_META", "SEARCH_META"):
        assert getattr(tool_meta, name) == getattr(result_meta, name)
    assert page_result.PAGES_META == result_meta.PAGES_META


def test_the_protocol_is_known_in_few_places() -> None:
    assert importers_of("agent_client", "mcp") == {
        "agent_client.service.research_tool",  # the agent as a server, for other hosts
        "agent_client.tool_server.connection",
        "agent_client.tool_server.direct_calls",
        "agent_client.tool_server.remote",
        "agent_client.tool_server.targets",
        "agent_client.toolbox",
    }
    face = (
        "server",
        "hidden",
        "tools",
        "resources",
        "serving",
        "serving_app",
        "access",
        "telemetry",
        "doctor",
    )
    assert {name.split(".")[1] for name in importers_of("mcp_server", "mcp")} <= set(face)


def test_settings_are_read_at_the_edge_only() -> None:
    assert importers_of("mcp_server", "mcp_server.config") <= {
        "mcp_server.app",
        "mcp_server.cli.doctor_checks",
        "mcp_server.cli.index_build",
        "mcp_server.cli.search",
        "mcp_server.cli.serve",
        "mcp_server.cli.settings",
        "mcp_server.cli.visit",
        "mcp_server.serving_app",
        "mcp_server.settings_check",
    }
    assert importers_of("agent_client", "agent_client.config") <= {
        "agent_client.app",
        "agent_client.agent.agent",  # Agent.open, the front door of the library
        "agent_client.cli.ask",
        "agent_client.cli.config",
        "agent_client.cli.doctor",
        "agent_client.cli.models",
        "agent_client.cli.options",
        "agent_client.cli.tool_call",
        "agent_client.cli.web",
        "agent_client.evaluation.cluster.node_agent",  # the composition root of another machine
        "agent_client.evaluation.cluster.opening",
        "agent_client.evaluation_app",
        "agent_client.grading_app",
        "agent_client.model_choice",
        "agent_client.setting_docs",
    }


@pytest.mark.parametrize(
    "part",
    ["agent", "report", "service", "sessions", "timeline", "pages", "viewer", "web_chat"],
)
def test_the_loop_and_what_is_built_on_it_know_ports_and_no_adapters(part: str) -> None:
    adapters = ("model", "toolbox", "tool_server", "engine")
    names = [f"agent_client.{name}" for name in adapters]
    assert importers_of("agent_client", *names, "httpx").isdisjoint(
        map(name_of, modules(f"agent_client/{part}"))
    )


def parts_known_to(part: str) -> set[str]:
    """The other parts of the client that the modules of one part import."""
    names = {
        name.split(".")[1]
        for module, imported in imports_of("agent_client").items()
        if f"{module}.".startswith(f"agent_client.{part}.")
        for name in imported
        if name.startswith("agent_client.")
    }
    return names - {part, "__version__"}


def test_what_pages_show_does_not_know_who_shows_it() -> None:
    words = {"agent", "conversation", "errors", "events"}  # what happened, in the loop's own words
    assert parts_known_to("pages") <= {"loopback", "sessions"}
    assert parts_known_to("timeline") <= {*words, "report", "search_hits", "tool_meta"}
    viewer = {*words, "pages", "sessions", "timeline"}
    assert parts_known_to("viewer") <= {*viewer, "evaluation", "replaced_file"}
    assert parts_known_to("web_chat") <= {*viewer, "viewer"}


def test_web_servers_stand_in_few_places() -> None:
    assert importers_of("agent_client", "starlette", "uvicorn") <= {
        "agent_client.pages.gate",
        "agent_client.pages.responses",
        "agent_client.service.chat_api",
        "agent_client.service.loopback_server",
        "agent_client.viewer.live_server",
        "agent_client.web_chat.chat_server",
    }


_INJECTS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|srcdoc|DOMParser"
    r"|document\.write|\beval\(|new Function|javascript:|\bon[a-z]{3,20}="
)
_LOADS = re.compile(r"https?://[^\s\"'`]*|@import|url\((?!#)")
_NAMESPACE = "http://www.w3.org/2000/svg"


def test_our_pages_cannot_inject_and_load_nothing() -> None:
    files = [
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".js", ".css", ".html"}
    ]
    assert len(files) > 20
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert _INJECTS.findall(text) == [], path.name
        assert set(_LOADS.findall(text)) <= {_NAMESPACE}, path.name


def test_connections_to_models_are_opened_in_the_composition_root() -> None:
    builders = {
        name_of(path)
        for path in modules("agent_client")
        if "LeanHttp()" in path.read_text(encoding="utf-8")
    }
    assert builders == {"agent_client.app"}


@pytest.mark.parametrize("package", PACKAGES)
def test_http_clients_are_built_in_the_composition_root(package: str) -> None:
    builders = {
        name_of(path)
        for path in modules(package)
        if "httpx.AsyncClient(" in path.read_text(encoding="utf-8")
    }
    assert builders <= {
        "mcp_server.app",
        "mcp_server.visit.fetching.transport",  # the one factory for pages, with the guarded dial
        "agent_client.app",
        "agent_client.cli.engine",
        "agent_client.engine.llama_cpp",  # waits for its own child on loopback
    }


def test_pages_come_through_the_guard_only() -> None:
    others = ("requests", "urllib.request", "urllib3", "aiohttp", "http.client", "pycurl", "httpx2")
    assert importers_of("mcp_server", *others) == set()
    # Whoever dials, or speaks HTTP below httpx, is part of the guard.
    assert importers_of("mcp_server", "httpcore", "h11") <= {
        "mcp_server.app",  # names the type of the guarded dial that it hands to the browser
        "mcp_server.visit.browser.browser",
        "mcp_server.visit.browser.guarded_proxy",
        "mcp_server.visit.fetching.answer_start",
        "mcp_server.visit.fetching.dial",
        "mcp_server.visit.fetching.proxy",
        "mcp_server.visit.fetching.transport",
    }


def test_the_page_client_is_used_by_fetch_alone() -> None:
    """Another caller would follow redirects, or read a body, without judging it."""
    verbs = {"get", "post", "put", "head", "request", "stream", "send", "build_request"}
    users = {
        name_of(path)
        for path in modules("mcp_server/visit", "mcp_server/extract", "mcp_server/tools")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in verbs
        and ast.unparse(node.value).rpartition(".")[2].strip("_") == "http"
    }
    assert users == {
        "mcp_server.visit.fetching.fetch",
        "mcp_server.visit.browser.guarded_proxy",  # its `_http` is h11, towards the browser
    }


def test_nothing_is_unpickled() -> None:
    loaders = ("pickle", "marshal", "shelve", "dill", "joblib", "diskcache", "yaml")
    assert importers_of("mcp_server", *loaders) == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_and_functions_stay_small(package: str) -> None:
    assert [found for path in modules(package) for found in too_large_in(path)] == []


def too_large_in(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    if (lines := len(text.splitlines())) > MAX_MODULE_LINES:
        yield f"{name_of(path)} has {lines} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False) or ""
            length = (node.end_lineno or 0) - node.lineno + 1 - docstring.count("\n")
            if length > MAX_FUNCTION_LINES:
                yield f"{name_of(path)}.{node.name} has {length} lines"


@pytest.mark.parametrize("module", ["agent_client.cli.main", "mcp_server.cli.main"])
def test_help_imports_nothing_heavy(module: str) -> None:
    script = (
        f"import sys; from {module} import build_parser; build_parser();"
        "heavy = {'mcp', 'httpx', 'pydantic', 'anyio', 'tantivy', 'bs4', 'ddgs', 'selectolax'};"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


SDK_MODULES = """annotated_types anyio click cryptography httpx2 idna mcp mcp_types pydantic
    pydantic_core python_multipart sniffio sse_starlette starlette typing_extensions
    typing_inspection uvicorn""".split()
"""What `import mcp.server` brings; where `click` and `brotli` are not installed it does without."""
NAMES_OF_ALL_IMPORTED = """
import os, sys
from mcp_server.services import OnDemand

def tell(source):
    for name, module in sys.modules.items():
        if "." not in name and "site-packages" in str(getattr(module, "__file__", "")):
            print(name, file=sys.stderr)
    os._exit(0)

OnDemand.soon = tell  # called once the tools are listed
from mcp_server.cli.main import main
main(["serve"])
"""


def test_the_tools_are_listed_before_anything_is_imported_that_the_sdk_does_not_need() -> None:
    client = {"name": "test", "version": "1"}
    asked = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
    requests = (
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": asked},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    )
    done = subprocess.run(
        [sys.executable, "-c", NAMES_OF_ALL_IMPORTED],
        input="".join(json.dumps(request) + "\n" for request in requests),
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 2
    imported = {name for name in done.stderr.split() if not name.startswith("_")}
    optional = {"brotli", "click"}
    assert imported - optional == {*SDK_MODULES, "platformdirs"} - optional
