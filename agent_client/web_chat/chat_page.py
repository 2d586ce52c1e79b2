"""The page of the chat: its markup, styles and scripts as one document."""

from agent_client.pages.assembly import Page, page_of

STYLES = ("chat.css",)
SCRIPTS = (
    "server.js",
    "conversation.js",
    "composer.js",
    "citations.js",
    "history.js",
    "agent_state.js",
    "chat.js",
)


def chat_page() -> Page:
    """The page, which asks the server for everything that it shows."""
    return page_of(
        "agent_client.web_chat", title="Seekling", styles=STYLES, scripts=SCRIPTS, connects=True
    )
