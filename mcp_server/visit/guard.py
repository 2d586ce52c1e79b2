"""Which addresses a page may be fetched from: pure policy, no network.

The rule is an allow list: global unicast minus the special networks. `ipaddress.is_global` is not
enough, because its tables differ between patch releases of Python. `check_url` and
`check_location` judge what a URL says, `check_address` judges what a name resolved to; a fetch has
to pass both on every hop.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

from mcp_server.errors import BlockedUrl
from mcp_server.visit.urls import WebUrl, parse_url, repair_url

MAX_URL_CHARS = 4_096
"""Of a URL in its normalised ASCII form."""

_MAX_SHOWN_CHARS = 60
_WEB_ONLY = "only public web pages can be visited"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the owner of this server lets it reach."""

    allowed_ports: Collection[int] = frozenset({80, 443, 8080, 8443})
    allow_private: tuple[str | IPv4Network | IPv6Network, ...] = ()
    """Host names, `.example.corp` for all names below one, addresses or CIDR networks that may be
    private. Names in ASCII, in any letter case. Never opens cloud metadata."""

    def allows_host(self, host: str) -> bool:
        """Whether a lower-case host name is listed in `allow_private`, or below a listed one."""
        return any(
            host.endswith(item.lower()) if item.startswith(".") else host == item.lower()
            for item in self.allow_private
            if isinstance(item, str)
        )

    def allows_network_of(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether an address is inside a network of `allow_private`."""
        return any(
            network is not None and address.version == network.version and address in network
            for network in map(_as_network, self.allow_private)
        )


def _as_network(item: str | IPv4Network | IPv6Network) -> IPv4Network | IPv6Network | None:
    if not isinstance(item, str):
        return item
    try:
        return ip_network(item, strict=False)
    except ValueError:
        return None  # a host name


def _networks(*cidrs: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(cidr) for cidr in cidrs)


# Cloud metadata and link-local hand out credentials to whoever asks: never allowed. 168.63.129.16
# (Azure) is in public space and would pass the general rule.
_METADATA = _networks(
    "169.254.0.0/16",
    "168.63.129.16/32",
    "100.100.100.200/32",
    "192.0.0.192/32",
    "fe80::/10",
    "fd00:ec2::/32",
    "fd20:ce::254/128",
    "fd00:c1::a9fe:a9fe/128",
    "fd00:42::42/128",
)
_SPECIAL_V4 = _networks(
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_SPECIAL_V6 = _networks(
    "2001::/23",  # protocol assignments, with Teredo, ORCHID and benchmarking
    "2001:db8::/32",
    "2002::/16",  # 6to4
    "2620:4f:8000::/48",
    "3ffe::/16",
    "3fff::/20",
)
# Ranges which carry another address inside: no setting opens them, since a rule written for the
# outer address would silently cover the inner one.
_TRANSITION_V6 = _networks("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)

_LOCAL_SUFFIXES = (
    "localhost localdomain local internal intranet lan home corp private home.arpa test invalid"
).split()
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def check_url(url: str, policy: Policy) -> httpx.URL:
    """Parse a URL that a model wrote, and refuse what may not be fetched.

    What models add to URLs is taken off by `repair_url`, then the WHATWG rules are applied: host
    in ASCII, numbers as an IPv4 address, path and query escaped. The fragment is dropped. A host
    name that passes still has to be resolved and judged by `check_address`.

    Raises:
        BlockedUrl: there is no URL, or it is malformed, not http(s), too long, carries
            credentials, or names a local host, a private address or a port that is not allowed.
    """
    # Twice: what a fragment ended is then the end of the URL, and may be junk too.
    text = repair_url(repair_url(url).partition("#")[0])
    if not text:
        shown = url.strip()
        shown = shown if len(shown) <= _MAX_SHOWN_CHARS else f"{shown[:_MAX_SHOWN_CHARS]}…"
        reason = f"{shown!r} is not a URL" if shown else "the URL is empty"
        raise BlockedUrl(url, reason, hint="use a URL from the search results")
    if "\\" in text or _CONTROL.search(text):
        raise BlockedUrl(url, "the URL holds a backslash or control characters")
    try:
        parsed = parse_url(text)
    except ValueError:
        raise BlockedUrl(url, "the URL is malformed") from None
    return _judge(url, parsed, policy)


def check_location(location: str, base: httpx.URL, policy: Policy) -> httpx.URL:
    """Resolve a redirect or link against the page it stands on, and refuse what may not be fetched.

    It is read exactly as a browser reads it: nothing is repaired.

    Args:
        location: a `Location` header or `href`, absolute or relative.
        base: the URL of the page, as this module gave it.
        policy: what may be reached.

    Raises:
        BlockedUrl: as for `check_url`.
    """
    try:
        parsed = parse_url(location, str(base))
    except ValueError:
        raise BlockedUrl(location, "the URL is malformed") from None
    return _judge(location, parsed, policy)


def check_address(
    address: str | IPv4Address | IPv6Address, policy: Policy, *, host: str = ""
) -> None:
    """Refuse an address that a host resolved to, or that a socket is connected to.

    Args:
        address: literal as the resolver gave it, or parsed.
        policy: what may be private.
        host: the name that was resolved; private addresses pass if the policy lists it.

    Raises:
        BlockedUrl: the address is not public. The text never names the address.
    """
    try:
        parsed = _unmap(ip_address(address))
    except ValueError:
        raise BlockedUrl(host, "the host has an address that cannot be read") from None
    if any(parsed in network for network in _METADATA if network.version == parsed.version):
        raise BlockedUrl(host, "the host is a cloud metadata or link-local address")
    if _is_public(parsed):
        return
    if not _is_transition(parsed) and (
        policy.allows_host(host.lower().rstrip(".")) or policy.allows_network_of(parsed)
    ):
        return
    raise BlockedUrl(host, "the host is not on the public internet", hint=_WEB_ONLY)


def _unmap(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside a mapped or NAT64 one: that is what the packets reach."""
    if isinstance(address, IPv4Address) or address.scope_id is not None:
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _is_transition(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return False
    if address == IPv6Address("::1") or address == IPv6Address("::"):
        return False
    return (
        address.scope_id is not None
        or (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP
        or any(address in network for network in _TRANSITION_V6)
    )


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_V4)
    return (
        address in _GLOBAL_V6
        and not any(address in network for network in _SPECIAL_V6)
        and not _is_transition(address)
    )


def _judge(url: str, parsed: WebUrl, policy: Policy) -> httpx.URL:
    if parsed.scheme not in ("http", "https"):
        raise BlockedUrl(url, f"the scheme {parsed.scheme!r} is not http or https", hint=_WEB_ONLY)
    if len(parsed.href) > MAX_URL_CHARS:
        raise BlockedUrl(url, f"the URL is longer than {MAX_URL_CHARS:,} characters")
    if parsed.has_credentials:
        raise BlockedUrl(url, "the URL carries a user name or password")
    port = parsed.port
    if port is None:
        port = 443 if parsed.scheme == "https" else 80
    if port == 0 or port not in policy.allowed_ports:
        raise BlockedUrl(url, f"port {port} is not allowed", hint=_WEB_ONLY)
    if parsed.is_address:
        _check_literal(url, parsed.host, policy)
    else:
        _check_name(url, parsed.host, policy)
    return _as_dialled(url, parsed)


def _as_dialled(url: str, parsed: WebUrl) -> httpx.URL:
    """The URL for the HTTP client: it reads the host that was judged, or nothing is fetched."""
    target = _url_for_client(parsed.href)
    try:
        _ = target.host  # httpx decodes it for each request, by stricter rules: no emoji
    except UnicodeError:
        raise BlockedUrl(url, "the URL has no valid host name") from None
    if target.raw_host.decode("ascii") != parsed.host or target.port != parsed.port:
        raise BlockedUrl(url, "the URL is malformed")
    return target


@lru_cache(maxsize=128)
def _url_for_client(href: str) -> httpx.URL:
    """Of the URLs that were judged last: a visit judges the same one several times."""
    return httpx.URL(href.partition("#")[0])


def _check_name(url: str, host: str, policy: Policy) -> None:
    name = host.removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BlockedUrl(url, "the URL has no valid host name")
    if policy.allows_host(name):
        return
    if len(labels) == 1 or any(
        name == suffix or name.endswith(f".{suffix}") for suffix in _LOCAL_SUFFIXES
    ):
        raise BlockedUrl(url, f"{name!r} is a local host name", hint=_WEB_ONLY)


def _check_literal(url: str, host: str, policy: Policy) -> None:
    try:
        check_address(host, policy, host=host)
    except BlockedUrl as exc:
        raise BlockedUrl(url, exc.reason, hint=exc.hint) from None
