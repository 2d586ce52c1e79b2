"""The policy for URLs and addresses."""

import csv
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcp_server.errors import BlockedUrl
from mcp_server.visit.guard import Policy, check_address, check_url

POLICY = Policy()
SHARED_URLS = Path(__file__).parents[3] / "shared/data/nasty/ssrf_urls.tsv"

PRIVATE_ADDRESSES = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254
169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1
198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
168.63.129.16 100.100.100.200 192.0.0.192
:: ::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 ::ffff:0:127.0.0.1
64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:0:53aa:64c:0:fbff:5601:302
2001:db8::1 2002:7f00:1::1 2002:808:808::1 3fff::1 fc00::1 fd00:ec2::254 fd12:3456::1 fe80::1
fe80::1%eth0 fec0::1 ff02::1 2606:4700::5efe:7f00:1 2606:4700::200:5efe:a00:1
2606:4700::1111%eth0 fd20:ce::254
""".split()
PUBLIC_ADDRESSES = """
1.1.1.1 8.8.8.8 93.184.216.34 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.169.0.1
2606:4700:4700::1111 2a00:1450:4001::200e ::ffff:8.8.8.8 64:ff9b::808:808
""".split()

BAD_URLS = {
    "loopback": "http://127.0.0.1/",
    "decimal": "http://2130706433/",
    "hexadecimal": "http://0x7f000001/",
    "hexadecimal part": "http://0x7f.1/",
    "octal": "http://0177.0.0.1/",
    "short": "http://127.1/",
    "zero": "http://0/",
    "trailing dot": "http://127.0.0.1./",
    "full-width digits": "http://１２７.0.0.1/",
    "ideographic dots": "http://127。0。0。1/",
    "circled digits": "http://①②⑦.⓪.⓪.①/",
    "five numbers": "http://1.2.3.4.5/",
    "number as last label": "http://example.1/",
    "too large": "http://256.1.1.1/",
    "IPv6 loopback": "http://[::1]/",
    "IPv4 in IPv6": "http://[::ffff:127.0.0.1]/",
    "zone": "http://[fe80::1%25eth0]/",
    "localhost": "http://localhost/",
    "upper case": "http://LOCALHOST/",
    "dotted localhost": "http://localhost./",
    "below localhost": "http://a.localhost/",
    "single label": "http://metadata/",
    "metadata name": "http://metadata.google.internal/",
    "mDNS": "http://printer.local/",
    "home": "http://router.home.arpa/",
    "user": "http://example.com@127.0.0.1/",
    "user and password": "http://u:p@example.com/",
    "empty user": "http://@example.com/",
    "backslash": "http://example.com\\@127.0.0.1/",
    "new line": "http://example.com/\r\nHost: x",
    "space": "http://example.com/a b",
    "NUL": "http://example.com/\x00",
    "escaped NUL in the host": "http://exa%00mple.com/",
    "bidi": "http://example.com/\u202egnp.exe",
    "zero width": "http://exam\u200bple.com/",
    "lone surrogate": "http://example.com/\ud800",
    "file": "file:///etc/passwd",
    "ftp": "ftp://example.com/",
    "gopher": "gopher://example.com/_x",
    "data": "data:text/html,x",
    "javascript": "javascript:alert(1)",
    "websocket": "ws://example.com/",
    "port 0": "http://example.com:0/",
    "ssh": "http://example.com:22/",
    "redis": "http://example.com:6379/",
    "huge port": "http://example.com:99999/",
    "no host": "http:///x",
    "no slashes": "http:example.com",
    "relative": "/etc/passwd",
    "empty": "",
    "only quotes": '""',
    "too long": "http://example.com/" + "a" * 4_096,
    "empty label": "http://example..com/",
    "leading hyphen": "http://-example.com/",
    "open bracket": "http://[::1/",
}


@pytest.mark.parametrize("address", PRIVATE_ADDRESSES)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(BlockedUrl) as caught:
        check_address(address, POLICY, host="name.example.com")
    assert address not in str(caught.value)


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_a_public_address_passes(address: str) -> None:
    check_address(address, POLICY)


@pytest.mark.parametrize("url", BAD_URLS.values(), ids=BAD_URLS.keys())
def test_a_bad_url_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(BlockedUrl) as caught:
        check_url(url, POLICY)
    assert "\n" not in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://example.com/a?b=c", "https://example.com/a?b=c"),
        ("https://example.com/a#part", "https://example.com/a"),
        ("example.com/page", "https://example.com/page"),
        ("example.com:8443/page", "https://example.com:8443/page"),
        ("//example.com/page", "https://example.com/page"),
        ("  <https://example.com/>\n", "https://example.com/"),
        ('"https://example.com/"', "https://example.com/"),
        ("`https://example.com/`", "https://example.com/"),
        ("HTTP://EXAMPLE.COM/A", "http://example.com/A"),
        ("https://münchen.de/ü", "https://xn--mnchen-3ya.de/%C3%BC"),
        ("http://8.8.8.8/", "http://8.8.8.8/"),
        ("http://[2606:4700:4700::1111]:8080/", "http://[2606:4700:4700::1111]:8080/"),
        ("https://example.com./", "https://example.com./"),
        ("https://de.wikipedia.org/wiki/A_(B)", "https://de.wikipedia.org/wiki/A_(B)"),
        ("https://a_b.example.com/", "https://a_b.example.com/"),
        (
            "https://example.com/?next=http://user@host/",
            "https://example.com/?next=http://user@host/",
        ),
    ],
)
def test_a_public_url_passes_as_it_was_meant(written: str, meant: str) -> None:
    assert str(check_url(written, POLICY)) == meant


def test_a_listed_private_network_passes_and_its_neighbours_do_not() -> None:
    policy = Policy(allow_private=("10.1.0.0/16", "::1/128"))
    check_address("10.1.2.3", policy)
    check_address("::ffff:10.1.2.3", policy)
    check_address("::1", policy)
    check_url("http://10.1.2.3/", policy)
    for address in ("10.2.0.1", "127.0.0.1", "fd00::1"):
        with pytest.raises(BlockedUrl):
            check_address(address, policy)


def test_a_listed_host_name_may_be_private_and_other_names_may_not() -> None:
    policy = Policy(allow_private=("Wiki.internal", "nas"))
    check_url("http://wiki.internal/", policy)
    check_url("http://nas/", policy)
    check_address("192.168.1.5", policy, host="nas")
    with pytest.raises(BlockedUrl):
        check_url("http://other.internal/", policy)
    with pytest.raises(BlockedUrl):
        check_address("192.168.1.5", policy, host="other.example.com")


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "100.100.100.200", "fd00:ec2::254", "::ffff:169.254.169.254"]
)
def test_metadata_is_refused_whatever_is_allowed(address: str) -> None:
    policy = Policy(allow_private=("0.0.0.0/0", "::/0", "metadata.google.internal"))
    with pytest.raises(BlockedUrl):
        check_address(address, policy, host="metadata.google.internal")


@pytest.mark.parametrize("address", ["2002:a00:1::1", "fe80::1%1", "64:ff9b:1::a00:1"])
def test_transition_addresses_are_refused_whatever_is_allowed(address: str) -> None:
    with pytest.raises(BlockedUrl):
        check_address(address, Policy(allow_private=("::/0",)))


def test_only_the_listed_ports_pass() -> None:
    policy = Policy(allowed_ports=frozenset({3000}))
    check_url("http://example.com:3000/", policy)
    with pytest.raises(BlockedUrl, match="port 443"):
        check_url("https://example.com/", policy)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_what_passes_is_never_private(address: IPv4Address | IPv6Address) -> None:
    try:
        check_address(address, POLICY)
    except BlockedUrl:
        return
    if isinstance(address, IPv6Address) and address not in IPv6Network("2000::/3"):
        address = IPv4Address(int(address) & 0xFFFF_FFFF)  # mapped or NAT64: what is inside counts
    assert not (address.is_private or address.is_multicast or address.is_loopback)
    assert not (address.is_reserved or address.is_unspecified or address.is_link_local)


@given(st.from_regex(r"(0x)?[0-9a-f]{1,10}(\.(0x)?[0-9a-f]{1,4}){0,3}", fullmatch=True))
@example("0x7f.1")
@example("017700000001")
def test_no_host_that_libc_reads_as_an_address_passes_as_a_name(host: str) -> None:
    try:
        passed = check_url(f"http://{host}/", POLICY).host
    except BlockedUrl:
        return
    try:
        socket.inet_aton(host)
    except OSError:
        return
    assert ip_address(passed)


@given(st.text(max_size=60))
def test_any_text_is_refused_or_becomes_a_web_url(text: str) -> None:
    try:
        url = check_url(text, POLICY)
    except BlockedUrl:
        return
    assert isinstance(url, httpx.URL)
    assert url.scheme in ("http", "https")
    assert not url.userinfo


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED_URLS.exists(), reason="the shared test data is absent")
def test_no_url_of_the_published_bypass_lists_passes() -> None:
    with SHARED_URLS.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    refused = {"block-ip", "block-localhost", "block-scheme", "public-ip", "unparsable"}
    passed: list[str] = []
    for row in rows:
        if row["label"] in refused:
            try:
                check_url(row["url"], POLICY)
            except BlockedUrl:
                continue
            passed.append(row["url"])
    assert rows
    assert passed == []
