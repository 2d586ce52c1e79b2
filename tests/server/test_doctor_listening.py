"""What the doctor says about serving over HTTP."""

from pathlib import Path

import anyio
import httpx
import pytest

from mcp_server.doctor import listening
from mcp_server.errors import ConfigError
from tests.support.fake_web import reply, serve


def test_a_free_port_is_told() -> None:
    (found,) = listening.address("127.0.0.1", 0, is_guarded=False)
    assert found.told == "127.0.0.1 port 0 is free"


async def test_a_taken_port_says_what_to_name() -> None:
    async with serve({}) as web:
        with pytest.raises(ConfigError, match=f"port {web.port}") as caught:
            listening.address("127.0.0.1", web.port, is_guarded=False)
    assert "--port" in caught.value.hint


def test_an_address_for_others_needs_tokens() -> None:
    with pytest.raises(ConfigError) as caught:
        listening.address("0.0.0.0", 0, is_guarded=False)
    assert "--token-file FILE" in caught.value.hint
    assert listening.address("0.0.0.0", 0, is_guarded=True)[0].outcome == "ok"


def test_a_file_of_tokens_is_for_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("laptop " + "k3y" * 20)
    file.chmod(0o600)
    assert listening.tokens(file)[0].outcome == "ok"
    file.chmod(0o644)
    (found,) = listening.tokens(file)
    assert (found.outcome, found.advice) == ("note", f"chmod 600 {file}")
    assert "k3y" not in found.told
    file.write_text("")
    with pytest.raises(ConfigError, match="holds no token"):
        listening.tokens(file)


async def test_an_issuer_without_keys_is_a_problem() -> None:
    with anyio.fail_after(10):
        async with serve({"/keys": reply('{"keys": []}')}) as web, httpx.AsyncClient() as http:
            issuer = web.url("")
            (there,) = await listening.issuer(issuer, web.url("/keys"), http)
            (absent,) = await listening.issuer(issuer, "", http)
    assert there.outcome == "ok"
    assert absent.outcome == "problem"
    assert "oauth_issuer" in absent.advice
