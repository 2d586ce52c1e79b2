"""What `install` and `uninstall` share: which hosts and files are meant, and what is told."""

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from mcp_server.cli.json_output import print_json
from mcp_server.cli.parser import UsageError
from mcp_server.errors import UnusableSettings
from mcp_server.hosts.catalog import HOSTS, Host, Places, host_named, places_here
from mcp_server.hosts.changes import Change, is_entered

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_TOLD = {
    "added": "entered into",
    "replaced": "replaced in",
    "same": "is already in",
    "removed": "taken out of",
    "restored": "taken out of",
    "absent": "is not in",
}


def chosen(options: argparse.Namespace) -> list[tuple[Host, Path]]:
    """The hosts that were named, each with its settings file.

    Raises:
        UsageError: a host is unknown, or cannot be what else is asked.
    """
    if not _NAME.fullmatch(options.name):
        raise UsageError(f"--name {options.name!r}: use letters, digits, - and _")
    hosts = [_known(name) for name in dict.fromkeys(options.host)]
    if options.file is not None and (len(hosts) > 1 or options.project):
        raise UsageError("--file names the file of one host, without --project")
    return [(host, _file(host, options, places_here())) for host in hosts]


def _known(name: str) -> Host:
    host = host_named(name)
    if host is None:
        names = [known.name for known in HOSTS]
        close = difflib.get_close_matches(name.lower(), names, n=1)
        hint = f", did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"unknown host {name!r}{hint}; hosts: {', '.join(names)}")
    return host


def _file(host: Host, options: argparse.Namespace, places: Places) -> Path:
    if options.file is not None:
        return options.file.absolute()
    if not options.project:
        return host.file(places)
    if not host.project_file:
        known = ", ".join(known.name for known in HOSTS if known.project_file)
        raise UsageError(f"{host.title} has no settings per project; those that do: {known}")
    return Path.cwd() / host.project_file


def list_hosts(options: argparse.Namespace) -> int:
    """Print all hosts, which of them seem to be here, and where there is an entry.

    Returns:
        The exit code.

    Raises:
        UsageError: `--file` without a host.
    """
    if options.file is not None:
        raise UsageError("--file names the file of one host: name the host too")
    places = places_here()
    rows: list[dict[str, str | bool]] = []
    for host in HOSTS:
        file = _file(host, options, places) if host.project_file or not options.project else None
        if file is None:
            continue
        try:
            entered, trouble = is_entered(host, file, options.name), ""
        except UnusableSettings as exc:
            entered, trouble = False, str(exc)
        rows.append(
            {
                "host": host.name,
                "title": host.title,
                "found": host.is_here(places),
                "entered": entered,
                "file": str(file),
                "trouble": trouble,
            }
        )
    if options.json:
        print_json({"hosts": rows})
        return 0
    print(f"{'HOST':<15} {'HERE':<5} {'ENTERED':<8} SETTINGS")
    for row in rows:
        here, entered = ("yes" if row[key] else "-" for key in ("found", "entered"))
        print(f"{row['host']:<15} {here:<5} {entered:<8} {row['trouble'] or row['file']}")
    return 0


def make_changes(
    changes: Sequence[Change], options: argparse.Namespace, notes: Sequence[str] = ()
) -> int:
    """Make changes that are all worked out, or show them with `--dry-run`; tell what was done.

    Returns:
        The exit code.

    Raises:
        UnusableSettings: a file cannot be written; those before it are.
    """
    told: list[dict[str, object]] = []
    for change in changes:
        diff = change.diff() if change.is_needed and options.dry_run else ""
        backup = change.make() if change.is_needed and not options.dry_run else None
        told.append(
            {
                "host": change.host.name,
                "file": str(change.file),
                "state": change.state,
                "written": change.is_needed and not options.dry_run,
                "backup": str(backup) if backup else None,
                "diff": diff,
                "next": _next_step(change) if change.is_needed else "",
            }
        )
        if not options.json:
            _tell(change, options, backup, diff)
    if options.json:
        print_json({"hosts": told, "notes": list(notes)})
    else:
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
    return 0


def _tell(change: Change, options: argparse.Namespace, backup: Path | None, diff: str) -> None:
    if options.dry_run and change.is_needed:
        print(diff or f"(the file {change.file} would be removed)")
        return
    print(f"{options.name} {_TOLD[change.state]} {change.host.title}: {change.file}")
    if not change.is_needed:
        return
    if change.state == "restored":
        what = "removed: nothing else was in it" if change.after.data is None else "as before"
        print(f"  the file is {what}")
    if backup is not None:
        print(f"  backup: {backup}")
    print(f"  next: {_next_step(change)}")


def _next_step(change: Change) -> str:
    return "restart it" if change.is_leaving else change.host.next_step
