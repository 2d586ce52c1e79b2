"""Tells a real SGLang what to write, between our client and the server.

The client is not changed: its requests go out as it made them, with two fields more, which name a
logit processor (`shim/scripted_output.py`) and the tokens that it shall force.
"""

import json
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from agent_client.model.transport import HttpReply, HttpRequest, Transport

PROCESSOR = json.dumps({"callable": b"cscripted_output\nScriptedOutput\n.".hex()})
"""What SGLang's `CustomLogitProcessor.to_str` makes of a class that it finds by its name."""
CHAT, RAW = "/v1/chat/completions", "/generate"


@dataclass(frozen=True, slots=True)
class ScriptedTransport:
    """A `Transport` that gives each request for a reply the next text that the model writes."""

    inner: Transport
    texts: deque[str]
    """What the model writes, one for each try."""
    overrides: Mapping[str, object] = field(default_factory=dict[str, object])
    """Fields put in place of those that the client sends."""

    @asynccontextmanager
    async def send(self, request: HttpRequest) -> AsyncGenerator[HttpReply]:
        if urlsplit(request.url).path in (CHAT, RAW):
            token_ids = await self._token_ids(request, self.texts.popleft())
            request = replace(request, content=self._scripted(request, token_ids))
        async with self.inner.send(request) as reply:
            yield reply

    def _scripted(self, request: HttpRequest, token_ids: list[int]) -> bytes:
        body = json.loads(request.content) | self.overrides
        body["custom_logit_processor"] = PROCESSOR
        sampling = body.get("sampling_params", body)
        sampling["custom_params"] = {"token_ids": token_ids}
        return json.dumps(body).encode()

    async def _token_ids(self, request: HttpRequest, text: str) -> list[int]:
        url = urlsplit(request.url)._replace(path="/tokenize").geturl()
        body = {"model": "any", "prompt": text, "add_special_tokens": False}
        asked = HttpRequest(
            method="POST", url=url, headers=request.headers, content=json.dumps(body).encode()
        )
        async with self.inner.send(asked) as reply:
            content = b"".join([chunk async for chunk in reply.chunks()])
        return json.loads(content)["tokens"]
