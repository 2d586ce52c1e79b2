"""Checks that let the model write: tools, reasoning, streaming, counting, giving up."""

from dataclasses import dataclass, replace

import anyio

from agent_client.conversation import Message, ModelRequest, Sampling, ToolSpec
from agent_client.doctor.findings import Finding
from agent_client.doctor.identity import running_requests
from agent_client.doctor.server_checks import start_command
from agent_client.doctor.site import Site
from agent_client.doctor.trial import Trial
from agent_client.model.endpoint import Endpoint
from agent_client.model.retries import RetryPolicy
from agent_client.model.server_facts import ServerFacts

ONE_TOKEN_SECONDS = 20.0
CALL_SECONDS = 25.0
CALL_TOKENS = 512
"""A model that thinks does so before it calls."""

BEGIN_SECONDS = 15.0
LOAD_SECONDS = 3.0
"""How long the load may take to show a request that runs."""
ABORT_SECONDS = 6.0
"""How long a server may take to stop what was given up; SGLang alone takes up to 2 s."""
POLL_SECONDS = 0.2
LEAST_TOOL_TOKENS = 20
"""The definition of one tool costs more than this in any template."""

_SEARCH = ToolSpec(
    "web_search",
    "Search the web. Returns titles, addresses and short excerpts.",
    {
        "type": "object",
        "properties": {"query": {"type": "string", "description": "What to search for"}},
        "required": ["query"],
    },
)
_MESSAGES = (
    Message("system", "You answer questions with the help of a search tool. Search first."),
    Message("user", "Who won the men's 1500 m at the 1936 Olympics? Use web_search."),
)
_LONG = (Message("user", "Count from 1 to 1000, one number per line. Write every number."),)
_GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=1, repetition_penalty=1.0, max_tokens=1)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is examined."""

    site: Site
    facts: ServerFacts

    async def run(self, trial: Trial, seconds: float) -> Trial:
        """Run a trial once: a retry would hide what is being looked for."""
        endpoint: Endpoint = replace(self.site.endpoint, retry=RetryPolicy(tries=1))
        await trial.run(endpoint, self.facts.model, seconds=seconds)
        return trial


async def answers(subject: Subject) -> tuple[Finding, Trial]:
    """Whether the model writes at all; the trial offers no tool."""
    trial = await subject.run(Trial(ModelRequest(_MESSAGES, sampling=_GREEDY)), ONE_TOKEN_SECONDS)
    if trial.error is not None:
        told, advice = trial.error.reason, trial.error.hint or "look into the server's log"
        return Finding("answers", "fail", told, advice), trial
    if not trial.is_whole:
        told = f"no token within {ONE_TOKEN_SECONDS:g} s"
        return Finding("answers", "fail", told, "is it still loading, or busy with others?"), trial
    return Finding("answers", "ok", f"one token after {trial.seconds:.1f} s"), trial


async def offered(subject: Subject) -> Trial:
    """Let it read the prompt with a tool, and write one token."""
    request = ModelRequest(_MESSAGES, (_SEARCH,), _GREEDY)
    return await subject.run(Trial(request), ONE_TOKEN_SECONDS)


async def called(subject: Subject) -> Trial:
    """Let it answer the same prompt, as far as a call should take."""
    sampling = replace(_GREEDY, max_tokens=CALL_TOKENS)
    return await subject.run(Trial(ModelRequest(_MESSAGES, (_SEARCH,), sampling)), CALL_SECONDS)


def template(without: Trial, with_tool: Trial) -> Finding:
    """Whether the definition of a tool reaches the model, by the length of the prompt."""
    if with_tool.error is not None:
        told = f"a request with a tool is refused: {with_tool.error.reason}"
        return Finding("template", "fail", told, "the server needs a chat template with tools")
    counts = [
        trial.reply.usage.prompt_tokens
        for trial in (without, with_tool)
        if trial.reply and trial.reply.usage
    ]
    if len(counts) < 2 or not all(counts):
        return Finding("template", "skip", "cannot tell: the server does not count the prompt")
    added = counts[1] - counts[0]
    if added < LEAST_TOOL_TOKENS:
        told = f"a tool adds {max(added, 0)} tokens to the prompt: the model does not see it"
        return Finding("template", "fail", told, "give the server the model's own chat template")
    return Finding("template", "ok", f"a tool reaches the model (+{added} tokens)")


def tool_calls(trial: Trial, facts: ServerFacts) -> Finding:
    """Whether a call comes back, and who has read it."""
    if trial.error is not None:
        return Finding("tool calls", "fail", trial.error.reason, trial.error.hint)
    message = trial.reply.message if trial.reply else None
    names = [call.name for call in message.tool_calls] if message else []
    if _SEARCH.name in names and trial.served_calls:
        return Finding("tool calls", "ok", "the server parses them")
    flags = _call_flags(facts)
    command = start_command(facts) if flags else ""
    if _SEARCH.name in names:
        told = "left in the text; seekling reads them there"
        return Finding("tool calls", "ok", told, flags, command)
    if not trial.is_whole or (trial.reply and trial.reply.finish_reason == "length"):
        told = f"none within {CALL_TOKENS} tokens or {CALL_SECONDS:g} s"
        return Finding("tool calls", "skip", f"cannot tell: {told}")
    if trial.reply and trial.reply.malformed_calls:
        told = f"a call that cannot be read: {trial.reply.malformed_calls[0].reason}"
        return Finding("tool calls", "warn", told, flags, command)
    if names:
        told = f"the model calls {names[0]!r}, which it was not offered"
        return Finding("tool calls", "warn", told, "take a model that is trained for tools")
    advice = "take a model that is trained for tools, or lead it: --guidance staged"
    return Finding("tool calls", "warn", "the model answers without a call", advice)


def _call_flags(facts: ServerFacts) -> str:
    if facts.server == "SGLang" and not facts.tool_call_parser:
        return "start it with --tool-call-parser qwen"
    if facts.server == "vLLM":
        return "start it with --enable-auto-tool-choice --tool-call-parser hermes"
    return ""  # the model wrote a form that the server's parser does not know


def reasoning(trial: Trial, facts: ServerFacts) -> Finding:
    """Whether the server sends what the model thinks apart from what it says."""
    if trial.served_reasoning:
        return Finding("reasoning", "ok", "the server sends it apart")
    message = trial.reply.message if trial.reply else None
    if message is None or not message.reasoning:
        return Finding("reasoning", "skip", "the model wrote none")
    flags = {
        "SGLang": "start it with --reasoning-parser qwen3",
        "vLLM": "start it with --reasoning-parser qwen3",
        "llama.cpp": "start it with --reasoning-format deepseek",
    }
    told, advice = "left in the text; seekling splits it there", flags.get(facts.server, "")
    return Finding("reasoning", "ok", told, advice, start_command(facts) if advice else "")


def streaming(trial: Trial) -> Finding:
    """Whether the reply comes piece by piece, and how fast."""
    if trial.error is not None or not trial.pieces:
        return Finding("streaming", "skip", "cannot tell: there was nothing to stream")
    usage = trial.reply.usage if trial.reply else None
    tokens = usage.completion_tokens if usage else 0
    writing = trial.seconds - trial.first_seconds
    if trial.pieces == 1 and tokens > 1:
        told = f"{tokens} tokens came in one piece"
        return Finding("streaming", "warn", told, "without a stream nothing can be given up early")
    # All at the end of a long wait: something between holds the stream back.
    if tokens > 20 and trial.seconds > 1 and writing < 0.05 * trial.seconds:
        told = f"{trial.pieces} pieces arrive at once after {trial.first_seconds:.1f} s"
        return Finding("streaming", "warn", told, "turn off buffering in the proxy between")
    speed = f", {tokens / writing:.0f} tokens/s" if tokens > 20 and writing > 0.1 else ""
    return Finding("streaming", "ok", f"piece by piece{speed}")


def usage(repeated: Trial, facts: ServerFacts) -> Finding:
    """Whether tokens are counted, and how many came from the prefix cache.

    Its trial repeats a prompt, so that the cache has something to give.
    """
    if repeated.error is not None or not repeated.is_whole:
        return Finding("usage", "skip", "cannot tell: no reply came to its end")
    counted = repeated.reply.usage if repeated.reply else None
    if counted is None or not counted.prompt_tokens:
        told = "tokens are not counted: no budget, and no figure for the prefix cache"
        return Finding("usage", "warn", told)
    told = f"counted: {counted.prompt_tokens} read, {counted.completion_tokens} written"
    if counted.cached_tokens:
        return Finding("usage", "ok", f"{told}, {counted.cached_tokens} from the cache")
    if counted.cached_tokens == 0:
        told = f"{told}; a repeated prompt is not taken from the cache"
        return Finding("usage", "warn", told, "turn the server's prefix cache on")
    flags = {
        "SGLang": "start it with --enable-cache-report",
        "vLLM": "start it with --enable-prompt-tokens-details",
    }
    told, advice = f"{told}; the cache's share is not told", flags.get(facts.server, "")
    return Finding("usage", "ok", told, advice, start_command(facts) if advice else "")


async def abort(subject: Subject) -> Finding:
    """Whether the server stops writing when nobody waits any more, by its own load."""
    idle = await running_requests(subject.site)
    if idle is None:
        advice = {
            "SGLang": "start it with --enable-metrics",
            "llama.cpp": "start it with --metrics",
        }.get(subject.facts.server, "")
        told = "cannot tell: the server does not show its load"
        command = start_command(subject.facts) if advice else ""
        return Finding("abort", "skip", told, advice, command)
    if idle:
        return Finding("abort", "skip", f"cannot tell: {idle} requests of others are running")
    trial = Trial(ModelRequest(_LONG, sampling=replace(_GREEDY, max_tokens=2_048)))
    is_seen = False
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(subject.run, trial, BEGIN_SECONDS + LOAD_SECONDS)
        with anyio.move_on_after(BEGIN_SECONDS):
            await trial.begun.wait()
            is_seen = await _load_becomes(subject.site, LOAD_SECONDS, is_busy=True) is not None
        tasks.cancel_scope.cancel()
    if not is_seen:
        return Finding("abort", "skip", "cannot tell: the load does not show a request that runs")
    passed = await _load_becomes(subject.site, ABORT_SECONDS, is_busy=False)
    if passed is None:
        told = f"it goes on {ABORT_SECONDS:g} s after the request was given up"
        return Finding("abort", "fail", told, "a proxy between may keep the connection open")
    return Finding("abort", "ok", f"stopped within {max(passed, 0.1):.1f} s of giving up")


async def _load_becomes(site: Site, seconds: float, *, is_busy: bool) -> float | None:
    """Wait until the server is busy or idle; give how long it took, None when it took too long."""
    started = anyio.current_time()
    with anyio.move_on_after(seconds):
        while True:
            running = await running_requests(site)
            if running is not None and bool(running) == is_busy:
                return anyio.current_time() - started
            await anyio.sleep(POLL_SECONDS)
    return None
