"""A protocol profile: everything that shapes a run apart from the model and the question.

Two runs are comparable when their profiles have the same digest. The files are in
`configs/profiles/`; `agent_client.profiles` reads them.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from agent_client.agent.limits import Limits
from agent_client.conversation import Sampling

Style = Literal["auto", "short", "cited"]
UrlPolicy = Literal["strict", "warn", "off"]


def _nothing() -> Mapping[str, object]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """The words that the model is given. Whatever tool or argument they name exists."""

    system: str
    """The system message; "" sends none."""
    short_suffix: str
    r"""Put behind a question that has a short answer; asks for `\boxed{}`."""
    cited_suffix: str = ""
    """Put behind any other question."""
    nudge: str = ""
    """Put behind the question when a first reply is asked for again; "" changes nothing. As the
    prompt then no longer repeats the one before, it is announced as a compaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOffer:
    """How one tool of the server is offered to the model."""

    name: str
    description: str | None = None
    """None keeps the server's."""
    arguments: tuple[str, ...] | None = None
    """The arguments offered; None offers all. A call may still use the others: a model that was
    trained on an older schema does."""
    fixed: Mapping[str, object] = field(default_factory=_nothing)
    """Arguments that every call gets, whatever the model says."""
    result: Literal["server", "plain"] = "server"
    """`plain`: addresses, e-mail addresses and link targets are taken out of the text of a page
    and its whitespace is collapsed, as the reference harness does."""
    result_chars: int = 0
    """Longest result; 0 is `Limits.result_chars`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyPolicy:
    """What is done with a reply that is not usable as it is."""

    repair: Literal["ladder", "strict"] = "ladder"
    """`strict`: only calls that need no repair are run."""
    on_malformed: Literal["tell", "resample", "answer"] = "tell"
    """`tell`: an error result lets the model correct itself; `answer`: the call is ignored, and a
    reply without another one is the answer (what the reference harness does)."""
    max_resamples: int = 2
    """How often in one run a reply may be thrown away and asked for again."""
    needs_reasoning: bool = False
    """Whether a reply without reasoning is asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResearchRules:
    """How the research is run."""

    min_searches: int = 0
    """An answer before that many searches is asked for again."""
    min_visits: int = 0
    calls_per_turn: Literal["side_by_side", "in_order", "first"] = "side_by_side"
    """`first` runs the first call of a turn and refuses the others."""
    repeated_call: Literal["cached", "once_per_turn", "run"] = "cached"
    """`cached`: the same call again is answered from the run's own record, with a note;
    `once_per_turn`: only within one turn; `run`: every call is run as it is written."""
    identical_reply_stops: bool = True
    """Whether the run ends when the model writes the same reply twice in a row, or calls nothing
    for five turns but what it called before or is refused."""
    unknown_urls: UrlPolicy = "warn"
    """Visits of addresses that are neither in the question, nor in a result, nor in a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPolicy:
    """What of the conversation the model is shown when it grows long."""

    kind: Literal["append", "omit_old_results", "drop_reasoning"] = "append"
    """`append`: everything, byte by byte; at the limit of the context the answer is asked for.
    `omit_old_results`: at the limit the oldest tool results are replaced by one line.
    `drop_reasoning`: reasoning of earlier turns is never shown again."""
    keep_results: int = 5
    """How many of the latest results stay with `omit_old_results`; at least 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Everything that shapes a run apart from the model and the question."""

    name: str
    description: str
    prompts: Prompts
    style: Style = "auto"
    """`short`: asks for a boxed answer; `cited`: for a cited one; `auto`: by the question."""
    tool_schema: str = "2"
    """Version of the tools' schemas that the prompts were written for."""
    tools: tuple[ToolOffer, ...] = ()
    """The tools offered, in this order; empty offers all of the server's as they are."""
    sampling: Sampling = Sampling()
    limits: Limits = Limits()
    replies: ReplyPolicy = ReplyPolicy()
    rules: ResearchRules = ResearchRules()
    history: HistoryPolicy = HistoryPolicy()
    resume: Literal["turn", "question"] = "turn"
    """Where an evaluation goes on that was cut off in the middle of a question: behind the last
    whole turn, or at the question's beginning, for protocols that allow no gap in a run."""
    overrides: tuple[str, ...] = ()
    """Settings that were changed for this run, such as `limits.turns=5`; they are in the digest
    by their effect."""

    @property
    def digest(self) -> str:
        """SHA-256 of all that is pinned, as 64 hexadecimal digits; name and wording aside."""
        pinned = asdict(self)
        for label in ("name", "description", "overrides"):
            del pinned[label]
        text = json.dumps(pinned, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
