"""`seekling engine`: fetch model files for the embedded engine, and serve models with others."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agent_client.cli.engine_serving import ExtraParser, add_parsers, print_argv, start

if TYPE_CHECKING:  # start-up: `seekling --help` loads this module, not the engine
    from pathlib import Path

    from agent_client.engine.sources import PullProgress
    from agent_client.engine.weights import ModelFile

_PURPOSE = (
    "The embedded models run on any CPU and are for trying Seekling out. For answers\n"
    "to rely on, serve II-Search-4B with SGLang."
)
_EXAMPLES = """examples:
  seekling engine pull             the default embedded model
  seekling engine argv sglang      how to serve II-Search-4B on a GPU
"""


# argparse has no public name for what `add_subparsers` returns.
def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command group `engine` with `pull`, `status`, `argv` and `start`."""
    group = subparsers.add_parser(
        "engine",
        help="the embedded model, and commands that serve others",
        description=_PURPOSE,
        epilog=_EXAMPLES,
    )
    commands = group.add_subparsers(
        dest="engine_command", metavar="COMMAND", required=True, parser_class=ExtraParser
    )
    common = ExtraParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON object")
    common.add_argument(
        "--directory", metavar="DIR", help="where model files lie (default: in the user's cache)"
    )
    pull = commands.add_parser(
        "pull",
        parents=[common],
        help="download a model and verify it",
        description="Download a model file, the default one unless named, and check its SHA-256.",
        epilog="example:\n  seekling engine pull",
    )
    pull.add_argument("model", nargs="?", metavar="NAME", help="a model that `engine status` lists")
    pull.add_argument("--url", help="https address of another GGUF file; needs --sha256")
    pull.add_argument("--sha256", metavar="HEX", help="the hash the file must have")
    pull.add_argument("--name", help="what to call the file of --url")
    pull.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    commands.add_parser(
        "status",
        parents=[common],
        help="list models, files and the engine",
        description="List the embedded models, which files are here and verified, and the engine.",
        epilog="example:\n  seekling engine status",
    )
    add_parsers(commands)


async def run(args: argparse.Namespace) -> int:
    """Run the chosen subcommand and return the exit status.

    Raises:
        ConfigError: the model is unknown, or the options contradict each other.
        EngineError: the model could not be fetched, or the server did not start.
    """
    match args.engine_command:
        case "pull":
            return await _pull(args)
        case "argv":
            return print_argv(args)
        case "start":
            return await _start(args)
        case _:
            return await _status(args)


async def _start(args: argparse.Namespace) -> int:
    import httpx

    # Between us and our own server there is no proxy.
    async with httpx.AsyncClient(trust_env=False) as http:
        return await start(args, http)


def _directory(args: argparse.Namespace) -> "Path":
    from pathlib import Path

    from agent_client.engine.weights import models_dir

    return models_dir(Path(args.directory).expanduser() if args.directory else None)


def _chosen_model(args: argparse.Namespace) -> "ModelFile":
    from agent_client.engine.weights import DEFAULT_MODEL, ModelFile, find_model
    from agent_client.errors import ConfigError

    if args.url is None:
        if args.sha256 or args.name:
            raise ConfigError("--sha256 and --name describe the file of --url, which is missing")
        return find_model(args.model or DEFAULT_MODEL)
    if args.model:
        raise ConfigError(f"{args.model!r} and --url name two models", hint="give only one of them")
    if not args.sha256:
        raise ConfigError(
            "--url needs --sha256", hint="the file's page at its publisher tells the hash"
        )
    return ModelFile.from_url(args.url, args.sha256, args.name)


async def _pull(args: argparse.Namespace) -> int:
    from time import monotonic

    import httpx

    from agent_client.engine.weights import is_verified, pull

    model, directory = _chosen_model(args), _directory(args)
    present = is_verified(directory / model.file_name, model.sha256)
    started = monotonic()
    report = _ignore if args.quiet else _Printer(model.name, is_tty=sys.stderr.isatty())
    try:
        async with httpx.AsyncClient() as http:
            path = await pull(model, directory, http=http, progress=report)
    finally:  # an error message, too, begins on a line of its own
        if isinstance(report, _Printer):
            report.finish()
    result = {
        "name": model.name,
        "path": str(path),
        "size_bytes": path.stat().st_size,
        "sha256": model.sha256,
        "already_present": present,
        "seconds": round(monotonic() - started, 1),
    }
    if args.json:
        print(json.dumps(result))
    else:
        print(f"{model.name} {'is already there' if present else 'is ready'}: {path}")
    return 0


def _ignore(_progress: "PullProgress") -> None:
    pass


class _Printer:
    """Shows progress on stderr: one rewritten line on a terminal, else one line per 10 %."""

    def __init__(self, name: str, *, is_tty: bool, clock: Callable[[], float] | None = None):
        from time import monotonic

        self._name = name
        self._is_tty = is_tty
        self._clock = clock or monotonic
        self._line = ""
        self._started: tuple[str, float, int] = ("", 0.0, 0)
        self._tenths = -1
        self._shown_at = -1.0

    def __call__(self, progress: "PullProgress") -> None:
        match progress.stage:
            case "trying":
                self._say(f"{self._name}: asking {_SOURCES[progress.source or 'publisher']}")
            case "source_failed":
                self._say(f"{self._name}: no success with {progress.reason}")
            case "downloading" | "verifying":
                self._advance(progress)

    def finish(self) -> None:
        """End the rewritten line."""
        if self._line:
            print(file=sys.stderr)
            self._line = ""

    def _advance(self, progress: "PullProgress") -> None:
        now, done, total = self._clock(), progress.bytes_done, progress.bytes_total
        if self._started[0] != progress.stage:
            self._started, self._tenths = (progress.stage, now, done), -1
        tenths = done * 10 // total if total else done // 100_000_000
        if progress.stage == "verifying":
            tenths = 0  # takes a second; one line is enough
        is_due = tenths > self._tenths
        if self._is_tty:  # ten times a second is as often as an eye can follow
            is_due = now - self._shown_at >= 0.1 or done == total
        if not is_due:
            return
        self._tenths, self._shown_at = tenths, now
        text = f"{self._name}: {progress.stage} {self._amount(progress, now)}"
        if self._is_tty:
            print("\r" + text.ljust(len(self._line)), end="", file=sys.stderr, flush=True)
            self._line = text
        else:
            print(text, file=sys.stderr, flush=True)

    def _amount(self, progress: "PullProgress", now: float) -> str:
        done, total = progress.bytes_done, progress.bytes_total
        _, since, done_before = self._started
        text = f"{done / 1e6:.0f} MB"
        if total:
            text = f"{done * 100 // total} %, {done / 1e6:.0f} of {total / 1e6:.0f} MB"
        if now > since and done > done_before:
            text += f", {(done - done_before) / 1e6 / (now - since):.1f} MB/s"
        if progress.parts:
            text += f", part {progress.part} of {progress.parts}"
        return text

    def _say(self, text: str) -> None:
        self.finish()
        print(text, file=sys.stderr, flush=True)


_SOURCES = {"publisher": "its publisher", "registry": "the package registry"}


async def _status(args: argparse.Namespace) -> int:
    from agent_client.engine.weights import MODELS

    directory = _directory(args)
    known = {model.file_name for model in MODELS.values()}
    status: dict[str, Any] = {
        "engine": {"package": "xllamacpp", "version": _engine_version()},
        "directory": str(directory),
        "models": [_model_status(model, directory) for model in MODELS.values()],
        "other_files": [
            {"file_name": path.name, "size_bytes": path.stat().st_size}
            for path in sorted(directory.glob("*.gguf"))
            if path.name not in known
        ],
    }
    print(json.dumps(status) if args.json else _status_text(status))
    return 0


def _engine_version() -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("xllamacpp")
    except PackageNotFoundError:
        return None


def _model_status(model: "ModelFile", directory: "Path") -> dict[str, Any]:
    from agent_client.engine.weights import DEFAULT_MODEL, is_verified

    path = directory / model.file_name
    return {
        "name": model.name,
        "default": model.name == DEFAULT_MODEL,
        "file_name": model.file_name,
        "present": path.exists(),
        "verified": is_verified(path, model.sha256),
        "size_bytes": model.size_bytes,
        "sha256": model.sha256,
        "context_tokens": model.context_tokens,
        "licence": model.licence,
    }


def _status_text(status: dict[str, Any]) -> str:
    version = status["engine"]["version"]
    engine = (
        f"xllamacpp {version}" if version else 'not installed: pip install "seekling[embedded]"'
    )
    lines = [f"engine     {engine}", f"directory  {status['directory']}", "models"]
    for model in status["models"]:
        state = "absent"
        if model["present"]:
            state = "verified" if model["verified"] else "not verified: run `seekling engine pull`"
        title = model["name"] + (" (default)" if model["default"] else "")
        size = f"{model['size_bytes'] / 1e6:.0f} MB"
        lines.append(f"  {title:<30} {size:>8}  {model['licence']}  {state}")
        lines.append(f"    {model['file_name']}")
    lines += [
        f"  {file['file_name']:<30} {file['size_bytes'] / 1e6:>5.0f} MB"
        for file in status["other_files"]
    ]
    return "\n".join([*lines, "", _PURPOSE])
