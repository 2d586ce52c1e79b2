"""The identity of a URL: what two addresses of one page have in common.

Only for comparing; what is shown and visited is always the URL as it was found. A rule that makes
two pages one costs a result, one that is missing shows a page twice: so a rule stands here only
where different pages under the two forms are a curiosity. The risk of each is told beside it.
"""

import re
from functools import lru_cache
from urllib.parse import unquote

from mcp_server.visit.urls import WebUrl, parse_url

MAX_URL_CHARS = 8_192

TRACKING_PREFIXES = ("utm_", "mtm_", "pk_", "hsa_", "__hs", "_hs", "at_campaign", "at_medium")
TRACKING_PARAMETERS = frozenset(
    """
    gclid gclsrc dclid wbraid gbraid gad_source gad_campaignid srsltid _ga _gl
    fbclid fb_action_ids fb_action_types fb_source igshid igsh
    msclkid yclid ysclid _openstat twclid ttclid li_fat_id epik rdt_cid scid sccid
    mc_cid mc_eid mkt_tok vero_id vero_conv oly_anon_id oly_enc_id wickedid rb_clickid s_cid
    ref_src ref_url cmpid ncid guccounter guce_referrer guce_referrer_sig spm
    """.split()
)
"""Parameters that say where a reader came from, never which page is meant. Not among them are
words that some sites use for content: `ref`, `source`, `from`, `id`, `si`, `share`."""

_SHOWN_SCHEME = re.compile(r"(?:https?|corpus)://", re.IGNORECASE)
_CODE = re.compile(r"%[0-9a-fA-F]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_INDEX_PAGE = re.compile(r"/index\.html?$")
_AMP_FILE = re.compile(r"\.amp(\.html?)?$")
_AMP_PARAMETERS = frozenset({"amp=1", "amp=true", "outputType=amp"})
_GOOGLE_AMP = re.compile(r"https?://(?:www\.)?google\.[a-z.]{2,6}/amp/(s/)?")
_AMP_CACHE = re.compile(r"https?://[a-z0-9-]{1,70}\.cdn\.ampproject\.org/[cv]/(s/)?")
_PUBLIC_PAIR = re.compile(r"(?:ac|co|com|edu|gov|net|org)\.[a-z]{2}")
_DEVICE_LABELS = frozenset({"www", "m", "mobile", "amp"})


def is_shown(url: str) -> bool:
    """Whether a hit's URL is of a kind that can be visited: the web, or a local index.

    What else providers send, such as `javascript:` and `data:`, is not shown.
    """
    return _SHOWN_SCHEME.match(url) is not None


@lru_cache(maxsize=1_000)
def canonical_url(url: str) -> str:
    """The identity of a URL: the same text for all addresses of one page.

    Beside the WHATWG normal form, these count for nothing:

    - http or https. Risk: a site that shows something else without TLS.
    - `www.`, `m.`, `mobile.`, `amp.` in front, and `m.` after the first label, as in
      `en.m.wikipedia.org`. Risk: sites where the bare domain is another site; none is known.
    - the fragment, except `#!` and `#/`, which single-page sites use as a path.
    - tracking parameters and the order of the others. Risk: a site that reads the order.
    - `+` or `%20` for a space in the query; the case and need of percent codes.
    - a slash at the end, `index.html` or `index.htm`. Risk: a server that tells them apart, as
      S3 can.
    - AMP: Google's viewer and cache, `.amp.html`, `?amp=1`, and `/amp` after a segment that looks
      like an article (three words, or `.html`): `/products/amp` may be an amplifier.

    `corpus://` URLs, other schemes, URLs with credentials or longer than `MAX_URL_CHARS`, and
    texts that are no URL are their own identity.
    """
    if len(url) > MAX_URL_CHARS or url[:4].lower() != "http":
        return url
    try:
        parsed = parse_url(url)
        unwrapped = _without_amp_viewer(parsed.href)
        if unwrapped != parsed.href:
            parsed = parse_url(unwrapped)
    except ValueError:
        return url
    if parsed.scheme not in ("http", "https") or parsed.has_credentials:
        return url
    return f"https://{_authority(parsed)}{_rest(parsed.href)}"


def _authority(parsed: WebUrl) -> str:
    if parsed.is_address:
        host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    else:
        # Only the dot of the root: behind an empty label, the rest may be a number, so an address.
        is_rooted = parsed.host.endswith(".") and not parsed.host.endswith("..")
        host = _without_device(parsed.host.removesuffix(".") if is_rooted else parsed.host)
    return host if parsed.port is None else f"{host}:{parsed.port}"


def _without_device(host: str) -> str:
    while True:
        first, _, rest = host.partition(".")
        is_whole = "." in rest and not _PUBLIC_PAIR.fullmatch(rest)  # m.co.uk is a site
        if first not in _DEVICE_LABELS or not is_whole:
            break
        host = rest
    first, _, rest = host.partition(".")
    if rest.startswith("m.") and rest.count(".") >= 2:
        return f"{first}.{rest.removeprefix('m.')}"
    return host


def _rest(href: str) -> str:
    """Path, query and fragment of a normalised http(s) URL, as far as they count."""
    before, _, fragment = href.partition("#")
    before, _, query = before.partition("?")
    path = "/" + before.split("/", 3)[3]
    path = _path(_with_plain_codes(path))
    kept = _parameters(query)
    return (
        path.rstrip("/")
        + (f"?{'&'.join(kept)}" if kept else "")
        + (f"#{fragment}" if fragment.startswith(("!", "/")) else "")
    )


def _path(path: str) -> str:
    article = path.rstrip("/").removesuffix("/amp")
    if article != path.rstrip("/") and _looks_like_article(article.rpartition("/")[2]):
        path = article
    return _INDEX_PAGE.sub("", _AMP_FILE.sub(r"\1", path))


def _looks_like_article(segment: str) -> bool:
    return segment.count("-") >= 2 or segment.endswith((".html", ".htm"))


def _parameters(query: str) -> list[str]:
    plain = _with_plain_codes(query.replace("+", "%20"))
    kept = [
        parameter
        for parameter in plain.split("&")
        if parameter and parameter not in _AMP_PARAMETERS and not _is_tracking(parameter)
    ]
    return sorted(kept, key=lambda parameter: parameter.partition("=")[0])  # repeats keep order


def _is_tracking(parameter: str) -> bool:
    name = unquote(parameter.partition("=")[0]).lower()
    return name in TRACKING_PARAMETERS or name.startswith(TRACKING_PREFIXES)


def _with_plain_codes(text: str) -> str:
    """Percent codes in upper case, and only where RFC 3986 needs one (section 6.2.2)."""

    def plain(code: re.Match[str]) -> str:
        char = chr(int(code[0][1:], 16))
        return char if _UNRESERVED.fullmatch(char) else code[0].upper()

    return _CODE.sub(plain, text)


def _without_amp_viewer(href: str) -> str:
    """The page behind Google's AMP viewer or cache; other URLs as they are."""
    viewer = _GOOGLE_AMP.match(href) or _AMP_CACHE.match(href)
    if viewer is None:
        return href
    return f"{'https' if viewer[1] else 'http'}://{href[viewer.end() :]}"
