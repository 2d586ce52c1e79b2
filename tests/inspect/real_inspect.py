"""Open our logs with the real inspect_ai: `make test-inspect`.

It lives in an environment of its own, since it brings 56 packages that nothing else here needs.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from agent_client.agent.limits import Limits
from agent_client.evaluation.episode_record import EpisodeKey
from agent_client.evaluation.export.export import write_export
from agent_client.evaluation.export.selection import Selection
from agent_client.evaluation.question import Question
from tests.support.exported_runs import LIGHTHOUSE, PlayedRun, played, usual_steps
from tests.support.loop_fakes import Step, says, search, visit

VENV = Path(os.environ.get("INSPECT_VENV") or Path(__file__).parents[2] / ".venv-inspect")
INSPECT = VENV / "bin/inspect"
START_SECONDS = 90.0
OTHER = Question(id="a/b é", question="Who was it?", answers=("x",), fields={"hops": 2})


async def run_of_four() -> PlayedRun:
    """A right answer, one that was not attempted, a failure, and one that a limit ended."""
    limited: list[Step] = [
        says("", search("x")),
        says("", visit("https://gone.example/")),
        says("x", reasoning="hm"),
    ]
    run = await played(
        (LIGHTHOUSE, usual_steps()),
        (LIGHTHOUSE, usual_steps()[1:]),
        (LIGHTHOUSE, [RuntimeError("gone")]),
        (OTHER, limited),
        limits=Limits(turns=3),
    )
    run.grade(EpisodeKey("q1"), "correct", graded="Mara Voss", rule="boxed")
    run.grade(EpisodeKey("q1"), "correct", "em_f1", score=0.9)
    run.grade(EpisodeKey("q1", 1), "not_attempted")
    run.grade(EpisodeKey("a/b é"), "incorrect", said="INCORRECT")
    return run


def written(run: PlayedRun, folder: Path) -> Path:
    path = folder / "run.eval"
    selection = Selection(also_unsettled=True)
    write_export(run.exported(), path, format_name="inspect", selection=selection)
    return path


def dumped(path: Path) -> dict[str, Any]:
    """A log as inspect_ai reads it: every field checked against its own models."""
    command = [str(INSPECT), "log", "dump", str(path)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=START_SECONDS)
    return json.loads(done.stdout)


@contextmanager
def viewer(folder: Path) -> Generator[httpx.Client]:
    """`inspect view` on the logs of a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(INSPECT), "view", "start", "--log-dir", str(folder), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            deadline = time.monotonic() + START_SECONDS
            while True:
                try:
                    client.get("/")
                    break
                except httpx.TransportError:
                    assert process.poll() is None and time.monotonic() < deadline
                    time.sleep(0.2)
            yield client
    finally:
        process.terminate()
        process.wait(timeout=30)


async def test_inspect_reads_what_was_asked_said_and_scored(tmp_path: Path) -> None:
    run = await run_of_four()
    log = dumped(written(run, tmp_path))
    assert (log["status"], log["eval"]["task"], log["eval"]["model"]) == (
        "cancelled",
        "made-up",
        "scripted",
    )
    exact, em_f1 = log["results"]["scores"]
    assert (exact["scored_samples"], exact["unscored_samples"]) == (3, 1)
    assert exact["metrics"]["accuracy"]["value"] == 0.25  # (1/2 + 0) / 2
    assert em_f1["metrics"]["mean_score"]["value"] == 0.9
    samples = {(sample["id"], sample["epoch"]): sample for sample in log["samples"]}
    assert set(samples) == {("q1", 1), ("q1", 2), ("q1", 3), ("a/b é", 1)}
    values = {
        key: sample.get("scores", {}).get("exact", {}).get("value")
        for key, sample in samples.items()
    }
    assert values == {("q1", 1): "C", ("q1", 2): "N", ("q1", 3): None, ("a/b é", 1): "I"}
    assert samples["q1", 3]["error"]["message"] == "RuntimeError: gone"
    assert samples["a/b é", 1]["limit"]["type"] == "turn"


async def test_inspect_reads_every_message_word_for_word(tmp_path: Path) -> None:
    run = await run_of_four()
    log = dumped(written(run, tmp_path))
    told = next(sample for sample in log["samples"] if (sample["id"], sample["epoch"]) == ("q1", 1))
    facts = run.exported().trajectory(run.episodes[EpisodeKey("q1")].record)
    assert len(told["messages"]) == len(facts.messages)
    for message, ours in zip(told["messages"], facts.messages, strict=True):
        content = message["content"]
        if ours.reasoning:
            assert content[0]["reasoning"] == ours.reasoning
            content = content[1]["text"]
        assert (message["role"], content) == (ours.role, ours.text)
        calls = [(call["function"], call["arguments"]) for call in message.get("tool_calls") or ()]
        assert calls == [(call.name, dict(call.arguments)) for call in ours.tool_calls]


async def test_the_viewer_lists_the_run_and_its_samples(tmp_path: Path) -> None:
    path = written(await run_of_four(), tmp_path)
    with viewer(tmp_path) as client:
        assert "<html" in client.get("/").text
        listed = client.get("/api/logs").json()
        assert [Path(log["name"]).name for log in listed["files"]] == [path.name]
