"""The guarded dial and the look-ups before it."""

import socket
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.lowlevel
import httpcore
import pytest

from mcp_server.errors import BlockedUrl, FetchError
from mcp_server.visit.fetching.dial import PinnedBackend
from mcp_server.visit.fetching.resolver import Resolver, ThreadedResolver
from mcp_server.visit.guard import Policy

PUBLIC = "93.184.216.34"


class Peer(httpcore.AsyncNetworkStream):
    """An open socket that claims to lead to an address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.is_closed = False

    async def aclose(self) -> None:
        self.is_closed = True

    def get_extra_info(self, info: str) -> Any:
        return (self.address, 443) if info == "server_addr" else None


class Network(httpcore.AsyncNetworkBackend):
    """Records what is dialled.

    Some addresses refuse, some never answer, some take their time to be cancelled.
    """

    def __init__(
        self,
        *,
        refusing: Iterable[str] = (),
        silent: Iterable[str] = (),
        leads_to: str = "",
        stubborn: Iterable[str] = (),
        together: anyio.Event | None = None,
    ) -> None:
        self.dialled: list[str] = []
        self.peers: list[Peer] = []
        self.given_up: list[str] = []
        self.refusing = set(refusing)
        self.silent = set(silent)
        self.stubborn = set(stubborn)
        self.leads_to = leads_to
        self.together = together

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: object = None,
    ) -> httpcore.AsyncNetworkStream:
        self.dialled.append(host)
        if host in self.refusing:
            raise httpcore.ConnectError
        if host in self.silent:
            try:
                await anyio.sleep_forever()
            finally:
                self.given_up.append(host)
        if host in self.stubborn:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.5)
            raise httpcore.ConnectTimeout
        if self.together is not None:
            if len(self.dialled) > 1:
                self.together.set()
            with anyio.CancelScope(shield=True):
                await self.together.wait()
        self.peers.append(Peer(self.leads_to or host))
        return self.peers[-1]


def answers(*replies: list[str]) -> Resolver:
    """A name server that gives these answers one after another, then repeats the last."""
    left = list(replies)

    async def resolve(host: str, port: int) -> list[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


async def test_a_public_name_is_dialled_by_its_address() -> None:
    network = Network()
    backend = PinnedBackend(Policy(), resolver=answers([PUBLIC]), inner=network)
    await backend.connect_tcp("example.com", 443)
    assert network.dialled == [PUBLIC]


async def test_a_name_that_rebinds_is_dialled_at_the_judged_address_only() -> None:
    network = Network()
    resolver = answers([PUBLIC], ["127.0.0.1"])
    backend = PinnedBackend(Policy(), resolver=resolver, inner=network)
    await backend.connect_tcp("rebind.example.com", 80)
    with pytest.raises(BlockedUrl):
        await backend.connect_tcp("rebind.example.com", 80)
    assert network.dialled == [PUBLIC]


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], [PUBLIC, "10.0.0.1"], ["::1"], ["fe80::1%eth0"], ["not an address"]],
)
async def test_one_bad_answer_spoils_all(addresses: list[str]) -> None:
    network = Network()
    backend = PinnedBackend(Policy(), resolver=answers(addresses), inner=network)
    with pytest.raises(BlockedUrl) as caught:
        await backend.connect_tcp("mixed.example.com", 80)
    assert network.dialled == []
    assert not any(address in str(caught.value) for address in addresses)


async def test_a_socket_that_leads_elsewhere_is_closed() -> None:
    network = Network(leads_to="127.0.0.1")
    backend = PinnedBackend(Policy(), resolver=answers([PUBLIC]), inner=network)
    with pytest.raises(BlockedUrl):
        await backend.connect_tcp("example.com", 80)
    assert [peer.is_closed for peer in network.peers] == [True]


async def test_a_literal_address_is_dialled_without_brackets_and_without_a_look_up() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise AssertionError("nothing is looked up")

    network = Network()
    backend = PinnedBackend(Policy(), resolver=resolve, inner=network)
    await backend.connect_tcp("[2606:4700::1]", 443)
    await backend.connect_tcp(PUBLIC, 443)
    assert network.dialled == ["2606:4700::1", PUBLIC]


async def test_a_unix_socket_is_refused() -> None:
    with pytest.raises(BlockedUrl):
        await PinnedBackend(Policy()).connect_unix_socket("/var/run/docker.sock")


async def test_the_next_address_is_dialled_at_once_when_one_refuses() -> None:
    network = Network(refusing=["2606:4700::1"])
    resolver = answers(["2606:4700::1", PUBLIC])
    backend = PinnedBackend(Policy(), resolver=resolver, inner=network)
    with anyio.fail_after(0.2):
        await backend.connect_tcp("example.com", 80)
    assert network.dialled == ["2606:4700::1", PUBLIC]


async def test_an_address_that_never_answers_costs_a_moment_and_is_given_up() -> None:
    silent = ["93.184.216.1", "93.184.216.2"]
    network = Network(silent=silent)
    backend = PinnedBackend(Policy(), resolver=answers([*silent, PUBLIC]), inner=network)
    with anyio.fail_after(2):
        stream = await backend.connect_tcp("example.com", 80)
    assert stream.get_extra_info("server_addr") == (PUBLIC, 443)
    assert sorted(network.given_up) == silent


async def test_of_two_addresses_that_answer_together_one_connection_is_closed() -> None:
    network = Network(together=anyio.Event())
    backend = PinnedBackend(Policy(), resolver=answers([PUBLIC, "93.184.216.35"]), inner=network)
    with anyio.fail_after(2):
        stream = await backend.connect_tcp("example.com", 80)
    assert sorted(peer.is_closed for peer in network.peers) == [False, True]
    [winner] = [peer for peer in network.peers if not peer.is_closed]
    assert stream.get_extra_info("server_addr") == (winner.address, 443)


async def test_both_address_families_get_their_turn_among_four_dials() -> None:
    v6 = [f"2606:4700::{number}" for number in range(1, 7)]
    v4 = [f"93.184.216.{number}" for number in range(1, 7)]
    network = Network(refusing=[*v6, *v4])
    backend = PinnedBackend(Policy(), resolver=answers([*v6, *v4]), inner=network)
    with pytest.raises(httpcore.ConnectError):
        await backend.connect_tcp("example.com", 80)
    assert network.dialled == [v6[0], v4[0], v6[1], v4[1]]


async def test_a_dial_that_is_cancelled_leaves_nothing_open() -> None:
    network = Network(silent=[PUBLIC])
    backend = PinnedBackend(Policy(), resolver=answers([PUBLIC]), inner=network)
    with anyio.move_on_after(0.02):
        await backend.connect_tcp("example.com", 80)
    assert network.given_up == [PUBLIC]
    assert network.peers == []


async def test_a_dial_that_is_cancelled_when_it_has_won_closes_what_it_won() -> None:
    network = Network(stubborn=["93.184.216.35"])
    backend = PinnedBackend(Policy(), resolver=answers(["93.184.216.35", PUBLIC]), inner=network)
    with anyio.fail_after(5):
        with anyio.move_on_after(0.35) as caller:
            await backend.connect_tcp("example.com", 80)
    assert caller.cancelled_caught
    assert [(peer.address, peer.is_closed) for peer in network.peers] == [(PUBLIC, True)]


@pytest.mark.parametrize(
    ("failure", "message", "retryable"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), "the host name does not resolve", False),
        (UnicodeError("label too long"), "the host name does not resolve", False),
        (socket.gaierror(socket.EAI_AGAIN, "x"), "no name server answers", True),
        (TimeoutError(), "no name server answers", True),
    ],
)
async def test_a_look_up_that_fails_says_whether_to_try_again(
    failure: Exception, message: str, retryable: bool
) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise failure

    backend = PinnedBackend(Policy(), resolver=resolve, inner=Network())
    with pytest.raises(FetchError, match=message) as caught:
        await backend.connect_tcp("nowhere.example.com", 80)
    assert caught.value.retryable is retryable


class NameServer:
    """Answers at once, but for names in silent domains; runs in the resolver's threads."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.wakes = threading.Event()

    def look_up(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if ".silent" in host:
            self.wakes.wait(10)
        return [PUBLIC]

    async def is_asked(self, times: int) -> None:
        """Wait for threads to come so far; they report to no event loop."""
        while len(self.asked) < times:
            await anyio.lowlevel.checkpoint()


@contextmanager
def name_server() -> Generator[NameServer]:
    server = NameServer()
    try:
        yield server
    finally:
        server.wakes.set()  # or the threads outlive the test


async def test_a_silent_name_server_holds_up_nobody_else() -> None:
    with anyio.fail_after(5), name_server() as server:
        resolve = ThreadedResolver(server.look_up)
        async with anyio.create_task_group() as tasks:
            for number in range(24):
                tasks.start_soon(resolve, f"{number}.silent.example", 80)
            await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(4):
                assert await resolve("other.example", 80) == [PUBLIC]
            await server.is_asked(5)
            await anyio.wait_all_tasks_blocked()
            assert len(server.asked) == 5  # four of the silent domain, and the other
            tasks.cancel_scope.cancel()


async def test_a_look_up_keeps_its_place_when_its_caller_leaves_until_its_thread_ends() -> None:
    with anyio.fail_after(5), name_server() as server:
        resolve = ThreadedResolver(server.look_up)
        for number in range(4):
            with anyio.move_on_after(0.02):
                await resolve(f"{number}.silent.example", 80)
        with anyio.move_on_after(0.02) as waited:
            await resolve("fifth.silent.example", 80)
        assert waited.cancelled_caught
        assert len(server.asked) == 4
        server.wakes.set()
        while len(server.asked) == 4:
            with anyio.move_on_after(0.02):
                assert await resolve("sixth.silent.example", 80) == [PUBLIC]
    assert server.asked[-1] == "sixth.silent.example"


async def test_no_more_look_ups_run_at_once_than_there_are_threads_for() -> None:
    with anyio.fail_after(5), name_server() as server:
        resolve = ThreadedResolver(server.look_up)
        async with anyio.create_task_group() as tasks:
            for number in range(66):
                tasks.start_soon(resolve, f"www.silent{number}.example{number}", 80)
            await server.is_asked(64)
            with anyio.move_on_after(0.02) as waited:
                await resolve("other.example", 80)
            assert waited.cancelled_caught
            assert len(server.asked) == 64
            server.wakes.set()
        assert await resolve("other.example", 80) == [PUBLIC]
        assert len(server.asked) == 67


async def test_a_failed_look_up_gives_its_place_back() -> None:
    def look_up(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    resolve = ThreadedResolver(look_up)
    with anyio.fail_after(5):
        for _ in range(100):
            with pytest.raises(socket.gaierror):
                await resolve("nowhere.example", 80)


async def test_the_system_knows_its_own_name() -> None:
    with anyio.fail_after(5):
        assert "127.0.0.1" in await ThreadedResolver()("localhost", 80)


async def test_a_connection_is_known_to_have_ended_when_the_site_closed_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as site:
        port = site.getsockname()[1]
        backend = PinnedBackend(Policy(allow_private=("127.0.0.0/8",)))
        stream = await backend.connect_tcp("127.0.0.1", port)
        theirs, _ = site.accept()
        assert not stream.get_extra_info("is_readable")
        theirs.close()
        while not stream.get_extra_info("is_readable"):
            await anyio.lowlevel.checkpoint()
    await stream.aclose()
    assert stream.get_extra_info("is_readable")
