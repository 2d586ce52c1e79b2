"""Pages by Jina AI's reader (r.jina.ai), by API key or without one."""

import re
from dataclasses import dataclass, field

import httpx
from pydantic import BaseModel

from mcp_server.search.providers._fields import Part, Text
from mcp_server.search.providers._key import check_key
from mcp_server.search.readers._service import (
    DEFAULT_SECONDS,
    ReadText,
    ask_service,
    failed,
    page_of,
    public_url,
)
from mcp_server.visit.types import Page

ENDPOINT = "https://r.jina.ai/"
_KEY_NAME = "JINA_API_KEY"
_SITE_ERROR = re.compile(r"Target URL returned error (\d{3})", re.ASCII)


class _Read(BaseModel):
    content: Text = ""
    title: Text = ""
    url: Text = ""
    publishedTime: Text = ""
    warning: Text = ""
    metadata: Part[dict[str, object]] = None


class _Reply(BaseModel):
    data: _Read


@dataclass(frozen=True, slots=True)
class JinaReader:
    """`POST /` with the URL in the body; without a key it allows fewer pages a minute."""

    http: httpx.AsyncClient
    api_key: str = field(repr=False, default="")
    seconds: float = DEFAULT_SECONDS
    """Longest wait for a page."""
    name: str = "jina"

    def __post_init__(self) -> None:
        if self.api_key:
            check_key("page reader 'jina'", self.api_key, _KEY_NAME)

    async def page(self, url: str) -> Page | None:
        """The text of a public page; None for any other URL, such as `corpus://`.

        Raises:
            FetchError: the service refused us or broke, the site answered it with an error, or
                there is no text.
        """
        target = public_url(url)
        if target is None:
            return None
        headers = {"Accept": "application/json", "X-Retain-Images": "none"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        request = self.http.build_request("POST", ENDPOINT, json={"url": target}, headers=headers)
        reply = await ask_service(
            self.name,
            url,
            self.http,
            request,
            _Reply,
            seconds=self.seconds,
            key_name=_KEY_NAME,
        )
        read = reply.data
        # The service answers 200 with the site's own error page.
        if found := _SITE_ERROR.search(read.warning[:500]):
            status = int(found[1])
            reason = f"the site answered HTTP {status}"
            raise failed(self.name, url, reason, status=status, retryable=status >= 500)
        said = {
            name: value for name, value in (read.metadata or {}).items() if isinstance(value, str)
        }
        return await page_of(
            self.name,
            url,
            ReadText(
                text=read.content,
                title=read.title,
                final_url=read.url,
                published=read.publishedTime,
                language=said.get("lang", ""),
                site=said.get("og:site_name", ""),
            ),
        )
