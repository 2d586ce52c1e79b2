"""The smallest request that tells whether a model can call tools: one tool, a few tokens."""

from dataclasses import dataclass
from typing import Literal

from agent_client.conversation import Message, ModelRequest, Sampling, ToolSpec
from agent_client.doctor.trial import Trial
from agent_client.errors import ModelError, ModelNotFound
from agent_client.model.endpoint import Endpoint

TRIAL_SECONDS = 20.0
"""The server may have to load the model first."""
TRIAL_TOKENS = 128
"""Enough for a call, and for a model that thinks to begin with it."""

Verdict = Literal["parsed", "in_text", "refused", "no_call", "unclear", "failed"]
"""`parsed`: the server sends the call as one; `in_text`: the model writes it, and we read it there;
`refused`: the server takes no tools; `no_call`: the model answers without; `unclear`: it came to
no end; `failed`: no reply, whatever was asked."""

_ADD = ToolSpec(
    "add",
    "Add two whole numbers.",
    {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
)
_MESSAGES = (Message("user", "Call the tool `add` with 2 and 3. Write nothing else."),)
_GREEDY = Sampling(
    temperature=0.0, top_p=1.0, top_k=1, repetition_penalty=1.0, max_tokens=TRIAL_TOKENS
)
_TOOL_WORDS = ("tool", "function", "jinja")
_OTHER_MODEL = "take a model that is trained for tools, or lead this one: --guidance schema"


@dataclass(frozen=True, slots=True)
class TrialCall:
    """What came of the request."""

    verdict: Verdict
    told: str
    """What was seen, on one line; may hold the server's words."""
    advice: str
    """What to do; "" when there is nothing to do."""
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether the agent can use the model's calls."""
        return self.verdict in ("parsed", "in_text")


async def try_call(endpoint: Endpoint, model: str, *, seconds: float = TRIAL_SECONDS) -> TrialCall:
    """Ask a model for one call; it writes at most `TRIAL_TOKENS`.

    Args:
        endpoint: that serves it.
        model: its name there.
        seconds: for all of it.
    """
    trial = Trial(ModelRequest(_MESSAGES, (_ADD,), _GREEDY))
    await trial.run(endpoint, model, seconds=seconds)
    verdict, told, advice = _judge(trial, seconds)
    return TrialCall(verdict, told, advice, trial.seconds)


def _judge(trial: Trial, seconds: float) -> tuple[Verdict, str, str]:
    if trial.error is not None:
        return _failure(trial.error)
    message = trial.reply.message if trial.reply else None
    if message and any(call.name == _ADD.name for call in message.tool_calls):
        if trial.served_calls:
            return "parsed", "the server parses tool calls", ""
        return "in_text", "tool calls are left in the text; seekling reads them there", ""
    if not trial.is_whole:
        told = f"cannot tell: no tool call within {seconds:g} s"
        return "unclear", told, "is it still loading, or busy with others?"
    if trial.reply and trial.reply.finish_reason == "length":
        told = f"cannot tell: no tool call within {TRIAL_TOKENS} tokens"
        return "unclear", told, "run: seekling doctor, which lets it think longer"
    return "no_call", "the model answers without a tool call", _OTHER_MODEL


def _failure(error: ModelError) -> tuple[Verdict, str, str]:
    """A refusal is about the tools where it names them; the rest of the request is plain."""
    is_about_tools = any(word in error.reason.lower() for word in _TOOL_WORDS)
    if is_about_tools and not isinstance(error, ModelNotFound):
        return "refused", f"does not support tools, the server says: {error.reason}", _OTHER_MODEL
    return "failed", error.reason, error.hint
