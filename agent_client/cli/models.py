"""`seekling models`: which models answer on this machine, and whether they call tools."""

import argparse
import shlex
import sys
from typing import TYPE_CHECKING

from agent_client.cli.json_output import print_json
from agent_client.cli.options import load_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from agent_client.config import ClientConfig
    from agent_client.doctor.model_survey import SurveyedModel, SurveyedServer
    from agent_client.model.discovery import ModelServer

SCHEMA_VERSION = 1
LEAST_CONTEXT_TOKENS = 16_384
"""Four or five pages fit; in less, a question that needs several is cut short."""
REMOTE_SECONDS = 5.0
"""For the list of models of a server elsewhere."""
MAX_LINE_CHARS = 500
_COLOURS = {"ok": "\x1b[32m", "warn": "\x1b[33m", "-": "\x1b[2m"}
_OFF = "\x1b[0m"

_WHAT_TO_DO = (
    "fetch a small one: seekling engine pull, start a server such as LM Studio, Ollama or SGLang"
    " (seekling engine argv sglang --help), or name one: seekling models --model URL"
)

_EXAMPLES = """examples:
  seekling models
  seekling models --no-probe --json
  seekling models --model http://gpu.example:30000

exit codes: 0 there is a model, 2 a setting is wrong, 6 there is none
"""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command to the grammar."""
    parser = subparsers.add_parser(
        "models",
        help="which models answer here, and whether they call tools",
        description="List the models of the servers on the usual local ports, the embedded ones\n"
        "and the configured one. Those in memory are asked for one short tool call.",
        usage="seekling models [options]",
        epilog=_EXAMPLES,
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--no-probe", action="store_true", help="let no model write anything")
    parser.add_argument("--config", metavar="FILE", help="a TOML settings file")
    parser.add_argument("--model", metavar="URL|NAME", help="look at this endpoint too")
    parser.add_argument("--model-name", metavar="NAME", help="the model that is meant there")


async def run(options: argparse.Namespace) -> int:
    """Look, print, and give the exit code.

    Raises:
        ConfigError: a setting is wrong.
    """
    from agent_client.engine.weights import MODELS
    from agent_client.model_choice import is_here

    config = load_config(options)
    servers = await _servers(config, is_trying=not options.no_probe)
    embedded = [name for name in MODELS if is_here(name)]
    chosen = _chosen(config, servers, embedded)
    if options.json:
        print_json(_as_json(config, servers, embedded, chosen))
    else:
        _print(config, servers, embedded, chosen)
    if embedded or any(server.models for server in servers):
        return 0
    print("seekling: no model answers here; " + _WHAT_TO_DO, file=sys.stderr)
    return 6


async def _servers(config: "ClientConfig", *, is_trying: bool) -> "list[SurveyedServer]":
    """The configured addresses, then the usual local ports that are none of them."""
    from agent_client.app import open_http
    from agent_client.config import ClientConfig
    from agent_client.model.discovery import LOCAL_PORTS, look_at, look_at_local
    from agent_client.model_choice import addresses, api_key, looks_like_url

    key = api_key(config)
    named = addresses(config) if looks_like_url(config.model) else []
    places = {_place(url) for url in named}
    others = {
        port: server
        for port, server in LOCAL_PORTS.items()
        if _place(f"http://127.0.0.1:{port}/v1") not in places
    }
    seen: list[SurveyedServer] = []
    # What the environment says of proxies, and the key, are for the configured addresses only.
    if named:
        async with open_http(config) as http:
            configured = [
                await look_at(url, http, api_key=key, seconds=REMOTE_SECONDS) for url in named
            ]
            seen += await _surveyed(configured, http, key, is_trying=is_trying)
    async with open_http(ClientConfig()) as http:
        local = await look_at_local(http, ports=others)
        seen += await _surveyed(local, http, None, is_trying=is_trying)
    return seen


async def _surveyed(
    servers: "Sequence[ModelServer]", http: "httpx.AsyncClient", key: str | None, *, is_trying: bool
) -> "tuple[SurveyedServer, ...]":
    from agent_client.doctor.model_survey import survey
    from agent_client.doctor.trial_call import TrialCall, try_call
    from agent_client.model.endpoint import Endpoint
    from agent_client.model.retries import RetryPolicy
    from agent_client.model.transport import HttpxTransport

    async def one_call(server: "ModelServer", model: str) -> TrialCall:
        endpoint = Endpoint(
            transport=HttpxTransport(http),
            base_url=server.base_url,
            api_key=key,
            sglang_extras=server.server == "SGLang",
            retry=RetryPolicy(tries=1),
        )
        return await try_call(endpoint, model)

    return await survey(servers, http, api_key=key, try_call=one_call if is_trying else None)


def _place(base_url: str) -> str:
    """The same for all names of this machine."""
    return base_url.replace("//localhost:", "//127.0.0.1:").replace("//[::1]:", "//127.0.0.1:")


def _chosen(
    config: "ClientConfig", servers: "Sequence[SurveyedServer]", embedded: "Sequence[str]"
) -> tuple[str, str]:
    """The model that `seekling ask` takes now: address and name; "" and "" where there is none.

    The address of an embedded model is "embedded".
    """
    from agent_client.engine.weights import DEFAULT_MODEL
    from agent_client.model.discovery import LOCAL_PORTS
    from agent_client.model_choice import EMBEDDED, SERVER_NAMES, addresses, looks_like_url

    wanted, is_url = config.model, looks_like_url(config.model)
    urls = [_place(url) for url in addresses(config)] if is_url else []
    ports = [port for port, name in LOCAL_PORTS.items() if name == SERVER_NAMES.get(wanted)]
    urls += [f"http://127.0.0.1:{port}/v1" for port in ports]
    for server in servers:
        place = _place(server.found.base_url)
        names = [model.name for model in server.models]
        if not names or (urls and place not in urls):
            continue
        if urls or not wanted:
            named = config.model_name in names
            return server.found.base_url, config.model_name if named else names[0]
        if wanted in names:
            return server.found.base_url, wanted
    name = DEFAULT_MODEL if wanted in ("", EMBEDDED) else wanted
    return (EMBEDDED, name) if name in embedded else ("", "")


def _advice(model: "SurveyedModel", server: str) -> list[str]:
    """What to change about a model, a sentence each."""
    from agent_client.doctor.server_checks import longer_context

    told: list[str] = []
    if 0 < model.context_tokens < LEAST_CONTEXT_TOKENS:
        needed = f"the context is small, it should have {LEAST_CONTEXT_TOKENS:,} tokens or more"
        told.append(f"{needed}: {longer_context(server)}")
    if model.trial and not model.trial.is_good and model.trial.advice:
        told.append(model.trial.advice)
    return told


def _use(server: "SurveyedServer", name: str) -> str:
    """The command that asks this model."""
    root = server.found.base_url.removesuffix("/v1")
    which = "" if name == server.models[0].name else f" --model-name {shlex.quote(name)}"
    return f'seekling ask --model {shlex.quote(root)}{which} "…"'


def _as_json(
    config: "ClientConfig",
    servers: "Sequence[SurveyedServer]",
    embedded: "Sequence[str]",
    chosen: tuple[str, str],
) -> dict[str, object]:
    told: list[dict[str, object]] = []
    for server in servers:
        models = [_model_json(server, model, chosen) for model in server.models]
        found = server.found
        told.append(
            {
                "url": found.base_url,
                "server": found.server,
                "answers": found.is_there,
                "failure": found.failure,
                "models": models,
            }
        )
    here = [
        {
            "name": name,
            "context_tokens": config.engine.context_tokens,
            "chosen": ("embedded", name) == chosen,
            "use": f'seekling ask --model {name} "…"',
        }
        for name in embedded
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "configured": config.model,
        "servers": told,
        "embedded": here,
    }


def _model_json(
    server: "SurveyedServer", model: "SurveyedModel", chosen: tuple[str, str]
) -> dict[str, object]:
    trial = model.trial
    return {
        "name": model.name,
        "context_tokens": model.context_tokens or None,
        "loaded": model.is_loaded,
        "tool_calls": None
        if trial is None
        else {
            "outcome": trial.verdict,
            "told": trial.told,
            "seconds": round(trial.seconds, 3),
        },
        "advice": _advice(model, server.found.server),
        "chosen": (server.found.base_url, model.name) == chosen,
        "use": _use(server, model.name),
    }


def _print(
    config: "ClientConfig",
    servers: "Sequence[SurveyedServer]",
    embedded: "Sequence[str]",
    chosen: tuple[str, str],
) -> None:
    printer = _Printer()
    for server in servers:
        found = server.found
        title = f"{found.server or 'server'} {found.base_url.removesuffix('/v1')}"
        printer.title(f"{title}: {found.failure}" if found.failure else title)
        for model in server.models:
            is_chosen = (found.base_url, model.name) == chosen
            advice = _advice(model, found.server)
            printer.model(
                _word(model, advice),
                [model.name, *_facts(model)],
                _use(server, model.name),
                is_chosen=is_chosen,
            )
            for sentence in advice:
                printer.advice(sentence)
        if more := len(found.chat_models) - len(server.models):
            printer.advice(f"and {more} more models")
    printer.title("embedded, on the CPU" + ("" if embedded else ": not here"))
    for name in embedded:
        facts = [name, f"{config.engine.context_tokens:,} tokens", "led step by step"]
        use = f'seekling ask --model {name} "…"'
        printer.model("ok", facts, use, is_chosen=("embedded", name) == chosen)


def _word(model: "SurveyedModel", advice: "Sequence[str]") -> str:
    if advice or (model.trial and not model.trial.is_good):
        return "warn"
    return "ok" if model.trial else "-"


def _facts(model: "SurveyedModel") -> list[str]:
    tokens = f"{model.context_tokens:,} tokens" if model.context_tokens else "context unknown"
    told = [tokens] if model.is_loaded else ["not loaded"]
    if model.trial:
        told.append(f"{model.trial.told} ({model.trial.seconds:.1f} s)")
    return told


class _Printer:
    """Prints cleaned lines on stdout."""

    def __init__(self) -> None:
        from agent_client.cli.colour import has_colour

        self._has_colour = has_colour(sys.stdout)

    def title(self, text: str) -> None:
        self._line("", text)

    def model(self, word: str, facts: "Sequence[str]", use: str, *, is_chosen: bool) -> None:
        mark = "the one that is used" if is_chosen else ""
        told = " · ".join(part for part in (*facts, mark, use) if part)
        padded = word.ljust(4)
        if self._has_colour:
            padded = f"{_COLOURS[word]}{padded}{_OFF}"
        self._line(f"  {padded}  ", told)

    def advice(self, text: str) -> None:
        self._line("        -> ", text)

    def _line(self, start: str, text: str) -> None:
        from agent_client.clean import terminal_line

        print(start + terminal_line(text, MAX_LINE_CHARS))  # names are the servers' words
