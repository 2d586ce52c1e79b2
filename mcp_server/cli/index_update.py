"""`seekling-mcp index add|delete`: change an index that is there."""

import argparse
from pathlib import Path

from mcp_server.cli.index_build import open_sources, progress_text
from mcp_server.cli.json_output import print_json
from mcp_server.cli.progress import ProgressLine
from mcp_server.corpus.update import UpdateReport, add_documents, delete_documents
from mcp_server.errors import ConfigError


def run(options: argparse.Namespace) -> int:
    """Add documents to an index or delete some."""
    directory: Path = options.directory
    if options.action == "delete":
        report = delete_documents(_ids(options), directory)
    else:
        line = ProgressLine(quiet=options.quiet)
        try:
            report = add_documents(
                open_sources(options),
                directory,
                progress=lambda progress: line.show(progress_text(progress)),
            )
        finally:
            line.finish()
    _print(report, directory, as_json=options.json)
    return 0


def _ids(options: argparse.Namespace) -> list[str]:
    ids: list[str] = list(options.ids)
    if options.ids_file is not None:
        try:
            lines = options.ids_file.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError(f"cannot read {str(options.ids_file)!r}: {exc}") from exc
        ids += (line.strip() for line in lines if line.strip())
    if not ids:
        raise ConfigError("no ids are named", hint="as arguments, or with --ids FILE, one a line")
    return ids


def _print(report: UpdateReport, directory: Path, *, as_json: bool) -> None:
    counts = {
        "added": report.added,
        "replaced": report.replaced,
        "deleted": report.deleted,
        "missing": report.missing,
    }
    if as_json:
        told = counts | {
            "documents": report.manifest.documents,
            "passages": report.manifest.passages,
            "directory": str(directory),
            "seconds": round(report.seconds, 3),
        }
        print_json(told)
        return
    done = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    print(f"{done or 'nothing changed'}; {report.manifest.documents:,} documents in {directory}")
