"""Open a full-text index on disk and answer from it.

An index is a folder: `manifest.json` names the current generation, a sub-folder with tantivy's
files. A build writes a new generation and then replaces the manifest in one step, so readers
never see half an index and a failed build leaves the old one as it was.
"""

import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import tantivy
from pydantic import BaseModel, ValidationError

from mcp_server.clean import clean_line
from mcp_server.errors import CorpusError
from mcp_server.search.types import SearchHit, SearchQuery
from mcp_server.visit.types import Link, Page

MANIFEST = "manifest.json"
FORMAT = 1
"""Raised when an index must be built again to be read."""

_WORD = re.compile(r"\w+")
_HEADING_MARK = re.compile(r"^#{1,6} ", re.MULTILINE)
_STOP_WORDS = frozenset(
    """a about an and are as at be been but by can could did do does for from had has have he her
    his how i if in into is it its me more most my no not of on one or our she should so some such
    than that the their them then there these they this those to was we were what when where which
    who whom whose why will with would you your""".split()
)


class SourceRecord(BaseModel):
    """What a generation was built from."""

    name: str
    documents: int


class Manifest(BaseModel):
    """The index's description, as stored in `manifest.json`."""

    format: int
    name: str
    generation: str
    created: str
    documents: int
    text_bytes: int
    sources: list[SourceRecord]
    files: dict[str, int]
    """Name and size in bytes of every file of the generation."""
    digest: str = ""
    """Identifies the sources' content where the builder knows it."""


def index_schema() -> tantivy.Schema:
    """The fields of an index: identity and links stored, title and text searched with stemming."""
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("url", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("title", stored=True, tokenizer_name="en_stem")
    builder.add_text_field("text", stored=True, tokenizer_name="en_stem")
    builder.add_text_field("links", stored=True, tokenizer_name="raw", index_option="basic")
    return builder.build()


def read_manifest(directory: Path) -> Manifest:
    """Read and check the manifest of an index.

    Raises:
        CorpusError: there is no index, it is damaged, or it is of another format.
    """
    rebuild = f"build one: seekling-mcp index build SOURCE… --out {directory}"
    path = directory / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise CorpusError(f"no index at {str(directory)!r}", hint=rebuild) from None
    except OSError as exc:
        raise CorpusError(f"cannot read {str(path)!r}: {exc.strerror}", hint=rebuild) from exc
    except ValidationError as exc:
        raise CorpusError(
            f"the index at {str(directory)!r} is damaged: its manifest is not readable",
            hint=rebuild,
        ) from exc
    if manifest.format != FORMAT:
        raise CorpusError(
            f"the index at {str(directory)!r} has format {manifest.format}, this version reads"
            f" format {FORMAT}",
            hint=rebuild,
        )
    for name, size in manifest.files.items():
        file = directory / manifest.generation / name
        if not file.is_file() or file.stat().st_size != size:
            raise CorpusError(
                f"the index at {str(directory)!r} is damaged: {name} is missing or cut short",
                hint=rebuild,
            )
    return manifest


class LocalIndex:
    """An open index; safe to use from several threads, and by several processes at once."""

    def __init__(self, directory: Path) -> None:
        """Open the index at `directory`.

        Raises:
            CorpusError: it is missing, damaged or of another format.
        """
        self.directory = directory
        self.manifest = read_manifest(directory)
        with self._damage_named():
            self._index = tantivy.Index.open(str(directory / self.manifest.generation))
            self._index.reload()
            self._searcher = self._index.searcher()
        self._schema = index_schema()

    def search(self, query: SearchQuery) -> list[SearchHit]:
        """Answer a query with at most `query.limit` hits, best BM25 score first.

        The query is a bag of words: stop words and query syntax in it have no effect.

        Raises:
            CorpusError: the index is damaged.
        """
        words = [word for word in _WORD.findall(query.text.lower()) if word not in _STOP_WORDS]
        words = words or _WORD.findall(query.text.lower())
        if not words:
            return []
        with self._damage_named():
            parsed, _ = self._index.parse_query_lenient(" ".join(words), ["title", "text"])
            found = self._searcher.search(parsed, query.limit)
            snippets = tantivy.SnippetGenerator.create(self._searcher, parsed, self._schema, "text")
            snippets.set_max_num_chars(query.preview_chars)
            hits: list[SearchHit] = []
            for score, address in found.hits:
                document = self._searcher.doc(address)
                text = _first(document, "text")
                preview = text
                if len(text) > query.preview_chars:
                    preview = snippets.snippet_from_doc(document).fragment() or text
                hits.append(
                    SearchHit(
                        url=_first(document, "url"),
                        title=_first(document, "title"),
                        preview=clean_line(_HEADING_MARK.sub("", preview), query.preview_chars),
                        document_id=_first(document, "id"),
                        score=float(cast(float, score)),
                    )
                )
        return hits

    def page_at(self, url: str) -> Page | None:
        """The whole document stored under exactly this URL, or None.

        Raises:
            CorpusError: the index is damaged.
        """
        with self._damage_named():
            query = tantivy.Query.term_query(self._schema, "url", url, "basic")
            found = self._searcher.search(query, 1).hits
            if not found:
                return None
            document = self._searcher.doc(found[0][1])
        links = cast(list[list[str]], json.loads(_first(document, "links") or "[]"))
        return Page(
            url=url,
            final_url=url,
            title=_first(document, "title"),
            text=_first(document, "text"),
            media_type="text/markdown",
            links=tuple(Link(text=text, url=target) for text, target in links),
        )

    async def page(self, url: str) -> Page | None:
        """`page_at` as a `PageSource`; a lookup takes well under a millisecond."""
        return self.page_at(url)

    @contextmanager
    def _damage_named(self) -> Generator[None]:
        """Turn tantivy's errors, panics of its Rust code included, into a `CorpusError`."""
        try:
            yield
        except CorpusError:
            raise
        except BaseException as exc:
            # A damaged file makes the Rust side panic; pyo3 raises that as a BaseException of a
            # type that cannot be imported.
            if isinstance(exc, ValueError | OSError) or type(exc).__name__ == "PanicException":
                reason = (str(exc).splitlines() or [""])[0][:200]
                raise CorpusError(
                    f"the index at {str(self.directory)!r} is damaged: {reason}",
                    hint=f"build it again: seekling-mcp index build SOURCE… --out {self.directory}",
                ) from exc
            raise


def _first(document: tantivy.Document, field: str) -> str:
    value = document.get_first(field)
    return value if isinstance(value, str) else ""
