"""`seekling engine argv` and `engine start`: the command that serves a model, printed or run."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_client.cli.parser import Parser

if TYPE_CHECKING:  # start-up: `seekling --help` loads this module
    import httpx

    from agent_client.engine.launch import Show
    from agent_client.engine.recipes import Recipe, ServeOptions

SEARCH_MODEL = "Intelligent-Internet/II-Search-4B"
_ENGINES = ("sglang", "vllm", "llama.cpp", "mlx", "sglang-router")
_EXAMPLES = """examples:
  seekling engine argv sglang --tp 2          II-Search-4B on two GPUs
  seekling engine argv llama.cpp --model ~/II-Search-4B-Q4_K_M.gguf
  seekling engine argv sglang-router --worker http://10.0.0.1:30000
  seekling engine start sglang --log sglang.log -- --max-running-requests 64

SEEKLING_API_KEY, when it is set, is the key that the server asks for.
"""


class ExtraParser(Parser):
    """A parser that keeps what follows `--` in `extra`, wherever options stand before it."""

    # argparse gives what follows `--` to positionals, and only when no option stands between.
    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse what stands before `--`."""
        given = list(sys.argv[1:] if args is None else args)
        cut = given.index("--") if "--" in given else len(given)
        parsed, unknown = super().parse_known_args(given[:cut], namespace)
        parsed.extra = tuple(given[cut + 1 :])
        return parsed, unknown


def add_parsers(
    commands: "argparse._SubParsersAction[Any]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add `argv` and `start` to the group `engine`, whose parser class is `ExtraParser`."""
    argv = commands.add_parser(
        "argv",
        help="print the command that serves a model",
        description="Print the command that serves a model, with the flags that it needs.",
        usage="seekling engine argv ENGINE [options] [-- more arguments of the engine]",
        epilog=_EXAMPLES,
    )
    argv.add_argument("engine", metavar="ENGINE", choices=_ENGINES, help=", ".join(_ENGINES))
    argv.add_argument("--json", action="store_true", help="an object with argv, api_key and notes")
    argv.add_argument(
        "--worker", action="append", default=[], metavar="URL", help="sglang-router: a server"
    )
    start = commands.add_parser(
        "start",
        help="run SGLang in the foreground until Ctrl-C",
        description="Run SGLang in the foreground, with all of its processes, until Ctrl-C.",
        usage="seekling engine start sglang [options] [-- more arguments of SGLang]",
        epilog=_EXAMPLES,
    )
    start.add_argument("engine", metavar="ENGINE", choices=("sglang",), help="sglang")
    start.add_argument("--log", metavar="FILE", help="append its output to a file, not to stderr")
    start.add_argument("--python", metavar="PATH", help="the Python that has SGLang")
    for parser in (argv, start):
        _add_serving_options(parser)


def _add_serving_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="NAME|DIR", help=f"({SEARCH_MODEL})")
    parser.add_argument("--host", default="127.0.0.1", help="another one needs a key (127.0.0.1)")
    parser.add_argument("--port", type=int, metavar="N", help="(the engine's usual one)")
    parser.add_argument("--tp", type=int, default=1, metavar="N", help="GPUs for one copy (1)")
    parser.add_argument("--dp", type=int, default=1, metavar="N", help="copies of the model (1)")
    parser.add_argument(
        "--mem-fraction", type=float, metavar="F", help="share of the GPU's memory (engine's own)"
    )
    parser.add_argument(
        "--context-tokens", type=int, default=0, metavar="N", help="context (the model's own)"
    )


def print_argv(args: argparse.Namespace) -> int:
    """Print the recipe: the command on stdout, what to know about it on stderr.

    Raises:
        ConfigError: the options contradict each other.
    """
    recipe = _recipe(args, os.environ)
    if args.json:
        print(json.dumps(recipe.as_json()))
        return 0
    print(recipe.shell_line())
    _print_notes(recipe.notes)
    if recipe.key_flag:
        _print_notes(("everybody on the machine can read the key in the process list",))
    return 0


def _recipe(args: argparse.Namespace, environ: Mapping[str, str]) -> "Recipe":
    from agent_client.engine.recipes import ENGINES, KEY_VARIABLE, ROUTER_PORT, sglang_router
    from agent_client.errors import ConfigError

    if args.engine == "sglang-router":
        given = (args.model, args.tp, args.dp, args.mem_fraction, args.context_tokens)
        if given != (None, 1, 1, None, 0):
            raise ConfigError("the router serves no model itself: name its servers with --worker")
        return sglang_router(
            args.worker,
            host=args.host,
            port=ROUTER_PORT if args.port is None else args.port,
            has_key=bool(environ.get(KEY_VARIABLE)),
            extra=args.extra,
        )
    if args.worker:
        raise ConfigError("--worker is for sglang-router only")
    make, port = ENGINES[args.engine]
    return make(_serve_options(args, port, environ))


def _serve_options(
    args: argparse.Namespace, default_port: int, environ: Mapping[str, str]
) -> "ServeOptions":
    from agent_client.engine.recipes import KEY_VARIABLE, ServeOptions

    return ServeOptions(
        model=SEARCH_MODEL if args.model is None else args.model,
        host=args.host,
        port=default_port if args.port is None else args.port,
        has_key=bool(environ.get(KEY_VARIABLE)),
        tp=args.tp,
        dp=args.dp,
        mem_fraction=args.mem_fraction,
        context_tokens=args.context_tokens,
        extra=args.extra,
    )


async def start(args: argparse.Namespace, http: "httpx.AsyncClient") -> int:
    """Run SGLang until a signal ends it; 0 then.

    Raises:
        ConfigError: the options contradict each other.
        EngineError: SGLang is not installed, its port is taken, or it ended by itself.
    """
    from time import monotonic

    from agent_client.engine import launch, recipes
    from agent_client.errors import ConfigError, EngineError

    options = _serve_options(args, recipes.ENGINES["sglang"][1], os.environ)
    key = os.environ.get(recipes.KEY_VARIABLE, "")
    if key and "--config" in options.extra:
        raise ConfigError(
            "SGLang takes one --config, and the key is handed over in one",
            hint=f"put api-key into your file and leave {recipes.KEY_VARIABLE} unset",
        )
    python = args.python or sys.executable
    environment = {name: text for name, text in os.environ.items() if name != recipes.KEY_VARIABLE}
    # A folder named `sglang` where the user stands is not the package.
    environment["PYTHONSAFEPATH"] = "1"
    recipe = recipes.sglang(options, python=python)
    plan = launch.Launch(
        argv=recipe.argv,
        environment=environment,
        host=options.host,
        port=options.port,
        key=key,
    )
    await launch.check_installed(python, environment)
    await launch.check_port(options.host, options.port)
    _print_notes(recipe.notes)
    print(f"starting: {shlex.join(recipe.argv)}", file=sys.stderr)
    started = monotonic()

    def ready(address: str) -> None:
        print(f"ready after {monotonic() - started:.0f} s: {address}/v1", flush=True)
        print(f'try: seekling ask --model {address}/v1 "…"   (Ctrl-C ends the server)', flush=True)

    with _output(args.log) as show:
        try:
            await launch.serve(plan, http=http, show=show, ready=ready)
        except EngineError as exc:
            if args.log:
                _print_clean(exc.log_tail)
            raise
    print("the server has ended", file=sys.stderr)
    return 0


@contextmanager
def _output(log: str | None) -> "Generator[Show]":
    """Give what takes the engine's lines: to a file that only its owner can read, or to stderr."""
    from agent_client.errors import ConfigError

    if log is None:
        yield _print_clean
        return
    path = Path(log).expanduser()
    try:
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as exc:
        raise ConfigError(f"cannot write to {log!r}: {exc.strerror}") from exc
    print(f"its output goes to {path}", file=sys.stderr)
    with os.fdopen(opened, "w", encoding="utf-8", errors="replace") as file:
        yield lambda line: print(line, file=file, flush=True)


def _print_clean(text: str) -> None:
    from agent_client.clean import terminal_text

    print(terminal_text(text), file=sys.stderr, flush=True)


def _print_notes(notes: Sequence[str]) -> None:
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
