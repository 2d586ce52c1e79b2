"""Works out how a host's settings change, and makes the change."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from mcp_server.errors import UnusableSettings
from mcp_server.hosts.catalog import Host
from mcp_server.hosts.masking import masked_diff
from mcp_server.hosts.servers import Server
from mcp_server.hosts.settings_file import (
    SECRET_MODE,
    Kept,
    backups,
    read_settings,
    replace_settings,
)
from mcp_server.hosts.settings_text import Entry

Result = TypeVar("Result")
State = Literal["added", "replaced", "same", "differs", "removed", "restored", "absent"]
"""`same` and `absent`: there is nothing to do. `differs`: an entry of that name says something
else. `restored`: the file is again, byte for byte, what it was before the entry."""

_PROBE: Entry = {"command": "x", "args": [], "type": "x"}


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one settings file.

    Attributes:
        host: whose it is.
        file: the file.
        state: what happens to the entry.
        before: the file as it is.
        after: the file as it is to be.
        secrets: values that must not be shown.
    """

    host: Host
    file: Path
    state: State
    before: Kept
    after: Kept
    secrets: tuple[str, ...] = ()

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to write."""
        return self.before != self.after

    @property
    def is_leaving(self) -> bool:
        """Whether it takes the entry out."""
        return self.state in ("removed", "restored", "absent")

    def diff(self) -> str:
        """The change as a unified diff, in which keys and tokens are masked."""
        return masked_diff(self.before.text, self.after.text, str(self.file), self.secrets)

    def make(self) -> Path | None:
        """Write it.

        Returns:
            The backup of the file, if there was one.

        Raises:
            UnusableSettings: the file changed meanwhile or cannot be written.
        """
        return about(
            self.file,
            lambda: replace_settings(self.file, self.before, self.after),
            by_hand="taken out" if self.is_leaving else "made",
        )


def about(file: Path, work: Callable[[], Result], *, by_hand: str = "made") -> Result:
    """Do work on a file, and say in its errors which file it was and what people can do."""
    try:
        return work()
    except UnusableSettings as exc:
        hint = exc.hint or f"nothing was changed; the entry can be {by_hand} by hand"
        raise UnusableSettings(f"{file}: {exc}", hint=hint) from exc


def is_entered(host: Host, file: Path, name: str) -> bool:
    """Whether there is an entry of that name.

    Raises:
        UnusableSettings: the file cannot be read.
    """
    return about(file, lambda: _find(host, read_settings(file), name)) is not None


def entering(host: Host, file: Path, name: str, server: Server) -> Change:
    """The change that enters a server, in place of an entry of the same name.

    Raises:
        UnusableSettings: the file cannot be read or edited safely.
    """
    return about(file, lambda: _entering(host, file, name, server))


def leaving(host: Host, file: Path, name: str) -> Change:
    """The change that takes an entry out.

    Where nobody changed anything else since the entry was made, the file becomes what it was, byte
    for byte, or is removed if there was none.

    Raises:
        UnusableSettings: the file cannot be read or edited safely.
    """
    return about(file, lambda: _leaving(host, file, name), by_hand="taken out")


def _entering(host: Host, file: Path, name: str, server: Server) -> Change:
    before = read_settings(file)
    entry = host.entry(name, server)
    secrets = server.secrets
    found = _find(host, before, name)
    if found == host.text.plain(entry):
        return Change(host, file, "same", before, before, secrets)
    text = host.text.put(before.text, host.path, name, entry)
    after = Kept(text.encode(), SECRET_MODE if secrets else before.mode)
    return Change(host, file, "added" if found is None else "differs", before, after, secrets)


def _leaving(host: Host, file: Path, name: str) -> Change:
    before = read_settings(file)
    if _find(host, before, name) is None:
        return Change(host, file, "absent", before, before)
    left = host.text.drop(before.text, host.path, name)
    olds = [old for path in backups(file) if (old := _usable(host, path, name)) is not None]
    for old in olds or [Kept(None)]:
        if _as_left(host, old, name) == left:
            return Change(host, file, "restored", before, old)
    return Change(host, file, "removed", before, Kept(left.encode(), before.mode))


def _as_left(host: Host, old: Kept, name: str) -> str:
    """What an older text would be if an entry had been made in it and taken out again."""
    return host.text.drop(host.text.put(old.text, host.path, name, _PROBE), host.path, name)


def _usable(host: Host, backup: Path, name: str) -> Kept | None:
    """A backup without the entry, in which one could be made; else None."""
    try:
        old = read_settings(backup)
        _as_left(host, old, name)
        return old if _find(host, old, name) is None else None
    except UnusableSettings:
        return None


def _find(host: Host, kept: Kept, name: str) -> object | None:
    return host.text.find(kept.text, host.path, name)
