"""What the conformance run takes for a failure: a run that finds nothing must not look like one."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.conformance.run import problems_of
from tests.conformance.suite import Scenario, read_results


def scenarios(folder: Path, *checks: Mapping[str, object]) -> Sequence[Scenario]:
    """What the suite would have written about a scenario with these checks."""
    place = folder / "results" / "server-ping-2026-11-23T14-58-21-308Z"
    place.mkdir(parents=True)
    (place / "checks.json").write_text(json.dumps(checks))
    return tuple(read_results(folder))


def check(status: str, *, untestable: bool = False) -> Mapping[str, object]:
    details = {"untestable": True} if untestable else {}
    return {"id": "ping-response", "status": status, "errorMessage": "why", "details": details}


def test_a_scenario_whose_checks_pass_is_no_problem(tmp_path: Path) -> None:
    (found,) = scenarios(tmp_path, check("SUCCESS"), check("SKIPPED"), check("INFO"))
    assert (found.name, found.passed, found.skipped) == ("ping", 1, 1)
    assert problems_of([found], {}) == []


def test_failures_and_warnings_are_problems_and_so_is_what_could_not_be_tested(
    tmp_path: Path,
) -> None:
    found = scenarios(
        tmp_path, check("FAILURE"), check("WARNING"), check("SUCCESS", untestable=True)
    )
    assert problems_of(found, {}) == ["ping: ping-response: why"] * 3


def test_a_scenario_in_which_nothing_was_looked_at_is_a_problem(tmp_path: Path) -> None:
    assert problems_of(scenarios(tmp_path, check("SKIPPED")), {}) == [
        "ping: nothing in it could fail"
    ]


def test_an_excuse_holds_as_long_as_it_is_needed_and_no_longer(tmp_path: Path) -> None:
    excused = {"ping-response": "the reason"}
    failed = scenarios(tmp_path / "failed", check("FAILURE"))
    passed = scenarios(tmp_path / "passed", check("SUCCESS"))
    assert problems_of(failed, excused) == []
    assert problems_of(passed, excused) == ["ping-response: excused, and passes"]
