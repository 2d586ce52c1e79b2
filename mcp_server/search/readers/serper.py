"""Pages by Serper's scraper (scrape.serper.dev)."""

from dataclasses import dataclass, field

import httpx
from pydantic import BaseModel

from mcp_server.search.providers._fields import Part, Text
from mcp_server.search.providers._key import check_key
from mcp_server.search.providers.serper import judge
from mcp_server.search.readers._service import (
    DEFAULT_SECONDS,
    ReadText,
    ask_service,
    page_of,
    public_url,
)
from mcp_server.visit.types import Page

ENDPOINT = "https://scrape.serper.dev"
_KEY_NAME = "SERPER_API_KEY"


class _Reply(BaseModel):
    markdown: Text = ""
    text: Text = ""
    metadata: Part[dict[str, object]] = None


@dataclass(frozen=True, slots=True)
class SerperReader:
    """`POST /` with the URL in the body and the key in a header."""

    http: httpx.AsyncClient
    api_key: str = field(repr=False)
    seconds: float = DEFAULT_SECONDS
    """Longest wait for a page."""
    name: str = "serper"

    def __post_init__(self) -> None:
        check_key("page reader 'serper'", self.api_key, _KEY_NAME)

    async def page(self, url: str) -> Page | None:
        """The text of a public page; None for any other URL, such as `corpus://`.

        Raises:
            FetchError: the service refused us, broke, or has no text of the page.
        """
        target = public_url(url)
        if target is None:
            return None
        request = self.http.build_request(
            "POST",
            ENDPOINT,
            json={"url": target, "includeMarkdown": True},
            headers={"X-API-KEY": self.api_key},
        )
        reply = await ask_service(
            self.name,
            url,
            self.http,
            request,
            _Reply,
            seconds=self.seconds,
            key_name=_KEY_NAME,
            judge=judge,
        )
        said = {
            name: value for name, value in (reply.metadata or {}).items() if isinstance(value, str)
        }
        return await page_of(
            self.name,
            url,
            ReadText(
                text=reply.markdown if reply.markdown.strip() else reply.text,
                title=said.get("title") or said.get("og:title", ""),
                published=said.get("article:published_time", ""),
                site=said.get("og:site_name", ""),
            ),
        )
