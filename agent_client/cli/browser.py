"""Opens an address or a file in the user's browser, where there is a desktop to show it."""

import os
import sys

_TEXT_BROWSERS = ("www-browser", "links", "elinks", "lynx", "w3m", "browsh")
"""They would take over the terminal that the command runs in."""


def open_in_browser(address: str) -> bool:
    """Open an address in a window of the desktop's browser; whether that was tried.

    Args:
        address: begins with `http:` or `file:`.
    """
    if not _has_desktop():
        return False
    import webbrowser

    try:
        browser = webbrowser.get()
        name = os.path.basename(str(getattr(browser, "name", "")))  # noqa: PTH119 - no path of ours
        return name not in _TEXT_BROWSERS and browser.open(address)
    except (webbrowser.Error, OSError):
        return False


def _has_desktop() -> bool:
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
