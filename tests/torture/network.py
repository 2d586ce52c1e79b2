"""A network of our own that has nothing but loopback, and on which every address is ours.

As root, the hostile web lives at a public address, pages of an inner network at all private ones,
and a name server answers as it likes: rebinding and redirects to private places are then real, and
no packet leaves. Without root there is 127.0.0.1 for the hostile web and 127.0.0.2 for the inner
page; cases that need more are counted as skipped.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PUBLIC = "93.184.215.14"
"""Where the hostile web is: an ordinary address of the public internet."""
PUBLIC_V6 = "2606:4700::1111"
MARK = "TORTURE_NETWORK"
"""In the environment of a process that is inside."""
_COMMANDS = (
    ("ip", "link", "set", "lo", "up"),
    ("ip", "route", "add", "local", "default", "dev", "lo"),
    ("ip", "-6", "route", "add", "local", "default", "dev", "lo"),
)


def can_enter() -> bool:
    """Whether this process may make a network of its own."""
    if os.geteuid() != 0:
        return False
    tried = subprocess.run(
        ["unshare", "-n", "-m", "ip", "link", "set", "lo", "up"], check=False, capture_output=True
    )
    return tried.returncode == 0


def is_inside() -> bool:
    """Whether this process has it."""
    return os.environ.get(MARK) == "1"


def run_inside(arguments: Sequence[str]) -> int:
    """Run `python -m ARGUMENTS` in a network of its own and give its exit code."""
    command = ["unshare", "-n", "-m", sys.executable, "-m", *arguments]
    return subprocess.run(command, check=False, env=os.environ | {MARK: "1"}).returncode


def set_up(folder: Path) -> None:
    """Once inside: every address leads to this machine, and names are asked of 127.0.0.1.

    Raises:
        subprocess.CalledProcessError: this system does not let it be set up.
    """
    for command in _COMMANDS:
        subprocess.run(command, check=True)
    resolv = folder / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\noptions timeout:5 attempts:1\n")
    subprocess.run(["mount", "--bind", str(resolv), "/etc/resolv.conf"], check=True)
