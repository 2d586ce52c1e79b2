"""`seekling-mcp index build|info`: make and describe a local index."""

import argparse
import json
import sys
from pathlib import Path

from mcp_server.corpus.build import BuildProgress, BuildReport, build_index
from mcp_server.corpus.embedded import build_embedded_index, embedded_index_dir
from mcp_server.corpus.index import read_manifest
from mcp_server.errors import ConfigError


def run(options: argparse.Namespace) -> int:
    """Build or describe an index."""
    return _build(options) if options.action == "build" else _info(options)


def _build(options: argparse.Namespace) -> int:
    show = _Progress(quiet=options.quiet)
    if options.sources:
        if options.out is None:
            raise ConfigError("--out DIR is missing", hint="say where the index goes")
        directory: Path = options.out
        report = build_index(
            options.sources,
            directory,
            base_url=options.base_url,
            name=options.name,
            progress=show,
        )
    else:
        directory = options.out or embedded_index_dir()
        report = build_embedded_index(directory, progress=show)
    show.finish()
    _print_report(report, directory, as_json=options.json)
    return 0


def _print_report(report: BuildReport, directory: Path, *, as_json: bool) -> None:
    manifest = report.manifest
    size = sum(manifest.files.values())
    if as_json:
        told = manifest.model_dump(mode="json") | {
            "directory": str(directory),
            "index_bytes": size,
            "duplicates": report.duplicates,
            "seconds": round(report.seconds, 3),
        }
        print(json.dumps(told, ensure_ascii=False))
        return
    left_out = f", {report.duplicates:,} repeated ids left out" if report.duplicates else ""
    print(
        f"{manifest.name}: {manifest.documents:,} documents, {manifest.text_bytes / 1e6:,.1f} MB of"
        f" text, {size / 1e6:,.1f} MB of index in {report.seconds:.1f} s at {directory}{left_out}"
    )


def _info(options: argparse.Namespace) -> int:
    directory: Path = options.directory or embedded_index_dir()
    manifest = read_manifest(directory)
    size = sum(manifest.files.values())
    if options.json:
        told = manifest.model_dump(mode="json") | {
            "directory": str(directory),
            "index_bytes": size,
        }
        print(json.dumps(told, ensure_ascii=False))
        return 0
    print(f"{manifest.name} at {directory}")
    print(f"  documents  {manifest.documents:,}")
    print(f"  text       {manifest.text_bytes / 1e6:,.1f} MB")
    print(f"  index      {size / 1e6:,.1f} MB")
    print(f"  built      {manifest.created}")
    for source in manifest.sources:
        print(f"  source     {source.name} ({source.documents:,} documents)")
    return 0


class _Progress:
    """Progress on stderr: one rewritten line on a terminal, else a line each ten seconds."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._is_terminal = sys.stderr.isatty()
        self._last_line_at = 0.0

    def __call__(self, progress: BuildProgress) -> None:
        if self._quiet:
            return
        if not self._is_terminal:
            if progress.seconds - self._last_line_at < 10:
                return
            self._last_line_at = progress.seconds
        left = progress.seconds_left
        share = progress.done_bytes / max(1, progress.total_bytes)
        line = f"indexing: {progress.documents:,} documents, {min(share, 1):.0%}"
        line += f", {left:.0f} s left" if left is not None else ""
        end = "" if self._is_terminal else "\n"
        start = "\r\x1b[K" if self._is_terminal else ""
        print(f"{start}{line}", end=end, file=sys.stderr, flush=True)

    def finish(self) -> None:
        """Leave no half line behind."""
        if self._is_terminal and not self._quiet:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
