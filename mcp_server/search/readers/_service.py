"""From a service's reply to a page: what both readers share."""

import re
from dataclasses import dataclass
from typing import TypeVar

import anyio
import anyio.to_thread
import httpx
from pydantic import BaseModel

from mcp_server.clean import clean, clean_line
from mcp_server.errors import BlockedUrl, FetchError, ProviderError
from mcp_server.extract.inline_links import take_out_links
from mcp_server.search.providers._fields import MAX_TITLE_CHARS, fragment_text, is_web_url, iso_day
from mcp_server.search.providers._http import Judge, ask
from mcp_server.visit.guard import Policy, check_url
from mcp_server.visit.types import Link, Metadata, Page

MAX_REPLY_BYTES = 20_000_000
DEFAULT_SECONDS = 20.0

_PUBLIC = Policy()
_SMALL_CHARS = 50_000
"""Longer texts are cleaned in a thread, so that other calls need not wait."""
_MAX_FACT_CHARS = 120
_IMAGE = re.compile(r"!\[[^\[\]]{0,500}\]\([^()\s]{0,2000}(?:\s[^()]{0,300})?\)")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

Reply = TypeVar("Reply", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadText:
    """What a service says about a page."""

    text: str
    """Markdown or plain text, as sent."""
    title: str = ""
    final_url: str = ""
    """Where the service ended up; "" if it does not say."""
    published: str = ""
    language: str = ""
    site: str = ""


def public_url(url: str) -> str | None:
    """The URL that a service may be told, or None.

    Only what anybody may visit leaves the machine: an address of the user's own network would tell
    others about it. What is refused here is judged again, and perhaps allowed, by our own fetch.
    """
    if not is_web_url(url.strip()):
        return None
    try:
        return str(check_url(url, _PUBLIC))
    except BlockedUrl:
        return None


async def ask_service(
    service: str,
    url: str,
    http: httpx.AsyncClient,
    request: httpx.Request,
    reply: type[Reply],
    *,
    seconds: float,
    key_name: str,
    judge: Judge | None = None,
) -> Reply:
    """Send a request to a page reader.

    Args:
        service: its name for errors.
        url: the page.
        http: the client for APIs.
        request: built by the reader.
        reply: what the service documents.
        seconds: longest wait for the whole reply.
        key_name: the environment variable of the key.
        judge: reads the service's own error codes.

    Raises:
        FetchError: the service refused us, broke, or could not fetch the page.
    """
    request.extensions["timeout"] = httpx.Timeout(seconds).as_dict()
    try:
        with anyio.fail_after(seconds):
            return await ask(
                service,
                http,
                request,
                reply,
                judge=judge,
                key_name=key_name,
                max_bytes=MAX_REPLY_BYTES,
            )
    except TimeoutError:
        reason = f"no reply within {seconds:g} s"
        raise failed(service, url, reason, retryable=True) from None
    except ProviderError as exc:
        raise FetchError(
            url,
            f"page reader {service}: {exc.reason}",
            retryable=exc.retryable,
            retry_after_seconds=exc.retry_after_seconds,
            hint=exc.hint,
        ) from exc


def failed(
    service: str, url: str, reason: str, *, status: int | None = None, retryable: bool = False
) -> FetchError:
    """The error for a page that the service did not give."""
    hint = "" if retryable else "try another result"
    return FetchError(
        url, f"page reader {service}: {reason}", status=status, retryable=retryable, hint=hint
    )


async def page_of(service: str, url: str, read: ReadText) -> Page:
    """The page, with clean text.

    Raises:
        FetchError: there is no text: that is a failure of the service, never an empty page.
    """
    if len(read.text) > _SMALL_CHARS:
        text, links = await anyio.to_thread.run_sync(_clean_text, read.text)
    else:
        text, links = _clean_text(read.text)
    if not text:
        raise failed(service, url, "gave no text of the page")
    final_url = clean_line(read.final_url, len(read.final_url))
    published = iso_day(read.published)
    return Page(
        url=url,
        final_url=final_url if is_web_url(final_url) else public_url(url) or url,
        title=clean_line(fragment_text(read.title), MAX_TITLE_CHARS),
        text=text,
        media_type="text/markdown",
        links=links,
        metadata=Metadata(
            published=published if _DAY.fullmatch(published) else "",
            language=clean_line(read.language, _MAX_FACT_CHARS),
            site=clean_line(read.site, _MAX_FACT_CHARS),
        ),
    )


def _clean_text(markdown: str) -> tuple[str, tuple[Link, ...]]:
    """Without pictures, and with the links beside the text instead of in it."""
    text, links = take_out_links(clean(_IMAGE.sub("", markdown)))
    return text.strip(), links
