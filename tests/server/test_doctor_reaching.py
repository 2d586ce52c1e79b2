"""What the doctor says about the way to a page."""

import time
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path

import anyio
import pytest

from mcp_server.doctor.findings import Finding
from mcp_server.doctor.reaching import Way, clock, reach, surroundings
from mcp_server.visit.fetching.transport import build_page_client
from mcp_server.visit.guard import Policy
from tests.support.certificates import Authority
from tests.support.fake_web import Script, hang_up, redirect, reply, serve

HOST = "pages.example"
PAGE = reply("<p>Hello</p>")
ELSEWHERE = redirect("")
"""Stands for a redirect to another host of the same fake web."""


async def loopback(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


async def findings(
    script: Script = PAGE,
    *,
    environment: Mapping[str, str] | None = None,
    authority: Authority | None = None,
    ca_file: Path | None = None,
    days_left: int = 2,
) -> list[Finding]:
    """What is found on the front page of a fake web; all names resolve to loopback."""
    context = authority.server_context(HOST, days_left=days_left) if authority else None
    routes = {"/": script, "/login": PAGE}
    with anyio.fail_after(20):
        async with serve(routes, ssl_context=context) as web:
            if script is ELSEWHERE:
                routes["/"] = redirect(f"http://other.example:{web.port}/login")
            ports = frozenset({web.port})
            policy = Policy(allowed_ports=ports, allow_private=(HOST, "other.example"))
            async with build_page_client(
                policy, user_agent="test/0", resolver=loopback, ca_file=ca_file
            ) as http:
                way = Way(
                    http=http, policy=policy, environment=environment or {}, resolver=loopback
                )
                scheme = "https" if authority else "http"
                return await reach(way, f"{scheme}://{HOST}:{web.port}/")


async def test_a_page_that_can_be_read_is_told_with_its_address_and_time() -> None:
    name, page = await findings()
    assert (name.check, name.outcome) == ("DNS", "ok")
    assert name.told.startswith("pages.example is 127.0.0.1")
    assert (page.check, page.outcome) == ("page", "ok")
    assert page.told.endswith("HTTP 200, 12 bytes")
    assert page.seconds > 0


async def test_a_certificate_of_an_unknown_authority_asks_for_its_file(tmp_path: Path) -> None:
    _, page = await findings(authority=Authority(tmp_path))
    assert page.outcome == "problem"
    assert "an authority that is not trusted" in page.told
    assert "--ca-file FILE.pem" in page.advice


async def test_an_authority_that_the_environment_knows_is_offered(tmp_path: Path) -> None:
    environment = {"SSL_CERT_FILE": "/etc/company.pem"}
    _, page = await findings(authority=Authority(tmp_path), environment=environment)
    assert '--ca-file "$SSL_CERT_FILE"' in page.advice


async def test_with_the_authoritys_file_the_page_is_read(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    _, page = await findings(authority=authority, ca_file=authority.file)
    assert page.outcome == "ok"


async def test_a_certificate_out_of_date_asks_for_the_clock(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    _, page = await findings(authority=authority, ca_file=authority.file, days_left=-1)
    assert page.outcome == "problem"
    assert "clock" in page.advice


async def test_a_connection_that_breaks_points_to_the_proxy_of_the_environment() -> None:
    _, page = await findings(hang_up, environment={"https_proxy": "http://me:secret@proxy:8080"})
    assert page.outcome == "problem"
    assert '--proxy "$https_proxy"' in page.advice
    assert "secret" not in page.advice + page.told


async def test_a_clock_that_is_wrong_is_noted() -> None:
    date = formatdate(time.time() + 7_200, usegmt=True)
    _, page, found = await findings(reply("hello", headers={"Date": date}))
    assert page.outcome == "ok"
    assert found.told == "this machine's clock is 120 minutes behind"


@pytest.mark.parametrize("date", ["", "yesterday", formatdate(1_000_060, usegmt=True)])
def test_a_clock_that_is_right_enough_or_cannot_be_compared_is_not_told(date: str) -> None:
    assert clock(date, 1_000_000) == []


def test_a_clock_that_is_ahead_is_told_so() -> None:
    (found,) = clock(formatdate(1_000_000, usegmt=True), 1_000_600)
    assert found.told == "this machine's clock is 10 minutes ahead"


async def resolved(*addresses: str, policy: Policy, proxy: str = "") -> list[Finding]:
    """What is found where a name has these addresses, none of which is dialled."""

    async def resolver(_host: str, _port: int) -> list[str]:
        return list(addresses)

    async with build_page_client(policy, user_agent="test/0", resolver=resolver) as http:
        environment = {"HTTPS_PROXY": proxy} if proxy else {}
        way = Way(http=http, policy=policy, environment=environment, resolver=resolver)
        return await reach(way)


@pytest.mark.parametrize("address", ["10.0.0.7", "198.18.0.9"])
async def test_a_name_server_that_gives_private_addresses_is_told(address: str) -> None:
    (found,) = await resolved(address, policy=Policy())
    assert (found.check, found.outcome) == ("DNS", "problem")
    assert f"{address}, which is no public address" in found.told
    assert ("--allow-private 198.18.0.0/15" in found.advice) == address.startswith("198.18")


async def test_a_name_that_does_not_resolve_points_to_a_proxy() -> None:
    (found,) = await resolved(policy=Policy())
    assert found.told.startswith("example.com: the host name does not resolve")
    assert "--proxy http://HOST:PORT" in found.advice
    (found,) = await resolved(policy=Policy(), proxy="http://proxy:8080")
    assert '--proxy "$HTTPS_PROXY"' in found.advice


async def test_a_page_that_comes_from_elsewhere_may_be_a_login() -> None:
    name, page = await findings(ELSEWHERE)
    assert name.outcome == "ok"
    assert page.outcome == "note"
    assert page.told.endswith("but from other.example")


async def test_what_the_environment_says_and_we_do_not_use_is_noted() -> None:
    async with build_page_client(Policy(), user_agent="test/0") as http:
        environment = {"all_proxy": "socks5://me:secret@p:1", "REQUESTS_CA_BUNDLE": "/ca.pem"}
        way = Way(http=http, policy=Policy(), environment=environment)
        told = [(found.check, found.outcome, found.told) for found in surroundings(way)]
        settled = Way(
            http=http,
            policy=Policy(),
            environment=environment,
            has_proxy=True,
            has_authorities=True,
        )
        assert surroundings(settled) == []
    assert told == [
        ("proxy", "note", "all_proxy is set, but pages are read without it"),
        (
            "authorities",
            "note",
            "REQUESTS_CA_BUNDLE is set, but only the usual authorities are trusted",
        ),
    ]
