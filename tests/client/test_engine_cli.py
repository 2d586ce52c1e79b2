import argparse
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from agent_client.cli import engine
from agent_client.engine import weights
from agent_client.engine.weights import ModelFile
from agent_client.errors import ConfigError, EngineError
from tests.support.fake_web import reply, serve

CONTENT = b"GGUF" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    engine.add_parser(parser.add_subparsers(dest="command"))
    return parser.parse_args(["engine", *arguments])


async def run(*arguments: str) -> int:
    with anyio.fail_after(10):
        return await engine.run(parse(*arguments))


def test_the_command_module_loads_without_the_engine() -> None:
    code = (
        "import sys, agent_client.cli.engine; "
        "print({'httpx', 'anyio', 'pydantic', 'xllamacpp'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


async def test_status_lists_models_files_and_the_engine_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.gguf").write_bytes(CONTENT)
    assert await run("status", "--json", "--directory", str(tmp_path)) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["directory"] == str(tmp_path)
    assert status["engine"].keys() == {"package", "version"}
    assert status["other_files"] == [{"file_name": "own.gguf", "size_bytes": len(CONTENT)}]
    assert [(model["name"], model["default"]) for model in status["models"]] == [
        ("qwen2.5-coder-0.5b", True),
        ("qwen2.5-coder-1.5b", False),
    ]
    assert status["models"][0] == {
        "name": "qwen2.5-coder-0.5b",
        "default": True,
        "file_name": "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        "present": False,
        "verified": False,
        "size_bytes": 491_400_064,
        "sha256": "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        "context_tokens": 32_768,
        "licence": "Apache-2.0",
    }


async def test_status_says_what_the_embedded_models_are_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf").write_bytes(b"half")
    assert await run("status", "--directory", str(tmp_path)) == 0
    text = capsys.readouterr().out
    assert "qwen2.5-coder-0.5b (default)" in text
    assert "not verified: run `seekling engine pull`" in text
    assert "absent" in text
    assert "for trying Seekling out" in text
    assert "II-Search-4B with SGLang" in text


async def test_status_works_before_anything_was_pulled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_engine_version", lambda: None)
    assert await run("status", "--directory", str(tmp_path / "absent")) == 0
    assert 'not installed: pip install "seekling[embedded]"' in capsys.readouterr().out


async def test_pull_brings_a_custom_model_and_reports_it_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serve({"/own.gguf": reply(CONTENT)}) as web:
        options = ("pull", "--url", web.url("/own.gguf"), "--sha256", SHA256, "--name", "own")
        options += ("--json", "--directory", str(tmp_path))
        assert await run(*options) == 0
        first = capsys.readouterr()
        assert await run(*options, "--quiet") == 0
        second = capsys.readouterr()
        assert len(web.requests) == 1
    result = json.loads(first.out)
    assert result.pop("seconds") >= 0
    assert result == {
        "name": "own",
        "path": str(tmp_path / "own.gguf"),
        "size_bytes": len(CONTENT),
        "sha256": SHA256,
        "already_present": False,
    }
    lines = first.err.splitlines()
    assert lines[0] == "own: asking its publisher"
    assert lines[1].startswith("own: downloading 100 %, 0 of 0 MB")
    assert lines[2].startswith("own: verifying 100 %")
    assert json.loads(second.out)["already_present"] is True
    assert second.err == ""


async def test_pull_without_a_name_takes_the_default_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve({"/own.gguf": reply(CONTENT)}) as web:
        tiny = ModelFile("tiny", "tiny.gguf", len(CONTENT), SHA256, web.url("/own.gguf"))
        monkeypatch.setattr(weights, "MODELS", {"tiny": tiny})
        monkeypatch.setattr(weights, "DEFAULT_MODEL", "tiny")
        assert await run("pull", "--directory", str(tmp_path)) == 0
    assert capsys.readouterr().out == f"tiny is ready: {tmp_path / 'tiny.gguf'}\n"


async def test_on_a_terminal_progress_rewrites_one_line_that_an_error_does_not_continue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    async with serve({"/own.gguf": reply(CONTENT)}) as web:
        with pytest.raises(EngineError, match="SHA-256"):
            await run(
                *("pull", "--url", web.url("/own.gguf"), "--sha256", "0" * 64),
                *("--directory", str(tmp_path)),
            )
    first, second = capsys.readouterr().err.rstrip(" ").split("\r", 1)
    assert first == "own: asking its publisher\n"
    assert second.startswith("own: downloading 100 %") and second.endswith("\n")
    assert second.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["qwen2.5-coder-05b"], "unknown embedded model 'qwen2.5-coder-05b'"),
        (["--sha256", SHA256], "--url, which is missing"),
        (["--url", "https://models.example/a.gguf"], "--url needs --sha256"),
        (["a", "--url", "https://models.example/a.gguf"], "name two models"),
    ],
)
async def test_pull_refuses_what_it_cannot_understand(arguments: list[str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        await run("pull", *arguments)


async def test_argv_prints_one_line_that_names_the_key_but_does_not_hold_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEKLING_API_KEY", "s3cret")
    assert await run("argv", "sglang", "--tp", "2", "--host", "0.0.0.0") == 0
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 1
    assert "--model-path Intelligent-Internet/II-Search-4B" in printed.out
    assert printed.out.endswith(' --api-key "$SEEKLING_API_KEY"\n')
    assert "s3cret" not in printed.out + printed.err
    assert "process list" in printed.err


async def test_argv_gives_programs_words_and_notes_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await run("argv", "llama.cpp", "--json", "--model", "a b/II-Search-4B") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["argv"][:3] == ["llama-server", "--model", "II-Search-4B.gguf"]
    assert told["api_key"] is None
    assert any("convert_hf_to_gguf.py" in note for note in told["notes"])


async def test_what_follows_two_dashes_goes_to_the_engine_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await run("argv", "vllm", "--port", "8001", "--", "--seed", "1", "--json") == 0
    line = capsys.readouterr().out
    assert "--port 8001" in line and line.endswith(" --seed 1 --json\n")


async def test_argv_prints_the_router_over_its_servers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    worker = "http://127.0.0.1:30001"
    assert await run("argv", "sglang-router", "--worker", worker, "--worker", worker) == 0
    assert f"--worker-urls {worker} {worker} --policy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["argv", "sglang", "--worker", "http://127.0.0.1:1"], "for sglang-router only"),
        (["argv", "sglang-router", "--model", "m"], "serves no model itself"),
        (["argv", "vllm", "--host", "0.0.0.0"], "would answer anybody"),
        (["argv", "vllm", "--port", "0"], "between 1 and 65535"),
        (["argv", "vllm", "--", "--host=0.0.0.0"], "stand before the --"),
        (["start", "sglang", "--host", "0.0.0.0"], "would answer anybody"),
        (["start", "sglang", "--python", "/absent/python"], "no Python at"),
    ],
)
async def test_serving_refuses_what_contradicts_itself(arguments: list[str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        await run(*arguments)


@pytest.mark.parametrize(
    ("key", "extra", "reason"),
    [
        ("good", ["--", "--config", "a.yaml"], "takes one --config"),
        ("with space", [], "has a space"),
        ("-dash", [], "a dash in front"),
        ("ключ", [], "beyond ASCII"),
    ],
)
async def test_a_key_that_cannot_be_handed_over_is_refused(
    monkeypatch: pytest.MonkeyPatch, key: str, extra: list[str], reason: str
) -> None:
    monkeypatch.setenv("SEEKLING_API_KEY", key)
    with pytest.raises(ConfigError, match=reason):
        await run("start", "sglang", *extra)
