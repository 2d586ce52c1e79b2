"""Files of the hub, from a server on loopback that speaks as it does."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from agent_client.errors import DatasetError
from agent_client.evaluation.datasets import load_dataset
from agent_client.evaluation.datasets.benchmark import HubFile
from agent_client.evaluation.datasets.hub import fetch, parse_hub_file

COMMIT = "0123456789abcdef" * 2 + "01234567"
FILES = Path(__file__).resolve().parents[2] / "data" / "evaluation"


@contextmanager
def hub_with(files: dict[str, bytes]) -> Generator[tuple[str, list[str]]]:
    """A hub that has these files, by `OWNER/NAME/resolve/REVISION/FILE`; and what it was asked."""
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self.wfile.write(self._answer())

        def _answer(self) -> bytes:
            asked.append(f"{self.command} {self.path}")
            content = files.get(self.path.removeprefix("/datasets/"))
            self.send_response(404 if content is None else 200)
            if content is None:
                self.send_header("X-Error-Code", "EntryNotFound")
            else:
                self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", '"a"')
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            return content or b""

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_a_file_is_fetched_once_and_known_by_its_commit(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    files = {
        "owner/name/resolve/v1.1/data/a.csv": b"question,answer\nOne?,1\n",
        f"owner/name/resolve/{COMMIT}/data/a.csv": b"question,answer\nOne?,1\n",
    }
    with hub_with(files) as (endpoint, asked):
        fetched = fetch(HubFile("owner/name", "data/a.csv", "v1.1"), tmp_path, endpoint=endpoint)
        requests = len(asked)
        pinned = fetch(HubFile("owner/name", "data/a.csv", COMMIT), tmp_path, endpoint=endpoint)

    assert fetched.revision == COMMIT
    assert fetched.path.read_bytes().startswith(b"question")
    assert pinned == fetched
    assert len(asked) == requests  # what is pinned and there needs no network


def test_a_benchmark_by_name_is_its_official_file_with_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    address = "google/frames-benchmark/resolve/main/test.tsv"
    with hub_with({address: (FILES / "frames" / "test.tsv").read_bytes()}) as (endpoint, _):
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        dataset = load_dataset("frames", cache_dir=tmp_path)

    assert (dataset.name, dataset.version, dataset.total) == ("frames", COMMIT, 3)
    assert dataset.source == f"hub:google/frames-benchmark@{COMMIT}/test.tsv"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    with (
        hub_with({}) as (endpoint, _),
        pytest.raises(
            DatasetError, match=r"hub:owner/name/a\.csv cannot .*: there is no such file"
        ),
    ):
        fetch(HubFile("owner/name", "a.csv"), tmp_path, endpoint=endpoint)


def test_a_file_of_the_hub_is_named_with_its_revision() -> None:
    assert parse_hub_file("hub:o/n@refs%2Fconvert%2Fparquet/default/0000.parquet") == HubFile(
        "o/n", "default/0000.parquet", "refs/convert/parquet"
    )


@pytest.mark.parametrize("spec", ["hub:", "hub:owner", "hub:owner/name", "hub:owner/@v1/a.csv"])
def test_an_incomplete_name_says_what_is_missing(spec: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="names no file of the hub"):
        load_dataset(spec, cache_dir=tmp_path)


def test_without_the_extra_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)

    with pytest.raises(DatasetError, match="needs the extra 'eval'") as caught:
        load_dataset("simpleqa@v1", cache_dir=tmp_path)
    assert caught.value.hint.startswith("pip install 'seekling[eval]', or name a file")
