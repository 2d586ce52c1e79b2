"""Nothing that a model, a page or a server writes reaches a terminal as more than its words."""

import io
import json
import re
import sys
import unicodedata
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent_client.agent.agent import Agent
from agent_client.agent.page_result import PAGES_META
from agent_client.clean import MOST_MARKS
from agent_client.cli import main, models
from agent_client.cli.eval_display import EvalDisplay
from agent_client.config import ClientConfig
from agent_client.conversation import (
    Message,
    ModelReply,
    ModelRequest,
    ToolCall,
    ToolResult,
    ToolSpec,
)
from agent_client.doctor.model_survey import SurveyedModel, SurveyedServer
from agent_client.doctor.trial_call import TrialCall
from agent_client.errors import ModelError, NoModel, ToolServerError
from agent_client.evaluation.runner.progress import Progress
from agent_client.events import AnswerDelta, Emit, ReasoningDelta
from agent_client.model.discovery import ModelServer
from agent_client.profiles import load_profile
from agent_client.report.json_form import to_json
from agent_client.sessions.lenient_json import encoded
from agent_client.tool_meta import ERROR_META, SEARCH_META
from tests.support.dictated_report import dictated_report
from tests.support.graded_runs import graded_run

HOSTILE = (
    "\x1b]52;c;Zm9v\x07 clip \x1b]0;title\x1b\\ \x1b[2J\x1b[31m \x9b2J\x9d0;t\x9c \x1bc \x1b(0"
    " \x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\ \u202ert\u2066l\u2069 z\u200bw\u2060j"
    " \ud800 \udfff \U000e0041tag over\rwrite\x08\x08 \x7f flood" + "\u0301" * 60 + " \u2028end"
)
URL = f"https://pages.example/{'a' * 10}"
HOSTILE_URL = f"https://pages.example/\x1b]0;x\x07\x9b2J\u202e{'b' * 10}"
OURS = re.compile(
    r"\x1b\[[0-9;]*m|\x1b\[[0-9]*A|\x1b\[[JK]|\r(?=\x1b)|\x1b\]8;;(?:https?://[!-~]{1,2000})?\x1b\\"
)
"""Colours, what moves the live lines, and links to addresses in plain ASCII."""


class Screen(io.StringIO):
    """A terminal that keeps what it got."""

    def isatty(self) -> bool:
        return True


class HostileModel:
    """Searches, visits, and answers; every text of it is hostile."""

    name = f"model {HOSTILE}"
    context_tokens = 0

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        results = sum(message.role == "tool" for message in request.messages)
        emit(ReasoningDelta(HOSTILE))
        calls = (
            ToolCall("1", "web_search", {"query": HOSTILE}),
            ToolCall("2", "web_visit", {"url": URL, HOSTILE: HOSTILE}),
            ToolCall("3", f"tool {HOSTILE}", {"x": HOSTILE}),
            ToolCall("4", "web_visit", {"url": HOSTILE_URL}),
        )[results : results + 1]
        emit(AnswerDelta(HOSTILE))
        text = HOSTILE if calls else f"Yes **{HOSTILE}** [{URL}] [1] [{HOSTILE_URL}]"
        message = Message("assistant", text, reasoning=HOSTILE, tool_calls=calls)
        return ModelReply(message, "stop", None)


class HostileTools:
    """A search, and pages of which one is broken."""

    async def list_tools(self) -> Sequence[ToolSpec]:
        return [ToolSpec(name, "", {"type": "object"}) for name in ("web_search", "web_visit")]

    async def call(self, call: ToolCall) -> ToolResult:
        if call.name == "web_search":
            told = {"provider": HOSTILE, "urls": [URL], "providers": {HOSTILE: "blocked"}}
            text = f"Index: 0\nURL: {URL}\nTitle: {HOSTILE}\nURL: {HOSTILE_URL}"
            return ToolResult(call.id, call.name, text, meta={SEARCH_META: told})
        if call.arguments["url"] == URL:
            page = {"url": URL, "final_url": HOSTILE_URL, "title": HOSTILE, "start": 0, "end": 9}
            text = f"Title: {HOSTILE}\n\n{HOSTILE}"
            return ToolResult(call.id, call.name, text, meta={PAGES_META: [page]})
        error = {"kind": HOSTILE, "retryable": True, "providers": {HOSTILE: HOSTILE}}
        text = f"Error: {HOSTILE}"
        return ToolResult(call.id, call.name, text, is_error=True, meta={ERROR_META: error})


@asynccontextmanager
async def open_hostile_agent(
    config: ClientConfig, *, tell: Callable[[str], None]
) -> AsyncGenerator[Agent]:
    tell(f"model: {HOSTILE}")
    match config.model:
        case "broken-model":
            raise ModelError(f"http://{HOSTILE}", HOSTILE, hint=HOSTILE)
        case "no-model":
            raise NoModel(HOSTILE, hint=HOSTILE, looked_at=(HOSTILE, HOSTILE))
        case "broken-tools":
            raise ToolServerError(HOSTILE, HOSTILE, stderr_tail=HOSTILE, hint=HOSTILE)
        case _:
            yield Agent(HostileModel(), HostileTools(), load_profile("default"))


def told(*arguments: str, lines: Sequence[str] = ()) -> str:
    """What a terminal gets of a command."""
    with pytest.MonkeyPatch.context() as patch:
        out, err = Screen(), Screen()
        patch.setattr("sys.stdout", out)
        patch.setattr("sys.stderr", err)
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        main.main(arguments)
    return out.getvalue() + err.getvalue()


def test_the_check_sees_what_is_harmful() -> None:
    for text in (*HOSTILE.split(), "\x1b[2J", "a\rb", "\x1b]8;;https://e.example/\u202e\x1b\\"):
        if any(map(is_harmful, text)):
            with pytest.raises(AssertionError):
                assert_harmless(text)


def assert_harmless(text: str) -> None:
    assert text
    rest = OURS.sub("", text)
    assert sorted({char for char in rest if is_harmful(char)}) == []
    assert longest_flood(rest) <= MOST_MARKS
    assert "https://evil.example\x1b" not in text


def is_harmful(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char not in "\n\t"


def longest_flood(text: str) -> int:
    runs = re.findall("\u0301+", text)
    return max(map(len, runs), default=0)


@pytest.fixture(autouse=True)
def hostile_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("SEEKLING_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("SEEKLING_CONFIG", "/dev/null")
    for name in ("NO_COLOR", "FORCE_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("agent_client.app.open_agent", open_hostile_agent)
    yield


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--show-thinking", "--all-sources"),
        ("--quiet",),
        ("--json",),
        ("--format", "jsonl"),
        ("--format", "md"),
    ],
    ids=" ".join,
)
def test_a_question_and_what_comes_of_it(flags: tuple[str, ...]) -> None:
    text = told("ask", HOSTILE, *flags)
    assert "Yes" in text
    assert_harmless(text)
    if flags == ("--json",):
        assert json.loads(text)["question"] == HOSTILE.strip()  # nothing is lost


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=" ".join)
def test_a_conversation(flags: tuple[str, ...]) -> None:
    lines = ("a question " + HOSTILE.replace("\u2028", "").replace("\r", ""), "/sources")
    lines += (f"/{HOSTILE[:60]}", f"/model {HOSTILE[:60]}", "/sessions", "/retry", "/undo")
    cleaned = [line.encode("utf-8", "replace").decode() for line in lines]
    text = told("chat", *flags, lines=cleaned)
    assert "Yes" in text
    assert_harmless(text)


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("list", "--json"),
        ("show", "last"),
        ("export", "last"),
        ("export", "last", "--format", "jsonl"),
        ("export", "last", "--format", "messages"),
        ("show", HOSTILE),
        ("delete", HOSTILE),
    ],
    ids=lambda arguments: " ".join(arguments)[:12],
)
def test_what_was_stored(arguments: tuple[str, ...]) -> None:
    told("ask", HOSTILE)
    assert_harmless(told("sessions", *arguments))


@pytest.mark.parametrize(
    "arguments", [("ask", "x", "--json"), ("sessions", "show", "last", "--json")], ids=" ".join
)
def test_json_without_halves_of_characters_which_would_make_it_ascii(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = HOSTILE.encode("utf-8", "ignore").decode()
    monkeypatch.setattr(sys.modules[__name__], "HOSTILE", whole)
    told("ask", "x")
    assert_harmless(told(*arguments))


@pytest.mark.parametrize("model", ["broken-model", "no-model", "broken-tools"])
@pytest.mark.parametrize("flags", [(), ("--json",), ("--format", "jsonl")], ids=" ".join)
def test_an_error(model: str, flags: tuple[str, ...]) -> None:
    assert_harmless(told("ask", "x", "--model", model, *flags))
    assert_harmless(
        told("chat", "--model", model, *flags[:1], lines=["x"]) if len(flags) < 2 else "x"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("ask", "x", "--profile", HOSTILE),
        ("ask", "x", HOSTILE),
        (HOSTILE[:20],),
        ("chat", "--resume", HOSTILE),
        ("report", "x", "-o", f"/nowhere/{HOSTILE}.md"),
        ("ask", "x", "--config", HOSTILE.replace("\x00", "")),
    ],
    ids=range(6),
)
def test_a_command_line(arguments: tuple[str, ...]) -> None:
    assert_harmless(told(*arguments))


def test_a_report(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(
        to_json(dictated_report(HOSTILE, HOSTILE_URL)), encoding="utf-8", errors="replace"
    )
    assert_harmless(told("report", "--from", str(path)))


@pytest.mark.parametrize("flags", [(), ("--json",), ("-q",)], ids=" ".join)
def test_a_run_of_a_stranger(tmp_path: Path, flags: tuple[str, ...]) -> None:
    name = HOSTILE.encode("utf-8", "ignore").decode().replace("/", "").replace("\x00", "")[:60]
    run = graded_run({HOSTILE: "c", "b": "e"}, manifest={"created": name, "seekling": name})
    directory = tmp_path / name
    directory.mkdir()
    (directory / "run.json").write_bytes(encoded(run.manifest))
    for file, values in (("questions", run.questions), ("records", run.records.values())):
        (directory / f"{file}.jsonl").write_bytes(b"".join(encoded(v) + b"\n" for v in values))
    assert_harmless(told("view", str(directory), "--no-open", *flags))
    assert_harmless(told("view", str(directory), "--grader", HOSTILE, *flags))
    (directory / "run.json").write_text(f'{{"format": "{name[4:20]}"}}')
    assert_harmless(told("view", str(directory), *flags))
    assert_harmless(told("view", str(tmp_path), *flags))  # it lists what is in there


def test_the_models_of_a_hostile_server(capsys: pytest.CaptureFixture[str]) -> None:
    trial = TrialCall(verdict="refused", told=HOSTILE, advice=HOSTILE, seconds=1.0)
    model = SurveyedModel(name=f"'; rm -rf ~ #{HOSTILE}", context_tokens=1, is_loaded=True)
    server = SurveyedServer(
        ModelServer(base_url="http://127.0.0.1:1/v1", server=HOSTILE, failure=HOSTILE),
        (replace(model, trial=trial), model),
    )
    models._print(ClientConfig(), [server], [HOSTILE], ("", ""))  # pyright: ignore[reportPrivateUsage]
    assert_harmless(capsys.readouterr().out)


@pytest.mark.parametrize(
    "arguments",
    [
        ("config", "set", "model", HOSTILE),
        ("config", "set", HOSTILE, "1"),
        ("config", "get", HOSTILE),
        ("config", "show"),
        ("config", "show", "--json"),
        ("config", "show", "--origin"),
        ("completion", HOSTILE),
        ("search", HOSTILE, "--server", "http://127.0.0.1:9/mcp"),
        ("visit", HOSTILE, "--server", "http://127.0.0.1:9/mcp"),
        ("report", "--from", HOSTILE[:80]),
    ],
    ids=range(10),
)
def test_settings_and_other_commands(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"model = {json.dumps(HOSTILE.encode('utf-8', 'ignore').decode())}\n")
    monkeypatch.setenv("SEEKLING_CONFIG", str(file))
    monkeypatch.setenv("SEEKLING_PROFILE", HOSTILE.encode("utf-8", "ignore").decode())
    assert_harmless(told(*(part.replace("\x00", "") for part in arguments)))


def test_an_evaluation() -> None:
    err = Screen()
    display = EvalDisplay(Progress(total=1), err=err)
    display.tell(HOSTILE)
    assert_harmless(err.getvalue())
