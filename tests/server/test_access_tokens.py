import hashlib
import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.access.tokens import CHECK_SECONDS, MAX_FILE_BYTES, TokenFile, read_tokens
from mcp_server.errors import ConfigError

ANN = "ann-0123456789abcdef"
BOB = "bob-0123456789abcdef"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "tokens"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o600)
    return path


def replace(path: Path, text: str) -> None:
    """As editors do: another file takes the place."""
    other = path.with_suffix(".new")
    other.write_text(text)
    other.chmod(0o600)
    other.replace(path)


async def name_of(tokens: TokenFile, token: str) -> str | None:
    caller = await tokens.verify_token(token)
    return caller.client_id if caller else None


@pytest.mark.parametrize(
    "line",
    [
        f"ann {ANN}",
        f"ann\t{ANN}",
        f"ann: {ANN}",
        f"ann:{ANN}",
        f"ann={ANN}",
        f"ann = {ANN}",
        f"  ann   {ANN}   # her laptop",
        f"\ufeffann {ANN}\r",
        f"ann sha256:{hashlib.sha256(ANN.encode()).hexdigest()}",
        f"ann: sha256:{hashlib.sha256(ANN.encode()).hexdigest().upper()}",
    ],
)
async def test_a_line_names_a_caller_and_his_token(tmp_path: Path, line: str) -> None:
    tokens = TokenFile(written(tmp_path, f"{line}\n# a comment\n\nbob {BOB}"))
    assert await name_of(tokens, ANN) == "ann"
    assert await name_of(tokens, BOB) == "bob"
    for wrong in ("", ANN[:-1], ANN + " ", ANN.upper(), "sha256:" + "0" * 64, "\udcff"):
        assert await name_of(tokens, wrong) is None


async def test_a_digest_in_the_file_is_not_a_token_itself(tmp_path: Path) -> None:
    digest = hashlib.sha256(ANN.encode()).hexdigest()
    tokens = TokenFile(written(tmp_path, f"ann sha256:{digest}"))
    assert await name_of(tokens, digest) is None
    assert await name_of(tokens, f"sha256:{digest}") is None


async def test_tokens_without_names_are_called_after_their_lines(tmp_path: Path) -> None:
    plain, base64 = "0123456789abcdef" * 2, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    digest = hashlib.sha256(b"x" * 32).hexdigest()
    tokens = TokenFile(written(tmp_path, f"# tokens\n{plain}\n{base64}\nsha256:{digest}\n"))
    assert [await name_of(tokens, token) for token in (plain, base64, "x" * 32)] == [
        "token-2",
        "token-3",
        "token-4",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ann short", "16 to"),
        (f"ann {'x' * 1_025}", "16 to"),
        ("continuous-integration", "without a name must have 32"),
        ("continuous-integration=", "without a name must have 32"),
        ("continuous-integration:", "is not `name token`"),
        (f"ann {ANN} more", "is not `name token`"),
        (f"ann {ANN}é", "no header can carry"),
        (f"ann/laptop {ANN}", "wrong name"),
        (f"{'a' * 65} {ANN}", "wrong name"),
        (f"ann sha256:{'g' * 64}", "64 hexadecimal digits"),
        (f"ann sha256:{'0' * 63}", "64 hexadecimal digits"),
        (f"bob {ANN}", "same name"),
        (f"ann {BOB}", "same token"),
    ],
)
def test_a_wrong_line_is_named_and_never_shown(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigError, match="line 2") as failed:
        TokenFile(written(tmp_path, f"bob {BOB}\n{line}\n"))
    told = f"{failed.value} {failed.value.hint}"
    assert said in told
    assert not any(word in told for word in line.split() if len(word) > 15)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no token"),
        (b"# nobody yet\n", "holds no token"),
        (b"ann \xff\xfe", "not UTF-8"),
        (b"#" * (MAX_FILE_BYTES + 1), "longer than"),
        (b"\n".join(b"n%d %032d" % (i, i) for i in range(1_001)), "more than 1,000"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TokenFile(written(tmp_path, content))


def test_a_file_that_cannot_be_read_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        TokenFile(tmp_path / "absent")
    with pytest.raises(ConfigError, match="is not a file"):
        TokenFile(tmp_path)
    os.mkfifo(tmp_path / "pipe")  # to open it would wait for ever
    with pytest.raises(ConfigError, match="is not a file"):
        TokenFile(tmp_path / "pipe")


async def test_who_is_taken_out_is_out_within_a_second(tmp_path: Path) -> None:
    clock = Clock()
    path = written(tmp_path, f"ann {ANN}\nbob {BOB}\n")
    tokens = TokenFile(path, clock=clock)
    replace(path, f"bob {BOB}\ncy cy-0123456789abcdef\n")
    assert await name_of(tokens, ANN) == "ann"  # not looked at again yet
    clock.now += CHECK_SECONDS
    assert await name_of(tokens, ANN) is None
    assert await name_of(tokens, BOB) == "bob"
    assert await name_of(tokens, "cy-0123456789abcdef") == "cy"


async def test_a_change_in_place_is_seen_though_size_and_time_stay(tmp_path: Path) -> None:
    clock = Clock()
    path = written(tmp_path, f"ann {ANN}\n")
    tokens = TokenFile(path, clock=clock)
    before = path.stat()
    path.write_text(f"bob {BOB}\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    clock.now += CHECK_SECONDS
    assert await name_of(tokens, ANN) is None
    assert await name_of(tokens, BOB) == "bob"


async def test_an_emptied_file_lets_nobody_in(tmp_path: Path) -> None:
    clock = Clock()
    path = written(tmp_path, f"ann {ANN}\n")
    tokens = TokenFile(path, clock=clock)
    replace(path, "# closed\n")
    clock.now += CHECK_SECONDS
    assert await name_of(tokens, ANN) is None


async def test_a_broken_change_keeps_the_tokens_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    path = written(tmp_path, f"ann {ANN}\n")
    tokens = TokenFile(path, clock=clock)
    for broken in (f"ann {ANN}\nbob {BOB[:10]}\n", None):
        caplog.clear()
        path.unlink() if broken is None else replace(path, broken)
        for _ in range(3):
            clock.now += CHECK_SECONDS
            assert await name_of(tokens, ANN) == "ann"
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert BOB[:10] not in caplog.text
    replace(path, f"bob {BOB}\n")
    clock.now += CHECK_SECONDS
    assert await name_of(tokens, ANN) is None
    assert await name_of(tokens, BOB) == "bob"


def test_a_file_that_others_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, f"ann {ANN}\n")
    TokenFile(path)
    assert not caplog.records
    path.chmod(0o640)
    TokenFile(path)
    assert "chmod 600" in caplog.text
    assert ANN not in caplog.text


async def test_what_is_behind_the_door_never_sees_the_token(tmp_path: Path) -> None:
    tokens = TokenFile(
        written(tmp_path, f"ann {ANN}"), scopes=("search",), resource="https://h.example/mcp"
    )
    caller = await tokens.verify_token(ANN)
    assert caller is not None
    assert ANN not in caller.model_dump_json()
    assert caller.scopes == ["search"]
    assert caller.resource == "https://h.example/mcp"


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused_by_its_line(text: str) -> None:
    try:
        tokens = read_tokens(text, shown="file")
    except ConfigError as error:
        assert "line " in str(error)
    else:
        assert len({token.name for token in tokens}) == len(tokens)
