"""The page client: what it sends, whom it trusts, and the owner's proxy."""

import ssl
from pathlib import Path

import anyio
import httpx
import pytest

from mcp_server.errors import BlockedUrl, ConfigError, FetchError
from mcp_server.visit.fetching.dial import Dialler
from mcp_server.visit.fetching.fetch import FetchLimits, fetch
from mcp_server.visit.fetching.proxy import ProxyDial, parse_proxy
from mcp_server.visit.fetching.resolver import Resolver
from mcp_server.visit.fetching.transport import build_page_backend, build_page_client
from mcp_server.visit.guard import Policy
from mcp_server.visit.types import Resource
from tests.support.certificates import Authority
from tests.support.fake_proxy import FakeProxy, serve_proxy
from tests.support.fake_web import FakeWeb, Script, accept, hang_up, raw, redirect, reply, serve

AGENT = "seekling-test/0 (+https://example.com)"
LIMITS = FetchLimits(deadline_seconds=5)
SITE = "site.example.com"


def answers(*addresses: str) -> Resolver:
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


def loopback(port: int, *hosts: str) -> Policy:
    return Policy(allowed_ports=frozenset({port}), allow_private=("127.0.0.1/32", *hosts))


async def visit_over_tls(web: FakeWeb, host: str, ca_file: Path | None = None) -> Resource:
    policy = loopback(web.port)
    async with build_page_client(
        policy, user_agent=AGENT, resolver=answers("127.0.0.1"), ca_file=ca_file
    ) as http:
        return await fetch(f"https://{host}:{web.port}/", http=http, policy=policy, limits=LIMITS)


async def visit_through(
    proxy: FakeProxy | str,
    url: str,
    *,
    ca_file: Path | None = None,
    login: str = "",
    scheme: str = "http",
) -> Resource:
    """Fetch with a policy that allows no private place, hence nothing but the proxy itself."""
    at = f"{login}@" if login else ""
    address = proxy if isinstance(proxy, str) else f"{scheme}://{at}localhost:{proxy.port}"
    policy = Policy()
    async with build_page_client(
        policy, user_agent=AGENT, resolver=answers("127.0.0.1"), proxy=address, ca_file=ca_file
    ) as http:
        return await fetch(url, http=http, policy=policy, limits=LIMITS)


async def test_the_client_is_honest_and_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    cookie = reply("hello", headers={"Set-Cookie": "id=1; Path=/"})
    with anyio.fail_after(5):
        async with serve({"/": cookie}) as web:
            policy = loopback(web.port)
            async with build_page_client(policy, user_agent=AGENT) as http:
                first = await http.get(web.url("/"))
                await http.get(web.url("/"))
    assert first.text == "hello"
    assert len(web.requests) == 2
    second = web.requests[1].lower()
    assert f"user-agent: {AGENT}" in second
    assert "accept-encoding: gzip, deflate, br, zstd\r\n" in second
    assert "cookie" not in second


async def test_a_name_that_does_not_resolve_is_a_plain_fetch_error() -> None:
    async with build_page_client(Policy(), user_agent=AGENT, resolver=answers()) as http:
        with pytest.raises(FetchError, match="the host name does not resolve") as caught:
            await http.get("http://nowhere.example.com/")
    assert caught.value.url == "http://nowhere.example.com/"


async def test_a_refusal_by_the_guard_is_a_blocked_url() -> None:
    resolver = answers("192.168.0.1")
    async with build_page_client(Policy(), user_agent=AGENT, resolver=resolver) as http:
        with pytest.raises(BlockedUrl) as caught:
            await http.get("http://intern.example.com/x")
    assert caught.value.url == "http://intern.example.com/x"
    assert "192.168" not in str(caught.value)


async def test_a_listed_name_reaches_its_private_server() -> None:
    with anyio.fail_after(5):
        async with serve({"/": reply("hello")}) as web:
            policy = Policy(allowed_ports=frozenset({web.port}), allow_private=("wiki.internal",))
            resolver = answers("127.0.0.1")
            async with build_page_client(policy, user_agent=AGENT, resolver=resolver) as http:
                response = await http.get(web.url("/", host="wiki.internal"))
    assert response.text == "hello"
    assert f"host: wiki.internal:{web.port}" in web.requests[0].lower()


@pytest.mark.parametrize(
    ("script", "error"),
    [(raw(b"nonsense\r\n\r\n"), httpx.RemoteProtocolError), (hang_up, httpx.ReadError)],
    ids=["malformed", "hung up"],
)
async def test_failures_of_the_network_are_httpx_errors(
    script: Script, error: type[Exception]
) -> None:
    with anyio.fail_after(5):
        async with serve({"/": script}) as web:
            policy = loopback(web.port)
            async with build_page_client(policy, user_agent=AGENT) as http:
                with pytest.raises(error):
                    await http.get(web.url("/"))


async def test_a_named_authority_is_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with anyio.fail_after(5):
        async with serve({"/": reply("hello")}, ssl_context=authority.server_context(SITE)) as web:
            assert (await visit_over_tls(web, SITE, authority.file)).body == b"hello"


async def test_an_authority_in_the_environment_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with anyio.fail_after(5):
        async with serve({}, ssl_context=authority.server_context(SITE)) as web:
            with pytest.raises(FetchError, match="an authority that is not trusted") as caught:
                await visit_over_tls(web, SITE)
    assert "ca_file" in caught.value.hint


@pytest.mark.parametrize(
    ("days_left", "is_self_signed", "host", "told"),
    [
        (-1, False, SITE, "the site's certificate has expired"),
        (2, True, SITE, "the site's certificate is self-signed"),
        (2, False, "other.example.com", "the site's certificate is for another host name"),
    ],
)
async def test_a_bad_certificate_is_named(
    days_left: int, is_self_signed: bool, host: str, told: str, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    context = authority.server_context(SITE, days_left=days_left, is_self_signed=is_self_signed)
    with anyio.fail_after(5):
        async with serve({"/": reply("hello")}, ssl_context=context) as web:
            with pytest.raises(FetchError, match=told) as caught:
                await visit_over_tls(web, host, authority.file)
    assert not caught.value.retryable
    assert web.requests == []


async def test_two_names_on_one_address_share_no_connection(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with anyio.fail_after(5):
        async with serve({"/": reply("hello")}, ssl_context=authority.server_context(SITE)) as web:
            policy = loopback(web.port)
            resolver = answers("127.0.0.1")
            async with build_page_client(
                policy, user_agent=AGENT, resolver=resolver, ca_file=authority.file
            ) as http:
                assert (await http.get(f"https://{SITE}:{web.port}/")).text == "hello"
                with pytest.raises(httpx.ConnectError):
                    await http.get(f"https://other.example.com:{web.port}/")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_of_authorities_that_cannot_be_read_is_a_config_error(
    content: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"authorities\.pem"):
        build_page_client(Policy(), user_agent=AGENT, ca_file=file)


async def test_http_pages_reach_the_proxy_in_absolute_form() -> None:
    with anyio.fail_after(5):
        async with (
            serve({"/a": redirect("/b?c=1"), "/b": reply("hello")}) as web,
            serve_proxy({SITE: web.port}) as proxy,
        ):
            resource = await visit_through(proxy, f"http://{SITE}/a")
    assert resource.body == b"hello"
    assert proxy.targets == [f"http://{SITE}/a", f"http://{SITE}/b?c=1"]
    assert "proxy-authorization" not in "".join(proxy.requests).lower()


async def test_https_pages_are_tunnelled_and_verified_end_to_end(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with anyio.fail_after(5):
        async with (
            serve({"/": reply("hello")}, ssl_context=authority.server_context(SITE)) as web,
            serve_proxy({SITE: web.port, "other.example.com": web.port}) as proxy,
        ):
            resource = await visit_through(proxy, f"https://{SITE}/", ca_file=authority.file)
            with pytest.raises(FetchError, match="for another host name"):
                await visit_through(proxy, "https://other.example.com/", ca_file=authority.file)
    assert resource.body == b"hello"
    assert proxy.targets == [f"{SITE}:443", "other.example.com:443"]


async def test_a_proxy_can_itself_be_reached_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with anyio.fail_after(5):
        async with (
            serve({"/": reply("plain")}) as web,
            serve({"/": reply("tls")}, ssl_context=authority.server_context(SITE)) as secure_web,
            serve_proxy(
                {"plain.example.com": web.port, SITE: secure_web.port},
                ssl_context=authority.server_context("localhost"),
            ) as proxy,
        ):
            for url, body in (
                ("http://plain.example.com/", b"plain"),
                (f"https://{SITE}/", b"tls"),
            ):
                resource = await visit_through(proxy, url, scheme="https", ca_file=authority.file)
                assert resource.body == body


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize("login", ["", "user:secret"])
async def test_a_socks_proxy_resolves_the_names(login: str, scheme: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with anyio.fail_after(5):
        async with (
            serve({"/": reply("plain")}) as web,
            serve({"/": reply("tls")}, ssl_context=authority.server_context(SITE)) as secure_web,
            serve_proxy({"a.example.com": web.port, SITE: secure_web.port}, login=login) as proxy,
        ):
            for url, body in (("http://a.example.com/", b"plain"), (f"https://{SITE}/", b"tls")):
                resource = await visit_through(
                    proxy, url, scheme=scheme, login=login, ca_file=authority.file
                )
                assert resource.body == body
    assert proxy.requests == [f"SOCKS a.example.com:80 {login}", f"SOCKS {SITE}:443 {login}"]


@pytest.mark.parametrize("login", ["", "user:wrong"])
async def test_a_socks_proxy_that_wants_another_login_is_a_matter_for_the_owner(
    login: str,
) -> None:
    with anyio.fail_after(5):
        async with serve_proxy({}, login="user:secret") as proxy:
            with pytest.raises(FetchError, match="the proxy") as caught:
                await visit_through(proxy, f"http://{SITE}/", scheme="socks5", login=login)
    assert "owner" in caught.value.hint
    assert "wrong" not in str(caught.value)


async def test_a_login_reaches_the_proxy_and_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with anyio.fail_after(5):
        async with (
            serve({"/": reply("hello")}) as web,
            serve_proxy({SITE: web.port}) as proxy,
        ):
            await visit_through(proxy, f"http://{SITE}/", login="user:p%40ss")
            with pytest.raises(FetchError) as caught:
                await visit_through(proxy, "https://other.example.com/", login="user:p%40ss")
    credentials = "Proxy-Authorization: Basic dXNlcjpwQHNz"
    assert [credentials in head for head in proxy.requests] == [True, True]
    assert web.requests != []
    assert "proxy-authorization" not in web.requests[0].lower()
    assert "p@ss" not in str(caught.value)
    assert f"fetching pages through the proxy http://localhost:{proxy.port}" in caplog.text
    assert "p%40ss" not in caplog.text
    assert "dXNlcj" not in caplog.text


@pytest.mark.parametrize(
    ("refusal", "told", "retryable"),
    [
        ("403 Forbidden", "could not or would not reach the site (HTTP 403)", False),
        ("502 Bad Gateway", "could not or would not reach the site (HTTP 502)", True),
        ("407 Login", "asks for a user name and password (HTTP 407)", False),
    ],
)
async def test_a_tunnel_that_is_refused_says_why(refusal: str, told: str, retryable: bool) -> None:
    with anyio.fail_after(5):
        async with serve_proxy({}, refusal=refusal) as proxy:
            with pytest.raises(FetchError) as caught:
                await visit_through(proxy, f"https://{SITE}/")
    assert told in str(caught.value)
    assert caught.value.retryable is retryable


@pytest.mark.parametrize("url", [f"http://{SITE}/", f"https://{SITE}/"])
@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
async def test_a_proxy_that_cannot_be_reached_is_a_matter_for_the_owner(
    url: str, scheme: str
) -> None:
    async with serve_proxy({}) as proxy:
        pass
    with anyio.fail_after(5), pytest.raises(FetchError) as caught:
        await visit_through(proxy, url, scheme=scheme, login="user:secret")
    assert str(caught.value) == "could not connect to the proxy"
    assert "owner" in caught.value.hint
    assert "archive" not in caught.value.hint


@pytest.mark.parametrize("url", [f"http://{SITE}/", f"https://{SITE}/"])
async def test_a_proxy_that_does_not_speak_tls_is_not_taken_for_the_site(url: str) -> None:
    with anyio.fail_after(5):
        async with accept(raw(b"this is not TLS")) as server:
            with pytest.raises(FetchError, match="could not connect to the proxy"):
                await visit_through(f"https://localhost:{server.port}", url)


async def test_a_socks_proxy_that_cannot_reach_the_site_says_so() -> None:
    with anyio.fail_after(5):
        async with serve_proxy({}) as proxy:
            with pytest.raises(FetchError, match="could not or would not reach the site"):
                await visit_through(proxy, f"https://{SITE}/", scheme="socks5")


async def test_a_socks_proxy_that_hangs_up_is_a_matter_for_the_owner() -> None:
    with anyio.fail_after(5):
        async with accept(hang_up) as server:
            with pytest.raises(FetchError, match="the proxy") as caught:
                await visit_through(f"socks5://localhost:{server.port}", f"http://{SITE}/")
    assert "owner" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "scheme", "asked"),
    [
        ("http://93.184.216.34/", "socks5", "SOCKS 93.184.216.34:80"),
        ("http://[2606:4700::1]:8080/", "socks5", "SOCKS 2606:4700::1:8080"),
        ("https://[2606:4700::1]/", "http", "CONNECT [2606:4700::1]:443"),
        ("http://[2606:4700::1]/", "http", "GET http://[2606:4700::1]/"),
    ],
)
async def test_a_public_address_reaches_the_proxy_as_it_is(
    url: str, scheme: str, asked: str
) -> None:
    with anyio.fail_after(5):
        async with serve_proxy({}) as proxy:
            with pytest.raises(FetchError):
                await visit_through(proxy, url, scheme=scheme)
    assert proxy.requests[0].startswith(asked)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_what_dials_beside_the_client_goes_through_the_proxy_too(scheme: str) -> None:
    with anyio.fail_after(5):
        async with (
            serve({"/": reply("hello")}) as web,
            serve_proxy({SITE: web.port}) as proxy,
        ):
            backend = build_page_backend(Policy(), proxy=f"{scheme}://localhost:{proxy.port}")
            stream = await backend.connect_tcp(SITE, 80)
            await stream.write(b"GET / HTTP/1.1\r\n\r\n")
            assert (await stream.read(1_000)).startswith(b"HTTP/1.1 200 OK")
            await stream.aclose()
    assert len(proxy.requests) == 1


async def test_what_dials_beside_the_client_is_guarded_without_a_proxy() -> None:
    backend = build_page_backend(Policy(), resolver=answers("127.0.0.1"))
    with pytest.raises(BlockedUrl):
        await backend.connect_tcp(SITE, 80)


async def test_nothing_but_the_proxy_is_dialled() -> None:
    proxy = parse_proxy("http://proxy.example.com:3128")
    dial = ProxyDial(proxy, Dialler(answers("127.0.0.1")), ssl_context=ssl.create_default_context())
    for host, port in ((SITE, 3128), ("proxy.example.com", 80), ("127.0.0.1", 3128)):
        with pytest.raises(BlockedUrl):
            await dial.connect_tcp(host, port)


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nearly"])
async def test_a_proxy_that_does_not_speak_http_is_a_clean_error(answer: bytes) -> None:
    with anyio.fail_after(5):
        async with serve({SITE + ":443": raw(answer)}) as web:
            with pytest.raises(FetchError, match="the proxy"):
                await visit_through(f"http://localhost:{web.port}", f"https://{SITE}/")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "https://10.0.0.1/",
        "http://localhost/",
        "https://metadata.google.internal/",
        "http://169.254.169.254/",
        f"http://{SITE}:22/",
    ],
)
async def test_a_proxy_is_not_asked_for_private_places(url: str) -> None:
    with anyio.fail_after(5):
        async with serve_proxy({}) as proxy:
            address = f"http://localhost:{proxy.port}"
            async with build_page_client(Policy(), user_agent=AGENT, proxy=address) as http:
                with pytest.raises(BlockedUrl):
                    await http.get(url)
    assert proxy.requests == []


async def test_failed_handshakes_behind_a_proxy_do_not_use_up_the_connections() -> None:
    policy = Policy()
    with anyio.fail_after(8):
        async with (
            accept(raw(b"this is not TLS")) as web,
            serve({"/": reply("still here")}) as plain,
            serve_proxy({SITE: web.port, "plain.example.com": plain.port}) as proxy,
            build_page_client(
                policy, user_agent=AGENT, proxy=f"http://127.0.0.1:{proxy.port}"
            ) as http,
        ):
            for _ in range(70):  # more than the pool holds
                with pytest.raises(httpx.ConnectError):
                    await http.get(f"https://{SITE}/")
            assert (await http.get("http://plain.example.com/")).text == "still here"


@pytest.mark.parametrize(
    "text",
    [
        "proxy.example.com",
        "http://user:secret@[::1",
        "ftp://user:secret@proxy.example.com",
        "http://",
        "http://user:secret@proxy.example.com:99999/",
        "http://user:secret@proxy.example.com/path",
        "socks4://user:secret@proxy.example.com",
        "http://user:secret" + "x" * 300 + "@proxy.example.com",
    ],
)
def test_a_proxy_that_is_none_is_a_config_error_that_keeps_the_password(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_proxy(text)
    assert "secret" not in str(caught.value) + caught.value.hint


def test_a_proxy_is_read_as_its_owner_wrote_it() -> None:
    proxy = parse_proxy("socks5h://us%20er:p%40ss@[::1]")
    assert (proxy.scheme, proxy.host, proxy.port) == ("socks5", "::1", 1080)
    assert (proxy.user, proxy.password) == ("us er", "p@ss")
    assert "p@ss" not in repr(proxy)
    assert str(proxy) == "socks5://[::1]:1080"
    assert parse_proxy(" http://proxy.example.com ").port == 80
