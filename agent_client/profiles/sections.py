"""The sections of a profile file, with their bounds. Whatever is left out keeps its default.

The settings of the client use `SamplingSection` and `LimitsSection` too: there they are what a
person changes of the profile.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from agent_client.agent.profile import Style, UrlPolicy


class Section(BaseModel):
    """A table of a TOML file: unknown keys are errors, nothing is changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def given(self) -> dict[str, object]:
        """The keys that are set."""
        return {key: value for key, value in self.model_dump().items() if value is not None}


class SamplingSection(Section):
    """How tokens are chosen."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """0 always takes the likeliest token."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Least share of the probability that the tokens to choose from have together."""
    top_k: Annotated[int, Field(ge=-1)] | None = None
    """Most tokens to choose from; -1 is the whole vocabulary."""
    repetition_penalty: Annotated[float, Field(gt=0, le=2)] | None = None
    """Above 1 makes tokens less likely that were said before; 1 does nothing."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Longest reply in tokens, reasoning included."""
    seed: int | None = None
    """The same seed and requests give the same tokens, as far as the server can."""


class LimitsSection(Section):
    """How much one question may cost. At a limit the model is asked for its answer at once."""

    turns: Annotated[int, Field(ge=1)] | None = None
    """Most model calls; where no answer came by then, it is asked for up to twice more."""
    tool_calls: Annotated[int, Field(ge=0)] | None = None
    """Most tool calls."""
    searches: Annotated[int, Field(ge=0)] | None = None
    """Most searches among them; 0 is no bound of their own."""
    visits: Annotated[int, Field(ge=0)] | None = None
    """Most page visits among them; 0 is no bound of their own."""
    seconds: Annotated[float, Field(gt=0)] | None = None
    """Longest time until the answer is asked for."""
    answer_seconds: Annotated[float, Field(gt=0)] | None = None
    """Longest time for that last answer."""
    total_tokens: Annotated[int, Field(ge=0)] | None = None
    """Most tokens over all turns; 0 is no bound."""
    context_tokens: Annotated[int, Field(ge=0)] | None = None
    """Most tokens of one prompt with its reply; 0 is what the endpoint says."""
    result_chars: Annotated[int, Field(ge=1_000)] | None = None
    """Longest tool result that the model is given."""
    cost_usd: Annotated[float, Field(ge=0)] | None = None
    """Most money for model calls, by the prices; 0 is no bound."""


class PromptsSection(Section):
    """The words that the model is given."""

    system: str | None = None
    """Name of a file beside the profile; "" sends no system message."""
    short_suffix: str | None = None
    cited_suffix: str | None = None
    nudge: str | None = None


class ToolSection(Section):
    """How one tool is offered."""

    name: str
    description: str | None = None
    arguments: tuple[str, ...] | None = None
    fixed: dict[str, str | int | float | bool] = {}
    result: Literal["server", "plain"] = "server"
    result_chars: Annotated[int, Field(ge=0)] = 0


class RepliesSection(Section):
    """What is done with a reply that is not usable as it is."""

    repair: Literal["ladder", "strict"] | None = None
    on_malformed: Literal["tell", "resample", "answer"] | None = None
    max_resamples: Annotated[int, Field(ge=0, le=100)] | None = None
    needs_reasoning: bool | None = None


class RulesSection(Section):
    """How the research is run."""

    min_searches: Annotated[int, Field(ge=0)] | None = None
    min_visits: Annotated[int, Field(ge=0)] | None = None
    calls_per_turn: Literal["side_by_side", "in_order", "first"] | None = None
    repeated_call: Literal["cached", "once_per_turn", "run"] | None = None
    identical_reply_stops: bool | None = None
    unknown_urls: UrlPolicy | None = None


class HistorySection(Section):
    """What the model is shown of a long conversation."""

    kind: Literal["append", "omit_old_results", "drop_reasoning"] | None = None
    keep_results: Annotated[int, Field(ge=1)] | None = None


class ProfileFile(Section):
    """One profile file."""

    extends: str | None = None
    """Name of the built-in profile that this one changes."""
    description: str = ""
    style: Style | None = None
    tool_schema: str | None = None
    prompts: PromptsSection = PromptsSection()
    tools: tuple[ToolSection, ...] | None = None
    sampling: SamplingSection = SamplingSection()
    limits: LimitsSection = LimitsSection()
    replies: RepliesSection = RepliesSection()
    rules: RulesSection = RulesSection()
    history: HistorySection = HistorySection()
    resume: Literal["turn", "question"] | None = None
    """Where an evaluation that was cut off goes on: behind the last turn, or at the beginning."""
