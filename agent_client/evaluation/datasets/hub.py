"""Files of data sets on the Hugging Face hub."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from agent_client.errors import DatasetError
from agent_client.evaluation.datasets.benchmark import HubFile

PREFIX = "hub:"

_REASONS = {
    "RepositoryNotFoundError": "there is no such repository, or HF_TOKEN may not see it",
    "GatedRepoError": "the set has conditions: accept them on its page, and set HF_TOKEN",
    "RevisionNotFoundError": "there is no such revision",
    "EntryNotFoundError": "there is no such file",
    "RemoteEntryNotFoundError": "there is no such file",
}
"""By the hub's errors, whose own texts are long and have the address again."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file of the hub that is on this machine."""

    path: Path
    revision: str
    """The commit that it is of, 40 hexadecimal digits."""


def parse_hub_file(spec: str) -> HubFile:
    """Read `hub:OWNER/NAME[@REVISION]/FILE`; a `/` in the revision is written `%2F`.

    Raises:
        DatasetError: it has another form.
    """
    owner, _, rest = spec.removeprefix(PREFIX).partition("/")
    head, _, file = rest.partition("/")
    name, _, revision = head.partition("@")
    if not (owner and name and file):
        raise DatasetError(f"{spec!r} names no file of the hub", hint="hub:OWNER/NAME[@REV]/FILE")
    return HubFile(f"{owner}/{name}", file, unquote(revision))


def fetch(wanted: HubFile, cache_dir: Path, *, endpoint: str | None = None) -> Fetched:
    """Download a file, unless it is there already.

    A token for sets with conditions, another address and offline work are taken from the hub's own
    environment variables, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE.

    Args:
        wanted: which.
        cache_dir: keeps what was downloaded, in the hub's own layout.
        endpoint: address of the hub; None is the usual one.

    Raises:
        DatasetError: the extra `eval` is not installed, the file is not there, or it cannot be
            fetched.
    """
    at = f"@{wanted.revision}" if wanted.revision else ""
    address = f"{PREFIX}{wanted.repository}{at}/{wanted.file}"
    try:
        from huggingface_hub import errors as hub_errors
        from huggingface_hub import hf_hub_download
        from huggingface_hub.utils import disable_progress_bars
    except ImportError:
        raise DatasetError(
            f"fetching {address} needs the extra 'eval'",
            hint="pip install 'seekling[eval]', or name a file that you have fetched",
        ) from None
    disable_progress_bars()
    try:
        path = hf_hub_download(
            wanted.repository,
            wanted.file,
            repo_type="dataset",
            revision=wanted.revision or None,
            cache_dir=cache_dir,
            endpoint=endpoint,
        )
    except (hub_errors.HfHubHTTPError, hub_errors.HFValidationError, OSError, ValueError) as error:
        first_line = next(iter(str(error).strip().splitlines()), "")
        reason = _REASONS.get(type(error).__name__) or first_line or type(error).__name__
        raise DatasetError(
            f"{address} cannot be fetched: {reason}",
            hint="fetch the file yourself and name it, if the hub is out of reach",
        ) from error
    return Fetched(Path(path), _revision_of(Path(path)))


def _revision_of(path: Path) -> str:
    """The commit of a file, which its place in the hub's cache names."""
    parts = path.parts
    return parts[parts.index("snapshots") + 1] if "snapshots" in parts else ""
