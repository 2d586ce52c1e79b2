"""The file of lines under sessions and records: torn ends, two writers, a full disk."""

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent_client.errors import SessionError
from agent_client.sessions import journal
from agent_client.sessions.journal import Journal, read_ends, read_lines

WRITER = """
import sys
from pathlib import Path
from agent_client.sessions.journal import Journal
file = Journal(Path(sys.argv[1]), {})
number = 0
while True:
    file.append(b'{"number":%d,"text":"%s"}' % (number, b"x" * 5000))
    number += 1
    if number == 20:
        print("going", flush=True)
"""


def lines_without_openings(path: Path) -> list[bytes]:
    return [line for line in read_lines(path) if not line.startswith(b'{"opened"')]


def written(path: Path, *lines: bytes) -> None:
    file = Journal(path, {})
    file.append(*lines)
    file.close()


def test_lines_are_read_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    written(path, b'{"a":1}', b'{"b":2}')
    written(path, b'{"c":3}')
    assert lines_without_openings(path) == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    written(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_last_line_torn_at_any_byte_is_left_out_and_cut_before_the_next(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    written(whole, b'{"first":1}', '{"last":"é ü"}'.encode())
    data = whole.read_bytes()
    begin = data.rindex(b"\n", 0, -1) + 1
    for end in range(begin, len(data)):
        torn = tmp_path / f"{end}.jsonl"
        torn.write_bytes(data[:end])
        assert lines_without_openings(torn) == [b'{"first":1}']
        file = Journal(torn, {})
        assert (file.cut_bytes, file.is_new) == (end - begin, False)
        file.append(b'{"next":2}')
        file.close()
        assert lines_without_openings(torn) == [b'{"first":1}', b'{"next":2}']


@pytest.mark.parametrize(
    ("damaged", "kept"),
    [
        (b'{"a":1}\n\0\0\0\0', [b'{"a":1}']),
        (b'{"a":1}\n{"b":' + b"\0" * 200_000, [b'{"a":1}']),
        (b"\0" * 70_000, []),
        (b"", []),
        (b'{"torn', []),
        (b'\xef\xbb\xbf{"a":1}\r\n{"b":2}\r\n', [b'{"a":1}', b'{"b":2}']),
        (b'{"a":1}\n\n\r\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
    ],
    ids=["nul_tail", "torn_and_nuls", "only_nuls", "empty", "torn_first", "bom_crlf", "blank"],
)
def test_damage_at_the_end_costs_nothing_else(
    tmp_path: Path, damaged: bytes, kept: list[bytes]
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(damaged)
    assert lines_without_openings(path) == kept
    written(path, b'{"next":1}')
    assert lines_without_openings(path) == [*kept, b'{"next":1}']


def test_an_endless_line_is_read_as_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MAX_LINE_BYTES", 10)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x" * 35 + b"\nabc\n" + b"y" * 20)
    assert list(read_lines(path)) == [b"x" * 10, b"abc"]


def test_a_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    first = Journal(path, {})
    assert journal.is_being_written(path)
    with pytest.raises(SessionError, match=rf"is being written by process {os.getpid()}$"):
        Journal(path, {})
    first.close()
    assert not journal.is_being_written(path)
    Journal(path, {}).close()


def test_a_file_that_is_being_written_is_not_deleted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    first = Journal(path, {})
    with pytest.raises(SessionError, match="is being written"):
        journal.delete(path)
    first.close()
    journal.delete(path)
    assert not path.exists()


def test_a_planted_symlink_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "a.jsonl").symlink_to(target)
    with pytest.raises(SessionError, match="cannot write"):
        Journal(tmp_path / "a.jsonl", {})
    assert target.read_text() == "precious"


def test_a_missing_directory_is_said(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="No such file or directory"):
        Journal(tmp_path / "gone" / "a.jsonl", {})


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    """The file-size limit of the process fails a write as a full disk does: after a part of it."""
    path = tmp_path / "a.jsonl"
    file = Journal(path, {})
    file.append(b'{"a":1}')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, hard))
        with pytest.raises(OSError) as raised:
            file.append(b'{"b":"' + b"x" * 1_000 + b'"}')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert raised.value.errno == errno.EFBIG
    file.append(b'{"c":3}')
    file.close()
    assert lines_without_openings(path) == [b'{"a":1}', b'{"c":3}']


def test_a_killed_writer_leaves_whole_lines_and_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"going\n"
        assert journal.is_being_written(path)
        with pytest.raises(SessionError, match=f"process {writer.pid}"):
            Journal(path, {})
        writer.kill()
    written(path, b'{"after":1}')
    lines = lines_without_openings(path)
    assert lines[-1] == b'{"after":1}'
    assert [line[:12] for line in lines[:3]] == [b'{"number":0,', b'{"number":1,', b'{"number":2,']
    assert all(len(line) > 5_000 for line in lines[:-1])
    assert len(lines) > 20


def test_the_ends_of_a_file_are_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"first\nsecond\n" + b"x" * 500 + b"\nlast but one\nlast\ntorn")
    assert read_ends(path, 30) == ([b"first", b"second"], [b"last but one", b"last"])
    assert read_ends(path, 10_000)[0][0] == b"first"
    assert read_ends(path, 10_000)[1][-1] == b"last"


def test_the_time_of_a_line_is_utc_to_the_millisecond() -> None:
    before = datetime.now(UTC)
    said = datetime.strptime(journal.now_iso(), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert before - timedelta(milliseconds=1) <= said <= datetime.now(UTC)
    assert len(journal.now_iso()) == len("2026-01-01T00:00:00.000Z")
