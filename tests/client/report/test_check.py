"""Matching claims against the text of pages."""

import re
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from agent_client.report.check import PageText, judge_together
from agent_client.report.document import Verdict
from mcp_server.corpus.embedded import PAGES as PAGE_FILES
from tests.client.report.labelled_claims import CLAIMS, PAGES, Label


def verdicts() -> Counter[tuple[Label, Verdict]]:
    pages = {key: PageText(title, text) for key, (title, text) in PAGES.items()}
    return Counter((label, pages[key].match(claim).verdict) for key, claim, label in CLAIMS)


def test_no_false_claim_of_the_labelled_set_is_found_and_most_true_ones_are() -> None:
    counted = verdicts()
    assert counted["no", "found"] == 0
    assert counted["yes", "not_found"] == 0
    assert counted["yes", "found"] >= 24  # of 27; the others are found partly
    assert counted["roughly", "found"] == 0


def encyclopedia() -> Iterator[PageText]:
    for path in sorted(PAGE_FILES.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        yield PageText(text.splitlines()[0].removeprefix("# "), text)


def test_of_a_whole_encyclopedia_each_sentence_is_found_and_none_with_a_changed_fact() -> None:
    verdicts: Counter[tuple[str, Verdict]] = Counter()
    for page in encyclopedia():
        for line in page.lines:
            year = re.sub(r"\b\d{3,4}\b", lambda found: str(int(found[0]) + 7), line.text, count=1)
            name = re.sub(r"(?<=[a-z,] )[A-Z][a-z]{3,}", "Karras", line.text, count=1)
            claims = {"true": line.text, "year": year, "name": name}
            for change, claim in claims.items():
                if change == "true" or claim != line.text:
                    verdicts[change, page.match(claim).verdict] += 1
    assert verdicts["true", "found"] >= 1_200
    assert verdicts["true", "partly"] + verdicts["true", "not_found"] == 0
    assert verdicts["year", "partly"] >= 380
    assert verdicts["year", "found"] == 0
    assert verdicts["name", "partly"] >= 700
    assert verdicts["name", "found"] == 0


def curie() -> PageText:
    return PageText(*PAGES["curie"])


def test_the_best_passage_is_the_sentence_that_says_it() -> None:
    match = curie().match("Marie Curie moved to Paris in 1891.")
    assert match.passage == "Marie Curie moved to Paris in 1891 and studied at the Sorbonne."


def test_a_wrong_year_is_named_as_what_is_missing() -> None:
    match = curie().match("Marie Curie was born in Warsaw in 1876.")
    assert (match.verdict, match.missing) == ("partly", ("1876",))


def test_a_sentence_that_says_she_is_about_the_subject_of_its_page() -> None:
    text = "She was born in Warsaw. Pierre Curie was born in Paris."
    assert PageText("Marie Curie", text).match("Marie Curie was born in Warsaw.").verdict == "found"
    assert PageText("Marie Curie", text).match("Marie Curie was born in Paris.").verdict != "found"
    assert PageText("", text).match("Marie Curie was born in Warsaw.").verdict != "found"


def test_a_quotation_must_stand_on_the_page_to_the_letter() -> None:
    page = PageText("Vell Dam", "The engineer said: “We shall finish the dam before the winter.”")
    said = "The engineer said “we shall finish the dam before the winter”."
    changed = "The engineer said “we shall finish the dam before the summer”."
    assert page.match(said).verdict == "found"
    match = page.match(changed)
    assert match.verdict == "not_found"
    assert match.missing == ("we shall finish the dam before the summer",)


def test_a_denial_does_not_support_what_it_denies() -> None:
    page = PageText("Vell Dam", "The dam was not damaged by the earthquake.")
    assert page.match("The dam was damaged by the earthquake.").verdict == "partly"


def test_two_pages_support_a_claim_together() -> None:
    claim = "Vell Dam was finished in 1969 and Orra Dam in 1974."
    matches = [
        PageText("Vell Dam", "Vell Dam was finished in 1969.").match(claim),
        PageText("Orra Dam", "Orra Dam was finished in 1974.").match(claim),
    ]
    assert [match.verdict for match in matches] == ["partly", "partly"]
    assert judge_together(claim, matches) == "found"
    assert judge_together(claim, matches[:1]) == "partly"
    assert judge_together(claim, []) == "not_found"


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("琵琶湖は日本最大の湖である。", "琵琶湖は日本最大の湖である。"),
        ("万里の長城は中国にある。", "万里の長城は中国にある。"),
        ("北京是中国的首都。", "北京是中国的首都，也是一座古城。"),
        ("서울은 대한민국의 수도이다.", "서울은 대한민국의 수도이다."),
    ],
)
def test_scripts_without_spaces_are_compared_too(claim: str, text: str) -> None:
    assert PageText("", text).match(claim).verdict == "found"
    assert PageText("", "まったく別の話です。").match(claim).verdict == "not_found"


def test_a_claim_without_words_is_not_found() -> None:
    assert PageText("", "It is what it is.").match("… ?!").verdict == "not_found"
    assert PageText("", "").match("Vell Dam is high.").passage == ""


@pytest.mark.parametrize("unit", ["a", "[", '"', "1,", "A. ", "(http://x ", "湖", "\n- "])
def test_a_hostile_page_costs_linear_time(unit: str) -> None:
    text = unit * (60_000 // len(unit))
    started = time.process_time()
    PageText("T", text).match(f"Vell Dam “{unit * 400}” is 142 m high.")
    assert time.process_time() - started < 1.5
