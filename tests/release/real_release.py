"""What would be released, built and installed as users do: `make release-check`.

The sdist, the wheel, the SBOM and the list of licences are left in dist/.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.release.artifacts import PROJECT, ROOT, Artifacts, build
from tests.release.installation import LOCK, WAYS, Installation, with_lock, with_uv
from tests.release.licences import licences_in, table

TOOLS = ROOT / ".venv-release/bin"
DIST = ROOT / "dist"
PACKAGES = ("agent_client", "mcp_server")
PROGRAMS = ("seekling", "seekling-mcp")
VERSION = PROJECT["version"]


@pytest.fixture(scope="module")
def built() -> Artifacts:
    return build(TOOLS, DIST)


@pytest.fixture(scope="module")
def locked(built: Artifacts, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return with_lock(built, TOOLS, tmp_path_factory.mktemp("locked"))


@pytest.fixture(scope="module")
def model() -> Generator[str]:
    """The base URL of a model that searches, opens what it finds first, and quotes it."""
    command = (sys.executable, "-m", "tests.support.scripted_model", "--port", "0")
    policy = ("--policy", "search-visit-echo")
    with subprocess.Popen((*command, *policy), cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        process.kill()


def test_another_build_has_the_same_bytes(built: Artifacts, tmp_path: Path) -> None:
    others = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LANG": "C"}
    mask = os.umask(0o077)
    try:
        again = build(TOOLS, tmp_path, wheel_of_tree=True, **others)
    finally:
        os.umask(mask)
    assert again.sdist.read_bytes() == built.sdist.read_bytes()
    assert again.wheel.read_bytes() == built.wheel.read_bytes()  # that of `built` is of the sdist


def test_the_package_index_would_take_both(built: Artifacts) -> None:
    subprocess.run((TOOLS / "twine", "check", "--strict", built.sdist, built.wheel), check=True)


def test_the_wheel_has_every_file_of_both_packages_and_no_other(built: Artifacts) -> None:
    files = built.files_of_wheel()
    of_metadata = {name for name in files if name.startswith(f"seekling-{VERSION}.dist-info/")}
    places = {
        "agent_client": ROOT / "agent_client",
        "agent_client/evaluation/web/mirrors.txt": ROOT / "configs/benchmarks/mirrors.txt",
        "agent_client/profiles/files": ROOT / "configs/profiles",
        "mcp_server": ROOT / "mcp_server",
        "mcp_server/search/benchmarks": ROOT / "configs/benchmarks",
        "seekling_launch.py": ROOT / "configs/launch/seekling_launch.py",
    }
    wanted = {
        place + str(path).removeprefix(str(source)): path.read_bytes()
        for place, source in places.items()
        for path in ([source] if source.is_file() else source.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files.keys() - of_metadata == wanted.keys()
    assert {name for name in wanted if files[name] != wanted[name]} == set()
    assert {f"{package}/py.typed" for package in PACKAGES} < files.keys()
    assert not any(str(ROOT).encode() in content for content in files.values())


def test_the_wheel_names_its_licence_its_notice_and_its_programs(built: Artifacts) -> None:
    files = built.files_of_wheel()
    for name in ("LICENSE", "NOTICE"):
        inside = f"seekling-{VERSION}.dist-info/licenses/{name}"
        assert files[inside] == (ROOT / name).read_bytes()
    programs = files[f"seekling-{VERSION}.dist-info/entry_points.txt"].decode()
    assert re.findall(r"^(\S+) =", programs, re.MULTILINE) == [*PROGRAMS]


def test_the_sdist_has_what_it_takes_to_test_it(built: Artifacts) -> None:
    names = built.names_in_sdist()
    files = {*"LICENSE NOTICE Makefile README.md CHANGELOG.md pyproject.toml".split()}
    assert names >= {*files, "requirements.lock", "requirements-dev.lock"}
    folders = ("agent_client", "configs", "docs", "mcp_server", "tests")
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.md")):
        assert str(path.relative_to(ROOT)) in names


@pytest.fixture(scope="module", params=WAYS)
def installed(
    request: pytest.FixtureRequest, built: Artifacts, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    return WAYS[request.param](built, TOOLS, tmp_path_factory.mktemp("home"))


def test_each_way_to_install_it_gives_programs_that_answer(
    installed: Installation, model: str
) -> None:
    check_programs(installed, model)


def test_the_locked_versions_give_programs_that_answer(locked: Installation, model: str) -> None:
    check_programs(locked, model)


def check_programs(installed: Installation, model: str) -> None:
    """Both tell the version, the server finds nothing wrong, and a question is answered."""
    for program in PROGRAMS:
        assert installed.run(program, "--version").stdout == f"{program} {VERSION}\n"
    doctor = installed.run("seekling-mcp", "doctor", "--offline", "--json")
    found = json.loads(doctor.stdout)
    assert (doctor.returncode, found["outcome"]) == (0, "ok")
    done = installed.run("seekling", "ask", "--model", model, "--json", "Who was Marie Curie?")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    (source,) = answer["sources"]
    assert urlsplit(source["url"]).hostname == "encyclopedia.example"
    assert "physicist" in answer["answer"]
    assert answer["counts"]["tool_errors"] == 0


def test_a_package_that_overwrites_ours_ends_in_one_line(built: Artifacts, tmp_path: Path) -> None:
    clashing = with_uv(built, TOOLS, tmp_path)
    into = (TOOLS / "uv", "pip", "install", "--quiet", "--python", clashing.python)
    subprocess.run((*into, "--no-deps", "mcp-server==0.1.4"), check=True)
    done = clashing.run("seekling-mcp", "--version")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("seekling: mcp-server has overwritten a part of seekling")


def test_the_lock_gives_these_versions_and_no_others(locked: Installation) -> None:
    pins = [
        Requirement(line.rstrip("\\ "))
        for line in LOCK.read_text(encoding="utf-8").splitlines()
        if re.match(r"[A-Za-z0-9]", line)
    ]
    wanted = {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }
    there = {canonicalize_name(p.name): p.version for p in licences_in(locked.site_packages)}
    assert there == {**wanted, "seekling": VERSION}
    subprocess.run((TOOLS / "uv", "pip", "check", "--quiet", "--python", locked.python), check=True)


def test_every_licence_is_known_and_allowed(locked: Installation) -> None:
    packages = licences_in(locked.site_packages)
    assert [package for package in packages if not package.is_allowed] == []
    (DIST / "licences.md").write_text("\n".join(table(packages)) + "\n", encoding="utf-8")


def test_the_bill_of_materials_names_every_package_and_no_path(locked: Installation) -> None:
    file = DIST / f"seekling-{VERSION}.cdx.json"
    command = (TOOLS / "cyclonedx-py", "environment", locked.python, "--validate")
    formed = ("--pyproject", ROOT / "pyproject.toml", "--output-reproducible", "--sv", "1.6")
    subprocess.run((*command, *formed, "--output-file", file), check=True)
    text = file.read_text(encoding="utf-8")
    bill = json.loads(text)
    named = {canonicalize_name(part["name"]): part["version"] for part in bill["components"]}
    there = {canonicalize_name(p.name): p.version for p in licences_in(locked.site_packages)}
    root = bill["metadata"]["component"]
    assert (root["name"], root["version"]) == ("seekling", VERSION)
    assert named | {"seekling": VERSION} == there
    assert "file:" not in text
    assert str(Path.home()) not in text
    shutil.copyfile(LOCK, DIST / LOCK.name)
