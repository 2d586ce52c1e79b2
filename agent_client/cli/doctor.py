"""`seekling doctor`: look at the model server and the tools, and say what to change."""

import argparse
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TextIO, runtime_checkable

from agent_client.cli.json_output import print_json
from agent_client.cli.options import SETTINGS, add_settings, load_config

if TYPE_CHECKING:
    import httpx

    from agent_client.config import ClientConfig
    from agent_client.doctor import Diagnosis, Finding
    from agent_client.errors import SeeklingClientError
    from agent_client.model.endpoint import Endpoint

MAX_LINE_CHARS = 500
SCHEMA_VERSION = 1
_MODELS = "seekling models"
_LONGER_EMBEDDED = "seekling config set engine.context_tokens 32768"
_CHECK_CHARS = 12
_WRAPPED_COLUMNS = 60
"""A terminal narrower than this has no room for a margin: it breaks the lines itself."""
_COLOURS = {"ok": "\x1b[32m", "warn": "\x1b[33m", "fail": "\x1b[31m", "skip": "\x1b[2m"}
_OFF = "\x1b[0m"


_EXAMPLES = """examples:
  seekling doctor --model http://127.0.0.1:30000
  seekling doctor --quick --json

exit codes: 0 nothing failed, 1 something did, 6 no model answers
"""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command to the grammar."""
    parser = subparsers.add_parser(
        "doctor",
        help="check the model server and the tools, and say what to change",
        description="Check the installation, the model server and the tool server. Takes up to a\n"
        "minute and a few hundred tokens. What is wrong ends with what to run.",
        usage="seekling doctor [options]",
        epilog=_EXAMPLES,
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument(
        "--quick", action="store_true", help="leave out what the model has to write"
    )
    add_settings(parser)


async def run(options: argparse.Namespace) -> int:
    """Examine, print, and give the exit code.

    Raises:
        ConfigError: a flag is wrong; what stands in the file or the environment is a finding.
    """
    from agent_client.app import open_tools
    from agent_client.doctor import tools

    printer = _Printer(None if options.json else sys.stdout)
    report = _Report(printer)
    printer.title("installation")
    config = _installation(options, report)
    await _models(config, options, report)
    printer.title("tool server")
    command = "" if config.mcp else "seekling-mcp doctor"
    report.add("tools", "", await tools(open_tools(config), command=command))
    if options.json:
        print_json(report.as_json())
    else:
        printer.title(report.summary())
    return report.exit_code


def _installation(options: argparse.Namespace, report: "_Report") -> "ClientConfig":
    """Look at what needs no server; gives the settings, without those that are wrong."""
    from pathlib import Path

    from agent_client.config import file_in_use
    from agent_client.doctor import installation
    from agent_client.errors import ConfigError
    from agent_client.sessions.store import sessions_directory

    file, _ = file_in_use(Path(options.config) if options.config else None)
    try:
        config, error = load_config(options), None
    except ConfigError as exc:
        config, error = _flags_alone(options), exc
    directory = sessions_directory(config.data_dir)
    for finding in (
        installation.versions(),
        installation.import_names(),
        installation.settings_file(file, error),
        installation.sessions(directory, is_saving=config.save),
    ):
        report.add("installation", "", finding)
    return config


def _flags_alone(options: argparse.Namespace) -> "ClientConfig":
    """The settings as if neither the file nor the environment had any.

    Raises:
        ConfigError: a flag is wrong.
    """
    from pathlib import Path

    from agent_client.config import load

    names = [*(setting for _, setting, _, _ in SETTINGS), "save"]
    flags = {name: getattr(options, name, None) for name in names}
    return load(file=Path(os.devnull), environ={}, flags=flags)


async def _models(config: "ClientConfig", options: argparse.Namespace, report: "_Report") -> None:
    """Examine each endpoint; that there is none is a finding."""
    from agent_client.app import open_http
    from agent_client.doctor import Finding, examine
    from agent_client.errors import EngineError, ModelError, NoModel

    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(open_http(config))
        try:
            endpoints = await stack.enter_async_context(_opened_endpoints(config, http))
        except (NoModel, ModelError, EngineError) as exc:
            report.printer.title("model")
            places = "; ".join(getattr(exc, "looked_at", ()))
            told = f"{exc} ({places})" if places else str(exc)
            report.add("model", "", Finding("model", "fail", told, *_what_to_do(exc)))
            report.has_model = False
            return
        for endpoint, model, is_embedded in endpoints:
            report.printer.title(f"model server {endpoint.base_url}")

            show = partial(_show, report, endpoint.base_url, is_embedded=is_embedded)
            diagnosis = await examine(endpoint, http, model, is_quick=options.quick, show=show)
            report.diagnoses.append(diagnosis)


def _show(report: "_Report", url: str, finding: "Finding", *, is_embedded: bool) -> None:
    """Add a finding; the embedded engine is started by us, so its context is a setting."""
    if is_embedded and finding.check == "context" and finding.advice:
        finding = replace(finding, advice="", command=_LONGER_EMBEDDED)
    report.add("model", url, finding)


def _what_to_do(error: "SeeklingClientError") -> tuple[str, str]:
    """Advice and command where no model can be opened, from what the error itself says."""
    from agent_client.errors import EngineError

    begin, _, rest = error.hint.partition("run: ")
    if rest:
        command, _, advice = rest.partition(", ")
        return begin.rstrip("; ") or advice.removeprefix("or "), command
    return error.hint, "seekling engine status" if isinstance(error, EngineError) else _MODELS


@dataclass(slots=True)
class _Report:
    """Everything that was found, in its order."""

    printer: "_Printer"
    rows: "list[tuple[str, str, Finding]]" = field(default_factory=list[Any])
    """What was looked at (`installation`, `model`, `tools`), its address or "", the finding."""
    diagnoses: "list[Diagnosis]" = field(default_factory=list[Any])
    has_model: bool = True

    def add(self, part: str, subject: str, finding: "Finding") -> None:
        self.rows.append((part, subject, finding))
        self.printer.finding(finding)

    @property
    def exit_code(self) -> int:
        """6 when no model answers, else 1 when anything failed."""
        is_reachable = self.has_model and not any(each.is_unreachable for each in self.diagnoses)
        if not is_reachable:
            return 6
        return 1 if self._count("fail") else 0

    def summary(self) -> str:
        """How it stands, on one line, and what to do first."""
        failures, warnings = self._count("fail"), self._count("warn")
        if not failures and not warnings:
            return 'all is well: seekling ask "…"'
        counts = [(failures, "failed"), (warnings, "could be better")]
        told = ", ".join(f"{count} {word}" for count, word in counts if count)
        wanted = "fail" if failures else "warn"
        first = next(
            (it.command for _, _, it in self.rows if it.outcome == wanted and it.command), ""
        )
        return f"{told}; begin with: {first}" if first else told

    def as_json(self) -> dict[str, object]:
        """The one object that `--json` prints."""
        status = "fail" if self._count("fail") else "warn" if self._count("warn") else "ok"
        servers = [
            {
                "endpoint": diagnosis.facts.base_url,
                "server": diagnosis.facts.server,
                "version": diagnosis.version,
                "model": diagnosis.facts.model,
                "models": diagnosis.facts.models,
                "context_tokens": diagnosis.facts.context_tokens,
                "seconds": round(diagnosis.seconds, 1),
            }
            for diagnosis in self.diagnoses
        ]
        findings = [
            {
                "id": f"{part}.{finding.check.replace(' ', '_')}",
                "subject": subject,
                "outcome": finding.outcome,
                "told": finding.told,
                "advice": finding.advice,
                "command": finding.command,
            }
            for part, subject, finding in self.rows
        ]
        return {
            "schema_version": SCHEMA_VERSION,
            "status": status,
            "exit_code": self.exit_code,
            "servers": servers,
            "findings": findings,
        }

    def _count(self, outcome: str) -> int:
        return sum(finding.outcome == outcome for _, _, finding in self.rows)


@runtime_checkable
class _HasEndpoint(Protocol):
    """A model that sits behind one endpoint."""

    endpoint: "Endpoint"


@asynccontextmanager
async def _opened_endpoints(
    config: "ClientConfig", http: "httpx.AsyncClient"
) -> "AsyncGenerator[list[tuple[Endpoint, str, bool]]]":
    """Give the endpoints to examine, each with the model to ask for, and whether it is embedded.

    A model "" is the first that is listed.

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
                yield [(model.endpoint, "", True)]
            return
        found = [(facts.base_url, facts.model) for facts in choice]
    transport, key = HttpxTransport(http), api_key(config)
    yield [
        (Endpoint(transport=transport, base_url=url, api_key=key), wanted, False)
        for url, wanted in found
    ]


class _Printer:
    """Prints one line per finding, and below it what to change and run; nothing without `out`."""

    def __init__(self, out: TextIO | None) -> None:
        from agent_client.cli.colour import has_colour

        self._out = out
        self._has_colour = out is not None and has_colour(out)

    def title(self, text: str) -> None:
        self._print("", text)

    def finding(self, finding: "Finding") -> None:
        word = {"skip": "-"}.get(finding.outcome, finding.outcome).ljust(4)
        if self._has_colour:
            word = f"{_COLOURS[finding.outcome]}{word}{_OFF}"
        margin = 9 + _CHECK_CHARS
        self._print(f"  {word}  {finding.check:<{_CHECK_CHARS}} ", finding.told, margin)
        for line in (finding.advice, finding.command and f"run: {finding.command}"):
            if line:
                self._print(" " * margin + "-> ", line, margin + 3)

    def _print(self, start: str, text: str, margin: int = 0) -> None:
        from agent_client.clean import terminal_line
        from agent_client.cli.cells import wrapped
        from agent_client.cli.live_region import screen_size

        if self._out is None:
            return
        lines = [terminal_line(text, MAX_LINE_CHARS)]  # holds what a server says of itself
        columns = screen_size(self._out).columns
        if self._out.isatty() and columns >= _WRAPPED_COLUMNS:
            lines = wrapped(lines[0], columns - margin)
        print(start + f"\n{' ' * margin}".join(lines), file=self._out, flush=True)


def _tell(line: str) -> None:
    from agent_client.clean import terminal_line

    print(terminal_line(line, MAX_LINE_CHARS), file=sys.stderr)
