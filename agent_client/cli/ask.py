"""`seekling ask "…"`: one question, one answer with sources."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from agent_client.cli.options import add_settings, load_config

if TYPE_CHECKING:
    from agent_client.agent.agent import Agent
    from agent_client.agent.outcome import Outcome
    from agent_client.cli.render import Terminal
    from agent_client.config import ClientConfig
    from agent_client.sessions.session import Session


_EXAMPLES = """examples:
  seekling ask "Which river flows through the city where Marie Curie was born?"
  seekling ask -c "And who ruled there then?"
  seekling ask --json --model http://127.0.0.1:30000 "…" | jq .answer
"""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command to the grammar."""
    parser = subparsers.add_parser(
        "ask",
        help="answer one question (the default command)",
        description="Answer one question. The answer goes to stdout, everything else to stderr.",
        usage="seekling ask [options] QUESTION",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("question", metavar="QUESTION", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("-q", "--quiet", action="store_true", help="the answer only")
    parser.add_argument(
        "-c", "--continue", dest="follows_up", action="store_true", help="continue the last session"
    )
    add_settings(parser)


async def run(options: argparse.Namespace) -> int:
    """Ask, show what happens, print the answer; the exit code tells how it ended."""
    from agent_client.cli.main import error_line
    from agent_client.errors import ConfigError

    config = load_config(options)
    if not options.question.strip():
        raise ConfigError("the question is empty", hint='try: seekling ask "Who …?"')
    outcome, model = await _answer(options, config)
    if options.json:
        print(json.dumps(outcome_json(outcome, model), ensure_ascii=False))
        if outcome.error is not None:
            error_line(str(outcome.error), getattr(outcome.error, "hint", ""))
    elif outcome.error is not None:
        raise outcome.error
    return exit_code(outcome)


async def _answer(options: argparse.Namespace, config: "ClientConfig") -> "tuple[Outcome, str]":
    from agent_client.app import open_agent
    from agent_client.cli.render import Terminal

    is_silent = options.quiet or options.json
    terminal = Terminal(out=sys.stdout, err=sys.stderr, is_silent=is_silent)
    terminal.question(options.question)
    async with open_agent(config, tell=terminal.tell) as agent:
        with _session(options, config, agent, terminal) as session:
            history, emit = session.next_run(
                options.question, agent.model.context_tokens, terminal.show
            )
            try:
                outcome = await agent.ask(options.question, emit=emit, history=history)
            finally:
                terminal.clear()
        model = agent.model.name
    if not options.json:
        terminal.answer(outcome, with_sources=not options.quiet)
    return outcome, model


def _session(
    options: argparse.Namespace, config: "ClientConfig", agent: "Agent", terminal: "Terminal"
) -> "Session":
    """The session that this question belongs to.

    Raises:
        SessionError: there is none to continue, or it cannot be written.
    """
    from agent_client.sessions.session import unsaved_session
    from agent_client.sessions.store import SessionStore, continue_last, sessions_directory

    store = SessionStore(sessions_directory(config.data_dir))
    if options.follows_up:
        return continue_last(store, warn=terminal.tell)[0]
    if not config.save:
        return unsaved_session(terminal.tell)
    return store.start(
        "ask",
        warn=terminal.tell,
        model=agent.model.name,
        profile=agent.profile.name,
        profile_digest=agent.profile.digest,
    )


def exit_code(outcome: "Outcome") -> int:
    """0 answered, 3 a limit was reached, otherwise the error's own or 1."""
    from agent_client.agent.outcome import LIMIT_REASONS
    from agent_client.errors import SeeklingClientError

    if outcome.stop_reason == "answered":
        return 0
    if outcome.stop_reason in LIMIT_REASONS:
        return 3
    if isinstance(outcome.error, SeeklingClientError):
        return outcome.error.exit_code
    return 1


def counts_json(outcome: "Outcome") -> dict[str, object]:
    """What the run used, for `--json`."""
    counts = outcome.counts
    return {
        "turns": counts.turns,
        "searches": counts.searches,
        "visits": counts.visits,
        "tool_calls": counts.tool_calls,
        "tool_errors": counts.tool_errors,
        "malformed_calls": counts.malformed_calls,
        "resamples": counts.resamples,
        "retries": counts.retries,
        "compactions": counts.compactions,
        "repairs": dict(counts.repairs),
        "guards": dict(counts.guards),
    }


def outcome_json(outcome: "Outcome", model: str) -> dict[str, object]:
    """The one object that `--json` prints."""
    usage, prefix = outcome.usage, outcome.prefix
    told: dict[str, object] = {
        "question": outcome.question,
        "answer": outcome.answer,
        "short_answer": outcome.short_answer,
        "stop_reason": outcome.stop_reason,
        "sources": [
            {
                "number": source.number,
                "url": source.url,
                "title": source.title,
                "cited": source.is_cited,
            }
            for source in outcome.sources
        ],
        "counts": counts_json(outcome),
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cached_tokens": usage.cached_tokens,
        },
        "prefix": None
        if prefix is None
        else {
            "mean": round(prefix.mean, 4),
            "worst": round(prefix.worst, 4),
            "turns": prefix.turns,
        },
        "cost_usd": outcome.cost_usd,
        "timings": {
            "seconds": round(outcome.seconds, 3),
            **{f"{name}_seconds": round(value, 3) for name, value in outcome.timings.items()},
        },
        "model": model,
        "profile": outcome.profile,
        "profile_digest": outcome.profile_digest,
        "run_id": outcome.run_id,
    }
    if outcome.error is not None:
        told["error"] = {
            "type": type(outcome.error).__name__,
            "message": str(outcome.error),
            "hint": getattr(outcome.error, "hint", ""),
            "code": exit_code(outcome),
        }
    return told
