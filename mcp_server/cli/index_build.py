"""`seekling-mcp index build`: make an index of files, folders and web sites."""

import argparse
import hashlib
import shutil
from pathlib import Path

import anyio

from mcp_server.app import open_crawl
from mcp_server.cli.json_output import print_json
from mcp_server.cli.progress import ProgressLine, time_left
from mcp_server.config import ServerConfig, load
from mcp_server.corpus.build import BuildProgress, BuildReport, build_index
from mcp_server.corpus.embedded import build_embedded_index, embedded_index_dir
from mcp_server.corpus.sources.crawl import CrawlPace, CrawlReport, crawl
from mcp_server.corpus.sources.opening import open_source
from mcp_server.corpus.types import DocumentSource
from mcp_server.errors import BlockedUrl, ConfigError, CorpusError
from mcp_server.log import configure_logging


def run(options: argparse.Namespace) -> int:
    """Build an index."""
    line = ProgressLine(quiet=options.quiet)
    try:
        if options.sources or options.crawl:
            report, directory = _build(options, line)
        else:
            directory = options.out or embedded_index_dir()
            report = build_embedded_index(directory)
    finally:
        line.finish()
    print_report(report, directory, as_json=options.json)
    return 0


def _build(options: argparse.Namespace, line: ProgressLine) -> tuple[BuildReport, Path]:
    if options.out is None:
        raise ConfigError("--out DIR is missing", hint="say where the index goes")
    if options.max_pages < 1 or options.crawl_interval < 0:
        raise ConfigError("--max-pages must be at least 1, and --crawl-interval not negative")
    directory: Path = options.out
    sources = open_sources(options)
    folders = [_crawl_folder(directory, url) for url in options.crawl]
    for url, folder in zip(options.crawl, folders, strict=True):
        line.note(_crawl_text(url, _crawled(url, folder, options, line)))
        sources.append(open_source(folder))
    built = build_index(
        sources,
        directory,
        name=options.name,
        language=options.language,
        options=options.base_url,
        progress=lambda progress: line.show(progress_text(progress)),
        note=line.note,
    )
    skipped = sum(source.skipped for source in sources)
    if skipped:
        line.note(f"{skipped:,} documents could not be read and were left out")
    for folder in folders:  # until now a build that was stopped could go on with them
        shutil.rmtree(folder, ignore_errors=True)
    return built, directory


def open_sources(options: argparse.Namespace) -> list[DocumentSource]:
    """The sources named on the command line.

    Raises:
        CorpusError: one of them cannot be read.
        ConfigError: reading it needs an extra that is not installed.
    """
    return [open_source(path, base_url=options.base_url) for path in options.sources]


def _crawl_folder(directory: Path, url: str) -> Path:
    """Where a crawl is kept until the index is complete: beside it, the same for each attempt."""
    digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    target = directory.absolute()
    return target.with_name(f".{target.name}.crawl-{digest}")


def _crawled(
    url: str, folder: Path, options: argparse.Namespace, line: ProgressLine
) -> CrawlReport:
    try:
        return anyio.run(_crawl, url, folder, options, line)
    except CorpusError as exc:
        if not open_source(folder).total:
            shutil.rmtree(folder, ignore_errors=True)  # nothing to go on with
        if isinstance(exc.__cause__, BlockedUrl):
            raise CorpusError(
                str(exc), hint="for a site of your own: --allow-private HOST --allow-ports any"
            ) from exc
        raise


async def _crawl(
    url: str, folder: Path, options: argparse.Namespace, line: ProgressLine
) -> CrawlReport:
    def show(pages: int, waiting: int) -> None:
        line.show(f"crawling: {pages:,} pages, {waiting:,} more are known")

    async with open_crawl(_crawl_settings(options)) as (visits, robots):
        return await crawl(
            url,
            visits=visits,
            robots=robots,
            folder=folder,
            max_pages=options.max_pages,
            pace=CrawlPace(interval_seconds=options.crawl_interval),
            progress=show,
        )


def _crawl_settings(options: argparse.Namespace) -> ServerConfig:
    """The settings for visits, from file and environment; a crawl always respects robots.txt."""
    config = load(
        flags={
            "allow_private": options.allow_private or None,
            "allow_ports": options.allow_ports or None,
            "robots": "respect",
            "page_reader": "own",
        }
    )
    configure_logging(config.log_level)
    return config


def _crawl_text(url: str, report: CrawlReport) -> str:
    left_out = [
        f"{count:,} {what}"
        for count, what in (
            (report.waiting, "known but not visited"),
            (report.refused, "forbidden"),
            (report.not_text, "not text"),
            (report.elsewhere, "elsewhere"),
            (report.failed, "failed"),
        )
        if count
    ]
    return f"crawled {url}: {report.pages:,} pages" + (
        f"; left out: {', '.join(left_out)}" if left_out else ""
    )


def progress_text(progress: BuildProgress) -> str:
    """One line on how far a build has come."""
    share = f", {progress.share:.0%}" if progress.share is not None else ""
    return (
        f"indexing: {progress.documents:,} documents{share},"
        f" {progress.documents_per_second:,.0f}/s{time_left(progress.seconds_left)}"
    )


def print_report(report: BuildReport, directory: Path, *, as_json: bool) -> None:
    """Say what a finished build did."""
    manifest = report.manifest
    size = sum(manifest.files.values())
    if as_json:
        told = manifest.model_dump(mode="json") | {
            "directory": str(directory),
            "index_bytes": size,
            "duplicates": report.duplicates,
            "resumed_documents": report.resumed_documents,
            "seconds": round(report.seconds, 3),
        }
        print_json(told)
        return
    facts = [
        f"{manifest.documents:,} documents in {manifest.passages:,} passages",
        f"{manifest.text_bytes / 1e6:,.1f} MB of text",
        f"{size / 1e6:,.1f} MB of index in {report.seconds:.1f} s at {directory}",
    ]
    if report.resumed_documents:
        facts.append(f"went on after {report.resumed_documents:,} documents")
    if report.duplicates:
        facts.append(f"{report.duplicates:,} repeated ids replaced")
    print(f"{manifest.name}: {', '.join(facts)}")
