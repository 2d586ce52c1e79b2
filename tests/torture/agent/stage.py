"""Where the cases are played: a folder, a model that can be killed, and the programs."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from anyio.from_thread import start_blocking_portal

from tests.support.scripted_model import Json, Reply, Script, ScriptedModel, scripted_model
from tests.support.tools_server import build_small_index
from tests.torture.agent.programs import GIVE_UP_SECONDS, Hangs, Program, wait_until

BIN = Path(sys.executable).parent
ODD_TOOLS = Path(__file__).with_name("odd_tools.py")
Served = TypeVar("Served")
ANSWER = r"It says so. \boxed{Mara Voss}"
SEARCH = Reply(tool_calls=[("web_search", {"query": "Brindlewick Lighthouse"})])
VISIT = Reply(tool_calls=[("web_visit", {"url": "https://facts.example/lighthouse"})])


def research(request: Json) -> Reply:
    """Search, open a page, answer."""
    told = results_in(request)
    return (SEARCH, VISIT)[len(told)] if len(told) < 2 else Reply(text=ANSWER)


def results_in(request: Json) -> list[str]:
    """The tool results of a request."""
    return [str(m["content"]) for m in request["messages"] if m["role"] == "tool"]


@contextmanager
def in_a_thread(serving: AbstractAsyncContextManager[Served]) -> Generator[Served]:
    """Serve in a thread with a loop of its own; leaving the block cuts all connections."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving) as server:
        yield server


@contextmanager
def model_on(
    script: Script, *, port: int = 0, routes: Mapping[str, object] | None = None
) -> Generator[ScriptedModel]:
    """A scripted model in a thread; leaving the block kills it."""
    with in_a_thread(scripted_model(script, port=port, routes=routes)) as model:
        yield model


@dataclass
class Stage:
    """The place of one case."""

    folder: Path
    ordinary_mb: float = 0.0
    """What an ordinary question takes in the program, at its peak."""
    programs: list[Program] = field(default_factory=list[Program])
    _made: int = 0

    def environment(self, **more: str) -> dict[str, str]:
        """Of programs: nothing of ours, and homes in this folder."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SEEKLING", "OPENAI"))}
        return kept | {
            "SEEKLING_CONFIG": os.devnull,
            "SEEKLING_DATA_DIR": str(self.folder / "data"),
            "HOME": str(self.folder),
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "ODD_TOOLS_LOG": str(self.folder / "calls.jsonl"),
            "PYTHONPATH": "",
            **more,
        }

    def start(
        self,
        *command: str,
        stdout: int | None = None,
        stdin: int = -3,
        environment: Mapping[str, str] | None = None,
    ) -> Program:
        """Start a program; its first word is found beside our Python if it is there."""
        self._made += 1
        place = self.folder / f"program-{self._made}"
        place.mkdir()
        first = BIN / command[0]
        name = str(first) if first.is_file() else command[0]
        program = Program(
            (name, *command[1:]),
            place,
            self.environment(**(environment or {})),
            stdout=stdout,
            stdin=stdin,
        )
        self.programs.append(program)
        return program

    def ask(
        self,
        model: ScriptedModel,
        *flags: str,
        tools: str = "",
        stdout: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Program:
        """Ask a question.

        Args:
            model: who is asked.
            flags: of `seekling ask`; with none, `--json`.
            tools: the odd behaviour of the tool server.
            stdout: a descriptor for the answer.
            environment: of the program.
        """
        command = ("seekling", "ask", "Who designed it?", "--model", model.base_url)
        mcp = () if "--mcp" in flags else ("--mcp", self.odd_tools(tools))
        return self.start(
            *command, *mcp, *(flags or ("--json",)), stdout=stdout, environment=environment
        )

    def odd_tools(self, behaviour: str) -> str:
        """The command of a small tool server with an odd behaviour."""
        marker = str(self.folder / "marker")
        return shlex.join([sys.executable, "-SE", str(ODD_TOOLS), behaviour or "good", marker])

    def real_tools(self) -> dict[str, str]:
        """Settings of `seekling-mcp` for the small corpus."""
        index = str(build_small_index(self.folder))
        return {"SEEKLING_MCP_PROVIDERS": "local", "SEEKLING_MCP_INDEX": index}

    def questions(self, count: int) -> str:
        """A file of questions."""
        path = self.folder / "questions.jsonl"
        rows = [
            {"id": f"q{n}", "question": f"Who designed it, for {n}?", "answer": "Mara Voss"}
            for n in range(count)
        ]
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        return str(path)

    def evaluate(
        self,
        model: ScriptedModel,
        count: int,
        *flags: str,
        tools: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Program:
        """Begin an evaluation in `run_directory`."""
        mcp = () if "--mcp" in flags else ("--mcp", self.odd_tools(tools))
        out = () if "--out" in flags else ("--out", str(self.run_directory))
        command = ("seekling", "eval", "run", self.questions(count), "--model", model.base_url)
        return self.start(*command, *mcp, *out, "-q", *flags, environment=environment)

    def resume(
        self, model: ScriptedModel, *flags: str, environment: Mapping[str, str] | None = None
    ) -> Program:
        """Go on with it."""
        command = ("seekling", "eval", "resume", str(self.run_directory))
        return self.start(
            *command, "--model", model.base_url, "-q", *flags, environment=environment
        )

    @property
    def run_directory(self) -> Path:
        """Of evaluations."""
        return self.folder / "run"

    def records(self) -> list[Json]:
        """The whole lines of the evaluation's records."""
        return json_lines(self.run_directory / "records.jsonl")

    def calls(self) -> list[Json]:
        """What the odd tools were asked: name and arguments."""
        return json_lines(self.folder / "calls.jsonl")


def json_lines(path: Path) -> list[Json]:
    """All lines of a file; none if it is not there.

    Raises:
        ValueError: a line is no JSON.
    """
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def answer_of(program: Program) -> dict[str, Any]:
    """The object that `--json` printed; an empty one when there is none."""
    try:
        return json.loads(program.out.splitlines()[-1])
    except (ValueError, IndexError):
        return {}


def counts_of(program: Program) -> dict[str, Any]:
    """The counts in it."""
    return answer_of(program).get("counts") or {}


def reach(is_so: Callable[[], bool], what: str, seconds: float = GIVE_UP_SECONDS) -> None:
    """Wait for something that must come.

    Raises:
        Hangs: it does not.
    """
    if not wait_until(is_so, seconds):
        raise Hangs(f"never came: {what}")


def settled(records: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How often each question was settled with an answer."""
    found: dict[str, int] = {}
    for record in records:
        if record["status"] == "ok":
            found[record["id"]] = found.get(record["id"], 0) + 1
    return found
