"""The one HTML file: what stands in it, and what does not."""

import base64
import gzip
import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_client.evaluation.records.stored_run import StoredRun, read_run
from agent_client.pages.assembly import SHARED_SCRIPTS
from agent_client.sessions.store import SessionStore
from agent_client.viewer.document import EpisodeView, ViewIndex
from agent_client.viewer.run_episodes import RunEpisodes
from agent_client.viewer.session_view import session_view
from agent_client.viewer.view_file import SHARD_ROWS, write_view
from agent_client.viewer.view_index import index_of_runs, index_of_session
from agent_client.viewer.view_page import SCRIPTS, STYLES
from tests.client.viewer.growing_runs import growing_run, stored_session
from tests.client.viewer.test_episode_view import HostilePage
from tests.support.run_directories import ToldEpisode, stored_run

MADE = "2026-11-23T12:00:00Z"
MARK = "ATTACK"
HOSTILE = f"</script></title><img src=x onerror={MARK}>{MARK}\"'&<!--\u202e\x00\ud800"
_BLOCK = re.compile(
    rb'<script type="application/gzip\+base64" id="([a-z0-9-]+)">([A-Za-z0-9+/=]*)</script>\n'
)


def written(out: Path, *runs: StoredRun, **changes: Any) -> bytes:
    index = index_of_runs(runs, "exact", made=MADE, shard_rows=SHARD_ROWS)
    size = write_view(out, index, [RunEpisodes(run, "exact") for run in runs], **changes)
    data = out.read_bytes()
    assert len(data) == size
    return data


def blocks(page: bytes) -> dict[str, Any]:
    """The blocks of data as the page's scripts read them."""
    return {
        found[1].decode(): json.loads(gzip.decompress(base64.b64decode(found[2])))
        for found in _BLOCK.finditer(page)
    }


def test_the_file_holds_the_index_and_all_episodes_in_blocks(tmp_path: Path) -> None:
    told = [ToldEpisode(id=f"q{n}", grade="correct") for n in range(SHARD_ROWS + 1)]
    run = stored_run(tmp_path, told)
    found = blocks(written(tmp_path / "view.html", run))
    assert list(found) == ["index", "data-0-0", "data-0-1"]
    assert found["index"]["shard_rows"] == SHARD_ROWS
    ids = [episode["id"] for name in ("data-0-0", "data-0-1") for episode in found[name]]
    assert ids == found["index"]["runs"][0]["rows"]["id"] == [one.id for one in told]


def test_two_runs_have_blocks_of_their_own_and_a_comparison(tmp_path: Path) -> None:
    first = stored_run(tmp_path, [ToldEpisode(grade="correct")], name="first")
    second = stored_run(tmp_path, [ToldEpisode(grade="incorrect")], name="second")
    found = blocks(written(tmp_path / "view.html", first, second))
    assert list(found) == ["index", "data-0-0", "data-1-0"]
    assert found["index"]["comparison"]["flips"][0]["kind"] == "lost"
    assert [found[f"data-{n}-0"][0]["standing"] for n in (0, 1)] == ["correct", "incorrect"]


async def test_a_session_is_written_like_a_run(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    stored = store.load(await stored_session(store, ("Who?",)))
    session, episodes = session_view(stored)
    index = index_of_session(stored, session, made=MADE, shard_rows=SHARD_ROWS)
    write_view(tmp_path / "view.html", index, [episodes])
    found = blocks((tmp_path / "view.html").read_bytes())
    assert (found["index"]["kind"], found["index"]["title"]) == ("session", "Who?")
    assert found["data-0-0"][0]["question"] == "Who?"


def test_no_byte_of_a_text_stands_outside_of_the_compressed_blocks(tmp_path: Path) -> None:
    told = ToldEpisode(
        id=HOSTILE,
        question=HOSTILE,
        answers=(HOSTILE,),
        fields={HOSTILE: HOSTILE},
        gold_pages=(HOSTILE,),
        tools=HostilePage(),
        changes={"answer": HOSTILE, "short_answer": HOSTILE, "endpoint": HOSTILE},
        grade="correct",
    )
    page = written(tmp_path / "view.html", stored_run(tmp_path, [told, ToldEpisode()]))
    assert MARK in json.dumps(blocks(page))
    around = _BLOCK.sub(b"", page)
    assert MARK.encode() not in around
    assert b"alert(1)" not in around
    scripts = len(SHARED_SCRIPTS) + len(SCRIPTS)
    assert around.count(b"<script") == around.count(b"</script>") == scripts
    assert around.count(b"<title>") == around.count(b"</title>") == 1


def test_a_hostile_name_of_a_model_stays_text_in_the_title(tmp_path: Path) -> None:
    run = stored_run(tmp_path)
    manifest = run.directory / "run.json"
    name = json.dumps(HOSTILE.replace("\ud800", ""))
    manifest.write_text(manifest.read_text().replace('"scripted"', name), encoding="utf-8")
    page = _BLOCK.sub(b"", written(tmp_path / "view.html", read_run(run.directory)))
    (title,) = re.findall(rb"<title>(.*?)</title>", page, re.DOTALL)
    assert b"<" not in title
    assert b"<img" not in page


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    run = stored_run(tmp_path, [ToldEpisode(id=f"q{n}", grade="correct") for n in range(3)])
    first = written(tmp_path / "a.html", run)
    assert written(tmp_path / "b.html", read_run(run.directory)) == first


def test_nobody_else_reads_the_file_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    run = stored_run(tmp_path)
    folder = tmp_path / "views"
    folder.mkdir()
    (folder / "view.html").write_text("earlier")
    (folder / "view.html").chmod(0o644)
    written(folder / "view.html", run)
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_stood_there_stays_when_writing_fails(tmp_path: Path) -> None:
    run = stored_run(tmp_path)
    out = tmp_path / "views" / "view.html"
    out.parent.mkdir()
    out.write_text("earlier")

    def failing() -> Iterator[EpisodeView]:
        yield RunEpisodes(run, "exact").view(0)
        raise OSError("the disk is gone")

    index = index_of_runs((run,), "exact", made=MADE, shard_rows=SHARD_ROWS)
    with pytest.raises(OSError, match="the disk is gone"):
        write_view(out, index, [failing()])
    assert [path.read_text() for path in out.parent.iterdir()] == ["earlier"]


def test_a_link_in_place_of_the_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    run, precious = stored_run(tmp_path), tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / "view.html").symlink_to(precious)
    written(tmp_path / "view.html", run)
    assert precious.read_text() == "precious"


def test_how_far_it_is_is_told_after_each_block(tmp_path: Path) -> None:
    run = stored_run(tmp_path, [ToldEpisode(id=f"q{n}") for n in range(SHARD_ROWS + 2)])
    told: list[int] = []
    written(tmp_path / "view.html", run, tell=told.append)
    assert told == [SHARD_ROWS, SHARD_ROWS + 2]


def test_a_run_whose_files_are_cut_off_is_written_all_the_same(tmp_path: Path) -> None:
    with growing_run(tmp_path) as growing:
        pass
    run = stored_run(tmp_path, [ToldEpisode(id=f"q{n}") for n in range(3)], name="cut")
    for name in ("events-00001.jsonl", "records.jsonl", "results.jsonl", "questions.jsonl"):
        data = (run.directory / name).read_bytes()
        (run.directory / name).write_bytes(data[: len(data) // 2])
    for directory in (growing.directory, run.directory):
        found = blocks(written(tmp_path / "view.html", read_run(directory)))
        rows = found["index"]["runs"][0]["rows"]["id"]
        assert len(rows) == len(found["data-0-0"]) == (4 if directory == growing.directory else 3)


def test_every_script_and_style_of_the_page_is_part_of_it() -> None:
    folder = Path(__file__).parents[3] / "agent_client" / "viewer" / "page"
    assert {path.name for path in folder.glob("*.js")} == set(SCRIPTS)
    assert {path.name for path in folder.glob("*.css")} == set(STYLES)


def test_the_index_tells_which_version_reads_it(tmp_path: Path) -> None:
    index = index_of_runs((stored_run(tmp_path),), "exact", made=MADE, shard_rows=SHARD_ROWS)
    assert isinstance(index, ViewIndex)
    assert (index.version, index.made, index.is_live) == (1, MADE, False)
