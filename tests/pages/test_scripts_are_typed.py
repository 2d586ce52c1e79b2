"""The scripts of the pages fit together: TypeScript reads their JSDoc, strictly."""

import subprocess
from pathlib import Path

import pytest

from tests.pages.npm_packages import npm_package
from tests.support.node import NODE

TYPESCRIPT_VERSION = "5.9.3"
ROOT = Path(__file__).parents[2]
TYPES = Path(__file__).parent
OPTIONS = (
    "--allowJs --checkJs --noEmit --strict --noUnusedLocals"
    " --target esnext --lib esnext,dom,dom.iterable"
).split()


@pytest.mark.parametrize(
    ("page", "types"),
    [("viewer", ["view.d.ts"]), ("web_chat", ["view.d.ts", "chat.d.ts"])],
)
def test_the_type_checker_finds_nothing_wrong(page: str, types: list[str]) -> None:
    """All scripts of a page are checked at once, as they share one scope."""
    compiler = npm_package("typescript", TYPESCRIPT_VERSION) / "bin/tsc"
    package = ROOT / "agent_client"
    scripts = [*(package / "pages").glob("*.js"), *(package / page / "page").glob("*.js")]
    checked = subprocess.run(
        (NODE, compiler, *OPTIONS, *(TYPES / name for name in types), *scripts),
        capture_output=True,
        check=False,
        text=True,
    )
    assert checked.stdout == ""
    assert checked.returncode == 0
