"""The order of a local index's passages: each thing that decides it, on small made-up corpora."""

import gzip
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest
import tantivy
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.corpus.build import build_index
from mcp_server.corpus.index import LocalIndex
from mcp_server.corpus.ranking.candidates import MAX_READ
from mcp_server.corpus.ranking.names import known_names, mentions_in_question, mentions_in_text
from mcp_server.corpus.ranking.question import MAX_TERMS, read_question
from mcp_server.corpus.ranking.rank import MAX_COMPARED, rank
from mcp_server.corpus.storage.snapshot import Snapshot
from mcp_server.corpus.types import Document, Position, SourceItem
from mcp_server.search.types import SearchQuery

FILLER = [
    (f"Film number {number}", f"A film of the year {1900 + number} by a director.")
    for number in range(2 * MAX_READ)
]
"""More passages that have common words of a question than are read."""


@dataclass(frozen=True)
class Documents:
    documents: Sequence[Document]
    name: str = "made-up"
    fingerprint: str = "made-up"

    @property
    def total(self) -> int:
        return len(self.documents)

    @property
    def skipped(self) -> int:
        return 0

    def read(self, after: str = "") -> Iterator[SourceItem]:
        for number, document in enumerate(self.documents, 1):
            if number > int(after or 0):
                yield SourceItem(document, Position(str(number), number))


def index_of(folder: Path, documents: Sequence[Document], language: str = "en") -> Snapshot:
    build_index([Documents(documents)], folder, language=language)
    return LocalIndex(folder).snapshot()


def titled(*rows: tuple[str, str]) -> list[Document]:
    return [
        Document(id=title or str(number), url=f"x://host/{number}", title=title, text=text)
        for number, (title, text) in enumerate(rows)
    ]


def found(
    reader: Snapshot, text: str, limit: int = 10, allowed: tantivy.Query | None = None
) -> list[str]:
    ranked = rank(reader, read_question(reader, text, "en"), allowed)
    return [each.passage.document_id for each in islice(ranked, limit)]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    rows = (
        ("The Silent Mill", "The Silent Mill is a film of 1954, directed by Ida Maren Holt."),
        ("Ida Maren Holt", "Ida Maren Holt (born in Tromso) was Norwegian and grew up at sea."),
        ("Mill", "A mill grinds corn between stones: a mill, a mill, a mill."),
        ("Tromso", "Tromso lies in the north."),
        ("", "An untitled note about herring."),
    )
    return index_of(tmp_path_factory.mktemp("films") / "index", titled(*rows, *FILLER))


def test_a_document_that_a_hit_names_is_found_without_a_word_of_the_question(
    films: Snapshot,
) -> None:
    question = "Which director made the film The Silent Mill of the year?"
    assert found(films, question)[:2] == ["The Silent Mill", "Ida Maren Holt"]


def test_the_document_that_a_question_names_comes_first(films: Snapshot) -> None:
    assert found(films, "The Silent Mill")[0] == "The Silent Mill"
    assert found(films, "tell me of a silent mill film: the silent mill")[0] == "The Silent Mill"


def test_a_named_document_comes_before_one_with_more_of_the_words(tmp_path: Path) -> None:
    rows = (
        ("Friends of Orrin", "They are known to have met Orrin in the harbour of Orrin."),
        ("Orrin", "A painter of the coast, of boats and of the people on them. " * 3),
        *FILLER,
    )
    reader = index_of(tmp_path / "index", titled(*rows))
    assert found(reader, "what is Orrin known for?")[0] == "Orrin"


def test_of_two_linked_documents_the_one_with_what_is_still_open_comes_first(
    tmp_path: Path,
) -> None:
    rows = (
        ("The Quay", "The Quay tells of Otto Kemp and Anna Brel at a harbour of the north."),
        ("Otto Kemp", "He saw the harbour first."),
        ("Anna Brel", "She was the pilot then."),
        ("Ships", "No ship goes in without a pilot, in any of the weathers that come."),
        *FILLER,
    )
    reader = index_of(tmp_path / "index", titled(*rows))
    assert found(reader, "harbour pilot in The Quay")[:3] == ["The Quay", "Anna Brel", "Otto Kemp"]


def test_a_passage_about_a_word_comes_before_one_that_mentions_it(tmp_path: Path) -> None:
    rows = (
        ("", "Once an otter passed the mill, the quay, the farm and the fields beyond all of it."),
        ("", "An otter is an otter."),
        *FILLER,
    )
    reader = index_of(tmp_path / "index", titled(*rows))
    assert found(reader, "otter") == ["1", "0"]


def test_a_passage_with_all_the_words_comes_before_one_with_some_of_them_often(
    tmp_path: Path,
) -> None:
    rows = (
        ("", "Copper, tin; copper, tin; copper, tin."),
        ("", "Copper lies beside tin or zinc."),
        ("", "Some zinc."),
        ("", "More zinc."),
        ("", "Old zinc."),
        *FILLER,
    )
    reader = index_of(tmp_path / "index", titled(*rows))
    assert found(reader, "copper or tin or zinc")[0] == "1"


def test_a_name_in_lower_case_is_a_name(films: Snapshot) -> None:
    assert found(films, "where was ida maren holt born")[0] == "Ida Maren Holt"


def test_a_name_is_known_without_its_accents(tmp_path: Path) -> None:
    rows = (
        ("Tekezé", "A river that rises in the hills."),
        ("Lund", "He lived by the Tekeze\u0301 and wrote an anthem."),
        ("Norwick", "The anthem of the town was sung at the river."),
        *FILLER,
    )
    reader = index_of(tmp_path / "index", titled(*rows))
    assert found(reader, "where does the tekeze rise")[0] == "Tekezé"
    assert "Tekezé" in found(reader, "anthem by Lund")


def test_a_later_passage_of_a_named_document_is_found(tmp_path: Path) -> None:
    chapters = [
        f"Chapter {number} tells of the sea. " + "Waves roll. " * 110 for number in range(9)
    ]
    chapters[6] = "Its anthem is by Lund. " + chapters[6]
    rows = (("Norwick", "\n\n".join(chapters)), ("Other", "The anthem of others."), *FILLER)
    reader = index_of(tmp_path / "index", titled(*rows))
    best = next(rank(reader, read_question(reader, "Who wrote the anthem of Norwick?", "en")))
    assert best.passage.document_id == "Norwick"
    assert "anthem is by Lund" in best.passage.text
    assert best.passage.part > 0


def test_words_that_are_neighbours_in_the_question_count_more_together(tmp_path: Path) -> None:
    rows = (
        ("", "The wing was swept at its boundary, then a layer of paint came on."),
        ("", "A slender wing, swept a bit. They saw the boundary layer at its tip today."),
    )
    reader = index_of(tmp_path / "index", titled(*rows))
    assert found(reader, "boundary layer of a swept wing")[0] == "1"


def test_a_passage_like_the_best_hits_comes_before_one_that_is_not(tmp_path: Path) -> None:
    best = ("", "Jaguar, jaguar: a spotted hunter in the rainforest, a cat of rivers.")
    unlike = ("", "One jaguar, shown at the motor fair beside lorries and other new vans.")
    like = ("", "One jaguar, seen in the rainforest as a spotted hunter: a cat of rivers.")
    reader = index_of(tmp_path / "index", titled(*[best] * 5, unlike, like))
    assert found(reader, "jaguar")[5:] == ["6", "5"]


def test_only_allowed_passages_are_found_by_words_names_and_links(films: Snapshot) -> None:
    allowed = tantivy.Query.term_set_query(films.schema, "doc", ["The Silent Mill", "Tromso"])
    question = "Who made The Silent Mill, Ida Maren Holt or Tromso?"
    assert set(found(films, question, 100, allowed)) == {"The Silent Mill", "Tromso"}


def test_every_passage_with_a_word_of_the_question_comes_once(films: Snapshot) -> None:
    names = found(films, "film by the director", 1_000)
    assert len(names) == len(set(names))
    assert {title for title, _ in FILLER} <= set(names)


def test_questions_without_words_find_nothing(films: Snapshot) -> None:
    assert found(films, "") == []
    assert found(films, " ?!… -- ") == []


def test_a_question_of_stop_words_alone_is_answered_by_them(tmp_path: Path) -> None:
    reader = index_of(tmp_path / "index", titled(("The Who", "A band."), ("Cats", "Small.")))
    assert found(reader, "the who") == ["The Who"]


def test_query_syntax_has_no_meaning(films: Snapshot) -> None:
    assert found(films, 'title:herring AND NOT "x" (^') == ["4"]


def test_documents_without_titles_are_ranked_by_their_words(films: Snapshot) -> None:
    assert found(films, "a note on herring") == ["4"]


def test_scripts_without_spaces_are_found(tmp_path: Path) -> None:
    rows = (("東京塔", "東京塔是一座塔。"), ("大阪", "大阪是一座城市。"), ("Berlin", "A city."))
    reader = index_of(tmp_path / "index", titled(*rows), language="none")
    ranked = rank(reader, read_question(reader, "東京塔在哪里", "none"))
    assert next(ranked).passage.title == "東京塔"


def test_stems_are_those_of_the_index_language(tmp_path: Path) -> None:
    rows = (("Haus", "Die alten Häuser am Fluss."), ("Baum", "Ein Baum."))
    reader = index_of(tmp_path / "index", titled(*rows), language="de")
    ranked = rank(reader, read_question(reader, "altes Haus", "de"))
    assert [each.passage.title for each in ranked] == ["Haus"]


def test_a_long_question_is_answered_by_its_rarest_terms(films: Snapshot) -> None:
    common = " ".join(str(1900 + number) for number in range(2 * MAX_READ))
    question = read_question(films, f"film director year {common} herring", "en")
    assert len(question.weights) == MAX_TERMS
    assert not {"film", "director", "year"} & question.weights.keys()


def test_words_that_no_passage_has_are_no_part_of_the_question(films: Snapshot) -> None:
    assert set(read_question(films, "herring zzyzx", "en").weights) == {"herring"}
    assert found(films, "zzyzx qwxyz") == []


def test_meaning_reorders_the_first_ones_only(films: Snapshot) -> None:
    asked: list[Sequence[str]] = []

    def last_is_nearest(query: str, texts: Sequence[str]) -> list[float]:
        asked.append(texts)
        return [float(number == len(texts) - 1) for number in range(len(texts))]

    question = read_question(films, "film by the director", "en")
    by_words = [each.passage.title for each in rank(films, question)]
    by_both = [each.passage.title for each in rank(films, question, similarity=last_is_nearest)]
    assert [len(texts) for texts in asked] == [MAX_COMPARED]
    assert by_both[0] == by_words[MAX_COMPARED - 1]
    assert by_both[MAX_COMPARED:] == by_words[MAX_COMPARED:]


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from("the Mill film 1954 İ ß 塔 O'".split())).map(" ".join)
)
def test_any_question_gets_scores_that_do_not_rise(films: Snapshot, text: str) -> None:
    ranked = list(islice(rank(films, read_question(films, text, "en")), 100))
    scores = [each.score for each in ranked]
    assert all(math.isfinite(score) and score >= 0 for score in scores)
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("directed by Ida Maren Holt in 1954.", {"ida maren holt"}),
        ("The House of the Rising Sun, a song", {"the house of the rising sun"}),
        ("St. Louis and J. R. R. Tolkien's sea", {"st. louis", "j. r. r. tolkien"}),
        ("He sang Help! (A song). The end", {"help!"}),
        ("In March he left", set[str]()),
    ],
)
def test_names_in_a_text_are_told_by_their_spelling(text: str, names: set[str]) -> None:
    titles = {
        *("ida maren holt", "the house of the rising sun", "st. louis", "j. r. r. tolkien"),
        *("help!", "help", "holt", "sun", "in", "song", "left", "1954"),
    }
    assert set(known_names(mentions_in_text(text), titles.__contains__)) == names


def test_a_name_inside_a_longer_one_is_not_taken() -> None:
    titles = {"new york", "new york city", "york", "city hall"}
    known = known_names(mentions_in_question("the new york city hall"), titles.__contains__)
    assert known == ["new york city", "city hall"]


def ndcg(found: Sequence[str], relevant: set[str]) -> float:
    gains = [1 / math.log2(place + 2) for place in range(10)]
    reached = sum(gain for gain, name in zip(gains, found, strict=False) if name in relevant)
    return reached / sum(gains[: len(relevant)])


@pytest.mark.shared_data
def test_questions_over_several_documents_gain_five_points_and_more(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "multihop"
    lines = (folder / "hotpotqa_train100/questions.jsonl").read_text().splitlines()
    questions = {row["question"]: set(row["gold_passages"]) for row in map(json.loads, lines)}
    with gzip.open(folder / "wiki_passages.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    gold = set[str]().union(*questions.values())
    kept = [row for number, row in enumerate(rows) if row["_id"] in gold or number % 10 == 0]
    documents = [
        Document(id=row["_id"], url=f"x://{row['_id']}", title=row["title"], text=row["text"])
        for row in kept
    ]
    reader = index_of(tmp_path / "index", documents)
    index = LocalIndex(tmp_path / "index")

    def by_plain(text: str) -> list[str]:
        return [hit.document_id for hit in index.search_plain(SearchQuery(text=text))]

    ours = [
        ndcg(list(dict.fromkeys(found(reader, text, 20))), gold) for text, gold in questions.items()
    ]
    plain = [ndcg(by_plain(text), gold) for text, gold in questions.items()]
    assert sum(ours) / len(ours) >= sum(plain) / len(plain) + 0.05
