"""How far an unfinished build has come, so that another process can go on after `kill -9`.

tantivy commits documents in one step and numbers its commits. Before each commit the checkpoint is
written with two positions: the one of the last commit, with its number, and the one of the commit
to come. Whoever reads it compares the number with tantivy's own and knows which of them holds; so
the position and the documents change together.
"""

from pathlib import Path

from pydantic import BaseModel, ValidationError

from mcp_server.corpus.storage.manifest import committed, write_durably
from mcp_server.errors import CorpusError

CHECKPOINT = "checkpoint.json"


class Progress(BaseModel):
    """A position in the sources of a build."""

    source: int = 0
    """Which source is being read; the number of sources when all are done."""
    cursor: str = ""
    """The source's own position, see `types.Position`."""
    done: int = 0
    """How much of this source was read, in its unit."""
    documents: list[int] = []
    """Documents read from each source up to this one."""


class Checkpoint(BaseModel):
    """The file beside an unfinished generation."""

    key: str
    """Names the sources, their content and the options: only the same build goes on."""
    commit: int = 0
    at_commit: Progress = Progress()
    after_commit: Progress = Progress()

    def write(self, generation: Path) -> None:
        """Keep it in the generation's folder.

        Raises:
            OSError: it cannot be written.
        """
        write_durably(generation / CHECKPOINT, self.model_dump_json().encode())


def resume_point(generation: Path, key: str) -> Progress | None:
    """Where a build of `key` can go on in this folder; None when it cannot."""
    try:
        checkpoint = Checkpoint.model_validate_json((generation / CHECKPOINT).read_bytes())
        commit = committed(generation)
    except (OSError, ValidationError, CorpusError):
        return None
    if checkpoint.key != key or not commit:
        return None
    return checkpoint.at_commit if commit == checkpoint.commit else checkpoint.after_commit
