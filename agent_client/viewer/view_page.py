"""The page of the viewer: its markup, styles and scripts as one document."""

from agent_client.pages.assembly import Page, page_of

STYLES = ("viewer.css", "charts.css", "episode.css")
SCRIPTS = (
    "data.js",
    "state.js",
    "rows.js",
    "charts.js",
    "grid.js",
    "filters.js",
    "summary.js",
    "stations.js",
    "episode.js",
    "compare.js",
    "run_page.js",
    "session.js",
    "keys.js",
    "viewer.js",  # starts the page
)


def view_page(title: str, *, connects: bool = False) -> Page:
    """The page without its data.

    Args:
        title: plain text.
        connects: whether it asks a server for its data.
    """
    return page_of(
        "agent_client.viewer",
        title=f"{title} · Seekling",
        styles=STYLES,
        scripts=SCRIPTS,
        connects=connects,
    )
