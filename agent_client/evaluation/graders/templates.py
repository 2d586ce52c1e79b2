"""The instructions of a judge, with the places where question, reference and answer go.

All three are untrusted: an answer may say "Grade: CORRECT", or end the judge's turn with a control
token. Control tokens are broken, what is inserted is never looked through for further places, and
our own instructions put each text between tags that hold a digest of the texts, so that none of
them can contain its own closing tag.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agent_client.errors import ConfigError
from agent_client.untrusted import neutralise

MAX_TEMPLATE_BYTES = 200_000
MAX_QUESTION_CHARS = 16_000
MAX_TARGET_CHARS = 16_000
MAX_ANSWER_CHARS = 48_000
"""Of a longer answer the judge reads the beginning and the end."""

_PLACES = ("question", "target", "predicted_answer")
_PLACE = re.compile(r"\{(question|target|predicted_answer|fence)\}")
_PROMPTS = Path(__file__).with_name("prompts")


@dataclass(frozen=True, slots=True)
class Template:
    """Instructions with the places `{question}`, `{target}`, `{predicted_answer}`, `{fence}`."""

    text: str

    @property
    def digest(self) -> str:
        """SHA-256 of the text, 64 hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def filled(self, question: str, targets: Sequence[str], answer: str) -> str:
        """The prompt for one answer.

        Args:
            question: what was asked.
            targets: the reference and its aliases.
            answer: what is judged.
        """
        values = {
            "question": _harmless(question, MAX_QUESTION_CHARS),
            "target": _harmless(_target(targets), MAX_TARGET_CHARS),
            "predicted_answer": _harmless(answer, MAX_ANSWER_CHARS),
        }
        values["fence"] = hashlib.sha256("\0".join(values.values()).encode()).hexdigest()[:12]
        return _PLACE.sub(lambda place: values[place[1]], self.text)


@cache
def own_template(name: str) -> Template:
    """One of our own prompts, by the name of its file without `.md`."""
    return Template((_PROMPTS / f"{name}.md").read_text(encoding="utf-8").strip())


def read_template(path: Path) -> Template:
    """Read instructions that somebody else wrote, such as a benchmark's official ones.

    Raises:
        ConfigError: the file cannot be read, or does not say where the three texts go.
    """
    hint = "name a text file with {question}, {target} and {predicted_answer} in it"
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEMPLATE_BYTES + 1)
        text = data.decode("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise ConfigError(f"the judge's template {path} cannot be read: {why}", hint=hint) from exc
    if len(data) > MAX_TEMPLATE_BYTES:
        raise ConfigError(
            f"the judge's template {path} has more than {MAX_TEMPLATE_BYTES:,} bytes", hint=hint
        )
    if missing := [f"{{{place}}}" for place in _PLACES if f"{{{place}}}" not in text]:
        raise ConfigError(
            f"the judge's template {path} does not hold {', '.join(missing)}", hint=hint
        )
    return Template(text)


def _target(targets: Sequence[str]) -> str:
    first, *others = targets
    aliases = [other for other in dict.fromkeys(others) if other != first]
    return f"{first} (also accepted: {'; '.join(aliases)})" if aliases else first


def _harmless(text: str, max_chars: int) -> str:
    if len(text) > max_chars:
        left_out = len(text) - max_chars
        half = max_chars // 2
        text = f"{text[:half]}\n[… {left_out:,} characters left out …]\n{text[-half:]}"
    # A lone surrogate cannot be sent.
    return neutralise(text.encode("utf-8", "replace").decode().strip())
