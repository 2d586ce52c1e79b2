"""`seekling-mcp extract`: local files through the extraction, one or a folder of them."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mcp_server.cli.main import main

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-P", "-m", "mcp_server", "extract"]
ENVIRONMENT = {"PYTHONPATH": str(ROOT)}
PAGE = """<!doctype html><html lang=en><title>A page</title>
<main><h1>Heading</h1><p>Some text with a <a href=/there>link</a> &amp; more.</p></main>"""
SLOW_PAGE = b"<div></x>" * 100_000 + b"after the attributes"


def extract(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin,
        env=ENVIRONMENT,
        capture_output=True,
        timeout=30,
        check=False,
    )


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_file_is_printed_as_a_header_and_markdown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    page.write_text(PAGE)
    assert main(["extract", str(page)]) == 0
    header, _, text = capsys.readouterr().out.partition("\n\n")
    assert header.splitlines()[0] == "Title: A page"
    assert "Type: text/html" in header
    assert text.startswith("# Heading\n")


def test_json_tells_everything_about_a_document_from_stdin() -> None:
    done = extract(
        "-", "--json", "--url", "https://example.com/a/b", stdin=gzip.compress(PAGE.encode())
    )
    told = json.loads(done.stdout)
    assert done.returncode == 0
    assert (told["id"], told["url"]) == ("-", "https://example.com/a/b")
    assert told["title"] == "A page"
    assert told["markdown"].startswith("# Heading")
    assert "Some text with a" in told["text"]
    assert told["media_type"] == "text/html"
    assert set(told["metadata"]) == {"author", "published", "language", "canonical_url", "site"}
    assert (told["notes"], told["needs_javascript"]) == ([], False)
    assert 0 < told["seconds"] < 5


def test_the_content_type_decides_as_in_a_visit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("a &amp; b")
    for flags, text in (
        ([], "a &amp; b"),
        (["--content-type", "text/html; charset=utf-8"], "a & b"),
    ):
        assert main(["extract", str(file), "--json", *flags]) == 0
        assert json.loads(capsys.readouterr().out)["markdown"] == text


def test_a_folder_becomes_one_line_per_document(tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "b.html").write_text(PAGE)
    (folder / "a.html.gz").write_bytes(gzip.compress(PAGE.replace("Heading", "First").encode()))
    (folder / "c.part.json").write_text('{"key": "plain \\u200btext \\ud800"}')
    (folder / "d.html").write_bytes(b"")
    (folder / "e.html.gz").write_bytes(gzip.compress(PAGE.encode())[:-20])
    (folder / "f.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / ".hidden").write_text("hidden")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe.html")
    out = folder / "out.jsonl"
    done = extract("--batch", folder, "--out", out, "--json")
    assert done.returncode == 0
    lines = lines_of(out)
    assert [line["id"] for line in lines] == ["a", "b", "c.part", "d", "e", "f"]
    first, second, plain, empty, damaged, image = lines
    assert set(first) == {"id", "title", "text", "markdown", "seconds"}
    assert first["markdown"].startswith("# First")
    assert second["title"] == "A page"
    assert second["seconds"] > 0
    assert json.loads(plain["text"]) == {"key": "plain text "}
    assert empty["text"] == damaged["text"] == image["text"] == ""
    assert empty["error"] == "the document has no readable text"
    assert damaged["error"] == "the gzip file ends early"
    assert image["error"].startswith("not a text page: image/png")
    assert done.stderr.startswith(b"6 documents, 3 failed, in ")
    assert json.loads(done.stdout)["documents"] == 6
    again = extract("--batch", folder, "--out", out)  # its own output is no document
    assert [line["id"] for line in lines_of(out)] == [line["id"] for line in lines]
    assert (again.returncode, again.stdout) == (0, b"")


def test_a_bomb_is_an_error_of_its_own_line(tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "bomb.html.gz").write_bytes(gzip.compress(bytes(60_000_000), 1))
    (folder / "good.html").write_text(PAGE)
    done = extract("--batch", folder, "--out", tmp_path / "out.jsonl")
    bomb, good = lines_of(tmp_path / "out.jsonl")
    assert done.returncode == 0
    assert bomb["error"] == "the document is larger than 50,000,000 bytes"
    assert good["title"] == "A page"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 2, "no file is named"),
        (["--batch", "."], 2, "--out FILE.jsonl is missing"),
        (["--batch", ".", "--out", "-"], 2, "--out - would be a file of that name"),
        (["x", "--batch", ".", "--out", "y"], 2, "both FILE and --batch are given"),
        (["x", "--out", "y"], 2, "--out is for --batch only"),
        (["missing"], 1, "cannot read missing: No such file or directory"),
        (["."], 1, "cannot read .: Is a directory"),
        (["--batch", "missing", "--out", "out"], 1, "cannot list missing: No such file"),
        (["--batch", ".", "--out", "missing/out"], 1, "cannot write missing/out: No such file"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str],
    code: int,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["extract", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"seekling-mcp: {told}")
    assert captured.err.count("\n") == 1


def test_a_page_without_text_is_an_error_for_people_and_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><title>Nothing</title>")
    assert main(["extract", str(page)]) == 1
    assert "no readable text" in capsys.readouterr().err
    assert main(["extract", str(page), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "ExtractionError"


def test_ctrl_c_ends_a_batch_and_its_children(tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.html").write_bytes(SLOW_PAGE)
    command = [*COMMAND, "--batch", str(folder), "--out", str(tmp_path / "out.jsonl")]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE) as running:
        deadline = time.monotonic() + 15
        children: list[str] = []
        while not children and time.monotonic() < deadline:
            found = subprocess.run(["pgrep", "-P", str(running.pid)], stdout=subprocess.PIPE)
            children = found.stdout.decode().split()
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=10) == 130
        assert running.stderr is not None
        assert running.stderr.read() == b""
    assert children
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


def test_the_command_imports_little() -> None:
    script = (
        "import sys, mcp_server.cli.extract;"
        "heavy = {'mcp', 'httpx', 'pydantic', 'anyio', 'asyncio', 'ssl', 'tantivy', 'ddgs', 'bs4',"
        "'selectolax'};"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
