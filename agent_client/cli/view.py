"""`seekling view`: a run, two runs or a session as a page in the browser."""

import argparse
import sys
import time
from typing import TYPE_CHECKING

from agent_client.cli.json_output import print_json
from agent_client.cli.options import load_config
from agent_client.cli.stderr_lines import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from agent_client.cli.view_targets import Runs, Session
    from agent_client.evaluation.records.stored_run import StoredRun
    from agent_client.sessions.store import SessionStore
    from agent_client.viewer.document import EpisodeView, ViewIndex
    from agent_client.viewer.followed_run import Reading

VIEW_NAME = "view.html"
HOST = "127.0.0.1"
"""Only this machine: what is shown are questions, and pages that the model has read."""
_TOLD_EACH_SECONDS = 0.2

_EXAMPLES = """examples:
  seekling view runs/simpleqa          all questions of a run, with charts
  seekling view runs/a runs/b          two runs, and what differs
  seekling view last -o answer.html    the last session, to be sent to somebody
  seekling view runs/simpleqa --live   follow a run that is at work
"""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command to the grammar."""
    parser = subparsers.add_parser(
        "view",
        help="look at a run or a session in the browser",
        description="Write a run (its directory), two runs or a session (its id, or `last`) as\n"
        "one HTML file that needs no network, and open it. Without a name: what was\n"
        "written last.",
        usage="seekling view [options] [RUN [RUN2] | SESSION]",
        epilog=_EXAMPLES,
    )
    parser.add_argument("names", nargs="*", metavar="RUN|SESSION", help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", metavar="FILE", help="the file to write (RUN/view.html)")
    parser.add_argument("--no-open", action="store_true", help="open no browser")
    parser.add_argument("--grader", metavar="NAME", help="whose verdicts count (the run's own)")
    parser.add_argument(
        "--live", action="store_true", help="serve the page while the run is at work"
    )
    parser.add_argument(
        "--port", type=int, default=0, metavar="N", help="of --live (0: a free one)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("-q", "--quiet", action="store_true", help="nothing but the path")
    parser.add_argument("--config", metavar="FILE", help="a TOML settings file")


async def run(options: argparse.Namespace) -> int:
    """Write the file or serve the page, and open it.

    Raises:
        ConfigError: the options contradict each other, or the file cannot be written.
        EvaluationError: there is no such run, or it knows no such grader.
        SessionError: there is no such session.
    """
    from agent_client.cli.view_targets import Runs, target_of
    from agent_client.sessions.store import SessionStore, sessions_directory

    config = load_config(options)
    store = SessionStore(sessions_directory(config.data_dir))
    target = target_of(options.names, store)
    if options.live:
        return await _serve(options, _followed(options, target))
    if isinstance(target, Runs):
        _write_runs(options, target)
    else:
        _write_session(options, target, store)
    return 0


def _followed(options: argparse.Namespace, target: "Runs | Session") -> "Path":
    """The one run that is to be followed.

    Raises:
        ConfigError: there is none, or a file is wanted too.
    """
    from agent_client.cli.view_targets import Runs
    from agent_client.errors import ConfigError

    if options.output:
        raise ConfigError("--live serves the page and writes no file", hint="leave out -o")
    if not isinstance(target, Runs) or len(target.directories) != 1:
        raise ConfigError("--live follows one run", hint="name its directory")
    return target.directories[0]


# Files.


def _write_runs(options: argparse.Namespace, target: "Runs") -> None:
    from agent_client.evaluation.records.stored_run import read_run
    from agent_client.evaluation.statistics.judged import default_grader
    from agent_client.sessions.journal import now_iso
    from agent_client.viewer.run_episodes import RunEpisodes
    from agent_client.viewer.view_file import SHARD_ROWS
    from agent_client.viewer.view_index import index_of_runs

    out = _output(options, _beside(target.directories))
    runs = [read_run(directory) for directory in target.directories]
    grader = options.grader or default_grader(runs[0])
    index = index_of_runs(runs, grader, made=now_iso(), shard_rows=SHARD_ROWS)
    episodes = [RunEpisodes(run, grader) for run in runs]
    _write(options, out, index, episodes, sum(map(len, episodes)), left_out=_not_over(runs))
    if any(run.is_being_written for run in runs) and not (options.quiet or options.json):
        tell("the run is at work; to follow it: seekling view RUN --live")


def _write_session(options: argparse.Namespace, target: "Session", store: "SessionStore") -> None:
    from agent_client.sessions.journal import now_iso
    from agent_client.viewer.session_view import session_view
    from agent_client.viewer.view_file import SHARD_ROWS
    from agent_client.viewer.view_index import index_of_session

    stored = store.load(target.name)
    out = _output(options, store.directory.parent / "views" / f"seekling-view-{stored.id}.html")
    session, episodes = session_view(stored)
    index = index_of_session(stored, session, made=now_iso(), shard_rows=SHARD_ROWS)
    _write(options, out, index, [episodes], len(episodes), left_out=0)


def _beside(directories: "Sequence[Path]") -> "Path":
    first = directories[0]
    if len(directories) == 1:
        return first / VIEW_NAME
    return first / f"view-with-{directories[1].resolve().name}.html"


def _output(options: argparse.Namespace, usual: "Path") -> "Path":
    """Where the file goes; looked at before the work is done.

    Raises:
        ConfigError: no file can be written there.
    """
    import os
    from pathlib import Path

    from agent_client.errors import ConfigError

    out = Path(options.output) if options.output else usual
    try:
        if not options.output:
            out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise _unwritable(out, exc) from exc
    if out.is_dir() or not os.access(out.parent, os.W_OK):
        raise ConfigError(
            f"{str(out)!r} cannot be written", hint="name a file in a folder of yours with -o"
        )
    return out


def _unwritable(out: "Path", exc: OSError) -> Exception:
    from agent_client.errors import ConfigError

    why = exc.strerror or str(exc)
    return ConfigError(f"cannot write {str(out)!r}: {why}", hint="name another file with -o")


def _not_over(runs: "Iterable[StoredRun]") -> int:
    return sum(max(0, run.owed) for run in runs)


def _write(
    options: argparse.Namespace,
    out: "Path",
    index: "ViewIndex",
    episodes: "Sequence[Iterable[EpisodeView]]",
    total: int,
    *,
    left_out: int,
) -> None:
    from agent_client.clean import terminal_text
    from agent_client.cli.browser import open_in_browser
    from agent_client.viewer.view_file import write_view

    is_silent = options.quiet or options.json
    try:
        size = write_view(out, index, episodes, tell=_progress(total, is_silent=is_silent))
    except OSError as exc:
        raise _unwritable(out, exc) from exc
    if not is_silent:
        what = "question" if index.kind == "session" else "episode"
        tell(f"{total:,} {what}{'' if total == 1 else 's'}, {size / 1e6:,.1f} MB")
        if left_out:
            tell(f"{left_out:,} of them {'is' if left_out == 1 else 'are'} not over")
    if options.json:
        told = {"path": str(out), "kind": index.kind, "episodes": total, "bytes": size}
        print_json(told | {"not_over": left_out})
        return
    print(terminal_text(str(out)) if sys.stdout.isatty() else out)  # a program gets it as it is
    if not options.no_open and sys.stdout.isatty():
        open_in_browser(out.resolve().as_uri())


def _progress(total: int, *, is_silent: bool) -> "Callable[[int], None]":
    """Tells on a terminal's stderr how far it is."""
    told_at = time.monotonic()

    def show(done: int) -> None:
        nonlocal told_at
        now = time.monotonic()
        if now - told_at >= _TOLD_EACH_SECONDS:
            told_at = now
            print(f"\r\x1b[K{done:,} of {total:,}", end="", file=sys.stderr, flush=True)
        if done == total:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    return show if sys.stderr.isatty() and not is_silent else lambda _: None


# Live.


async def _serve(options: argparse.Namespace, directory: "Path") -> int:
    import anyio

    from agent_client.cli.browser import open_in_browser
    from agent_client.pages.gate import PageGate, entry_address, new_token
    from agent_client.service.loopback_server import listen, serve, url_of
    from agent_client.viewer.followed_run import FollowedRun
    from agent_client.viewer.live_server import LiveServer

    run = FollowedRun(directory, options.grader or "")
    server = LiveServer(run)
    with listen(HOST, options.port) as listener:
        token, code, base = new_token(), new_token(), url_of(listener)
        _announce(options, entry_address(base, token), run.latest)
        if not (options.no_open or options.json) and sys.stdout.isatty():
            open_in_browser(entry_address(base, code))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: run.follow(tell=_ending_teller(run.latest, options)))
            await serve(PageGate(server, token=token, code=code), listener, stop=server.stop)
            tasks.cancel_scope.cancel()
    return 0


def _announce(options: argparse.Namespace, address: str, reading: "Reading") -> None:
    if options.json:
        print_json({"url": address})
        return
    print(address, flush=True)
    if not options.quiet:
        state = "at work" if reading.is_being_written else "not being written at the moment"
        tell(f"{reading.settled:,} of {reading.expected:,} episodes are over; the run is {state}")
        tell("end with Ctrl-C")


def _ending_teller(first: "Reading", options: argparse.Namespace) -> "Callable[[Reading], None]":
    """Tells when the run has ended, or goes on."""
    was_written = first.is_being_written

    def tell_change(reading: "Reading") -> None:
        nonlocal was_written
        if reading.is_being_written != was_written and not (options.quiet or options.json):
            counts = f"{reading.settled:,} of {reading.expected:,} episodes are over"
            tell(f"the run {'goes on' if reading.is_being_written else 'has ended'}: {counts}")
        was_written = reading.is_being_written

    return tell_change
