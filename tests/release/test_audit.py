"""An audit that looked up nothing is no audit that found nothing."""

import json

import pytest

from tests.release.real_audit import CLEAN, NOT_AUDITED, VULNERABLE, judged

SOUND = {"name": "a", "version": "1", "vulns": []}
KNOWN = {"name": "b", "version": "2", "vulns": [{"id": "CVE-2026-1"}]}
SKIPPED = {"name": "c", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("stdout", "outcome", "says"),
    [
        (json.dumps({"dependencies": [SOUND]}), CLEAN, "nothing is known of 1"),
        (json.dumps({"dependencies": [SOUND, KNOWN]}), VULNERABLE, "b 2 (CVE-2026-1)"),
        (json.dumps({"dependencies": [SOUND, SKIPPED]}), NOT_AUDITED, "1 of 3 were skipped"),
        (json.dumps({"dependencies": []}), NOT_AUDITED, "NOT AUDITED"),
        ("", NOT_AUDITED, "a: Dependency not found on PyPI"),
        ("null", NOT_AUDITED, "NOT AUDITED"),
    ],
)
def test_only_a_look_up_of_all_packages_counts(stdout: str, outcome: int, says: str) -> None:
    told = judged(stdout, "WARNING:x\nERROR:a: Dependency not found on PyPI\n", 3)
    assert told[0] == outcome
    assert says in told[1]
