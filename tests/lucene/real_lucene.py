"""Our provider against a real Lucene: Anserini's REST server over the embedded encyclopedia.

Run by `make test-lucene`, which fetches the server first. The name keeps it out of `make test`: it
needs 200 MB from the package index, and its times need a machine that is not busy.
"""

import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from mcp_server.corpus.embedded import BASE_URL, PAGES
from mcp_server.errors import FetchError, ProviderFailed
from mcp_server.search.providers.anserini import Anserini
from mcp_server.search.types import SearchHit, SearchQuery
from tests.lucene.fetch_lucene import JAR, default_folder, java

QUESTIONS = Path(__file__).resolve().parents[1] / "data" / "demo_questions.jsonl"
HOSTILE_ID = "odd / id #1?&%2F ü"
START_SECONDS = 60
MAX_P50_MS = 200
"""Of a machine that does other things too; alone it takes about a tenth."""


@dataclass(frozen=True, slots=True)
class Server:
    process: subprocess.Popen[bytes]
    port: int
    index: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/{quote(str(self.index), safe='')}"


def documents() -> list[dict[str, str]]:
    """The encyclopedia as pages with URLs, and three documents that only the index has."""
    made: list[dict[str, str]] = []
    for page in sorted(PAGES.rglob("*.md")):
        name = page.relative_to(PAGES).with_suffix("").as_posix()
        heading, _, text = page.read_text(encoding="utf-8").partition("\n")
        title = heading.removeprefix("# ")
        made.append(
            {"id": name, "contents": f"{title}\n{text}", "title": title, "url": BASE_URL + name}
        )
    plain = "The quokka colony\nQuokkas live on Rottnest Island.\nThey eat leaves. " + "word " * 200
    hostile = "<script>steal()</script>Zyzzyva \u202ebeetles\x1b[31m bite <b>hard</b> & often."
    others = {"plain": plain, HOSTILE_ID: hostile, "a b": "Not the other one."}
    return [*made, *({"id": id_, "contents": text} for id_, text in others.items())]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """A server of its own on a free port of loopback, over an index made by Anserini itself."""
    folder = default_folder()
    assert (folder / JAR).exists(), "run `make test-lucene`, which fetches the server"
    work = tmp_path_factory.mktemp("lucene")
    (work / "corpus").mkdir()
    lines = "".join(json.dumps(document) + "\n" for document in documents())
    (work / "corpus" / "pages.jsonl").write_text(lines, encoding="utf-8")
    run = [str(java(folder)), "-Xmx512m", "-cp", str(folder / JAR)]
    build = ["io.anserini.index.IndexCollection", "-collection", "JsonCollection"]
    build += ["-generator", "DefaultLuceneDocumentGenerator", "-threads", "1", "-storeRaw"]
    build += ["-input", str(work / "corpus"), "-index", str(work / "index")]
    built = subprocess.run([*run, *build], check=False, capture_output=True)
    assert built.returncode == 0, built.stdout[-2_000:] + built.stderr[-2_000:]
    port = free_port()
    serve = ["io.anserini.api.RestServer", "--host", "127.0.0.1", "--port", str(port)]
    with (work / "log").open("wb") as log:
        process = subprocess.Popen([*run, *serve], stdout=log, stderr=log)
    try:
        wait_until_it_listens(process, port)
        yield Server(process, port, work / "index")
    finally:
        process.kill()
        process.wait()


def tell(line: str) -> None:
    sys.stderr.write(f"\n{line}\n")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the server did not start")


async def ask(
    url: str, text: str, *, limit: int = 10, page: int = 1, preview_chars: int = 300
) -> list[SearchHit]:
    query = SearchQuery(text=text, limit=limit, page=page, preview_chars=preview_chars)
    async with httpx.AsyncClient() as http:
        return list((await Anserini(http, url).search(query)).hits)


async def test_pages_on_the_way_to_the_answer_are_found_first(server: Server) -> None:
    questions = [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
    firsts = [(await ask(server.url, question["question"]))[0] for question in questions]
    right = sum(
        hit.url.removeprefix(BASE_URL) in question["gold_pages"]
        for hit, question in zip(firsts, questions, strict=True)
    )
    tell(f"{right} of {len(questions)} questions have a page of their path first")
    assert right >= 0.9 * len(questions)


async def test_hits_are_as_many_as_asked_and_pages_follow_on(server: Server) -> None:
    first = await ask(server.url, "river city capital", limit=5, preview_chars=120)
    second = await ask(server.url, "river city capital", limit=5, page=2)
    assert len({hit.url for hit in (*first, *second)}) == 10
    scores = [hit.score or 0 for hit in (*first, *second)]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < len(hit.preview) <= 120 for hit in first)


async def test_nothing_is_found_for_a_word_that_no_page_has(server: Server) -> None:
    assert await ask(server.url, "xqzzyqx") == []


@pytest.mark.parametrize(
    "text", ['"(unbalanced AND [ title:x* ~ \\ +', "C++ & node.js: a/b?", "天王星", "w " * 5_000]
)
async def test_signs_of_a_query_language_and_long_queries_are_words(
    server: Server, text: str
) -> None:
    assert isinstance(await ask(server.url, text), list)


async def test_a_document_without_a_url_is_visited_whole(server: Server) -> None:
    (hit,) = await ask(server.url, "quokkas of Rottnest", limit=1)
    assert (hit.title, hit.document_id) == ("The quokka colony", "plain")
    async with httpx.AsyncClient() as http:
        page = await Anserini(http, server.url).page(hit.url)
    assert page is not None
    assert page.title == "The quokka colony"
    assert page.text.startswith("Quokkas live on Rottnest Island.\nThey eat leaves. word")


async def test_hostile_ids_and_texts_come_through_as_plain_text(server: Server) -> None:
    (hit,) = await ask(server.url, "zyzzyva beetles", limit=1)
    assert hit.document_id == HOSTILE_ID
    assert hit.preview == "Zyzzyva beetles[31m bite hard & often."
    async with httpx.AsyncClient() as http:
        page = await Anserini(http, server.url).page(hit.url)
    assert page is not None
    assert page.text.startswith("<script>steal()</script>Zyzzyva beetles[31m bite")


async def test_a_document_that_is_not_there_is_none(server: Server) -> None:
    async with httpx.AsyncClient() as http:
        for url in ("corpus://anserini/none", "corpus://anserini/a%2Bb", "https://a.example/"):
            assert await Anserini(http, server.url).page(url) is None


async def test_an_index_that_is_not_there_is_named(server: Server) -> None:
    with pytest.raises(ProviderFailed, match="no such index"):
        await ask(f"http://127.0.0.1:{server.port}/v1/nosuch", "river")


async def test_half_of_the_queries_take_less_than_the_bound(server: Server) -> None:
    lines = QUESTIONS.read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line)["question"] for line in lines]
    times: list[float] = []
    async with httpx.AsyncClient() as http:
        provider = Anserini(http, server.url)
        for question in questions * 5:
            start = time.perf_counter()
            await provider.search(SearchQuery(text=question))
            times.append((time.perf_counter() - start) * 1_000)
    warm = sorted(times[len(questions) :])
    p50, p99 = statistics.median(warm), warm[int(len(warm) * 0.99)]
    tell(f"{len(warm)} queries: p50 {p50:.1f} ms, p99 {p99:.1f} ms with the provider's work")
    assert p50 < MAX_P50_MS


async def test_a_stopped_server_is_a_failure_and_never_empty(server: Server) -> None:
    # The last one: it stops the server that the others share.
    server.process.kill()
    server.process.wait()
    with pytest.raises(ProviderFailed, match="could not be reached"):
        await ask(server.url, "river")
    async with httpx.AsyncClient() as http:
        with pytest.raises(FetchError, match="could not be reached"):
            await Anserini(http, server.url).page("corpus://anserini/plain")
