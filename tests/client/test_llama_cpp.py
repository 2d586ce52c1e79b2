import os
import sys
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import Process

from agent_client.engine import llama_cpp
from agent_client.engine.llama_cpp import pick_threads, serve, threads_for
from agent_client.engine.weights import DEFAULT_MODEL, MODELS, models_dir
from agent_client.errors import EngineError

MODEL_PATH = models_dir() / MODELS[DEFAULT_MODEL].file_name

needs_engine = pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp is absent")
needs_model = pytest.mark.skipif(not MODEL_PATH.exists(), reason=f"{MODEL_PATH.name} is absent")


def record_processes(monkeypatch: pytest.MonkeyPatch) -> list[Process]:
    started: list[Process] = []
    open_process = anyio.open_process

    async def recording(*args: Any, **kwargs: Any) -> Process:
        started.append(await open_process(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(llama_cpp.anyio, "open_process", recording)
    return started


def pretend_xllamacpp_is(monkeypatch: pytest.MonkeyPatch, spec: object) -> None:
    def find_spec(_name: str) -> object:
        return spec

    monkeypatch.setattr(llama_cpp.importlib.util, "find_spec", find_spec)


@pytest.mark.engine
@needs_engine
@needs_model
async def test_the_engine_answers_while_its_context_is_open_and_is_gone_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = record_processes(monkeypatch)
    log_path = tmp_path / "engine.log"
    request = {"messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 4}
    with anyio.fail_after(120):
        async with (
            serve(MODEL_PATH, context_tokens=1024, threads=1, log_path=log_path) as base_url,
            httpx.AsyncClient(trust_env=False, timeout=90.0) as http,
        ):
            answer = (await http.post(f"{base_url}/chat/completions", json=request)).json()
            listed = (await http.get(f"{base_url}/models")).json()
        async with httpx.AsyncClient(trust_env=False) as http:
            with pytest.raises(httpx.ConnectError):
                await http.get(f"{base_url}/models")
    assert base_url.startswith("http://127.0.0.1:") and base_url.endswith("/v1")
    assert answer["choices"][0]["message"]["content"]
    assert listed["data"][0]["id"] == MODEL_PATH.stem
    assert [process.returncode for process in started] == [0]


@pytest.mark.engine
@needs_engine
@needs_model
async def test_the_engine_ends_when_its_parent_is_gone() -> None:
    command = [sys.executable, str(Path(llama_cpp.__file__).with_name("llama_cpp_server.py"))]
    command += [str(MODEL_PATH), "--context-tokens", "512", "--parent", "1"]
    assert os.getpid() != 1
    with anyio.fail_after(60):
        async with await anyio.open_process(
            command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
        ) as process:
            assert await process.wait() == 0


@pytest.mark.engine
@needs_engine
async def test_a_file_that_is_no_model_fails_at_once_with_the_engines_words(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.gguf"
    garbage.write_bytes(b"not a model" * 1000)
    with anyio.fail_after(30), pytest.raises(EngineError) as caught:
        async with serve(garbage, threads=1):
            pass
    assert "garbage.gguf" in str(caught.value)
    assert "invalid magic" in caught.value.log_tail


async def test_an_engine_that_never_gets_ready_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = record_processes(monkeypatch)
    script = tmp_path / "stubborn.py"
    script.write_text(
        "import signal, sys, threading\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('loading for ever', file=sys.stderr, flush=True)\n"
        "threading.Event().wait()\n"
    )
    monkeypatch.setattr(llama_cpp, "_SERVER_SCRIPT", script)
    monkeypatch.setattr(llama_cpp, "_START_SECONDS", 2.0)
    monkeypatch.setattr(llama_cpp, "_STOP_SECONDS", 0.1)
    pretend_xllamacpp_is(monkeypatch, object())
    with anyio.fail_after(30), pytest.raises(EngineError, match="did not load") as caught:
        async with serve(script, threads=1):
            pass
    assert caught.value.log_tail == "loading for ever"
    assert [process.returncode for process in started] == [-9]


async def test_a_missing_engine_is_told_with_the_way_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_xllamacpp_is(monkeypatch, None)
    with pytest.raises(EngineError) as caught:
        async with serve(tmp_path / "model.gguf"):
            pass
    assert caught.value.hint == 'pip install "seekling[embedded]"'


@needs_engine
async def test_a_missing_model_is_told_with_the_way_to_fetch_it(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="does not exist") as caught:
        async with serve(tmp_path / "model.gguf"):
            pass
    assert "seekling engine pull" in caught.value.hint


@pytest.mark.parametrize(
    ("cores", "busy_cores", "threads"),
    [(2, 0.1, 2), (2, 1.0, 1), (2, 2.0, 1), (1, 0.0, 1), (8, 3.4, 5), (64, 0.0, 8)],
)
def test_the_engine_takes_the_idle_cores(cores: int, busy_cores: float, threads: int) -> None:
    assert threads_for(cores, busy_cores) == threads


async def test_the_number_of_threads_suits_this_machine() -> None:
    with anyio.fail_after(5):
        assert 1 <= await pick_threads() <= (os.cpu_count() or 1)
