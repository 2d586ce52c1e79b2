"""One request to an API, on a real connection where that matters."""

from datetime import UTC, datetime

import anyio
import httpx
import pytest
from pydantic import BaseModel

from mcp_server.errors import ProviderFailed
from mcp_server.search.providers._http import ask, retry_after_seconds

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Anything(BaseModel):
    """Any object."""


async def test_a_server_that_never_answers_is_a_failure_in_time() -> None:
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as silent,
        httpx.AsyncClient(timeout=0.05, trust_env=False) as http,
    ):
        port = silent.extra(anyio.abc.SocketAttribute.local_port)
        request = http.build_request("GET", f"http://127.0.0.1:{port}/search")
        with pytest.raises(ProviderFailed, match="no reply in time"):
            await ask("probe", http, request, Anything)


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("Mon, 23 Nov 2026 12:01:00 GMT", None, 60.0),
        ("Mon, 23 Nov 2026 12:01:00 GMT", "Mon, 23 Nov 2026 12:00:50 GMT", 10.0),
        ("Mon, 23 Nov 2026 12:01:00 GMT", "yesterday", 60.0),
        ("Mon, 23 Nov 2026 13:01:00 +0100", None, 60.0),
        ("Monday, 23-Nov-26 12:01:00 GMT", None, 60.0),
        ("Mon Nov 23 12:01:00 2026", None, 60.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", None, 0.0),
        (" 5 ", None, 5.0),
        ("inf", None, None),
        ("", None, None),
        (None, None, None),
        ("9" * 300, None, 3_600.0),
        ("9" * 5_000, None, None),
        ("x" * 100_000, None, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(
    value: str | None, date: str | None, seconds: float | None
) -> None:
    assert retry_after_seconds(value, date=date, clock=lambda: NOON) == seconds


@pytest.mark.parametrize(
    ("status", "reason"), [(302, "redirects to another address"), (0, "could not be reached")]
)
async def test_who_cannot_be_reached_is_told_with_its_address_and_no_secret(
    status: int, reason: str
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if not status:
            raise httpx.ConnectError("refused", request=request)
        headers = {"Location": "https://elsewhere.example/"}
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(b""))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        request = http.build_request("GET", "http://user:hunter2@s.example:8080/x?key=hunter2")
        with pytest.raises(ProviderFailed, match=reason) as caught:
            await ask("probe", http, request, Anything)
    assert "http://s.example:8080" in caught.value.hint
    assert "hunter2" not in caught.value.hint + str(caught.value)
