"""`seekling doctor`: look at the model server and the tools, and say what to change."""

import argparse
import json
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol, TextIO, runtime_checkable

from agent_client.cli.options import add_settings, load_config

if TYPE_CHECKING:
    import httpx

    from agent_client.config import ClientConfig
    from agent_client.doctor import Diagnosis, Finding
    from agent_client.model.endpoint import Endpoint

MAX_LINE_CHARS = 500
_CHECK_CHARS = 11
_COLOURS = {"ok": "\x1b[32m", "warn": "\x1b[33m", "fail": "\x1b[31m", "skip": "\x1b[2m"}
_OFF = "\x1b[0m"


_EXAMPLES = """examples:
  seekling doctor --model http://127.0.0.1:30000
  seekling doctor --quick --json
"""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command to the grammar."""
    parser = subparsers.add_parser(
        "doctor",
        help="check the model server and the tools, and say what to change",
        description="Check the model server and the tool server. Takes up to a minute and a few\n"
        "hundred tokens. Exit code: 0 nothing failed, 1 something did, 6 nothing answers.",
        usage="seekling doctor [options]",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument(
        "--quick", action="store_true", help="leave out what the model has to write"
    )
    add_settings(parser)


async def run(options: argparse.Namespace) -> int:
    """Examine, print, and give the exit code.

    Raises:
        ConfigError: a setting is wrong.
        NoModel: no model is configured, running, or there to be started.
    """
    from agent_client.app import open_http, open_tools
    from agent_client.doctor import examine, tools

    config = load_config(options)
    printer = _Printer(None if options.json else sys.stdout)
    diagnoses: list[Diagnosis] = []
    async with open_http(config) as http, _opened_endpoints(config, http) as endpoints:
        for endpoint, model in endpoints:
            printer.title(f"model server {endpoint.base_url}")
            diagnosis = await examine(
                endpoint, http, model, is_quick=options.quick, show=printer.finding
            )
            diagnoses.append(diagnosis)
    printer.title("tool server")
    of_tools = await tools(open_tools(config))
    printer.finding(of_tools)
    if options.json:
        print(json.dumps(as_json(diagnoses, of_tools), ensure_ascii=False))
    worst = max(diagnosis.exit_code for diagnosis in diagnoses)
    return worst or (1 if of_tools.outcome == "fail" else 0)


@runtime_checkable
class _HasEndpoint(Protocol):
    """A model that sits behind one endpoint."""

    endpoint: "Endpoint"


@asynccontextmanager
async def _opened_endpoints(
    config: "ClientConfig", http: "httpx.AsyncClient"
) -> "AsyncGenerator[list[tuple[Endpoint, str]]]":
    """Give the endpoints to examine, each with the model to ask for, "" for the first.

    An address is taken as it is: that nothing answers there is a finding, no error.
    """
    from agent_client.app import open_model
    from agent_client.errors import ConfigError
    from agent_client.model.endpoint import Endpoint
    from agent_client.model.transport import HttpxTransport
    from agent_client.model_choice import (
        LocalFile,
        addresses,
        api_key,
        choose_model,
        looks_like_url,
    )

    if looks_like_url(config.model):
        found = [(url, config.model_name) for url in addresses(config)]
    else:
        choice = await choose_model(config, http)
        if isinstance(choice, LocalFile):
            async with open_model(config, tell=_tell) as model:
                if not isinstance(model, _HasEndpoint):
                    raise ConfigError("the embedded model has no endpoint")
                yield [(model.endpoint, "")]
            return
        found = [(facts.base_url, facts.model) for facts in choice]
    transport, key = HttpxTransport(http), api_key(config)
    yield [
        (Endpoint(transport=transport, base_url=url, api_key=key), wanted) for url, wanted in found
    ]


def as_json(diagnoses: "Sequence[Diagnosis]", of_tools: "Finding") -> dict[str, object]:
    """The one object that `--json` prints."""
    servers = [
        {
            "endpoint": diagnosis.facts.base_url,
            "server": diagnosis.facts.server,
            "version": diagnosis.version,
            "model": diagnosis.facts.model,
            "models": diagnosis.facts.models,
            "context_tokens": diagnosis.facts.context_tokens,
            "findings": [_finding_json(finding) for finding in diagnosis.findings],
            "seconds": round(diagnosis.seconds, 1),
        }
        for diagnosis in diagnoses
    ]
    return {"servers": servers, "tools": _finding_json(of_tools)}


def _finding_json(finding: "Finding") -> dict[str, str]:
    return {
        "check": finding.check,
        "outcome": finding.outcome,
        "told": finding.told,
        "advice": finding.advice,
    }


class _Printer:
    """Prints one line per finding, and one below it for what to change; nothing without `out`."""

    def __init__(self, out: TextIO | None) -> None:
        self._out = out
        is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        self._has_colour = out is not None and out.isatty() and not is_plain

    def title(self, text: str) -> None:
        self._print("", text)

    def finding(self, finding: "Finding") -> None:
        word = {"skip": "-"}.get(finding.outcome, finding.outcome).ljust(4)
        if self._has_colour:
            word = f"{_COLOURS[finding.outcome]}{word}{_OFF}"
        self._print(f"  {word}  {finding.check:<{_CHECK_CHARS}} ", finding.told)
        if finding.advice:
            self._print(" " * (9 + _CHECK_CHARS) + "-> ", finding.advice)

    def _print(self, start: str, text: str) -> None:
        from agent_client.clean import terminal_line

        if self._out is not None:  # the text holds what a server says of itself
            print(start + terminal_line(text, MAX_LINE_CHARS), file=self._out, flush=True)


def _tell(line: str) -> None:
    from agent_client.clean import terminal_line

    print(terminal_line(line, MAX_LINE_CHARS), file=sys.stderr)
