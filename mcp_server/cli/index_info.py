"""`seekling-mcp index info|verify`: describe an index, and read it whole."""

import argparse
from dataclasses import asdict
from pathlib import Path

from mcp_server.cli.json_output import print_json
from mcp_server.cli.progress import ProgressLine
from mcp_server.corpus.embedded import embedded_index_dir
from mcp_server.corpus.storage.manifest import read_manifest
from mcp_server.corpus.verify import verify_index


def run(options: argparse.Namespace) -> int:
    """Describe or verify an index."""
    directory: Path = options.directory or embedded_index_dir()
    if options.action == "verify":
        return _verify(directory, options)
    return _info(directory, options)


def _info(directory: Path, options: argparse.Namespace) -> int:
    manifest = read_manifest(directory)
    size = sum(manifest.files.values())
    if options.json:
        told = manifest.model_dump(mode="json") | {
            "directory": str(directory),
            "index_bytes": size,
        }
        print_json(told)
        return 0
    print(f"{manifest.name} at {directory}")
    print(f"  documents  {manifest.documents:,}")
    print(f"  passages   {manifest.passages:,}")
    print(f"  text       {manifest.text_bytes / 1e6:,.1f} MB")
    print(f"  index      {size / 1e6:,.1f} MB")
    print(f"  language   {manifest.language}")
    print(f"  built      {manifest.created}")
    print(f"  updated    {manifest.updated}")
    for source in manifest.sources:
        print(f"  source     {source.name} ({source.documents:,} documents)")
    return 0


def _verify(directory: Path, options: argparse.Namespace) -> int:
    line = ProgressLine(quiet=options.quiet or options.json)
    try:
        report = verify_index(
            directory,
            quick=options.quick,
            progress=lambda done, total: line.show(f"reading: {done:,} of {total:,} passages"),
        )
    finally:
        line.finish()
    if options.json:
        told = asdict(report) | {"manifest": report.manifest.model_dump(mode="json")}
        print_json({"sound": True, "directory": str(directory)} | told)
        return 0
    print(
        f"sound: {report.files:,} files ({report.bytes / 1e6:,.1f} MB) match their checksums,"
        f" {report.passages_read:,} of {report.passages:,} passages read,"
        f" {report.documents:,} documents"
    )
    for note in report.notes:
        print(f"note: {note}")
    return 0
