"""What `seekling view` is to show: which runs or session the words on the command line mean."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent_client.errors import EvaluationError, SeeklingClientError, SessionError
from agent_client.evaluation.records.run_directory import MANIFEST, RECORDS
from agent_client.sessions.store import LAST, SessionStore

RUNS = Path("runs")
"""Where `eval run` puts runs that are given no other place."""
MOST_NAMED = 5
_SESSION = re.compile(r"[0-9a-f]{1,12}")


@dataclass(frozen=True, slots=True)
class Runs:
    """One run, or two that are compared."""

    directories: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """A stored session."""

    name: str
    """Its id, the beginning of it, or `last`."""


def target_of(names: Sequence[str], store: SessionStore) -> Runs | Session:
    """What is meant; without names what was written last.

    Raises:
        EvaluationError: a name is neither a run nor a session, or there is nothing to show.
        SessionError: sessions cannot be read.
    """
    if not names:
        return _latest(store)
    if len(names) > 2:
        raise EvaluationError("at most two runs can be compared", hint="name one or two")
    try:
        if len(names) == 1 and _is_session(names[0]):
            return Session(names[0])
        return Runs(tuple(_run_directory(name, store) for name in names))
    except OSError as exc:  # a folder of somebody else, a name that is too long
        raise EvaluationError(
            f"cannot look at {' and '.join(repr(name[:200]) for name in names)}: {exc.strerror}"
        ) from exc


def _is_session(name: str) -> bool:
    return (name == LAST or bool(_SESSION.fullmatch(name))) and not Path(name).exists()


def _run_directory(name: str, store: SessionStore) -> Path:
    path = Path(name)
    if path.name == MANIFEST and path.is_file():
        return path.parent
    if (path / MANIFEST).is_file():
        return path
    raise _not_a_run(name, path, store)


def _not_a_run(name: str, path: Path, store: SessionStore) -> SeeklingClientError:
    if name == LAST or _SESSION.fullmatch(name):
        return EvaluationError(
            f"{name!r} names a session, and a comparison is of two runs",
            hint="name two directories of runs, or the session alone",
        )
    shown = repr(name[:200])
    if path.is_dir():
        inside = [found for _, found in _runs_in(path)]
        if inside:
            listed = ", ".join(map(str, inside[:MOST_NAMED]))
            return EvaluationError(
                f"{shown} is a folder with runs in it", hint=f"name one: {listed}"
            )
        return EvaluationError(
            f"{shown} holds no run: there is no {MANIFEST}", hint=_what_there_is(store)
        )
    if path.is_file():
        return EvaluationError(
            f"{shown} is a file, and no {MANIFEST} of a run", hint=_what_there_is(store)
        )
    return EvaluationError(f"there is no run and no session {shown}", hint=_what_there_is(store))


def _latest(store: SessionStore) -> Runs | Session:
    """The run under `runs`, or the session, that was written last."""
    runs = _runs_in(RUNS)
    session = next((store.load(summary.id) for summary in store.list(1)), None)
    if session and (not runs or session.path.stat().st_mtime > runs[0][0]):
        return Session(session.id)
    if not runs:
        raise EvaluationError(
            f"there is nothing to show: no run in ./{RUNS}, and no session",
            hint='begin with: seekling ask "…", or seekling eval run DATASET',
        )
    return Runs((runs[0][1],))


def _runs_in(folder: Path) -> list[tuple[float, Path]]:
    """When each run in a folder was written last, the latest first."""
    return sorted(_written(folder), reverse=True)


def _written(folder: Path) -> Iterator[tuple[float, Path]]:
    try:
        paths = list(folder.iterdir())
    except OSError:
        return
    for path in paths:
        with suppress(OSError):
            files = [path / name for name in (MANIFEST, RECORDS) if (path / name).is_file()]
            if files and files[0].name == MANIFEST:
                yield max(file.stat().st_mtime for file in files), path


def _what_there_is(store: SessionStore) -> str:
    names = [str(path) for _, path in _runs_in(RUNS)[:MOST_NAMED]]
    with suppress(SessionError):
        names += [summary.id for summary in store.list(MOST_NAMED)]
    if not names:
        return "there are none yet: begin with seekling eval run, or seekling ask"
    return f"there are: {', '.join(names)}"
