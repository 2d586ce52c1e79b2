"""Small questions to a server, each within bounds of time and size."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import anyio
import msgspec

from agent_client.model.endpoint import Endpoint
from agent_client.model.json_text import encode_json
from agent_client.model.transport import CannotConnect, HttpRequest, TransportError

MAX_BYTES = 4_000_000
"""Of one answer; a longer one is cut."""
ANSWER_SECONDS = 10.0
"""For one answer, connecting included."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, or the lack of one."""

    status: int
    """0: there was none."""
    body: bytes
    seconds: float
    failure: str = ""
    """Why there was none, on one line."""
    is_connected: bool = True
    """Whether anything listens at the address."""

    @property
    def is_ok(self) -> bool:
        """Whether its status is 200."""
        return self.status == 200

    def text(self) -> str:
        """The body, with replacement characters for what is not UTF-8."""
        return self.body.decode(errors="replace")

    def json(self) -> Mapping[str, object]:
        """The body as a JSON object; empty where it is none, or the status is not 200."""
        if not self.is_ok:
            return {}
        try:
            value: object = msgspec.json.decode(self.body)
        except (ValueError, RecursionError):
            return {}
        return cast(Mapping[str, object], value) if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Site:
    """The server of an endpoint."""

    endpoint: Endpoint

    async def get(self, path: str, *, with_key: bool = True) -> Answer:
        """Get a path: with a leading slash below the server's root, else below the base URL."""
        return await self._ask("GET", path, b"", ANSWER_SECONDS, with_key=with_key)

    async def post(self, path: str, body: Mapping[str, object], *, seconds: float) -> Answer:
        """Send JSON to a path, as for `get`."""
        return await self._ask("POST", path, encode_json(body), seconds, with_key=True)

    async def _ask(
        self, method: str, path: str, content: bytes, seconds: float, *, with_key: bool
    ) -> Answer:
        base = self.endpoint.base_url
        url = base.removesuffix("/v1") + path if path.startswith("/") else f"{base}/{path}"
        headers = {"Accept": "*/*"}
        if content:
            headers["Content-Type"] = "application/json"
        if with_key and self.endpoint.api_key:
            headers["Authorization"] = f"Bearer {self.endpoint.api_key}"
        request = HttpRequest(method=method, url=url, headers=headers, content=content)
        started = time.monotonic()
        try:
            with anyio.fail_after(seconds):
                async with self.endpoint.transport.send(request) as reply:
                    body = bytearray()
                    async for chunk in reply.chunks():
                        body += chunk
                        if len(body) > MAX_BYTES:
                            break
                    passed = time.monotonic() - started
                    return Answer(reply.status, bytes(body[:MAX_BYTES]), passed)
        except TimeoutError:
            return Answer(0, b"", seconds, f"no answer within {seconds:g} s")
        except TransportError as exc:
            is_connected = not isinstance(exc, CannotConnect)
            passed = time.monotonic() - started
            return Answer(0, b"", passed, str(exc), is_connected=is_connected)
