"""Whether an output stream gets colours, and whether it gets links: decided in this one place.

`NO_COLOR` and `FORCE_COLOR` are read as no-color.org and force-color.org say; `TERM=dumb` is what
terminals without escape sequences call themselves, `CI` is what build services set.
"""

import os
from typing import TextIO


def has_colour(stream: TextIO) -> bool:
    """Whether `stream` may get colours and bold.

    `NO_COLOR` wins over `FORCE_COLOR`; without both, a terminal that is not dumb gets colours.
    """
    if os.environ.get("NO_COLOR"):
        return False
    force = os.environ.get("FORCE_COLOR", "")
    if force not in ("", "0"):
        return True
    return force != "0" and is_capable_terminal(stream)


def can_link(stream: TextIO) -> bool:
    """Whether `stream` may get OSC 8 hyperlinks: a terminal, not dumb, and not a build's log."""
    return is_capable_terminal(stream) and os.environ.get("CI", "") in ("", "0", "false")


def is_capable_terminal(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that understands escape sequences: lines can be rewritten."""
    return not stream.closed and stream.isatty() and os.environ.get("TERM") != "dumb"
