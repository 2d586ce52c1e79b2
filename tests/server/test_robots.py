"""What robots.txt allows, and how often it is asked for."""

import time
from collections.abc import Mapping

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from protego import Protego

from mcp_server.errors import BlockedUrl, FetchError
from mcp_server.visit.fetching.fetch import FetchLimits, fetch
from mcp_server.visit.fetching.transport import build_page_client
from mcp_server.visit.guard import Policy
from mcp_server.visit.robots import Robots
from mcp_server.visit.types import Resource
from tests.support.fake_web import Script, raw, redirect, reply, serve

PAGE = httpx.URL("https://example.com/private/page")


class Site:
    """Answers for every robots.txt, and counts the questions."""

    def __init__(self, text: str | bytes = b"", **headers: str) -> None:
        self.body = text.encode() if isinstance(text, str) else text
        self.headers: Mapping[str, str] = {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        self.failure: Exception | None = None
        self.asked: list[str] = []
        self.now = 1_000_000.0
        self.robots = Robots(self.fetch, clock=lambda: self.now)

    async def fetch(self, url: str) -> Resource:
        self.asked.append(url)
        await anyio.lowlevel.checkpoint()
        if self.failure is not None:
            raise self.failure
        return Resource(
            url=url,
            final_url=url,
            status=200,
            content_type="text/plain",
            body=self.body,
            headers=self.headers,
        )

    async def allows(self, url: str | httpx.URL = PAGE) -> bool:
        try:
            await self.robots.check(httpx.URL(url))
        except BlockedUrl:
            return False
        return True


def failing(status: int | None) -> FetchError:
    return FetchError("https://example.com/robots.txt", "no", status=status)


@pytest.mark.parametrize(
    ("text", "path", "allowed"),
    [
        ("User-agent: *\nDisallow: /private/", "/private/page", False),
        ("User-agent: *\nDisallow: /private/", "/public", True),
        ("User-agent: *\nDisallow:", "/private/page", True),
        ("User-agent: *\nDisallow: /", "/robots.txt", True),
        ("User-agent: other\nDisallow: /", "/private/page", True),
        ("User-agent: seekling\nDisallow: /", "/private/page", False),
        ("User-agent: Seekling/0.1\nDisallow: /", "/private/page", False),
        ("User-agent: SeeklingBot\nDisallow: /", "/private/page", True),
        ("User-agent: *\nDisallow: /\n\nUser-agent: Seekling\nAllow: /", "/private/page", True),
        (
            "User-agent: a\nUser-agent: Seekling\nUser-agent: b\nDisallow: /p",
            "/private/page",
            False,
        ),
        ("User-agent: a\nDisallow: /a\nUser-agent: b\nUser-agent: *\nDisallow: /p", "/a", True),
        ("User-agent: *\nDisallow: /private\nAllow: /private/page", "/private/page", True),
        ("User-agent: *\nDisallow: /*.pdf$", "/a/b.pdf", False),
        ("User-agent: *\nDisallow: /*.pdf$", "/a/b.pdf?x", True),
        ("User-agent: *\nDisallow: /*?sort=", "/a?sort=up", False),
        ("User-agent: *\nDisallow: /ü", "/%C3%BC/a", False),
        ("User-agent: *  # all\nDisallow: /private # yes", "/private/page", False),
        ("\ufeffuser agent *\nDisallow: /private", "/private/page", False),
        ("<html><body>Not found</body></html>", "/private/page", True),
        ("", "/private/page", True),
    ],
)
async def test_the_rules_for_us_decide(text: str, path: str, allowed: bool) -> None:
    assert await Site(text).allows(f"https://example.com{path}") is allowed


async def test_a_refusal_says_whose_it_is_and_what_to_do() -> None:
    with pytest.raises(BlockedUrl) as caught:
        await Site("User-agent: *\nDisallow: /").robots.check(PAGE)
    assert caught.value.reason == "robots.txt of the site does not allow automated readers here"
    assert caught.value.hint == "try another result"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_a_site_without_the_file_allows_everything(status: int) -> None:
    site = Site()
    site.failure = failing(status)
    assert await site.allows()


@pytest.mark.parametrize("status", [429, 500, 503, None])
async def test_a_site_whose_file_cannot_be_had_forbids_everything_for_now(
    status: int | None,
) -> None:
    site = Site()
    site.failure = failing(status)
    with pytest.raises(FetchError) as caught:
        await site.robots.check(PAGE)
    assert caught.value.retryable
    site.failure = None
    with pytest.raises(FetchError):
        await site.robots.check(PAGE)
    site.now += 300
    assert await site.allows()
    assert len(site.asked) == 2


async def test_older_rules_are_used_while_the_file_cannot_be_had() -> None:
    site = Site("User-agent: *\nDisallow: /private/")
    assert not await site.allows()
    site.now += 90_000
    site.failure = failing(503)
    assert not await site.allows()
    assert await site.allows("https://example.com/public")
    assert len(site.asked) == 2


async def test_a_file_that_redirects_to_a_forbidden_place_counts_as_missing() -> None:
    site = Site()
    site.failure = BlockedUrl("http://10.0.0.1/", "the host is not on the public internet")
    assert await site.allows()


async def test_a_site_is_asked_once_a_day_for_each_origin() -> None:
    site = Site("User-agent: *\nDisallow: /private/")
    for url in ("https://a.org/1", "https://a.org:443/2", "http://a.org/3", "https://a.org:8443/"):
        await site.allows(url)
    assert site.asked == [
        "https://a.org/robots.txt",
        "http://a.org/robots.txt",
        "https://a.org:8443/robots.txt",
    ]
    site.now += 86_399
    await site.allows("https://a.org/4")
    assert len(site.asked) == 3
    site.now += 1
    await site.allows("https://a.org/5")
    assert len(site.asked) == 4


@pytest.mark.parametrize(("max_age", "kept"), [("0", 300), ("3600", 3_600), ("999999", 86_400)])
async def test_the_sites_own_time_to_live_is_kept_within_bounds(max_age: str, kept: int) -> None:
    site = Site(cache_control=f"max-age={max_age}")
    await site.allows()
    site.now += kept - 1
    await site.allows()
    assert len(site.asked) == 1
    site.now += 1
    await site.allows()
    assert len(site.asked) == 2


async def test_many_readers_at_once_ask_once() -> None:
    site = Site("User-agent: *\nDisallow: /private/")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(site.allows)
    assert len(site.asked) == 1


async def test_a_reader_that_gives_up_does_not_block_the_next_one() -> None:
    site = Site("User-agent: *\nDisallow: /private/")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await site.allows()
    with anyio.fail_after(5):
        assert not await site.allows()


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("Crawl-delay: 2.5", 2.5),
        ("Crawl-delay: 86400", 60),
        ("Crawl-delay: -1", 0),
        ("Crawl-delay: inf", 0),
        ("Crawl-delay: soon", 0),
        ("", 0),
    ],
)
async def test_the_wished_delay_is_told_in_bounds(line: str, seconds: float) -> None:
    site = Site(f"User-agent: *\nDisallow: /x\n{line}")
    assert await site.robots.check(PAGE) == seconds


async def test_only_the_first_500_kib_are_read() -> None:
    filler = "# " + "x" * 1_021 + "\n"
    assert not await Site("User-agent: *\n" + filler * 480 + "Disallow: /").allows()
    assert await Site("User-agent: *\n" + filler * 500 + "Disallow: /").allows()


def name_of(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"User-agent: {name_of(n)}\n" for n in range(12_000))
        + "".join(f"Disallow: /{n}\n" for n in range(12_000)),
        "".join(f"User agent {name_of(n)}\n" for n in range(12_000))
        + "".join(f"Disallow: /{n}\n" for n in range(12_000)),
        "User-agent: *\n" + "".join(f"Disallow: /*a*a*b{n}\n" for n in range(22_000)),
        "User-agent: *\nDisallow: /" + "*a" * 100_000,
    ],
    ids=["agents times rules", "without colons", "wildcards", "one long pattern"],
)
async def test_a_hostile_file_costs_little(text: str) -> None:
    begin = time.process_time()
    await Site(text).allows("https://example.com/" + "a" * 4_000)
    assert time.process_time() - begin < 3


FORBIDDING = reply("User-agent: *\nDisallow: /private/", content_type="text/plain")


@pytest.mark.parametrize(
    ("robots_txt", "outcome"),
    [
        (FORBIDDING, "robots.txt of the site does not allow"),
        (redirect("/elsewhere"), "robots.txt of the site does not allow"),
        (redirect("http://10.0.0.1/robots.txt"), ""),
        (reply("no", status="404 Not Found"), ""),
        (reply("no", status="403 Forbidden"), ""),
        (reply("no", status="500 Internal Server Error"), "cannot be read now"),
        (raw(b"nonsense"), "cannot be read now"),
    ],
)
async def test_the_answer_of_a_real_server_is_understood(robots_txt: Script, outcome: str) -> None:
    with anyio.fail_after(8):
        async with serve({"/robots.txt": robots_txt, "/elsewhere": FORBIDDING}) as web:
            policy = Policy(allowed_ports=frozenset({web.port, 80}), allow_private=("127.0.0.1",))
            async with build_page_client(policy, user_agent="seekling-test/0") as http:
                limits = FetchLimits(deadline_seconds=5)

                async def get(url: str) -> Resource:
                    return await fetch(url, http=http, policy=policy, limits=limits)

                told = ""
                try:
                    await Robots(get).check(httpx.URL(web.url("/private/page")))
                except (BlockedUrl, FetchError) as exc:
                    told = exc.reason
    assert outcome in told
    assert bool(outcome) == bool(told)


async def test_rules_of_many_sites_are_kept_within_bounds() -> None:
    site = Site("User-agent: *\n" + "# " + "x" * 400_000)
    for number in range(12):
        await site.allows(f"https://site{number}.org/")
    await site.allows("https://site11.org/")
    assert len(site.asked) == 12
    await site.allows("https://site0.org/")
    assert len(site.asked) == 13


AGENTS = st.sampled_from(["*", "Seekling", "seekling", "a", "GoogleBot", "b-c"])
LINES = st.one_of(
    AGENTS.map("User-agent: {}".format),
    st.sampled_from(["/", "/p", "/p/*", "/p$", "/*q", "/pq", "/p/q"]).flatmap(
        lambda path: st.sampled_from([f"Disallow: {path}", f"Allow: {path}", f"disallow:{path}"])
    ),
    st.sampled_from(["", "# note", "Sitemap: https://x.org/s", "Crawl-delay: 3", "Nonsense: 1"]),
)


@given(st.lists(LINES, max_size=14), st.sampled_from(["/", "/p", "/p/q", "/pq", "/q"]))
async def test_joining_the_other_agents_changes_no_verdict(lines: list[str], path: str) -> None:
    text, url = "\n".join(lines), f"https://example.com{path}"
    assert await Site(text).allows(url) == Protego.parse(text).can_fetch(url, "Seekling")
