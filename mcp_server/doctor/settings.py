"""Where the settings come from."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mcp_server.doctor.findings import Finding


def settings(
    *,
    file: Path | None,
    is_named: bool,
    variables: Sequence[str],
    secrets: Sequence[str],
    flags: Mapping[str, str],
    chain: Sequence[str],
    moved_by: str = "",
) -> list[Finding]:
    """Tell what was read; that it could be read is known.

    Args:
        file: the file that is read where it exists; None where there is no place for one.
        is_named: whether somebody named it, or it is the one read by default.
        variables: names of the settings in the environment.
        secrets: names of the keys in the environment.
        flags: given on the command line.
        chain: the search providers that all this leads to, in order.
        moved_by: the variable that says where the default file is, where one does.
    """
    findings = [_file(file, is_named=is_named, moved_by=moved_by)]
    given = [*variables, *secrets]
    if given:
        advice = "a host does not hand on this shell's variables: name them in its `env` as well"
        findings.append(Finding("environment", "ok", ", ".join(given), advice))
    else:
        findings.append(Finding("environment", "ok", "no setting and no key is set"))
    if flags:
        findings.append(Finding("flags", "ok", " ".join(flags)))
    findings.append(Finding("providers", "ok", " -> ".join(chain)))
    return findings


def _file(file: Path | None, *, is_named: bool, moved_by: str) -> Finding:
    if file is None:
        return Finding("file", "ok", "none; this user has no home folder")
    if is_named:
        return Finding("file", "ok", str(file))
    if not file.is_file():
        return Finding("file", "ok", f"none; {file} would be read")
    if moved_by:
        told = f"{file}, by {moved_by}, which hosts do not hand on: they start without this file"
        return Finding("file", "note", told, f"in the host: --config {file}")
    return Finding("file", "ok", str(file))
