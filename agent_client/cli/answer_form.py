"""An answer as a person reads it in a terminal: the text, its sources, and how the run ended."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agent_client.agent.outcome import Outcome, Source
from agent_client.clean import terminal_line, terminal_text
from agent_client.cli.cells import wrapped
from agent_client.cli.links import link, linked_citations
from agent_client.cli.run_progress import duration
from agent_client.cli.tool_lines import count

MAX_TITLE_CHARS = 100
MAX_ADDRESS_CHARS = 2_000
_BOLD, _DIM, _OFF = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_STRONG = re.compile(r"\*\*((?:[^*\n]|\n(?!\n)){1,500})\*\*")
_FENCE = ("```", "~~~")
_AS_IT_IS = ("|", "    ", "\t")
"""How lines of tables and of code begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the terminal takes; a file or a pipe gets the complete plain form."""

    has_colour: bool = False
    has_links: bool = False
    columns: int = 0
    """Where lines are broken, between words; 0 leaves them as they are."""
    folds_sources: bool = False
    """Whether sources that are not cited become one line with their number."""


def answer_text(outcome: Outcome, look: Look) -> str:
    """The answer, cleaned, with citations that can be clicked."""
    text = terminal_text(outcome.answer)
    if look.columns:
        text = "\n".join(_broken(text, look.columns))
    if look.has_colour:
        text = _STRONG.sub(rf"{_BOLD}\1{_OFF}", text)
    if look.has_links:
        text = linked_citations(text, {source.number: source.url for source in outcome.sources})
    return text


def _broken(text: str, columns: int) -> Iterator[str]:
    """The lines of Markdown broken between words, but for tables and code."""
    is_code = False
    for line in text.split("\n"):
        is_fence = line.lstrip().startswith(_FENCE)
        is_code ^= is_fence
        if is_code or is_fence or line.startswith(_AS_IT_IS):
            yield line
        else:
            yield from wrapped(line, columns)


def source_lines(sources: tuple[Source, ...], look: Look) -> Iterator[str]:
    """A line for each source; at the end one for those that were folded.

    Where no source is cited, all are listed: nothing else tells where the answer comes from.
    """
    cited = [source for source in sources if source.is_cited]
    folds = look.folds_sources and bool(cited)
    for source in cited if folds else sources:
        yield _source_line(source, look)
    folded = len(sources) - len(cited)
    if folds and folded:
        more = f"+ {count(folded, 'page')} read, not cited"
        yield f"{_DIM}{more}{_OFF}" if look.has_colour else more


def _source_line(source: Source, look: Look) -> str:
    mark = "" if source.is_cited else " (read, not cited)"
    title = terminal_line(source.title, MAX_TITLE_CHARS) or "(no title)"
    number, address = f"[{source.number}]", terminal_line(source.url, MAX_ADDRESS_CHARS)
    if look.has_links:
        number, address = link(number, source.url), link(address, source.url)
    return f"{number} {title} {address}{mark}"


def session_part(session_name: str, *, names_viewer: bool) -> str:
    """The last part of the footer.

    Args:
        session_name: the id of the session, or enough of it; "" where it is not stored.
        names_viewer: whether to add the command that shows the session.
    """
    viewer = f" (seekling view {session_name})" if names_viewer else ""
    return f"session {session_name}{viewer}" if session_name else ""


def used(outcome: Outcome) -> str:
    """What the run used: the first part of the footer."""
    usage = outcome.usage
    cited = sum(source.is_cited for source in outcome.sources)
    parts = [count(cited, "source"), count(outcome.counts.tool_calls, "call")]
    if usage.prompt_tokens:
        cached = ""
        if usage.cached_tokens:
            cached = f" ({100 * usage.cached_tokens // usage.prompt_tokens} % cached)"
        parts.append(f"{_short(usage.prompt_tokens)} in{cached}")
        parts[-1] += f" / {_short(usage.completion_tokens)} out"
    if outcome.prefix is not None and outcome.prefix.mean < 1.0:
        parts.append(f"prefix {min(99.9, 100 * outcome.prefix.mean):.1f} %")  # whole: no news
    if outcome.cost_usd is not None:
        parts.append(f"${outcome.cost_usd:.4f}")
    parts.append(duration(outcome.seconds))
    return " · ".join(parts)


def ending(outcome: Outcome) -> tuple[str, str]:
    """Why the run ended before the model was done, and what to do; both "" where it was done."""
    counts = outcome.counts
    more = "set limits.{} in the settings higher"
    told = {
        "turn_limit": ("the turn limit was reached", f"--max-turns {2 * counts.turns}"),
        "tool_call_limit": (
            "the limit of tool calls was reached",
            f"--max-tool-calls {2 * max(1, counts.tool_calls)}",
        ),
        "time_limit": ("the time was over", f"--timeout {2 * max(1, round(outcome.seconds))}"),
        "token_limit": ("the token limit was reached", more.format("total_tokens")),
        "cost_limit": ("the cost limit was reached", more.format("cost_usd")),
        "context_limit": (
            "the model's context is full",
            "ask for less at once, or take a model with a longer context",
        ),
        "repeated_reply": ("the model repeated itself", "ask in other words, or another model"),
        "no_answer": ("the model gave no answer", "ask in other words, or another model"),
    }
    what, then = told.get(outcome.stop_reason, ("", ""))
    if what and outcome.answer and outcome.stop_reason != "no_answer":
        what += ": the answer is from what was found until then"
    return what, then


def _short(number: int) -> str:
    if number < 1_000:
        return str(number)
    return f"{number / 1_000:.1f}k" if number < 999_950 else f"{number / 1_000_000:.1f}M"
