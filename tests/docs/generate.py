"""Write the generated parts of the documents from the code: `python -m tests.docs.generate`.

A page holds them between two marks, and all else on it is written by hand:

    <!-- generated: NAME -->
    …
    <!-- end -->

`--check` writes nothing and says which pages differ.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.docs.blocks import (
    architecture,
    command_lines,
    evaluation,
    exit_codes,
    library,
    profiles,
    records,
    settings,
    tools,
)

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "python -m tests.docs.generate"
BLOCKS: Mapping[str, Callable[[], str]] = {
    "architecture": architecture.diagram,
    "imports": architecture.import_tables,
    "client commands": command_lines.client_commands,
    "server commands": command_lines.server_commands,
    "client settings": settings.client_settings,
    "server settings": settings.server_settings,
    "exit codes": exit_codes.exit_codes,
    "profiles": profiles.profile_table,
    "server tools": tools.server_tools,
    "research tools": tools.research_tools,
    "library": library.library,
    "events": library.events,
    "errors": library.errors,
    "chat request": records.chat_request,
    "run manifest": records.run_manifest,
    "episode record": records.episode_record,
    "grade record": records.grade_record,
    "datasets": evaluation.datasets,
    "graders": evaluation.graders,
    "export formats": evaluation.export_formats,
    "facts": evaluation.facts,
}
"""What each mark stands for."""

_BLOCK = re.compile(r"(<!-- generated: ([a-z ]{1,40}) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def pages() -> list[Path]:
    """The documents that may hold generated parts."""
    return sorted((ROOT / "docs").rglob("*.md"))


def regenerated(text: str) -> str:
    """A page with its generated parts made anew.

    Raises:
        KeyError: a mark names a part that does not exist.
    """
    return _BLOCK.sub(lambda block: f"{block[1]}\n{BLOCKS[block[2]]()}\n\n{block[4]}", text)


def names_in(text: str) -> Iterator[str]:
    """The generated parts that a page holds."""
    return (block[2] for block in _BLOCK.finditer(text))


def outdated() -> Iterator[tuple[Path, str]]:
    """The pages that differ from what the code says now, each with its new text."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if (new := regenerated(text)) != text:
            yield page, new


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the generated parts of docs/.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if a page differs")
    options = parser.parse_args()
    differing = 0
    for page, text in outdated():
        differing += 1
        sys.stdout.write(f"{page.relative_to(ROOT)}\n")
        if not options.check:
            page.write_text(text, encoding="utf-8")
    return 1 if options.check and differing else 0


if __name__ == "__main__":
    sys.exit(main())
