"""A conversation as a file to keep or to pass on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agent_client.sessions import export
from agent_client.sessions.journal import now_iso
from agent_client.sessions.stored_session import StoredSession
from agent_client.viewer.session_view import session_view
from agent_client.viewer.view_file import SHARD_ROWS, view_bytes
from agent_client.viewer.view_index import index_of_session

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class ExportForm:
    """One kind of file."""

    suffix: str
    media_type: str
    write: Callable[[StoredSession], bytes]


def _markdown(session: StoredSession) -> bytes:
    return export.to_markdown(session).encode("utf-8", "replace")


def _outcomes(session: StoredSession) -> bytes:
    return export.json_text(export.to_document(session)).encode()


def _messages(session: StoredSession) -> bytes:
    return export.json_text(export.to_messages(session)).encode()


def _page(session: StoredSession) -> bytes:
    about, episodes = session_view(session)
    index = index_of_session(session, about, made=now_iso(), shard_rows=SHARD_ROWS)
    return b"".join(view_bytes(index, [episodes]))


FORMS: Mapping[str, ExportForm] = MappingProxyType(
    {
        "md": ExportForm("md", "text/markdown; charset=utf-8", _markdown),
        "html": ExportForm("html", "text/html; charset=utf-8", _page),
        "json": ExportForm("json", _JSON, _outcomes),
        "messages": ExportForm("messages.json", _JSON, _messages),
    }
)
"""By the name in the address; `messages` is OpenAI's chat format."""
