"""`seekling report` on a scripted endpoint and the real tool server; and on the embedded model."""

import io
import json
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_client.app import open_agent
from agent_client.cli.main import main
from agent_client.config import load
from agent_client.engine.weights import DEFAULT_MODEL, MODELS, is_verified, models_dir
from agent_client.report.plan import ReportPlan
from agent_client.report.write import write_report
from tests.support.scripted_model import Reply, scripted_model

BIN = Path(sys.executable).parent
TOPIC = "Brindlewick Lighthouse"
SMALL = ("--perspectives", "1", "--questions", "1", "--sections", "1", "--section-words", "40")
FACT = "The lighthouse was designed by Mara Voss in 1871."


PRINTS = """#!/bin/sh
for word; do
  case $word in
    --print-to-pdf=*) pdf=${word#*=} ;;
    file://*) page=${word#file://} ;;
  esac
done
{ echo %PDF-1.4; cat "$page"; } > "$pdf"
"""
"""Stands for the browser."""


@dataclass
class Researcher:
    """Reads two pages for every question, and writes one true sentence."""

    asked: list[str] = field(default_factory=list[str])
    silent_at: str = ""
    """The writer's step that is never answered."""
    is_reached: anyio.Event = field(default_factory=anyio.Event)

    def __call__(self, request: dict[str, Any]) -> Reply:
        if "response_format" not in request:
            return self._research(request)
        (name,) = request["response_format"]["json_schema"]["schema"]["properties"]
        self.asked.append(name)
        if name == self.silent_at:
            self.is_reached.set()
            return Reply(is_silent=True)
        said: dict[str, Any] = {
            "questions": ["Who designed Brindlewick Lighthouse?"],
            "headings": ["Design"],
            "sentences": [{"text": FACT, "passages": [1, 2]}],
        }
        return Reply(text=json.dumps({name: said[name]}))

    def _research(self, request: dict[str, Any]) -> Reply:
        results = [message for message in request["messages"] if message["role"] == "tool"]
        if not results:
            self.asked.append(request["messages"][-1]["content"])
            return Reply(tool_calls=[("web_search", {"query": TOPIC})])
        if len(results) == 1:
            pages = ("lighthouse", "voss")
            return Reply(
                tool_calls=[("web_visit", {"url": f"https://facts.example/{p}"}) for p in pages]
            )
        return Reply(text="Mara Voss designed it.")


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("SEEKLING_MCP_PROVIDERS", "local")


def steps_kept(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "data" / "seekling" / "reports").glob("*"))


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("report*"))


async def seekling(*arguments: str) -> Done:
    """Run the command in a thread, with its own event loop."""
    out, err = io.StringIO(), io.StringIO()
    with anyio.fail_after(60), redirect_stdout(out), redirect_stderr(err):
        code = await anyio.to_thread.run_sync(main, arguments)
    return Done(code, out.getvalue(), err.getvalue())


async def report(*flags: str) -> Done:
    async with scripted_model(Researcher()) as model:
        return await seekling("report", TOPIC, "--model", model.base_url, *SMALL, *flags)


@pytest.mark.usefixtures("shared_tools")
async def test_a_report_is_written_in_every_form_that_was_asked_for(tmp_path: Path) -> None:
    markdown, html = tmp_path / "report.md", tmp_path / "report.html"
    done = await report("-o", str(markdown), "-o", str(html), "--json", "--keep")
    assert (done.code, done.err) == (0, "")
    text = markdown.read_text(encoding="utf-8")
    assert text.startswith(f"# {TOPIC}\n\n{FACT} [\\[1\\]](#source-1)")
    assert "](https://facts.example/lighthouse)" in text
    assert FACT in html.read_text(encoding="utf-8")
    told = json.loads(done.out)
    assert told["sections"][0]["statements"][0]["verdict"] == "found"
    assert told["sources"][0]["url"] == "https://facts.example/lighthouse"
    assert files_in(tmp_path) == ["report.html", "report.md"]
    assert len(steps_kept(tmp_path)) == 1


@pytest.mark.usefixtures("shared_tools")
async def test_a_limit_is_exit_code_3_and_the_report_is_all_that_stdout_gets() -> None:
    done = await report("--max-turns", "3", "--quiet")
    assert (done.code, done.err) == (3, "")
    assert done.out.startswith(f"# {TOPIC}\n\n{FACT}")
    assert "did not come to an answer" in done.out


@pytest.mark.usefixtures("shared_tools")
async def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(tmp_path: Path) -> None:
    output = tmp_path / "report.md"
    command = ["report", TOPIC, *SMALL, "-o", str(output)]
    script = Researcher(silent_at="headings")
    with anyio.fail_after(60):
        async with scripted_model(script) as model:
            started = [str(BIN / "seekling"), *command, "--model", model.base_url]
            async with await anyio.open_process(started) as process:
                await script.is_reached.wait()
                process.send_signal(signal.SIGINT)
                assert process.stderr
                err = b"".join([piece async for piece in process.stderr]).decode()
                assert await process.wait() == 130
    assert "3 finished steps are kept: the same command goes on from there" in err
    assert not output.exists()
    again = Researcher()
    async with scripted_model(again) as model:
        done = await seekling(*command, "--model", model.base_url)
    assert done.code == 0
    assert "3 finished steps of an earlier run are used again" in done.err
    assert again.asked == ["headings", "sentences", "sentences"]
    for line in ("outline: Design", "done: 2 of 2 sentences found", f"written: {output}"):
        assert line in done.err
    assert FACT in output.read_text(encoding="utf-8")
    assert steps_kept(tmp_path) == []


@pytest.mark.usefixtures("shared_tools")
async def test_an_earlier_report_takes_other_forms_without_research(tmp_path: Path) -> None:
    html = tmp_path / "report.html"
    earlier, again = tmp_path / "report.json", tmp_path / "again.html"
    first = await report("-o", str(html), "--max-turns", "3", "--json")
    earlier.write_text(first.out, encoding="utf-8")
    browser = tmp_path / "browser"
    browser.write_text(PRINTS)
    browser.chmod(0o755)
    done = await seekling(
        "report", "--from", str(earlier), "-o", str(again), "--pdf", "--browser", str(browser)
    )
    assert (first.code, done.code, done.out) == (3, 0, "")
    assert done.err.splitlines() == [f"written: {again}", f"written: {tmp_path / 'again.pdf'}"]
    assert again.read_bytes() == html.read_bytes()
    assert (tmp_path / "again.pdf").read_bytes() == b"%PDF-1.4\n" + html.read_bytes()


@pytest.mark.usefixtures("shared_tools")
async def test_a_browser_that_fails_costs_no_other_form_and_no_finished_step(
    tmp_path: Path,
) -> None:
    outputs = [part for name in ("report.pdf", "report.md") for part in ("-o", tmp_path / name)]
    done = await report(*map(str, outputs), "--browser", "false")
    assert done.code == 1
    assert "has printed no PDF" in done.err.splitlines()[-1]
    assert files_in(tmp_path) == ["report.md"]
    assert len(steps_kept(tmp_path)) == 1


async def test_what_is_no_earlier_report_is_told(tmp_path: Path) -> None:
    (tmp_path / "report.md").write_text("# A report\n")
    for name, says in (("report.md", "no report: Invalid JSON"), ("nix", "cannot be read")):
        done = await seekling("report", "--from", str(tmp_path / name), "--json")
        assert done.code == 1
        assert says in done.err
        assert says in json.loads(done.out)["error"]["message"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("-o", "report.odt"), "the form is not known; end the name in .md, .html or .pdf"),
        (("-o", "/no/such/folder/report.md"), "cannot be written"),
        (("-o", "-", "--json"), "both --json and the report"),
        (("-o", "-", "--pdf"), "--pdf puts a PDF beside a file; name it: -o report.pdf"),
        (("-o", "report.pdf", "--browser", "nowhere"), "the browser 'nowhere' is not a program"),
        (("-o", "report.md", "--browser", "sh"), "--browser prints a PDF, and none is asked for"),
        (("--from", "report.json"), "has a topic or comes --from an earlier one, not both"),
        (("--sections", "0"), "'sections': 0 is not in 1 to 20"),
        (("--concurrency", "many"), "invalid int value"),
    ],
)
async def test_bad_input_is_one_line_before_any_work(flags: tuple[str, ...], says: str) -> None:
    done = await seekling("report", TOPIC, "--model", "http://127.0.0.1:9/v1", *flags)
    assert done.code == 2
    assert "--json" in flags or done.out == ""
    (line,) = done.err.splitlines()
    assert says in line


@pytest.mark.engine
@pytest.mark.slow
async def test_the_embedded_model_writes_a_checked_report(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    file = MODELS[DEFAULT_MODEL]
    if not is_verified(models_dir() / file.file_name, file.sha256):
        pytest.skip("the embedded model is not on this machine: seekling engine pull")
    plan = ReportPlan(perspectives=1, questions=1, sections=1, section_words=40, concurrency=1)
    with anyio.fail_after(600):  # a busy machine takes several times as long
        async with open_agent(load(flags={"model": "embedded", "max_hops": 1})) as agent:
            written = await write_report("Marie Curie", agent, plan=plan)
    assert written.sections
    found = [statement for statement in written.statements if statement.verdict == "found"]
    assert len(found) >= len(written.statements) / 2
    assert any("Curie" in statement.text for statement in found)
    assert all(source.url.startswith("https://encyclopedia.example/") for source in written.sources)
