"""`seekling-mcp index …` as a person and a script use it."""

import json
from collections.abc import Sequence
from pathlib import Path

import anyio.to_thread
import pytest

from mcp_server.cli.main import main
from tests.support.damage import rewrite
from tests.support.fake_web import reply, serve

DOCUMENTS = (
    {"_id": "a", "title": "Brindlewick Lighthouse", "text": "Mara Voss built it in 1873."},
    {"_id": "b", "title": "Mara Voss", "text": "She was an engineer from Ostrelund."},
    {"_id": "c", "title": "Ostrelund", "text": "A town on the river Serrin."},
)


def write_lines(path: Path, rows: Sequence[object]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    source = write_lines(tmp_path / "docs.jsonl", DOCUMENTS)
    out = str(tmp_path / "index")
    assert main(["index", "build", source, "--out", out, "--quiet"]) == 0
    capsys.readouterr()
    return out


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    captured = capsys.readouterr()
    return json.loads(captured.out)


def test_a_person_sees_title_id_url_and_preview(
    index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", "search", index, "who built the Brindlewick lighthouse"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "  1. Brindlewick Lighthouse  [a]"
    assert lines[1].strip() == "corpus://docs/a"
    assert lines[2].strip() == "Mara Voss built it in 1873."


@pytest.mark.parametrize("ranking", ["full", "plain"])
def test_a_batch_gives_a_line_of_ids_and_scores_for_each_query(
    index: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], ranking: str
) -> None:
    queries = write_lines(
        tmp_path / "q.jsonl",
        [
            {"_id": "q1", "text": "engineer"},
            {"_id": 2, "text": "zyzzyva"},
            {"_id": "q3", "text": ""},
        ],
    )
    run = tmp_path / "run.jsonl"
    arguments = ["--batch", queries, "--out", str(run), "--ranking", ranking, "--limit", "1"]
    assert main(["index", "search", index, *arguments]) == 0
    rows = [json.loads(line) for line in run.read_text().splitlines()]
    assert [row["_id"] for row in rows] == ["q1", 2, "q3"]
    assert [hit["id"] for hit in rows[0]["hits"]] == ["b"]
    assert rows[0]["hits"][0]["score"] > 0
    assert rows[1]["hits"] == rows[2]["hits"] == []
    assert [path.name for path in tmp_path.glob("run*")] == ["run.jsonl"]


def test_documents_are_added_replaced_and_deleted(
    index: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = write_lines(
        tmp_path / "more.jsonl",
        [
            DOCUMENTS[0] | {"text": "It burnt down."},
            {"_id": "d", "title": "Serrin", "text": "Long."},
        ],
    )
    assert main(["index", "add", index, more, "--json"]) == 0
    changed = told(capsys)
    assert (changed["added"], changed["replaced"], changed["documents"]) == (1, 1, 4)
    ids = tmp_path / "ids.txt"
    ids.write_text("b\nnone\n")
    assert main(["index", "delete", index, "c", "--ids", str(ids), "--json"]) == 0
    changed = told(capsys)
    assert (changed["deleted"], changed["missing"], changed["documents"]) == (2, 1, 2)
    assert main(["index", "search", index, "Brindlewick", "--json"]) == 0
    hits = told(capsys)["hits"]
    assert isinstance(hits, list)
    assert hits[0]["preview"] == "It burnt down."


def test_a_sound_index_is_called_sound_and_a_damaged_one_is_named(
    index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", "verify", index]) == 0
    assert "3 of 3 passages read, 3 documents" in capsys.readouterr().out
    victim = max(Path(index).rglob("*.store"), key=lambda path: path.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 0xFF
    rewrite(victim, bytes(data))
    assert main(["index", "verify", index]) == 1
    assert victim.name in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["search", "INDEX"], "either QUERY or --batch"),
        (["search", "INDEX", "x", "--batch", "q.jsonl"], "either QUERY or --batch"),
        (["search", "INDEX", "x", "--limit", "0"], "--limit 0 is out of range"),
        (["search", "INDEX", " "], "the query is empty"),
        (["search", "INDEX", "--batch", "/no/such.jsonl", "--out", "x"], "cannot read"),
        (["search", "INDEX", "--batch", "BAD", "--out", "x"], "BAD:2"),
        (["search", "INDEX", "--batch", "BAD"], "--out FILE.jsonl is missing"),
        (["delete", "INDEX"], "no ids are named"),
        (["build", "BAD", "--out", "OUT", "--language", "xx"], "'xx'"),
        (["build", "--crawl", "ftp://x.example/", "--out", "OUT"], "web address"),
        (
            ["build", "--crawl", "https://x.example/", "--max-pages", "0", "--out", "OUT"],
            "at least 1",
        ),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    index: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "BAD").write_text('{"_id": "1", "text": "x"}\n{"_id": "2"}\n')
    before = names_in(tmp_path)
    given = [index if argument == "INDEX" else argument for argument in arguments]
    assert main(["index", *given]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1
    assert names_in(tmp_path) == before


PAGE = "<html><title>{0}</title><main><h1>{0}</h1><p>{1}</p>{2}</main></html>"


async def test_a_site_is_crawled_and_searched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    links = '<a href="tides.html">The tides</a> <a href="secret/plan.html">A plan</a>'
    routes = {
        "/docs/": reply(
            PAGE.format("Harbour", "Everything about the harbour of Quillmoor.", links)
        ),
        "/docs/tides.html": reply(PAGE.format("Tides", "The tide turns at 04:12 in spring.", "")),
        "/docs/secret/plan.html": reply(PAGE.format("Plan", "Nobody may read this.", "")),
        "/robots.txt": reply("User-agent: *\nDisallow: /docs/secret/", content_type="text/plain"),
    }
    out = tmp_path / "docs"
    async with serve(routes) as web:
        code = await anyio.to_thread.run_sync(
            main,
            [
                *("index", "build", "--crawl", web.url("/docs/"), "--out", str(out)),
                *("--crawl-interval", "0", "--allow-private", "127.0.0.1", "--allow-ports", "any"),
            ],
        )
    assert code == 0
    assert "2 pages; left out: 1 forbidden" in capsys.readouterr().err
    assert "/docs/secret/plan.html" not in web.paths
    assert names_in(tmp_path) == ["docs"]
    assert main(["index", "search", str(out), "when does the tide turn"]) == 0
    assert "04:12" in capsys.readouterr().out
