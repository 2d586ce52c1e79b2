"""The policy for URLs and addresses."""

import csv
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcp_server.errors import BlockedUrl
from mcp_server.visit.guard import Policy, check_address, check_location, check_url
from mcp_server.visit.urls import parse_url

POLICY = Policy()

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
    "octal in hexadecimal": "http://0177.0x0.0x0.0x1/",
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
    "soft hyphen localhost": "http://local\u00adhost/",
    "full-width localhost": "http://ｌｏｃａｌｈｏｓｔ/",
    "circled localhost": "http://ⓛocalhost/",
    "single label": "http://metadata/",
    "intranet": "http://wiki.intranet/",
    "corporate": "http://jira.corp/",
    "metadata name": "http://metadata.google.internal/",
    "mDNS": "http://printer.local/",
    "home": "http://router.home.arpa/",
    "user": "http://example.com@127.0.0.1/",
    "user and password": "http://u:p@example.com/",
    "backslash": "http://example.com\\@127.0.0.1/",
    "two backslashes": "http://example.com\\\\@127.0.0.1/",
    "backslashes for slashes": "http:\\\\127.0.0.1/",
    "zero width in an address": "http://127.0.0\u200b.1/",
    "bidi in a local name": "http://local\u202ehost/",
    "escaped dot": "http://127%2e0%2e0%2e1/",
    "escaped digits": "http://%31%32%37.0.0.1/",
    "defanged": "hxxp://127[.]0[.]0[.]1/",
    "no slashes and private": "http:127.0.0.1",
    "many slashes": "http:////127.0.0.1/",
    "doubled scheme": "http://http://127.0.0.1/",
    "private in running text": "the page http://127.0.0.1/ please",
    "private in Markdown": "[example.com](http://127.0.0.1/)",
    "line break in the address": "http://127.0.\n0.1/",
    "NUL": "http://example.com/\x00",
    "terminal escape": "http://example.com/\x1b[2J",
    "escaped NUL in the host": "http://exa%00mple.com/",
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
    "relative": "/etc/passwd",
    "words": "the page about Marie Curie",
    "one word": "metadata",
    "number": "2130706433",
    "e-mail address": "user@example.com",
    "empty": "",
    "only quotes": '""',
    "too long": "http://example.com/" + "a" * 4_096,
    "empty label": "http://example..com/",
    "leading hyphen": "http://-example.com/",
    "open bracket": "http://[::1/",
    "emoji that the HTTP client cannot read": "https://i❤.ws/",
    "punycode of an emoji": "https://xn--i-7iq.ws/",
    "broken punycode": "https://xn--a.example.com/",
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
        ("example.com:8443/page", "https://example.com:8443/page"),
        ("HTTP://EXAMPLE.COM:80/A", "http://example.com/A"),
        ("https://example.com/a/../b/./c", "https://example.com/b/c"),
        ("https://münchen.de/ü", "https://xn--mnchen-3ya.de/%C3%BC"),
        ("http://8.8.8.8/", "http://8.8.8.8/"),
        ("http://0x8.0x8.0x8.0x8/", "http://8.8.8.8/"),
        ("http://[2606:4700:4700::1111]:8080/", "http://[2606:4700:4700::1111]:8080/"),
        ("https://example.com./", "https://example.com./"),
        ("https://a_b.example.com/", "https://a_b.example.com/"),
        ("http://@example.com/", "http://example.com/"),
        ("http:\\/\\/example.com\\/@127.0.0.1\\/", "http://example.com/@127.0.0.1/"),
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


def test_a_listed_domain_opens_the_names_below_it_and_no_others() -> None:
    policy = Policy(allow_private=(".Corp.example",))
    check_url("http://wiki.corp.example/", policy)
    check_address("10.0.0.1", policy, host="a.b.corp.example")
    for host in ("corp.example", "evilcorp.example", "corp.example.org"):
        with pytest.raises(BlockedUrl):
            check_address("10.0.0.1", policy, host=host)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://0xa9fea9fe/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fd00:ec2::254]/",
    ],
)
def test_a_metadata_url_is_refused_whatever_is_allowed(url: str) -> None:
    with pytest.raises(BlockedUrl, match="metadata"):
        check_url(url, Policy(allow_private=("0.0.0.0/0", "::/0", "169.254.169.254")))


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
        packed = socket.inet_aton(host)
    except OSError:
        return
    assert ip_address(passed) == IPv4Address(packed)


AUTHORITY_PARTS = [
    *"example.com 127.0.0.1 localhost a xn-- 0x7f 8080 ::1 . @ : / \\ # ? [ ] %2e %00 %40".split(),
    *"。ａ\u200b \t",
]
AUTHORITY_TRICKS = st.lists(st.sampled_from(AUTHORITY_PARTS), max_size=12).map("".join)


@given(
    st.one_of(
        st.text(max_size=60),
        AUTHORITY_TRICKS.map("http://".__add__),
        AUTHORITY_TRICKS.map("http://example.org".__add__),
        st.from_regex(r"https://xn--[a-z0-9-]{1,12}\.org", fullmatch=True),
        st.text(min_size=1, max_size=6).map("https://{}.org/".format),
    )
)
@example("http://example.com\\/@127.0.0.1/")
@example("http://example.com:8080#@127.0.0.1/")
@example("HTTP:0.A?.#")
@example("HTTP:0.A,#")
@example("HTTP:0.A]#")
def test_any_text_is_refused_or_becomes_a_url_whose_host_every_parser_reads_alike(
    text: str,
) -> None:
    try:
        url = check_url(text, POLICY)
    except BlockedUrl:
        return
    assert url.scheme in ("http", "https")
    assert not url.userinfo
    host = url.raw_host.decode("ascii")
    assert host == parse_url(str(url)).host
    assert host == urlsplit(str(url)).hostname
    assert check_url(str(url), POLICY) == url
    httpx.Request("GET", url)


@pytest.mark.parametrize(
    ("location", "meant"),
    [
        ("/next", "https://example.com/next"),
        ("next?a=b#c", "https://example.com/dir/next?a=b"),
        ("//example.org/x", "https://example.org/x"),
        ("\\\\example.org\\x", "https://example.org/x"),
        ("/Marie Curie.", "https://example.com/Marie%20Curie."),
        ("?q=%22a%22)", "https://example.com/dir/page?q=%22a%22)"),
        ("HTTPS://EXAMPLE.ORG:443", "https://example.org/"),
    ],
)
def test_a_redirect_is_read_as_browsers_read_it(location: str, meant: str) -> None:
    base = check_url("https://example.com/dir/page", POLICY)
    assert str(check_location(location, base, POLICY)) == meant


@pytest.mark.parametrize(
    "location",
    [
        "//127.0.0.1/",
        "\\\\127.0.0.1/",
        "http://2130706433/",
        "//localhost/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "//u:p@example.com/",
        "//example.com:22/",
        "https://[::1",
        "\ud800//",
    ],
)
def test_a_redirect_is_judged_like_a_url(location: str) -> None:
    base = check_url("https://example.com/dir/page", POLICY)
    with pytest.raises(BlockedUrl):
        check_location(location, base, POLICY)


def test_text_without_a_url_is_explained() -> None:
    with pytest.raises(BlockedUrl) as caught:
        check_url("Marie Curie's\nbiography " + "x" * 200, POLICY)
    assert "is not a URL" in str(caught.value)
    assert len(str(caught.value)) < 120
    assert "search results" in caught.value.hint


@pytest.mark.shared_data
def test_no_url_of_the_published_bypass_lists_passes(shared_data: Path) -> None:
    path = shared_data / "nasty" / "ssrf_urls.tsv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    refused = {"block-ip", "block-localhost", "block-scheme", "public-ip", "unparsable"}
    bypasses = [row["url"] for row in rows if row["label"] in refused]
    everything = Policy(allowed_ports=frozenset(range(1, 65_536)))
    assert len(bypasses) > 80
    assert [url for url in bypasses if passes(url, everything)] == []


@pytest.mark.shared_data
def test_ordinary_urls_of_the_published_bypass_lists_pass(shared_data: Path) -> None:
    path = shared_data / "nasty" / "ssrf_urls.tsv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    names = [row["url"] for row in rows if row["label"] == "dns-name" and "." in row["whatwg_host"]]
    refused = [url for url in names if not passes(url, POLICY)]
    assert all(".internal/" in url or ":1080" in url or "\\" in url for url in refused)


def passes(url: str, policy: Policy) -> bool:
    try:
        check_url(url, policy)
    except BlockedUrl:
        return False
    return True
