"""`run.json`: what was asked of which model with which profile, written once."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import msgspec

from agent_client.errors import EvaluationError
from agent_client.evaluation.records.run_directory import MANIFEST, write_whole, writing
from agent_client.sessions.journal import open_to_read
from agent_client.sessions.lenient_json import decoded, encoded, plain_value

FORMAT = "seekling-run"
FORMAT_VERSION = 1
MAX_SHOWN_CHARS = 60
MAX_MANIFEST_BYTES = 64 * 2**20
"""Of values that differ; prompts are longer, and only named."""


class DatasetStamp(msgspec.Struct, frozen=True, kw_only=True):
    """The questions, and where they came from."""

    name: str
    source: str = ""
    """The path, or "hub:OWNER/NAME@REVISION/FILE"."""
    digest: str = ""
    """SHA-256 of the file, 64 hexadecimal digits."""
    version: str = ""
    """Revision or date, as far as the source tells."""
    total: int = 0
    """Questions in the file."""
    picked: int = 0
    """Questions of this run."""
    where: str = ""
    """How they were picked, as given on the command line."""
    grader: str = "exact"
    """The grader that the benchmark is scored with unless another one is named."""


class ProfileStamp(msgspec.Struct, frozen=True, kw_only=True):
    """The profile: everything that shapes a run apart from the model and the questions."""

    name: str
    digest: str = ""
    """SHA-256, 64 hexadecimal digits."""
    overrides: tuple[str, ...] = ()
    """Settings that were changed for this run."""
    content: Mapping[str, object] = {}
    """All that the profile pins, as JSON values."""
    prompts: Mapping[str, str] = {}
    """SHA-256 of each prompt, by its name."""

    @property
    def texts(self) -> tuple[str, ...]:
        """The prompts themselves: what every episode says, so that none has to store it."""
        prompts = self.content.get("prompts")
        if not isinstance(prompts, Mapping):
            return ()
        texts = cast(Mapping[str, object], prompts).items()
        return tuple(text for _, text in sorted(texts) if isinstance(text, str))


class ModelStamp(msgspec.Struct, frozen=True, kw_only=True):
    """The model and what its servers say about themselves."""

    name: str
    wire: str = ""
    endpoints: tuple[Mapping[str, object], ...] = ()
    """One per server: its URL and the facts that it tells."""
    context_tokens: int = 0
    """0 where it is not known."""


class ToolsStamp(msgspec.Struct, frozen=True, kw_only=True):
    """The tools that the model was offered."""

    target: str = ""
    """The command that was started, or the URL."""
    schemas: tuple[Mapping[str, object], ...] = ()
    """`name`, `description` and `parameters` of each tool of the server."""
    digest: str = ""
    """SHA-256 of the schemas, 64 hexadecimal digits."""


class RunManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What `run.json` says."""

    format: str = FORMAT
    version: int = FORMAT_VERSION
    created: str = ""
    """ISO 8601 in UTC."""
    seekling: str = ""
    """Versions of Seekling and Python, and the platform."""
    python: str = ""
    platform: str = ""
    argv: tuple[str, ...] = ()
    dataset: DatasetStamp
    profile: ProfileStamp
    model: ModelStamp
    tools: ToolsStamp = ToolsStamp()
    config: Mapping[str, object] = {}
    """The resolved settings, without secrets."""
    graders: tuple[str, ...] = ()
    judge: str = ""
    """The judge's model, or ""."""
    judge_template: str = ""
    """Path of another prompt for the judge, or ""."""
    exact_first: bool = False
    """Whether an answer that equals the reference was right without asking the judge."""
    seed: int | None = None
    repeats: int = 1
    """How often each question is asked."""
    concurrency: int = 1
    question_seconds: float = 1800.0
    """Hard deadline of one episode."""
    record: str = ""
    """Where the web is recorded to, and replayed from; "." is the run's own directory."""
    replay: str = ""
    misses: str = "stop"
    """What becomes of a call that a replayed recording lacks: `stop` or `tell`."""
    allow_mirrors: bool = False
    """Whether the agent may read pages that publish the benchmark."""


_DECODER = msgspec.json.Decoder(RunManifest, dec_hook=plain_value)


class _Version(msgspec.Struct):
    format: str
    version: int


def manifest_bytes(manifest: RunManifest) -> bytes:
    """What `run.json` holds, with a line per key: people read it."""
    return msgspec.json.format(encoded(manifest), indent=2) + b"\n"


def write_manifest(directory: Path, manifest: RunManifest) -> None:
    """Write `run.json`, all or nothing, and wait until it is on the disk.

    Raises:
        StorageFailed: the directory takes no file.
    """
    with writing(directory):
        write_whole(directory, {MANIFEST: manifest_bytes(manifest)})


def read_manifest(directory: Path) -> RunManifest:
    """Read `run.json`.

    Raises:
        EvaluationError: the directory holds no run, one of a newer version, or a damaged one.
    """
    where = f"{str(directory)!r}"
    try:
        fd = open_to_read(directory / MANIFEST)
        with open(fd, "rb") as file:  # noqa: PTH123 - a descriptor has no path
            data = file.read(MAX_MANIFEST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise EvaluationError(
            f"{where} holds no run: there is no {MANIFEST}",
            hint="begin one with: seekling eval run DATASET --out DIR",
        ) from None
    except OSError as exc:
        raise EvaluationError(f"cannot read run {where}: {exc.strerror}") from exc
    if len(data) > MAX_MANIFEST_BYTES:
        raise EvaluationError(f"the {MANIFEST} of run {where} is too large to be one")
    try:
        head = msgspec.json.decode(data, type=_Version)
        if head.format == FORMAT and head.version > FORMAT_VERSION:
            raise EvaluationError(
                f"run {where} has the format version {head.version}",
                hint=f"this Seekling reads version {FORMAT_VERSION}: install a newer one",
            )
        if head.format != FORMAT:
            raise EvaluationError(f"{where} holds no run: its {MANIFEST} is something else")
        return decoded(data, _DECODER)
    except (ValueError, TypeError, LookupError, RecursionError) as exc:
        raise EvaluationError(
            f"the {MANIFEST} of run {where} is damaged: {exc}",
            hint="restore it from a copy: without it nobody knows what was asked of whom",
        ) from exc


def differences(before: RunManifest, after: RunManifest) -> list[str]:
    """What makes `after` another run than `before`, one sentence each; empty for the same run.

    The questions, the profile, the model, the tools, the seed and the repeats make a run. How many
    episodes run at once, where the servers are, and who grades does not.
    """
    old, new = before, after
    told: list[str] = []
    if old.dataset.digest != new.dataset.digest:
        told.append(f"the dataset is another one: {_both(old.dataset.digest, new.dataset.digest)}")
    picked = (old.dataset.picked, old.dataset.where), (new.dataset.picked, new.dataset.where)
    if picked[0] != picked[1]:
        counts = (f"{count:,} questions{where and f' where {where}'}" for count, where in picked)
        told.append(f"other questions were picked: {' -> '.join(counts)}")
    if old.profile.digest != new.profile.digest:
        what = ", ".join(_changed(_plain(old.profile.content), _plain(new.profile.content)))
        told.append(f"the profile differs in {what or 'its digest'}")
    if old.model.name != new.model.name:
        told.append(f"the model is another one: {_both(old.model.name, new.model.name)}")
    if old.tools.digest != new.tools.digest:
        told.append(f"the tools are described otherwise{_tools(old.tools, new.tools)}")
    for name in ("seed", "repeats"):
        values = getattr(old, name), getattr(new, name)
        if values[0] != values[1]:
            told.append(f"{name} is {values[1]}, and was {values[0]}")
    return told


def _both(before: str, after: str) -> str:
    return f"{before[:80] or 'none'} -> {after[:80] or 'none'}"


def _plain(content: Mapping[str, object]) -> Mapping[str, object]:
    """Content as it is read back: with lists, not tuples."""
    return msgspec.json.decode(encoded(content))


def _changed(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """The keys whose values differ, with those of objects inside behind a dot."""
    told: list[str] = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            inner = _changed(cast(Mapping[str, object], old), cast(Mapping[str, object], new))
            told += [f"{key}.{name}" for name in inner]
        else:
            values = f"{old} -> {new}"
            told.append(key if len(values) > MAX_SHOWN_CHARS else f"{key} ({values})")
    return told


def _tools(before: ToolsStamp, after: ToolsStamp) -> str:
    old, new = (
        {str(tool.get("name")): tool for tool in stamp.schemas} for stamp in (before, after)
    )
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return f": {', '.join(names)}" if names else ""
