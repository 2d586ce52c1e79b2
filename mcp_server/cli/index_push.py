"""`seekling-mcp index push`: copy an index to OpenSearch or Elasticsearch."""

import argparse
import os

import anyio

from mcp_server.app import build_cluster_client
from mcp_server.cli.json_output import print_json
from mcp_server.cli.progress import ProgressLine, time_left
from mcp_server.corpus.cluster.address import ClusterAddress, authorization
from mcp_server.corpus.cluster.client import Cluster
from mcp_server.corpus.cluster.push import PushPlan, PushProgress, PushReport, push
from mcp_server.corpus.cluster.push_source import open_push_source


def run(options: argparse.Namespace) -> int:
    """Copy an index and switch its alias over.

    Raises:
        ConfigError: the URL, the plan or the credentials are malformed.
        CorpusError: the index cannot be read, or the cluster did not take it.
    """
    plan = PushPlan(shards=options.shards, replicas=options.replicas, delete_old=options.delete_old)
    address = ClusterAddress.parse(options.to)
    secret = authorization(
        os.environ.get("OPENSEARCH_API_KEY", ""), os.environ.get("OPENSEARCH_CREDENTIALS", "")
    )
    source = open_push_source(options.directory)
    line = ProgressLine(quiet=options.quiet)

    def show(step: PushProgress) -> None:
        line.show(
            f"pushing: {step.passages:,} of {step.total:,} passages{time_left(step.seconds_left)}"
        )

    async def copy() -> PushReport:
        async with build_cluster_client(options.ca_file) as http:
            return await push(source, Cluster(http, address, secret), plan, progress=show)

    try:
        report = anyio.run(copy)
    finally:
        line.finish()
    _print_report(report, as_json=options.json)
    return 0


def _print_report(report: PushReport, *, as_json: bool) -> None:
    if as_json:
        told = {
            "alias": report.alias,
            "index": report.index,
            "passages": report.passages,
            "sent": report.sent,
            "replaced": report.replaced,
            "deleted": report.deleted,
            "seconds": round(report.seconds, 3),
        }
        print_json(told)
        return
    kept = [name for name in report.replaced if name not in report.deleted]
    print(
        f"{report.alias} names {report.index}: {report.passages:,} passages,"
        f" {report.sent:,} of them sent now in {report.seconds:.1f} s"
    )
    if kept:
        print(f"  no longer named, but kept: {', '.join(kept)} (--delete-old removes such)")
