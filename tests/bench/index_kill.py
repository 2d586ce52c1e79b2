"""Kill a build ten times at random moments, go on, and compare with an undisturbed build.

    python tests/bench/index_kill.py SOURCE.jsonl.gz [--kills 10] [--seed 1]

Shown are the moment of each kill and how many documents were kept; at the end every document of the
resumed index is compared with the undisturbed one, and the index is verified.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mcp_server.corpus import build
from mcp_server.corpus.build import build_index
from mcp_server.corpus.index import LocalIndex
from mcp_server.corpus.sources.opening import open_source
from mcp_server.corpus.verify import verify_index
from mcp_server.search.types import SearchQuery

COMMIT_SECONDS = 0.5
"""Shorter than in earnest, so that each build lives through some commits."""
CHECK_SECONDS = 0.05


def build_here(source: Path, directory: Path) -> None:
    """Build in this process, with frequent commits."""
    build.COMMIT_SECONDS = COMMIT_SECONDS  # pyright: ignore[reportPrivateUsage]
    report = build_index([open_source(source)], directory, note=print)
    print(f"done: {report.manifest.documents:,} documents, {report.resumed_documents:,} kept")


def killed_after(seconds: float, source: Path, directory: Path) -> bool:
    """Build in a process of its own; False when it ended before it could be killed."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(source), "--build", str(directory)], start_new_session=True
    )
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            return False
        time.sleep(CHECK_SECONDS)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return True


def differences(source: Path, directory: Path, undisturbed: Path) -> int:
    """Documents that are not the same in both indexes, and queries that are not answered alike."""
    left, right = LocalIndex(directory), LocalIndex(undisturbed)
    different = int(left.manifest.documents != right.manifest.documents)
    different += left.manifest.text_bytes != right.manifest.text_bytes
    for number, item in enumerate(open_source(source).read()):
        url = item.document.url
        different += left.page_at(url) != right.page_at(url)
        if number % 50 == 0:
            query = SearchQuery(text=item.document.title)
            answers = [
                {(hit.document_id, round(hit.score or 0, 4)) for hit in index.search_plain(query)}
                for index in (left, right)
            ]
            best = [max((score for _, score in answer), default=0) for answer in answers]
            different += best[0] != best[1]
    return different


def main() -> None:
    """Kill, go on, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        build_here(options.source, options.build)
        return
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, directory = Path(folder) / "undisturbed", Path(folder) / "killed"
        started = time.monotonic()
        build_index([open_source(options.source)], undisturbed)
        whole_seconds = time.monotonic() - started
        kills = 0
        while kills < options.kills:
            seconds = 1.0 + moments.random() * whole_seconds / 2
            if killed_after(seconds, options.source, directory):
                kills += 1
                print(f"kill {kills} after {seconds:.2f} s")
            else:
                print("the build ended before the kill; a new one begins")
        build_here(options.source, directory)
        report = verify_index(directory)
        found = differences(options.source, directory, undisturbed)
        left = [path.name for path in directory.iterdir()]
        print(f"verified {report.passages:,} passages; {found} differences; folder: {left}")
        raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
