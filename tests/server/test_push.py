"""Copying an index into a cluster: complete, resumable, switched over in one step."""

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest

from mcp_server.cli.main import main
from mcp_server.corpus.build import build_index
from mcp_server.corpus.cluster.address import ClusterAddress, authorization, entry_id
from mcp_server.corpus.cluster.client import MAX_ATTEMPTS, MAX_WAIT_SECONDS, Cluster
from mcp_server.corpus.cluster.push import (
    MAX_BATCH_BYTES,
    MAX_BATCH_PASSAGES,
    PushPlan,
    PushProgress,
    push,
)
from mcp_server.corpus.sources.opening import open_source
from mcp_server.corpus.types import Passage
from mcp_server.errors import ConfigError, CorpusError, FetchError
from mcp_server.search.providers.opensearch import PAGE_PASSAGES, OpenSearch
from mcp_server.search.types import SearchQuery
from tests.support.fake_opensearch import FakeOpenSearch, Fault, Index, serving
from tests.support.numbers_source import Numbers, passage, ticking

ROOT = Path(__file__).resolve().parents[2]
MANY = 2 * MAX_BATCH_PASSAGES + 10


@dataclass
class Waits:
    seconds: list[float] = field(default_factory=list[float])

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@asynccontextmanager
async def client_of(
    fake: FakeOpenSearch, waits: Waits | None = None, credentials: str = ""
) -> AsyncGenerator[Cluster]:
    async with httpx.AsyncClient(transport=fake.transport()) as http:
        yield Cluster(
            http,
            ClusterAddress.parse("http://cluster.example:9200/wiki"),
            authorization("", credentials),
            sleep=waits or Waits(),
            jitter=lambda: 0.5,
        )


def stored(fake: FakeOpenSearch, index: str = "wiki-gen-a") -> set[str]:
    return set(fake.indexes[index].stored)


def all_ids(store: Numbers) -> set[str]:
    return {entry_id(p) for _, p in store.read(-1)}


async def test_a_pushed_index_is_searched_and_its_documents_are_read_whole() -> None:
    fake = FakeOpenSearch()
    async with client_of(fake) as cluster:
        report = await push(Numbers().source, cluster, PushPlan())
    assert (report.index, report.passages, report.sent) == ("wiki-gen-a", 10, 10)
    assert fake.aliases["wiki"] == {"wiki-gen-a"}
    async with httpx.AsyncClient(transport=fake.transport()) as http:
        provider = OpenSearch(http, "http://cluster.example:9200/wiki")
        (hit,) = (await provider.search(SearchQuery(text="word7"))).hits
        page = await provider.page(hit.url)
    assert (hit.document_id, hit.preview, hit.published) == ("doc 3", "word7", "2013-05-17")
    assert page is not None
    assert (page.title, page.text) == ("Title 3", "word6 word7 ")


async def test_the_target_takes_writes_fast_while_loading_and_serves_when_it_is_complete() -> None:
    fake = FakeOpenSearch()
    seen: list[dict[str, object]] = []

    def note(_: PushProgress) -> None:
        seen.append(dict(fake.indexes["wiki-gen-a"].settings["index"]))

    async with client_of(fake) as cluster:
        await push(Numbers().source, cluster, PushPlan(shards=3, replicas=2), progress=note)
    loading, serves = seen[0], fake.indexes["wiki-gen-a"].settings["index"]
    assert (loading["refresh_interval"], loading["number_of_replicas"]) == ("-1", 0)
    assert (serves["refresh_interval"], serves["number_of_replicas"]) == (None, 2)
    assert serves["number_of_shards"] == 3
    assert serves["translog"] == {"durability": "request"}


async def test_a_push_that_breaks_off_goes_on_after_what_was_acknowledged() -> None:
    fake, store = FakeOpenSearch(), Numbers(count=MANY)
    # Two requests are under way at a time, so what goes through is told by its content.
    first = {entry_id(store.passage(n)) for n in range(MAX_BATCH_PASSAGES)}
    full = Fault("_bulk", rejects=lambda id_, _: None if id_ in first else (429, "full"))
    async with client_of(fake) as cluster:
        await push(Numbers(count=1).source, cluster, PushPlan())  # what the alias names before
        fake.indexes["wiki-gen-b"] = fake.indexes.pop("wiki-gen-a")
        fake.aliases["wiki"] = {"wiki-gen-b"}
        fake.faults = [full] * 100
        with pytest.raises(CorpusError, match="too busy") as caught:
            await push(store.source, cluster, PushPlan(), clock=ticking(11))
        assert "run the same command again" in caught.value.hint
        assert fake.aliases["wiki"] == {"wiki-gen-b"}
        fake.faults.clear()
        report = await push(store.source, cluster, PushPlan())
    assert store.asked_after == [-1, MAX_BATCH_PASSAGES - 1]
    assert report.sent == MANY - MAX_BATCH_PASSAGES
    assert stored(fake) == all_ids(store)


async def test_the_position_does_not_pass_over_a_request_that_is_not_in() -> None:
    store = Numbers(count=MANY)
    first = {entry_id(store.passage(n)) for n in range(MAX_BATCH_PASSAGES)}
    busy = Fault("_bulk", rejects=lambda id_, _: (429, "full") if id_ in first else None)
    fake = FakeOpenSearch(faults=[busy] * 100)
    async with client_of(fake) as cluster:
        with pytest.raises(CorpusError, match="too busy"):
            await push(store.source, cluster, PushPlan(), clock=ticking(11))
        assert len(stored(fake)) == MANY - MAX_BATCH_PASSAGES
        fake.faults.clear()
        await push(store.source, cluster, PushPlan())
    assert stored(fake) == all_ids(store)


async def test_a_position_counts_only_in_the_order_that_it_was_noted_in() -> None:
    fake, store = FakeOpenSearch(), Numbers(count=MANY)
    async with client_of(fake) as cluster:
        fake.faults = [Fault("_bulk"), *[Fault("_bulk", status=503)] * 2 * MAX_ATTEMPTS]
        with pytest.raises(CorpusError, match="busy or away"):
            await push(store.source, cluster, PushPlan(), clock=ticking(11))
        fake.faults.clear()
        store.order = "merged"
        report = await push(store.source, cluster, PushPlan())
    assert store.asked_after == [-1, -1]
    assert report.sent == report.passages == len(stored(fake)) == MANY


KILLED = """
import sys, anyio, httpx
from tests.support.numbers_source import Numbers, ticking
from mcp_server.corpus.cluster.address import ClusterAddress
from mcp_server.corpus.cluster.client import Cluster
from mcp_server.corpus.cluster.push import PushPlan, push

async def run():
    async with httpx.AsyncClient() as http:
        cluster = Cluster(http, ClusterAddress.parse(sys.argv[1]))
        store = Numbers(count=int(sys.argv[2]))
        report = await push(store.source, cluster, PushPlan(), clock=ticking(11))
        print(report.sent)

anyio.run(run)
"""


async def test_nothing_is_lost_or_doubled_when_the_pushing_process_is_killed() -> None:
    total = 7 * MAX_BATCH_PASSAGES
    fourth = anyio.Event()
    fake = FakeOpenSearch(bulk_came=lambda: fourth.set() if len(fake.bulk_bytes) == 4 else None)
    async with serving(fake):
        command = [sys.executable, "-c", KILLED, fake.url("wiki"), str(total)]
        async with await anyio.open_process(command, cwd=ROOT) as process:
            with anyio.fail_after(30):
                await fourth.wait()
            process.kill()
        partial = len(stored(fake))
        assert fake.aliases["wiki"] == set()
        again = await anyio.run_process(command, cwd=ROOT)
    assert 0 < partial < total
    assert 0 < int(again.stdout) < total
    assert stored(fake) == all_ids(Numbers(count=total))
    assert fake.aliases["wiki"] == {"wiki-gen-a"}


async def test_only_the_passages_that_were_put_off_are_sent_again_after_longer_waits() -> None:
    def busy(id_: str, _: object) -> tuple[int, str] | None:
        return (429, "es_rejected_execution_exception") if id_ in ("doc 1#0", "doc 3#1") else None

    fake, waits = FakeOpenSearch(), Waits()
    fake.faults = [Fault("_bulk", rejects=busy), Fault("_bulk", rejects=busy)]
    async with client_of(fake, waits) as cluster:
        report = await push(Numbers().source, cluster, PushPlan())
    assert report.passages == len(stored(fake)) == 10
    assert waits.seconds == [0.75, 1.5]
    first, second, third = fake.bulk_bytes
    assert second == third < first / 3


async def test_a_cluster_that_stays_busy_is_given_up_after_bounded_waits() -> None:
    fake, waits = FakeOpenSearch(), Waits()
    fake.faults = [Fault("_bulk", rejects=lambda _id, _fields: (429, "full"))] * MAX_ATTEMPTS
    async with client_of(fake, waits) as cluster:
        with pytest.raises(CorpusError, match="too busy: 10 passages") as caught:
            await push(Numbers().source, cluster, PushPlan())
    assert caught.value.retryable
    assert len(waits.seconds) == MAX_ATTEMPTS - 1
    assert max(waits.seconds) <= MAX_WAIT_SECONDS


async def test_a_rejected_passage_stops_the_push_and_is_named() -> None:
    def odd(id_: str, _: object) -> tuple[int, str] | None:
        return (400, "failed to parse \x1b[31m field") if id_ == "doc 2#1" else None

    fake = FakeOpenSearch(faults=[Fault("_bulk", rejects=odd)])
    async with client_of(fake) as cluster:
        with pytest.raises(CorpusError, match=r"rejected 1 .*'doc 2#1': failed to parse") as caught:
            await push(Numbers().source, cluster, PushPlan())
    assert "\x1b" not in str(caught.value)
    assert fake.aliases["wiki"] == set()


async def test_a_connection_lost_inside_a_bulk_doubles_nothing() -> None:
    fake = FakeOpenSearch(faults=[Fault("_bulk", drop=True)])
    async with client_of(fake) as cluster:
        await push(Numbers().source, cluster, PushPlan())
    assert stored(fake) == all_ids(Numbers())
    assert len(fake.bulk_bytes) == 2


async def test_a_request_that_is_too_large_is_sent_in_halves() -> None:
    fake = FakeOpenSearch(max_bytes=400)
    async with client_of(fake) as cluster:
        await push(Numbers(count=64).source, cluster, PushPlan())
        assert stored(fake) == all_ids(Numbers(count=64))
        fake.max_bytes = 100
        with pytest.raises(CorpusError, match="'doc 0#0'"):
            await push(Numbers(snapshot="gen-b", count=2).source, cluster, PushPlan())


async def test_requests_are_bounded_in_bytes_and_passages() -> None:
    long = "long " * 100_000
    fake, store = FakeOpenSearch(), Numbers(count=25, text=lambda _: long)
    async with client_of(fake) as cluster:
        await push(store.source, cluster, PushPlan())
        assert len(fake.bulk_bytes) == 3
        assert max(fake.bulk_bytes) <= MAX_BATCH_BYTES
        fake.bulk_bytes.clear()
        await push(Numbers(snapshot="gen-b", count=MANY).source, cluster, PushPlan())
    assert len(fake.bulk_bytes) == 3


async def test_a_name_that_is_an_index_is_refused_before_anything_is_sent() -> None:
    fake = FakeOpenSearch(indexes={"wiki": Index({"index": {}}, {})})
    async with client_of(fake) as cluster:
        with pytest.raises(ConfigError, match="'wiki' is an index"):
            await push(Numbers().source, cluster, PushPlan())
    assert {method for method, _ in fake.asked} == {"GET"}


async def test_the_alias_goes_over_and_old_indexes_stay_unless_they_are_ours_to_delete() -> None:
    fake = FakeOpenSearch(indexes={"by-hand": Index({"index": {}}, {})})
    fake.aliases["wiki"] = {"by-hand"}
    async with client_of(fake) as cluster:
        first = await push(Numbers().source, cluster, PushPlan(delete_old=True))
        assert (first.replaced, first.deleted) == (("by-hand",), ())
        second = await push(Numbers(snapshot="gen-b").source, cluster, PushPlan())
        assert (second.replaced, second.deleted) == (("wiki-gen-a",), ())
        assert set(fake.indexes) == {"by-hand", "wiki-gen-a", "wiki-gen-b"}
        third = await push(Numbers(snapshot="gen-c").source, cluster, PushPlan(delete_old=True))
    assert third.deleted == ("wiki-gen-b",)
    assert set(fake.indexes) == {"by-hand", "wiki-gen-a", "wiki-gen-c"}
    assert fake.aliases["wiki"] == {"wiki-gen-c"}


async def test_a_complete_copy_is_not_sent_again_but_switched_to() -> None:
    fake = FakeOpenSearch()
    async with client_of(fake) as cluster:
        fake.faults = [Fault("_aliases", status=400, body=b'{"error": "no"}')]
        with pytest.raises(CorpusError, match=r"POST /_aliases: no \(HTTP 400\)"):
            await push(Numbers().source, cluster, PushPlan())
        report = await push(Numbers().source, cluster, PushPlan())
    assert (report.sent, report.passages, len(fake.bulk_bytes)) == (0, 10, 1)
    assert fake.aliases["wiki"] == {"wiki-gen-a"}


async def test_a_target_that_something_else_wrote_into_is_not_switched_to() -> None:
    fake = FakeOpenSearch()
    async with client_of(fake) as cluster:
        fake.faults = [Fault("_bulk", status=400, body=b"{}")]
        with pytest.raises(CorpusError, match="HTTP 400"):
            await push(Numbers().source, cluster, PushPlan())
        fake.indexes["wiki-gen-a"].stored["stranger"] = {"host": []}
        with pytest.raises(CorpusError, match="holds 11 passages instead of 10"):
            await push(Numbers().source, cluster, PushPlan())
    assert fake.aliases["wiki"] == set()


async def test_an_index_of_that_name_that_no_push_made_is_left_alone() -> None:
    fake = FakeOpenSearch(indexes={"wiki-gen-a": Index({"index": {}}, {"_meta": {"seekling": 5}})})
    async with client_of(fake) as cluster:
        with pytest.raises(CorpusError, match="not as this version makes it"):
            await push(Numbers().source, cluster, PushPlan())
    assert {method for method, _ in fake.asked} == {"GET"}


async def test_wrong_credentials_are_told_without_showing_them() -> None:
    fake = FakeOpenSearch(credentials="writer:right-password")
    async with client_of(fake, credentials="writer:wrong-password") as cluster:
        with pytest.raises(CorpusError, match="HTTP 401") as caught:
            await push(Numbers().source, cluster, PushPlan())
        assert "wrong-password" not in repr(cluster) + str(caught.value) + caught.value.hint
    assert "OPENSEARCH_CREDENTIALS" in caught.value.hint
    async with client_of(fake, credentials="writer:right-password") as cluster:
        assert (await push(Numbers().source, cluster, PushPlan())).sent == 10


async def test_an_untrusted_certificate_is_not_tried_again() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed", request=request)

    waits = Waits()
    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as http:
        cluster = Cluster(http, ClusterAddress.parse("https://c.example/wiki"), sleep=waits)
        with pytest.raises(CorpusError, match=r"certificate of c\.example") as caught:
            await push(Numbers().source, cluster, PushPlan())
    assert "--ca-file" in caught.value.hint
    assert not waits.seconds


async def test_something_else_than_a_search_cluster_is_told() -> None:
    fake = FakeOpenSearch(faults=[Fault("", status=200, body=b"<html>welcome</html>")])
    async with client_of(fake) as cluster:
        with pytest.raises(CorpusError, match="something other than JSON") as caught:
            await push(Numbers().source, cluster, PushPlan())
    assert "OpenSearch" in caught.value.hint


async def test_progress_counts_what_earlier_runs_sent() -> None:
    seen: list[PushProgress] = []
    fake, store = FakeOpenSearch(), Numbers(count=MANY)
    async with client_of(fake) as cluster:
        await push(store.source, cluster, PushPlan(), progress=seen.append, clock=ticking(1))
    assert [step.passages for step in seen][-1] == MANY
    assert all(step.passages == step.sent for step in seen)
    assert seen[0].seconds_left is not None
    assert seen[-1].seconds_left == 0


def test_an_id_is_the_same_each_time_and_never_too_long() -> None:
    assert entry_id(passage(3, "", document_id="a#1")) == "a#1#1"
    longest = passage(0, "", document_id="x" * 510)
    assert entry_id(longest) == "x" * 510 + "#0"
    hashed = entry_id(passage(1, "", document_id="ü" * 300))
    assert hashed == entry_id(passage(1, "other", document_id="ü" * 300))
    assert hashed.startswith("sha256:")
    assert hashed.endswith("#1")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:9200/wiki",
        "ftp://host/wiki",
        "https://host:9200",
        "https://host:9200/",
        "https://host:9200/Wiki",
        "https://host:9200/_all",
        "https://host:9200/a,b",
        "https://host:9200/wiki*",
        "https://host:9200/wiki?x=1",
        "https://host:99999/wiki",
        "https://[/wiki",
        "https://user:hunter2@host/wiki",
    ],
)
def test_an_address_that_names_no_index_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ClusterAddress.parse(url)
    assert "hunter2" not in str(caught.value)


def test_a_cluster_may_lie_below_a_path() -> None:
    address = ClusterAddress.parse("https://host/search/wiki-2.0/")
    assert (address.base, address.index) == ("https://host/search", "wiki-2.0")


def test_secrets_are_checked_and_never_shown() -> None:
    assert authorization("", "") == {}
    assert authorization("a2V5", "") == {"Authorization": "ApiKey a2V5"}
    assert authorization("", "ü:p:w") == {"Authorization": "Basic w7w6cDp3"}
    for api_key, credentials in (("hunter2", "a:hunter2"), ("hunter2\n", ""), ("", "hunter2")):
        with pytest.raises(ConfigError) as caught:
            authorization(api_key, credentials)
        assert "hunter2" not in str(caught.value)


def test_a_plan_has_bounds() -> None:
    for shards, replicas in ((0, 1), (1_025, 1), (1, -1), (1, 101)):
        with pytest.raises(ConfigError, match="--shards"):
            PushPlan(shards=shards, replicas=replicas)


# --- the command ---------------------------------------------------------------------------------


async def test_the_command_copies_an_index_and_never_prints_its_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"_id": f"d{n}", "title": "T", "text": f"text {n}"} for n in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    build_index([open_source(tmp_path / "rows.jsonl")], tmp_path / "index")
    fake = FakeOpenSearch(credentials="writer:hunter2")

    async def run_push(credentials: str, *flags: str) -> tuple[int, str]:
        monkeypatch.delenv("OPENSEARCH_API_KEY", raising=False)
        monkeypatch.setenv("OPENSEARCH_CREDENTIALS", credentials)
        command = ["index", "push", str(tmp_path / "index"), "--to", fake.url("wiki"), *flags]
        code = await anyio.to_thread.run_sync(main, command)
        said = capsys.readouterr()
        assert "hunter" not in said.out + said.err
        return code, said.out or said.err

    async with serving(fake):
        refused = await run_push("writer:hunter1")
        pushed_now = await run_push("writer:hunter2", "--json")
        again = await run_push("writer:hunter2", "--delete-old")
    assert (refused[0], pushed_now[0], again[0]) == (1, 0, 0)
    assert "HTTP 401" in refused[1]
    report = json.loads(pushed_now[1])
    assert (report["alias"], report["passages"], report["sent"]) == ("wiki", 20, 20)
    assert fake.aliases["wiki"] == {report["index"]}
    assert "20 passages, 0 of them sent now" in again[1]


# --- asking what was pushed ----------------------------------------------------------------------


@asynccontextmanager
async def pushed(store: Numbers) -> AsyncGenerator[tuple[FakeOpenSearch, OpenSearch]]:
    fake = FakeOpenSearch()
    async with client_of(fake) as cluster:
        await push(store.source, cluster, PushPlan())
        yield fake, OpenSearch(cluster.http, "http://cluster.example:9200/wiki")


async def test_passages_of_one_document_are_one_hit_and_operators_filter() -> None:
    async with pushed(Numbers(count=40, text=lambda n: f"same {n}")) as (_, provider):

        async def found(**options: object) -> list[str]:
            query = SearchQuery(text="same", **options)  # pyright: ignore[reportArgumentType]
            return [hit.document_id for hit in (await provider.search(query)).hits]

        assert len(set(await found(limit=20))) == 20
        first, second = await found(limit=5), await found(limit=5, page=2)
        assert len({*first, *second}) == 10
        one = await found(limit=20, include_domains=("site1.example",))
        assert sorted(one) == sorted(f"doc {n}" for n in range(1, 20, 2))
        other = await found(limit=20, exclude_domains=("en.site1.example", "x.example/path"))
        assert set(other).isdisjoint(one)
        assert len(other) == 10
        days = await found(after=date(2012, 5, 17), before=date(2014, 5, 17))
        assert sorted(days) == ["doc 2", "doc 3"]


async def test_a_long_document_is_put_together_in_order() -> None:
    @dataclass
    class Book(Numbers):
        def passage(self, n: int) -> Passage:
            return Passage(
                document_id="book", url="corpus://x/book", title="B", text=f"p{n}\n", part=n
            )

    async with pushed(Book(count=605)) as (_, provider):
        page = await provider.page("corpus://x/book")
        missing = await provider.page("corpus://x/none")
    assert page is not None
    assert page.text == "".join(f"p{n}\n" for n in range(605))
    assert missing is None


async def test_a_cluster_that_sends_the_same_passages_for_ever_is_given_up() -> None:
    row = {"_source": {"doc": "d", "url": "https://a.example/", "text": ""}, "sort": ["d", 0]}
    shards = {"total": 1, "failed": 0}
    endless = {"timed_out": False, "_shards": shards, "hits": {"hits": [row] * PAGE_PASSAGES}}
    body = json.dumps(endless).encode()

    def handle(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=httpx.ByteStream(body))

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as http:
        with pytest.raises(FetchError, match="too long"):
            await OpenSearch(http, "http://cluster.example/wiki").page("https://a.example/")


async def test_a_page_is_never_given_in_part() -> None:
    async with pushed(Numbers()) as (fake, provider):
        del fake.indexes["wiki-gen-a"].seen["doc 0#0"]
        with pytest.raises(FetchError, match="holds only a part"):
            await provider.page("https://en.site0.example/0")
        fake.failed_shards = 1
        with pytest.raises(FetchError, match="1 of 3 shards failed"):
            await provider.page("https://en.site0.example/0")
