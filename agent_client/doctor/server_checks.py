"""Checks that let the model write nothing: address, key, models, context, raw mode."""

import shlex
from collections.abc import Mapping
from urllib.parse import urlsplit

from agent_client.doctor.findings import Finding
from agent_client.doctor.site import Answer, Site
from agent_client.loopback import is_loopback
from agent_client.model.chat_template import TemplateError
from agent_client.model.server_facts import ServerFacts
from agent_client.model.template_choice import template_for

LEAST_CONTEXT_TOKENS = 8_192
GOOD_CONTEXT_TOKENS = 32_768
"""About ten pages of 10,000 characters with what the model writes between them. A long run reads
up to 30, in 131,072 tokens."""
_RAW_SECONDS = 15.0


def reachable(listing: Answer) -> Finding:
    """Whether anything answers at the address."""
    if listing.status:
        return Finding("reachable", "ok", f"answers in {listing.seconds * 1000:.0f} ms")
    advice = "start the server, or check address and port; this tells what answers here"
    if listing.is_connected and not listing.failure.startswith("no answer"):
        told = f"what answers is no web server: {listing.failure}"
    else:
        told = listing.failure
    return Finding("reachable", "fail", told, advice, "seekling models")


async def key(site: Site, listing: Answer) -> Finding:
    """Whether the server takes the key, and whether it asks for one."""
    has_key = site.endpoint.api_key is not None
    if listing.status in (401, 403):
        told = "it refuses the key" if has_key else "it wants a key"
        advice = "set SEEKLING_API_KEY to the key that the server was started with"
        told = f"{told} (HTTP {listing.status})"
        return Finding("key", "fail", told, advice, "export SEEKLING_API_KEY=…")
    if not has_key:
        return _open_to_all(site, "it asks for no key")
    without = await site.get("models", with_key=False)
    if without.status in (401, 403):
        return Finding("key", "ok", "it takes the key and refuses requests without it")
    return _open_to_all(site, "it takes requests with any key or none")


def _open_to_all(site: Site, told: str) -> Finding:
    host = urlsplit(site.endpoint.base_url).hostname or ""
    if is_loopback(host):
        return Finding("key", "ok", f"{told}, which is fine while it listens to this machine only")
    advice = "start it with a key: whoever reaches it can use it and read along"
    return Finding("key", "warn", told, advice)


def no_models(listing: Answer) -> Finding:
    """What to say of an answer that is no list of models."""
    if listing.is_ok:
        told, advice = "what it sends is no list of models", "is this a model server?"
    else:
        told = f"HTTP {listing.status} for the list of models"
        advice = "check the address: it usually ends in /v1"
    return Finding("models", "fail", told, advice)


def models(facts: ServerFacts, wanted: str) -> Finding:
    """Whether the server lists models that write, and the wanted one among them."""
    names = facts.models
    told = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    if not facts.model:
        told = f"none that writes: {told}" if names else "it lists none"
        return Finding("models", "fail", told, "load a model into the server")
    if wanted and wanted not in names:
        # SGLang and llama.cpp answer under any name.
        advice = f"it may refuse --model-name {wanted}: choose one that it lists"
        return Finding("models", "warn", told or "it lists none", advice)
    return Finding("models", "ok", told)


def software(facts: ServerFacts, version: str) -> Finding:
    """Which software serves."""
    if not facts.server:
        return Finding("server", "skip", "it does not say what it is")
    told = f"{facts.server} {version}".rstrip()
    if facts.server == "Ollama" and not facts.context_tokens:
        advice = "Ollama cuts the prompt silently: set OLLAMA_CONTEXT_LENGTH=32768 or more"
        return Finding("server", "warn", told, advice, start_command(facts))
    return Finding("server", "ok", told)


def context(facts: ServerFacts) -> Finding:
    """Whether a search with its pages fits into the context."""
    tokens = facts.context_tokens
    if not tokens:
        return Finding("context", "skip", "it does not say how long its context is")
    told = f"{tokens:,} tokens"
    if tokens >= GOOD_CONTEXT_TOKENS:
        return Finding("context", "ok", told)
    advice, command = longer_context(facts.server), start_command(facts)
    if tokens < LEAST_CONTEXT_TOKENS:
        return Finding("context", "fail", f"{told}: not even two pages fit", advice, command)
    pages = max(1, (tokens - 4_096) // 3_000)
    told = f"{told}: room for about {pages} of up to 30 pages"
    return Finding("context", "warn", told, advice, command)


def start_command(facts: ServerFacts) -> str:
    """The command that starts this server as it should be, or prints that; "" where none is known.

    The name of the model is the server's word.
    """
    model = shlex.quote(facts.model)
    commands: Mapping[str, str] = {
        "SGLang": f"seekling engine argv sglang --model {model}",
        "vLLM": f"seekling engine argv vllm --model {model}",
        "llama.cpp": f"seekling engine argv llama.cpp --model {model}",
        "Ollama": "OLLAMA_CONTEXT_LENGTH=32768 ollama serve",
        "LM Studio": f"lms load {model} --context-length 32768",
    }
    return commands.get(facts.server, "")


def longer_context(server: str) -> str:
    """What to change so that a server of this software gives its model a longer context."""
    flags: Mapping[str, str] = {
        "SGLang": "start it with --context-length 131072",
        "vLLM": "start it with --max-model-len 131072",
        "llama.cpp": "start it with --ctx-size 32768 or more; the embedded engine:"
        " engine.context_tokens in the settings",
        "Ollama": "set OLLAMA_CONTEXT_LENGTH=32768 or more",
        "LM Studio": "load the model with a longer context",
    }
    return flags.get(server, "start the server with a longer context, 32768 or more")


async def raw_mode(site: Site, facts: ServerFacts) -> Finding:
    """Whether prompts can be rendered here, which keeps the server's prefix cache whole."""
    if facts.server == "SGLang":
        path = "/generate"
        body: Mapping[str, object] = {"text": "The", "sampling_params": {"max_new_tokens": 1}}
    else:
        path, body = "completions", {"model": facts.model, "prompt": "The", "max_tokens": 1}
    answer = await site.post(path, body, seconds=_RAW_SECONDS)
    shown = path if path.startswith("/") else f"/v1/{path}"
    if not answer.is_ok:
        reason = f"HTTP {answer.status}" if answer.status else answer.failure
        return Finding("raw mode", "skip", f"not offered, chat mode serves ({shown}: {reason})")
    try:
        template_for(
            "auto",
            model=facts.model,
            model_type=facts.model_type,
            tokenizer=facts.tokenizer_path,
            served=facts.chat_template,
        )
    except TemplateError as exc:
        return Finding("raw mode", "skip", f"{shown} works, but no chat template: {exc}")
    return Finding("raw mode", "ok", f"{shown} works and the chat template is known")
