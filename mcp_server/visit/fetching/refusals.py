"""What it means when a site sends no page, and what the reader can do about it.

The marks of bot walls are strings of the challenge pages themselves, not of the scripts that the
same products put into ordinary pages.
"""

import math
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx

from mcp_server.errors import FetchError

WALL_HEAD_BYTES = 64 * 1024
"""How much of a body is searched for a bot wall. A larger page is no wall."""

_MAX_WALL_TEXT_BYTES = 3_000
_MAX_TOLD_WAIT_SECONDS = 30
_MAX_WAIT_SECONDS = 86_400.0
_MAX_ARCHIVED_URL_CHARS = 500
_ARCHIVE = "https://web.archive.org/web/2/"

_TRY_ANOTHER = "try another result"
_LATER = "try again later, or try another result"
_HINTS = {
    401: "the page is for users who have logged in: try another result",
    402: "the page is for paying readers: try another result",
    403: "the site refuses automated readers: try another result",
    404: "the page does not exist: try another result or search again",
    406: "the site refuses automated readers: try another result",
    407: "the owner of this server must check its proxy settings: no page can be reached like this",
    410: "the page does not exist any more: try another result or search again",
    451: "the site withholds the page for legal reasons: try another result",
}
_GONE = frozenset({404, 410})
_WALLED = frozenset({403, 405, 406, 429, 503})
_WAITS = frozenset({429, 503})

_WALL_HEADERS = (
    ("cf-mitigated", "challenge", "Cloudflare"),
    ("x-amzn-waf-action", "challenge", "AWS"),
    ("x-amzn-waf-action", "captcha", "AWS"),
    ("x-vercel-mitigated", "challenge", "Vercel"),
)
_WALL_PAGES = (
    (b"_cf_chl_opt", "Cloudflare"),
    (b"<title>just a moment...</title>", "Cloudflare"),
    (b"<title>attention required! | cloudflare</title>", "Cloudflare"),
    (b"captcha-delivery.com/", "DataDome"),
    (b"px-captcha", "PerimeterX"),
    (b"incapsula incident id", "Imperva"),
    (b"<title>pardon our interruption", "Imperva"),
    (b"gokuprops", "AWS"),
    (b"<title>vercel security checkpoint</title>", "Vercel"),
    (b"/.within.website/x/cmd/anubis/", "Anubis"),
    (b"/_sec/cp_challenge/", "Akamai"),
    (b"<title>ddos-guard</title>", "DDoS-Guard"),
    (b"our systems have detected unusual traffic from your computer", "Google"),
)
# Enough beside a status that refuses; ordinary pages hold them too.
_WALL_WORDS = (
    (b"errors.edgesuite.net", "Akamai"),
    (b"sucuri website firewall", "Sucuri"),
    (b"kpsdk", "Kasada"),
    (b"captcha", ""),
    (b"verify you are human", ""),
    (b"verifying you are human", ""),
    (b"are you a robot", ""),
    (b"unusual traffic", ""),
    (b"automated access", ""),
    (b"enable javascript and cookies to continue", ""),
)

_CERTIFICATE_FAULTS = {
    9: "the site's certificate is not valid yet",
    10: "the site's certificate has expired",
    18: "the site's certificate is self-signed",
    19: "the site's certificate comes from an authority that is not trusted",
    20: "the site's certificate comes from an authority that is not trusted",
    21: "the site's certificate comes from an authority that is not trusted",
    23: "the site's certificate has been revoked",
    62: "the site's certificate is for another host name",
    64: "the site's certificate is for another host name",
}
"""Reasons by OpenSSL's verification codes (`X509_V_ERR_…`)."""
_UNTRUSTED = frozenset({19, 20, 21})
_OWN_AUTHORITY = "if it is your organisation's, name its certificate in the setting ca_file"


def may_be_wall(status: int) -> bool:
    """Whether an answer with this status may be a bot wall that only its body shows."""
    return status in _WALLED


def may_be_archived(status: int) -> bool:
    """Whether an archive may have what the site does not give: the page is gone or broken."""
    return status in _GONE or status >= 500


def bot_wall(url: str, status: int, headers: Mapping[str, str], body: bytes) -> FetchError | None:
    """The error for a challenge to browsers that was sent instead of the page, or None.

    Where the status says that all is well, only a small HTML body with hardly any text can be a
    challenge: an article about bot walls is a page.

    Args:
        url: what was asked for.
        status: of the answer.
        headers: names in lower case.
        body: all of it for a status of 2xx, else its start if `may_be_wall(status)`.
    """
    if 200 <= status < 300:
        if len(body) > WALL_HEAD_BYTES or not _may_be_html(headers.get("content-type", "")):
            return None
        wall = _wall(headers, body, _WALL_PAGES)
        if wall is None or _has_text(body):
            return None
    else:
        wall = _wall(headers, body, (*_WALL_PAGES, *_WALL_WORDS))
        if wall is None or status not in _WALLED:
            return None
    reason = f"HTTP {status}, bot wall" + (f" ({wall})" if wall else "")
    hint = "the site shows its pages to browsers only: try another result"
    return FetchError(url, reason, status=status, hint=hint)


def refusal(url: str, status: int, headers: Mapping[str, str]) -> FetchError:
    """The error for an answer whose status says that it is not the page.

    Args:
        url: what was asked for.
        status: anything but 2xx.
        headers: names in lower case.
    """
    try:
        reason = f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        reason = f"HTTP {status}"
    retryable = status in (408, 425, 429) or status >= 500
    seconds = retry_after_seconds(headers.get("retry-after", "")) if status in _WAITS else None
    if seconds is not None:
        reason += _told(seconds)
    hint = _HINTS.get(status, _LATER if retryable else _TRY_ANOTHER)
    return FetchError(
        url, reason, status=status, retryable=retryable, retry_after_seconds=seconds, hint=hint
    )


def with_archived_copy(failure: FetchError) -> FetchError:
    """The same failure, its hint telling where an archived copy may be, unless the URL is long."""
    if len(failure.url) > _MAX_ARCHIVED_URL_CHARS or failure.url.startswith(_ARCHIVE):
        return failure
    return FetchError(
        failure.url,
        failure.reason,
        status=failure.status,
        retryable=failure.retryable,
        retry_after_seconds=failure.retry_after_seconds,
        hint=f"{failure.hint}; an archived copy may exist: visit {_ARCHIVE}{failure.url}",
    )


def retry_after_seconds(value: str) -> float | None:
    """What a Retry-After header asks for: above 0, at most a day; None if absent or nonsense."""
    value = value.strip()
    try:
        if value.isascii() and value.isdigit():
            seconds = float(value[:10])
        else:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(seconds, _MAX_WAIT_SECONDS) if seconds > 0 else None


def network_failure(url: str, exc: httpx.HTTPError) -> FetchError:
    """Say what failed in plain words, never with an address or an errno of the user's network."""
    tls = _tls_cause(exc)
    if tls is not None:
        return _tls_failure(url, tls)
    retryable = True
    if isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout):
        reason = "could not connect to the site"
    elif isinstance(exc, httpx.TimeoutException):
        reason = "the site did not answer in time"
    elif isinstance(exc, httpx.ProtocolError):
        reason, retryable = "the site sent a malformed HTTP reply", False
    else:
        reason = "the connection broke before the site answered"
    return FetchError(url, reason, retryable=retryable, hint=_LATER if retryable else _TRY_ANOTHER)


def _tls_failure(url: str, exc: ssl.SSLError) -> FetchError:
    reason, hint = "the site does not speak TLS properly", _TRY_ANOTHER
    if isinstance(exc, ssl.SSLCertVerificationError):
        reason = _CERTIFICATE_FAULTS.get(exc.verify_code, "the site's certificate is not valid")
        if exc.verify_code in _UNTRUSTED:
            hint = f"{_TRY_ANOTHER}; {_OWN_AUTHORITY}"
    return FetchError(url, f"the secure connection failed: {reason}", hint=hint)


def _tls_cause(exc: BaseException) -> ssl.SSLError | None:
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


def _told(seconds: float) -> str:
    if seconds > _MAX_TOLD_WAIT_SECONDS:
        return f" (it asks to wait more than {_MAX_TOLD_WAIT_SECONDS} seconds)"
    whole = math.ceil(seconds)
    return f" (it asks to wait {whole} second{'' if whole == 1 else 's'})"


def _wall(
    headers: Mapping[str, str], head: bytes, marks: Iterable[tuple[bytes, str]]
) -> str | None:
    """Who built the wall, "" if that is unknown; None if there is no wall."""
    for name, value, wall in _WALL_HEADERS:
        if headers.get(name, "").lower() == value:
            return wall
    head = head.lower()
    return next((wall for mark, wall in marks if mark in head), None)


def _may_be_html(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type in ("", "text/html", "application/xhtml+xml")


def _has_text(markup: bytes) -> bool:
    total = 0
    for text in _texts(markup.lower()):
        total += len(b" ".join(text.split()))
        if total > _MAX_WALL_TEXT_BYTES:
            return True
    return False


def _texts(markup: bytes) -> Iterator[bytes]:
    """What lies outside tags, scripts and styles, in one pass."""
    position = 0
    while (start := markup.find(b"<", position)) >= 0:
        yield markup[position:start]
        closer = b">"
        for raw in (b"script", b"style"):
            if markup.startswith(raw, start + 1):
                closer = b"</" + raw
        end = markup.find(closer, start + 1)
        if end < 0:
            return
        position = end + 1 if closer == b">" else end
    yield markup[position:]
