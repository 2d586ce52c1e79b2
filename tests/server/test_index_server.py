"""An index over HTTP, in both protocols, and our own clients of them against it."""

import json
import signal
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
import uvicorn
import uvicorn.server
from anyio.abc import ByteReceiveStream, Process, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream

from mcp_server.cli import index_serve
from mcp_server.cli.main import build_parser
from mcp_server.corpus.build import build_index
from mcp_server.corpus.index import LocalIndex
from mcp_server.corpus.server import (
    MAX_BODY_BYTES,
    MAX_TOP_K,
    build_index_app,
)
from mcp_server.corpus.sources.json_lines import JsonLinesSource
from mcp_server.errors import ConfigError, CorpusError, FetchError, ProviderBlocked
from mcp_server.loopback import is_loopback
from mcp_server.search.providers.index_server import IndexServer
from mcp_server.search.providers.retriever import Retriever
from mcp_server.search.types import SearchHit, SearchQuery
from mcp_server.serving.prompt_connection import PromptConnection

ROWS = (
    {"_id": "eiffel", "title": "Eiffel Tower", "text": "A tower in Paris, built by engineers."},
    {"_id": "nile", "title": "Nile", "text": "The Nile is a river.\n\nIt flows through Africa."},
    {
        "_id": "moons",
        "title": "Moons of Uranus (list)",
        "text": "Titania and Oberon are moons.",
        "url": "https://en.wikipedia.org/wiki/Moons_of_Uranus_(list)",
    },
    {
        "_id": "award",
        "title": "Academy Award für Ärzte",
        "text": "An award for physicians.",
        "url": "https://de.wikipedia.org/wiki/Academy%20Award%20f%C3%BCr%20%C3%84rzte",
    },
)


def write_index(tmp_path: Path, *rows: dict[str, str]) -> Path:
    source = tmp_path / "facts.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    build_index([JsonLinesSource(source)], tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture(scope="module")
def index(directory: Path) -> LocalIndex:
    return LocalIndex(directory)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_index(tmp_path_factory.mktemp("served"), *ROWS)


@asynccontextmanager
async def client(
    index: LocalIndex, *, token: str = "", max_requests: int = 8
) -> AsyncGenerator[httpx.AsyncClient]:
    app = build_index_app(index, token=token, max_requests=max_requests)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:10000"
    ) as http:
        yield http


async def test_search_answers_as_the_reference_agent_reads_it(index: LocalIndex) -> None:
    async with client(index) as http:
        reply = await http.post("/search", json={"query": "river in Africa", "top_k": 1})
    assert reply.status_code == 200
    (found,) = reply.json()["results"]
    assert found["url"] == "corpus://facts/nile"
    assert found["metadata"]["paper_title"] == "Nile"
    assert "river" in found["preview"]


@pytest.mark.parametrize(
    "extra",
    [
        {"top_k": 2, "preview_char": 512, "use_reranker": False},
        {"number_results": 2},
        {"top_k": 2, "preview_char": 1_000_000},
    ],
)
async def test_every_form_of_the_reference_agent_s_question_is_understood(
    index: LocalIndex, extra: dict[str, object]
) -> None:
    async with client(index) as http:
        reply = await http.post("/search", json={"query": "tower river moons", **extra})
    assert len(reply.json()["results"]) == 2


@pytest.mark.parametrize(
    "url",
    [
        "https://en.wikipedia.org/wiki/Moons_of_Uranus_(list)",
        "https://en.wikipedia.org/wiki/Moons%20of%20Uranus%20(list)",
        "https://en.wikipedia.org/wiki/Moons of Uranus (list)",
        "https://en.wikipedia.org/wiki/Moons%20of%20Uranus%20%28list%29",
        "https://en.wikipedia.org/wiki/Moons_of_Uranus_%28list%29#Titania",
    ],
)
async def test_a_wiki_page_is_found_however_its_url_is_written(index: LocalIndex, url: str) -> None:
    async with client(index) as http:
        reply = await http.post("/visit", json={"url": url})
    assert reply.json()["data"] == "Titania and Oberon are moons."


async def test_a_wiki_page_stored_with_encoded_spaces_is_found_by_its_usual_url(
    index: LocalIndex,
) -> None:
    async with client(index) as http:
        url = "https://de.wikipedia.org/wiki/Academy_Award_für_Ärzte"
        reply = await http.post("/visit", json={"url": url})
    assert reply.json()["title"] == "Academy Award für Ärzte"


async def test_an_unknown_url_is_not_found_and_still_has_a_text_for_the_model(
    index: LocalIndex,
) -> None:
    async with client(index) as http:
        reply = await http.post("/visit", json={"url": "https://example.org/wiki/Other"})
    assert reply.status_code == 404
    assert "no document" in reply.json()["data"]


async def test_a_batch_is_answered_in_order_with_what_is_empty_left_empty(
    index: LocalIndex,
) -> None:
    queries = ["moons of Uranus", "", "zzzzqqq", *["tower in Paris"] * 40]
    async with client(index) as http:
        reply = await http.post(
            "/retrieve", json={"queries": queries, "topk": 1, "return_scores": True}
        )
    found = [[item["document"]["id"] for item in items] for items in reply.json()["result"]]
    assert found == [["moons"], [], [], *[["eiffel"]] * 40]
    first = reply.json()["result"][0][0]
    assert first["document"]["contents"].startswith('"Moons of Uranus (list)"\nTitania')
    assert first["score"] > 0


async def test_without_scores_a_batch_gives_the_documents_themselves(index: LocalIndex) -> None:
    async with client(index) as http:
        reply = await http.post("/retrieve", json={"queries": ["Nile"], "topk": 3})
        nothing = await http.post("/retrieve", json={"queries": [], "topk": None})
    assert reply.json()["result"][0][0]["id"] == "nile"
    assert nothing.json() == {"result": []}


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("/search", b"{", 400, "not JSON"),
        ("/search", b"\xff\xfe", 400, "not JSON"),
        ("/search", b"[" * 100_000, 400, "not JSON"),
        ("/search", b"[]", 422, "request"),
        ("/search", b"{}", 422, "query"),
        ("/search", b'{"query": ""}', 422, "query"),
        ("/search", b'{"query": "x", "top_k": 0}', 422, "top_k"),
        ("/search", b'{"query": "x", "top_k": %d}' % (MAX_TOP_K + 1), 422, f"{MAX_TOP_K}"),
        ("/visit", b'{"url": 5}', 422, "url"),
        ("/visit", b'{"url": "%s"}' % (b"x" * 5_000), 422, "url"),
        ("/retrieve", b'{"queries": "x"}', 422, "queries"),
        ("/retrieve", b'{"queries": ["x"], "topk": 1000}', 422, "topk"),
        ("/retrieve", json.dumps({"queries": ["x"] * 5_001}).encode(), 422, "queries"),
        ("/retrieve", json.dumps({"queries": ["x"] * 500, "topk": 100}).encode(), 422, "fewer"),
        ("/search", b" " * (MAX_BODY_BYTES + 1), 413, "larger"),
        ("/nothing", b"{}", 404, "Not Found"),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(
    index: LocalIndex, path: str, body: bytes, status: int, told: str
) -> None:
    async with client(index) as http:
        reply = await http.post(path, content=body)
    assert reply.status_code == status
    assert told in reply.json()["detail"]


async def test_hostile_words_are_words(index: LocalIndex) -> None:
    query = 'title:"x OR ( [a TO b} \\ \x00 ../../etc +river' + " -" * 3_000
    async with client(index) as http:
        reply = await http.post("/search", json={"query": query})
        page = await http.post("/visit", json={"url": "file:///etc/passwd"})
    assert [row["id"] for row in reply.json()["results"]] == ["nile"]
    assert page.status_code == 404


async def test_a_page_in_a_browser_is_refused(index: LocalIndex) -> None:
    async with client(index) as http:
        for origin in ("https://evil.example", "null", "http://127.0.0.1:10000"):
            reply = await http.get("/health", headers={"Origin": origin})
            assert reply.status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:10000", "10.0.0.1", "", "localhost.e"]
)
async def test_a_foreign_name_for_this_machine_is_refused_without_a_token(
    index: LocalIndex, host: str
) -> None:
    async with client(index) as http:
        assert (await http.get("/health", headers={"Host": host})).status_code == 421
        assert (await http.get("/health", headers={"Host": "LOCALHOST:1"})).status_code == 200
        assert (await http.get("/health", headers={"Host": "[::1]:10000"})).status_code == 200


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer wrong", "Basic s3cret", "s3cret", "Bearer ü"]
)
async def test_only_the_token_opens_a_server_that_has_one(index: LocalIndex, given: str) -> None:
    async with client(index, token="s3cret") as http:
        refused = await http.get("/health", headers=[(b"Authorization", given.encode())])
        opened = await http.get(
            "/health", headers={"Authorization": "Bearer s3cret", "Host": "index.example"}
        )
    assert (refused.status_code, opened.status_code) == (401, 200)
    assert refused.headers["www-authenticate"] == "Bearer"
    assert opened.json()["documents"] == 4


async def test_one_request_too_many_is_told_when_to_come_back(index: LocalIndex) -> None:
    release = anyio.Event()
    answered: list[int] = []

    async with client(index, max_requests=2) as http, anyio.create_task_group() as group:

        async def ask_slowly(*, task_status: TaskStatus[None]) -> None:
            async def body() -> AsyncIterator[bytes]:
                yield b'{"query": '
                task_status.started()
                await release.wait()
                yield b'"Nile"}'

            answered.append((await http.post("/search", content=body())).status_code)

        await group.start(ask_slowly)
        await group.start(ask_slowly)
        refused = await http.post("/search", json={"query": "Nile"})
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert "busy" in refused.json()["detail"]
        release.set()
    assert answered == [200, 200]


async def test_a_rebuilt_index_answers_without_a_restart(tmp_path: Path) -> None:
    directory = write_index(tmp_path, *ROWS)
    now = 0.0
    async with client(LocalIndex(directory, clock=lambda: now)) as http:
        before = (await http.get("/health")).json()
        write_index(tmp_path, *ROWS[:1])
        now = 2.0
        after = (await http.get("/health")).json()
        found = await http.post("/search", json={"query": "tower river moons award", "top_k": 9})
    assert (before["documents"], after["documents"]) == (4, 1)
    assert before["generation"] != after["generation"]
    assert [row["id"] for row in found.json()["results"]] == ["eiffel"]


async def test_an_index_that_cannot_be_read_is_an_error_without_the_place_where_it_lies(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Damaged(LocalIndex):
        def search(self, query: SearchQuery) -> list[SearchHit]:
            raise CorpusError(f"the index at {self.directory} is damaged")

    async with client(Damaged(write_index(tmp_path, *ROWS))) as http:
        reply = await http.post("/search", json={"query": "tower"})
        batch = await http.post("/retrieve", json={"queries": ["tower"]})
    assert (reply.status_code, batch.status_code) == (500, 500)
    assert str(tmp_path) not in reply.text
    assert str(tmp_path) in caplog.text


def serve(*arguments: str) -> int:
    return index_serve.run(build_parser().parse_args(["index", "serve", *arguments]))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "index.example"])
def test_a_server_open_to_others_needs_a_token(directory: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="without a token") as caught:
        serve(str(directory), "--host", host)
    assert "--token-file" in caught.value.hint


@pytest.mark.parametrize("text", ["", " \n", "two words", "ünicode", "a\x00b"])
def test_a_token_file_without_a_token_is_refused(
    directory: Path, tmp_path: Path, text: str
) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(ConfigError, match="does not hold one word"):
        serve(str(directory), "--token-file", str(tmp_path / "token"))
    with pytest.raises(ConfigError, match="cannot read"):
        serve(str(directory), "--token-file", str(tmp_path / "none"))


def test_an_address_that_cannot_be_had_is_told(directory: Path) -> None:
    with pytest.raises(ConfigError, match="out of range"):
        serve(str(directory), "--port", "70000")
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ConfigError, match="cannot listen"),
    ):
        serve(str(directory), "--port", str(taken.getsockname()[1]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_loopback_is_told_by_name_and_address(name: str, expected: bool) -> None:
    assert is_loopback(name) is expected


@asynccontextmanager
async def running(directory: Path, *arguments: str) -> AsyncGenerator[tuple[str, Process]]:
    """The real command on a free port; its URL and its process, which is killed at the end."""
    command = [sys.executable, "-m", "mcp_server", "index", "serve", str(directory)]
    async with await anyio.open_process([*command, "--port", "0", "--json", *arguments]) as process:
        assert process.stdout is not None
        try:
            with anyio.fail_after(20):
                line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 10_000)
            yield json.loads(line)["url"], process
        finally:
            if process.returncode is None:
                process.kill()


async def rest_of(stream: ByteReceiveStream | None) -> bytes:
    assert stream is not None
    return b"".join([piece async for piece in stream])


async def test_our_clients_and_our_server_understand_each_other(
    directory: Path, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("0123456789abcdef\n")
    async with (
        running(directory, "--token-file", str(tmp_path / "token")) as (url, process),
        httpx.AsyncClient() as http,
    ):
        server = IndexServer(http, url, "0123456789abcdef")
        query = SearchQuery(text="tower, river or moons", limit=1)
        first = (await server.search(query)).hits
        second = (await server.search(SearchQuery(text=query.text, limit=1, page=2))).hits
        assert first[0].url != second[0].url
        (moons,) = (await server.search(SearchQuery(text="Oberon", limit=5))).hits
        page = await server.page(moons.url.replace("_", "%20"))
        assert page is not None
        assert (page.title, page.text) == (moons.title, "Titania and Oberon are moons.")
        assert await server.page("https://example.org/") is None

        retriever = Retriever(http, f"{url}/retrieve", "0123456789abcdef")
        (nile,) = (await retriever.search(SearchQuery(text="Nile", limit=3))).hits
        assert (nile.document_id, nile.title, nile.url) == ("nile", "Nile", "corpus://facts/nile")
        kept = await retriever.page(nile.url)
        assert kept is not None
        assert "flows through Africa" in kept.text

        with pytest.raises(ProviderBlocked, match="401") as refused:
            await IndexServer(http, url, "wrong").search(query)
        assert "INDEX_SERVER_TOKEN" in refused.value.hint
        with pytest.raises(FetchError, match="index server"):
            await IndexServer(http, url).page(moons.url)

        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert await rest_of(process.stdout) == b""
        assert await rest_of(process.stderr) == b""
        with pytest.raises(FetchError, match="could not be reached"):
            await server.page(moons.url)


async def test_an_interrupt_ends_the_server_within_three_seconds_whatever_is_under_way(
    directory: Path,
) -> None:
    async with running(directory) as (url, process), httpx.AsyncClient(timeout=30) as http:
        stuck = anyio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield b'{"query": '
            stuck.set()
            await anyio.sleep_forever()

        async def send() -> None:
            await http.post(f"{url}/search", content=endless())

        async with anyio.create_task_group() as group:
            group.start_soon(send)
            await stuck.wait()
            assert (await http.get(f"{url}/health")).json()["status"] == "ok"
            process.send_signal(signal.SIGINT)
            with anyio.fail_after(3):
                assert await process.wait() == 0
            group.cancel_scope.cancel()
        assert await rest_of(process.stderr) == b""


async def test_half_a_character_in_one_query_fails_neither_it_nor_its_batch(
    index: LocalIndex,
) -> None:
    body = b'{"queries": ["the Nile", "the \\ud83d Nile"]}'
    async with client(index) as http:
        reply = await http.post("/retrieve", content=body)
        alone = await http.post("/search", content=b'{"query": "Nile \\ud800"}')
    assert reply.status_code == alone.status_code == 200
    assert [found[0]["id"] for found in reply.json()["result"]] == ["nile", "nile"]
    assert alone.json()["results"][0]["id"] == "nile"


@pytest.mark.parametrize("first", [b"", b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: "])
async def test_a_connection_that_does_not_say_what_it_wants_is_closed(
    first: bytes, index: LocalIndex
) -> None:
    async with in_process(index) as (port, state):
        async with await anyio.connect_tcp("127.0.0.1", port) as silent:
            if first:
                await silent.send(first)
            with anyio.fail_after(5), pytest.raises(anyio.EndOfStream):
                await silent.receive()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            for _ in range(2):
                assert (await http.get("/health")).status_code == 200
        assert state.total_requests == 2


@asynccontextmanager
async def in_process(index: LocalIndex) -> AsyncGenerator[tuple[int, uvicorn.server.ServerState]]:
    """The server with the connections of `index serve`, which here wait only a moment."""

    class Hasty(PromptConnection):
        head_seconds = 0.1

    config = uvicorn.Config(build_index_app(index), http=Hasty, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            yield listener.getsockname()[1], server.server_state
            server.should_exit = True
