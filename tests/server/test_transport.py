"""The guarded dial."""

import socket
from collections.abc import Iterable
from typing import Any

import anyio
import httpcore
import httpx
import pytest

from mcp_server.errors import BlockedUrl, FetchError
from mcp_server.visit.dial import PinnedBackend, Resolver
from mcp_server.visit.guard import Policy
from mcp_server.visit.transport import build_page_client
from tests.support.fake_web import raw, reply, serve

AGENT = "seekling-test/0 (+https://example.com)"


class Peer(httpcore.AsyncNetworkStream):
    """An open socket that claims to lead to an address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.is_closed = False

    async def aclose(self) -> None:
        self.is_closed = True

    def get_extra_info(self, info: str) -> Any:
        return (self.address, 443) if info == "server_addr" else None


class Dialler(httpcore.AsyncNetworkBackend):
    """Records what is dialled; addresses in `dead` do not answer."""

    def __init__(self, *, dead: Iterable[str] = (), leads_to: str = "") -> None:
        self.dialled: list[str] = []
        self.peers: list[Peer] = []
        self.dead = set(dead)
        self.leads_to = leads_to

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: object = None,
    ) -> httpcore.AsyncNetworkStream:
        self.dialled.append(host)
        if host in self.dead:
            raise httpcore.ConnectError
        self.peers.append(Peer(self.leads_to or host))
        return self.peers[-1]


def answers(*replies: list[str]) -> Resolver:
    """A name server that gives these answers one after another, then repeats the last."""
    left = list(replies)

    async def resolve(host: str, port: int) -> list[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


def loopback(port: int, *hosts: str) -> Policy:
    return Policy(allowed_ports=frozenset({port}), allow_private=("127.0.0.1/32", *hosts))


async def test_a_public_name_is_dialled_by_its_address() -> None:
    dialler = Dialler()
    backend = PinnedBackend(Policy(), resolver=answers(["93.184.216.34"]), inner=dialler)
    await backend.connect_tcp("example.com", 443)
    assert dialler.dialled == ["93.184.216.34"]


async def test_a_name_that_rebinds_is_dialled_at_the_judged_address_only() -> None:
    dialler = Dialler()
    resolver = answers(["93.184.216.34"], ["127.0.0.1"])
    backend = PinnedBackend(Policy(), resolver=resolver, inner=dialler)
    await backend.connect_tcp("rebind.example.com", 80)
    with pytest.raises(BlockedUrl):
        await backend.connect_tcp("rebind.example.com", 80)
    assert dialler.dialled == ["93.184.216.34"]


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::1"], ["fe80::1%eth0"], ["not an address"]],
)
async def test_one_bad_answer_spoils_all(addresses: list[str]) -> None:
    dialler = Dialler()
    backend = PinnedBackend(Policy(), resolver=answers(addresses), inner=dialler)
    with pytest.raises(BlockedUrl) as caught:
        await backend.connect_tcp("mixed.example.com", 80)
    assert dialler.dialled == []
    assert not any(address in str(caught.value) for address in addresses)


async def test_a_socket_that_leads_elsewhere_is_closed() -> None:
    dialler = Dialler(leads_to="127.0.0.1")
    backend = PinnedBackend(Policy(), resolver=answers(["93.184.216.34"]), inner=dialler)
    with pytest.raises(BlockedUrl):
        await backend.connect_tcp("example.com", 80)
    assert [peer.is_closed for peer in dialler.peers] == [True]


async def test_the_next_address_is_dialled_when_one_does_not_answer() -> None:
    dialler = Dialler(dead=["2606:4700::1"])
    resolver = answers(["2606:4700::1", "93.184.216.34"])
    backend = PinnedBackend(Policy(), resolver=resolver, inner=dialler)
    await backend.connect_tcp("example.com", 80)
    assert dialler.dialled == ["2606:4700::1", "93.184.216.34"]


async def test_at_most_four_addresses_are_dialled() -> None:
    addresses = [f"93.184.216.{number}" for number in range(1, 20)]
    dialler = Dialler(dead=addresses)
    backend = PinnedBackend(Policy(), resolver=answers(addresses), inner=dialler)
    with pytest.raises(httpcore.ConnectError):
        await backend.connect_tcp("example.com", 80)
    assert dialler.dialled == addresses[:4]


async def test_a_unix_socket_is_refused() -> None:
    with pytest.raises(BlockedUrl):
        await PinnedBackend(Policy()).connect_unix_socket("/var/run/docker.sock")


@pytest.mark.parametrize("failure", [socket.gaierror(-2, "no name"), UnicodeError("label")])
async def test_a_name_that_does_not_resolve_is_a_plain_fetch_error(failure: Exception) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise failure

    policy = Policy()
    async with build_page_client(policy, user_agent=AGENT, resolver=resolve) as http:
        with pytest.raises(FetchError, match="the host name does not resolve"):
            await http.get("http://nowhere.example.com/")


async def test_a_refusal_by_the_guard_is_a_blocked_url() -> None:
    resolver = answers(["192.168.0.1"])
    async with build_page_client(Policy(), user_agent=AGENT, resolver=resolver) as http:
        with pytest.raises(BlockedUrl) as caught:
            await http.get("http://intern.example.com/x")
    assert caught.value.url == "http://intern.example.com/x"
    assert "192.168" not in str(caught.value)


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
    assert "accept-encoding: gzip\r\n" in second
    assert "cookie" not in second


async def test_a_listed_name_reaches_its_private_server() -> None:
    with anyio.fail_after(5):
        async with serve({"/": reply("hello")}) as web:
            policy = Policy(allowed_ports=frozenset({web.port}), allow_private=("wiki.internal",))
            resolver = answers(["127.0.0.1"])
            async with build_page_client(policy, user_agent=AGENT, resolver=resolver) as http:
                response = await http.get(web.url("/", host="wiki.internal"))
    assert response.text == "hello"
    assert f"host: wiki.internal:{web.port}" in web.requests[0].lower()


async def test_failures_of_the_network_are_httpx_errors() -> None:
    with anyio.fail_after(5):
        async with serve({"/": raw(b"nonsense\r\n\r\n")}) as web:
            policy = loopback(web.port, "localhost")
            async with build_page_client(policy, user_agent=AGENT) as http:
                with pytest.raises(httpx.RemoteProtocolError):
                    await http.get(web.url("/"))


async def test_a_literal_ipv6_host_is_dialled_without_brackets() -> None:
    dialler = Dialler()

    async def resolve(host: str, port: int) -> list[str]:
        return [host]

    backend = PinnedBackend(Policy(), resolver=resolve, inner=dialler)
    await backend.connect_tcp("[2606:4700::1]", 443)
    assert dialler.dialled == ["2606:4700::1"]
