"""What is installed is what was looked at: hashes, floors of versions, rules, and no secrets."""

import json
import platform
import re
import tomllib
import warnings
from importlib.metadata import distributions

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.release.artifacts import ROOT
from tests.release.locks import LOCKS, Pin, files_of_project, pins_of
from tests.release.real_audit import CLEAN, NOT_AUDITED, VULNERABLE, judged, worst

FLOORS = {
    "anyio": ("4.4", "earlier ones had a race of threads that could end a process"),
    "brotli": (
        "1.2",
        "the first one whose decoder can be stopped at a limit (GHSA-2qfp-q593-8484)",
    ),
    "certifi": ("2024.7.4", "earlier ones trust the roots of GLOBALTRUST (CVE-2024-39689)"),
    "cryptography": ("43.0.1", "earlier wheels bundle a vulnerable OpenSSL (CVE-2024-6119)"),
    "h11": ("0.16", "earlier ones take malformed chunks: request smuggling (CVE-2025-43859)"),
    "httpcore": ("1.0.9", "the first one that asks for the h11 that refuses malformed chunks"),
    "httpx": ("0.28.1", "our transport is written for the interface of this one"),
    "httpx2": ("2.16", "decodes bodies in bounded pieces; it comes with mcp"),
    "idna": ("3.7", "quadratic time for long names before it (CVE-2024-3651)"),
    "jinja2": ("3.1.6", "templates could leave the sandbox (CVE-2025-27516)"),
    "lxml": ("6", "bundles a libxml2 with the fixes of 2025"),
    "mcp": ("2.2", "a server's schema could fetch URLs and files (CVE-2026-116686)"),
    "pyjwt": ("2.10.1", "the issuer was compared by its parts only (CVE-2024-53861)"),
    "pypdf": ("7", "endless loops and memory in many streams (CVE-2026-27024 and others)"),
    "pypdfium2": ("5.15", "bundles the PDFium of its own month, which parses hostile files"),
    "python-multipart": ("0.0.18", "an endless line of a form stalled it (CVE-2024-53981)"),
    "requests": ("2.32.4", "passwords of .netrc went to other hosts (CVE-2024-47081)"),
    "selectolax": ("1", "our limits of the parser are measured on its lexbor"),
    "setuptools": ("78.1.1", "wrote outside of its folder (CVE-2025-47273)"),
    "starlette": ("0.49.1", "quadratic time for a Range header (CVE-2025-62727)"),
    "tqdm": ("4.66.3", "options from the command line were evaluated (CVE-2024-34062)"),
    "urllib3": ("2.7", "bombs in its decoders (CVE-2025-66418, CVE-2025-66471, CVE-2026-44432)"),
}
"""The oldest version of a package that we install anywhere, and why."""

PYTHONS = {(3, 11): 14, (3, 12): 12, (3, 13): 6}
"""The first patch release of each Python whose `html.parser` is not quadratic (CVE-2025-6069)."""

RULES = ("S", "ASYNC", "BLE")
"""Of ruff: security, what blocks an event loop, and exceptions that are caught blindly."""
BY_RULES = re.compile(
    r"# noqa: (?:[A-Z]+\d+, ?)*?(?P<rule>(?:S|ASYNC|BLE)\d+)(?:, ?[A-Z]+\d+)*(?P<why>.*)"
)

SHA256 = re.compile("sha256:[0-9a-f]{64}")
KEYS = re.compile(
    r"""\b(?:
        (?:AKIA|ASIA)[A-Z0-9]{16}             # AWS
      | gh[pousr]_[A-Za-z0-9]{36}             # GitHub
      | github_pat_[A-Za-z0-9_]{60}
      | glpat-[A-Za-z0-9_-]{20}               # GitLab
      | sk-(?:ant-|proj-)?[A-Za-z0-9_-]{32}   # OpenAI, Anthropic
      | hf_[A-Za-z0-9]{30}                    # Hugging Face
      | AIza[A-Za-z0-9_-]{35}                 # Google
      | BSA[A-Za-z0-9_-]{27}                  # Brave
      | tvly-[A-Za-z0-9-]{24}                 # Tavily
      | jina_[A-Za-z0-9]{40}                  # Jina
      | pplx-[A-Za-z0-9]{40}                  # Perplexity
      | xox[abprs]-[A-Za-z0-9-]{20}           # Slack
      | pypi-AgEI[A-Za-z0-9_-]{40}            # PyPI
      | npm_[A-Za-z0-9]{36}
    )""",
    re.VERBOSE,
)
PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}")


@pytest.mark.parametrize("lock", LOCKS)
def test_each_entry_of_a_lock_comes_from_an_index_with_its_hashes(lock: str) -> None:
    pins = pins_of(lock)
    assert pins
    without = [pin.name for pin in pins if not pin.hashes]
    weak = [
        pin.name for pin in pins for h in pin.hashes if not re.fullmatch("sha256:[0-9a-f]{64}", h)
    ]
    assert (without, weak) == ([], [])


def test_every_lock_file_is_looked_at() -> None:
    named = re.compile(r"(.*requirements.*\.(lock|txt)|.*\.lock)")
    there = [p for p in files_of_project() if named.fullmatch(p.name)]
    assert {str(path.relative_to(ROOT)) for path in there} == set(LOCKS)


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_a_version_below_its_floor(lock: str) -> None:
    assert [pin for pin in pins_of(lock) if is_below(pin.name, pin.version)] == []


def test_the_main_locks_have_what_the_floors_are_for() -> None:
    named = {pin.name for lock in LOCKS for pin in pins_of(lock)}
    may_be_absent = {"lxml", "pypdf", "requests", "setuptools", "tqdm", "urllib3"}
    assert FLOORS.keys() - named <= may_be_absent


def test_no_installed_package_is_below_its_floor() -> None:
    # What made this environment, such as its setuptools, is no dependency of ours.
    ours = {pin.name for lock in LOCKS for pin in pins_of(lock)}
    installed = {canonicalize_name(d.metadata["Name"]): Version(d.version) for d in distributions()}
    below = [name for name in installed.keys() & ours if is_below(name, installed[name])]
    assert below == []
    assert installed.keys() >= {"mcp", "h11", "httpcore", "brotli", "pyjwt", "starlette", "jinja2"}


def test_a_version_below_its_floor_is_seen() -> None:
    assert is_below("mcp", Version("2.1.9"))
    assert not is_below("mcp", Version("2.2.0"))
    assert not is_below("unknown", Version("0.1"))


def is_below(name: str, version: Version) -> bool:
    return name in FLOORS and version < Version(FLOORS[name][0])


def test_an_old_python_is_told() -> None:
    """No failure: pages are never read with `html.parser`, and Python is the machine's own."""
    release = tuple(map(int, platform.python_version_tuple()[:2]))
    patch = int(re.match(r"\d+", platform.python_version_tuple()[2])[0])  # type: ignore[index]
    if patch < PYTHONS.get((release[0], release[1]), 0):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn(f"Python {platform.python_version()} lacks security fixes", stacklevel=1)


def test_ruff_looks_for_insecure_blocking_and_blind_code() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]
    assert set(RULES) <= set(settings["lint"]["select"])
    ignored = {rule for rule in settings["lint"]["ignore"] if re.match(r"(S|ASYNC|BLE)\d*$", rule)}
    assert ignored == {"S101"}
    for folder, rules in settings["lint"]["per-file-ignores"].items():
        assert folder.startswith("tests/") or set(RULES).isdisjoint(rules), folder


def test_whoever_steps_out_of_line_says_why() -> None:
    """Beside the mark, on a line next to it, or where the same file does it before."""
    silent = [
        f"{path.relative_to(ROOT)}:{number}"
        for package in ("agent_client", "mcp_server")
        for path in sorted((ROOT / package).rglob("*.py"))
        for number in unexplained(path.read_text(encoding="utf-8"))
    ]
    assert silent == []


def test_a_mark_without_a_reason_is_seen() -> None:
    assert unexplained("x = 1\ny = f()  # noqa: S311\nz = 2") == [2]
    assert unexplained("x = 1\ny = f()  # noqa: S311 - spreads load only\nz = 2") == []
    assert unexplained("# It spreads load only.\ny = f()  # noqa: S311\nz = 2") == []


def unexplained(source: str) -> list[int]:
    """The lines that turn off one of our rules and say nowhere why."""
    lines = ["", *source.splitlines(), ""]
    marks = [(number, m) for number, line in enumerate(lines) if (m := BY_RULES.search(line))]
    told = {
        mark["rule"]
        for number, mark in marks
        if re.search("[A-Za-z]{2}", mark["why"])
        or is_comment(lines[number - 1])
        or is_comment(lines[number + 1])
    }
    return [number for number, mark in marks if mark["rule"] not in told]


def is_comment(line: str) -> bool:
    return re.search(r"(?:^|\s)#(?! noqa)", line) is not None


def test_no_file_holds_a_key() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0][:8]}…"
        for path in files_of_project()
        if path.stat().st_size < 5_000_000
        for match in keys_in(path.read_bytes().decode("utf-8", "replace"))
    ]
    assert found == []


def test_a_key_is_seen() -> None:
    made_up = ("AKIA" + "A1B2C3D4" * 2, "ghp_" + "a1b2c3" * 6, "sk-proj-" + "a1b2" * 8)
    assert [len(list(keys_in(f'key = "{key}"'))) for key in made_up] == [1, 1, 1]
    assert len(keys_in("-----BEGIN " + "PRIVATE KEY-----\n" + "MIIE" * 12)) == 1
    assert keys_in("sk-test s3cret-0123456789abcdef") == []


def keys_in(text: str) -> list[re.Match[str]]:
    """What has the shape of a secret of a known service, without what is clearly made up."""
    found = [*KEYS.finditer(text), *PRIVATE_KEY.finditer(text)]
    return [match for match in found if len(set(match[0])) > 7]


def test_a_pin_that_is_no_pin_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("locks")
    digest = "--hash=sha256:" + "0" * 64
    for entry in ("a>=1", "a @ https://x.example/a.whl", "-e .", "git+https://x.example/a"):
        path = folder / "requirements.lock"
        path.write_text(f"{entry} {digest}\n", encoding="utf-8")
        with pytest.raises(ValueError, match=r"is no pinned|does not come"):
            pins_of(str(path))
    path = folder / "requirements.lock"
    path.write_text(f"A_b==1 \\\n    {digest}\n    # via c\n", encoding="utf-8")
    assert pins_of(str(path)) == [Pin(str(path), "a-b", Version("1"), (digest[7:],))]


def test_a_known_vulnerability_counts_although_another_lock_was_not_audited() -> None:
    assert worst([NOT_AUDITED, VULNERABLE]) == VULNERABLE
    assert worst([CLEAN, NOT_AUDITED]) == NOT_AUDITED
    assert worst([CLEAN, CLEAN]) == CLEAN


@pytest.mark.parametrize(
    ("packages", "expected"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], CLEAN),
        ([{"name": "a", "version": "1", "vulns": [{"id": "CVE-1"}]}], VULNERABLE),
        ([{"name": "a", "skip_reason": "not on PyPI"}], NOT_AUDITED),
        ([], NOT_AUDITED),
    ],
)
def test_a_lock_is_clean_only_where_every_package_was_looked_up(
    packages: list[dict[str, object]], expected: int
) -> None:
    assert judged(json.dumps({"dependencies": packages}), "", 1)[0] == expected


def test_an_audit_that_could_not_ask_is_no_clean_one() -> None:
    assert judged("", "no network\n", 1) == (NOT_AUDITED, "NOT AUDITED: no network")
