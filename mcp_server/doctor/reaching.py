"""Read a page of the web, and say what stands between where that fails."""

import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

import anyio
import httpx

from mcp_server.doctor.findings import Finding
from mcp_server.errors import BlockedUrl, FetchError
from mcp_server.visit.fetching.dial import Dialler
from mcp_server.visit.fetching.fetch import FetchLimits, fetch
from mcp_server.visit.fetching.resolver import Resolver
from mcp_server.visit.guard import Policy, check_address, check_url

URL = "https://example.com/"
FETCH_SECONDS = 15.0
CHECK_SECONDS = FETCH_SECONDS + 7.0
SKEW_SECONDS = 120.0
"""A clock that is wrong by more than this is told."""

_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_AUTHORITIES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
_LIMITS = FetchLimits(
    deadline_seconds=FETCH_SECONDS, max_wire_bytes=5_000_000, max_body_bytes=5_000_000
)
_UNTRUSTED = frozenset({18, 19, 20, 21})  # X509_V_ERR_: self-signed, or of an unknown authority
_OUT_OF_DATE = frozenset({9, 10})  # not valid yet, expired
_FAKE_NAMES = "198.18."
"""Where VPNs that answer for all names put their addresses (RFC 2544's range)."""
_PROXY_ONLY = "where only a proxy leads out: --proxy http://HOST:PORT"
_RESOLVER_FILE = Path("/etc/resolv.conf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How pages are reached."""

    http: httpx.AsyncClient
    """From `build_page_client`."""
    policy: Policy
    environment: Mapping[str, str]
    has_proxy: bool = False
    """Whether the settings name one."""
    has_authorities: bool = False
    """Whether the settings name a file of certificate authorities."""
    resolver: Resolver | None = None
    """Replaces the system's."""

    def unused(self, names: Sequence[str]) -> str:
        """The variable of these that is set here, in capitals or not; "" where none is."""
        both = (form for name in names for form in (name, name.lower()))
        return next((name for name in both if self.environment.get(name)), "")


def surroundings(way: Way) -> list[Finding]:
    """What the environment says about the network, and is not used for pages."""
    findings: list[Finding] = []
    if not way.has_proxy and (name := way.unused(_PROXIES)):
        told = f"{name} is set, but pages are read without it"
        findings.append(Finding("proxy", "note", told, _proxy_advice(name)))
    if not way.has_authorities and (name := way.unused(_AUTHORITIES)):
        told = f"{name} is set, but only the usual authorities are trusted"
        findings.append(Finding("authorities", "note", told, _authority_advice(name)))
    return findings


async def reach(way: Way, url: str = URL) -> list[Finding]:
    """Resolve the name and read the page through the guard.

    Args:
        way: how.
        url: a page that is public and known to be there.
    """
    target = check_url(url, way.policy)
    findings: list[Finding] = []
    if not way.has_proxy:  # else the proxy resolves
        findings.append(await _resolved(target, way))
        if findings[0].outcome == "problem":
            return findings
    started = anyio.current_time()
    asked = time.time()
    try:
        page = await fetch(url, http=way.http, policy=way.policy, limits=_LIMITS)
    except (FetchError, BlockedUrl) as exc:
        told = f"{target.host}: {exc}"
        passed = anyio.current_time() - started
        return [*findings, Finding("page", "problem", told, _advice(exc, way), passed)]
    passed = anyio.current_time() - started
    told = f"{url}: HTTP {page.status}, {len(page.body):,} bytes"
    final = httpx.URL(page.final_url).host
    if final != target.host:
        advice = "log in to this network in a browser first, if it asks for that"
        told += f", but from {final}"
        return [*findings, Finding("page", "note", told, advice, passed)]
    findings.append(Finding("page", "ok", told, seconds=passed))
    return [*findings, *clock(page.headers.get("date", ""), asked)]


async def _resolved(target: httpx.URL, way: Way) -> Finding:
    host = target.host
    started = anyio.current_time()
    try:
        addresses = await Dialler(way.resolver).resolve(host, target.port or 443)
    except FetchError as exc:
        told = f"{host}: {exc}{_name_servers()}"
        name = way.unused(_PROXIES)
        advice = _proxy_advice(name) if name else f"is this machine online? {_PROXY_ONLY}"
        return Finding("DNS", "problem", told, advice, anyio.current_time() - started)
    passed = anyio.current_time() - started
    told = f"{host} is {', '.join(addresses[:2])}"
    try:
        for address in addresses:
            check_address(address, way.policy, host=host)
    except BlockedUrl:
        told += ", which is no public address: a VPN, a filter or a login page answers for all"
        advice = "turn that off for this program, or reach pages by its --proxy"
        if all(address.startswith(_FAKE_NAMES) for address in addresses):
            advice += ", or let it: --allow-private 198.18.0.0/15"
        return Finding("DNS", "problem", told + _name_servers(), advice, passed)
    return Finding("DNS", "ok", told + _name_servers(), seconds=passed)


def clock(date: str, now: float) -> list[Finding]:
    """Compare our clock with the `Date` header of an answer.

    Args:
        date: as the site wrote it; nonsense is passed over.
        now: seconds since the epoch when it was asked.
    """
    try:
        behind = parsedate_to_datetime(date).timestamp() - now
    except (ValueError, OverflowError):
        return []
    if abs(behind) <= SKEW_SECONDS:
        return []
    told = f"this machine's clock is {abs(behind) / 60:,.0f} minutes"
    told += " behind" if behind > 0 else " ahead"
    return [Finding("clock", "note", told, "set it: certificates and tokens depend on it")]


def _advice(exc: FetchError | BlockedUrl, way: Way) -> str:
    code = _verify_code(exc)
    if code in _UNTRUSTED:
        name = way.unused(_AUTHORITIES)
        named = _authority_advice(name) if name else "--ca-file FILE.pem"
        return f"a proxy between signs for the site? name its certificate authority: {named}"
    if code in _OUT_OF_DATE:
        return f"is this machine's clock right? it says {time.strftime('%Y-%m-%d %H:%M %Z')}"
    if way.has_proxy:
        return "check the setting proxy"
    name = way.unused(_PROXIES)
    if name:
        return _proxy_advice(name)
    return f"does a firewall stand between? {_PROXY_ONLY}"


def _verify_code(exc: BaseException) -> int:
    """OpenSSL's code for what is wrong with the certificate, or 0 for all other faults."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_code
        cause = cause.__cause__ or cause.__context__
    return 0


def _proxy_advice(variable: str) -> str:
    return f'--proxy "${variable}", or SEEKLING_MCP_PROXY in the host\'s env'


def _authority_advice(variable: str) -> str:
    return f'--ca-file "${variable}", or ca_file in the settings'


def _name_servers() -> str:
    """The system's name servers in brackets, where a file names them."""
    try:
        text = _RESOLVER_FILE.read_text(encoding="utf-8", errors="replace")[:10_000]
    except OSError:
        return ""
    lines = (line.split() for line in text.splitlines())
    servers = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
    return f" (name server {', '.join(servers[:3])})" if servers else ""
