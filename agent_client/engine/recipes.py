"""Command lines that serve a search model: SGLang, its router, vLLM, llama.cpp and MLX.

A key never becomes part of a command line here: a recipe says by which flag or variable the server
takes it, and whoever prints or runs the command decides how to hand it over.
"""

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from agent_client.errors import ConfigError
from agent_client.loopback import is_loopback

KEY_VARIABLE = "SEEKLING_API_KEY"
"""The environment variable that holds the key of the server to start."""
MAX_CONTEXT_TOKENS = 4_194_304


@dataclass(frozen=True, slots=True)
class KnownModel:
    """What has to be said to a server about one model."""

    context_tokens: int
    """The context to serve by default."""
    plain_tokens: int
    """Up to here it works without scaling; 0: it is always scaled."""
    yarn_original_tokens: int
    """What YaRN scales from."""
    yarn_least_factor: float
    rope_theta: int
    tool_call_parser: str
    """As SGLang names it."""
    reasoning_parser: str
    """As SGLang and vLLM name it."""


# The context in their configuration is 40,960: 32,768 of them for the reply of a thinking model.
# Scaling: https://qwen.readthedocs.io/en/latest/deployment/sglang.html
_QWEN3 = KnownModel(40_960, 40_960, 32_768, 1.0, 1_000_000, "qwen", "qwen3")
KNOWN_MODELS: Mapping[str, KnownModel] = {
    # As on the model card: 131,072 tokens by YaRN with factor 1.5 over 98,304.
    "ii-search-4b": KnownModel(131_072, 0, 98_304, 1.5, 1_000_000, "qwen", "qwen3"),
    "qwen3-0.6b": _QWEN3,
    "qwen3-1.7b": _QWEN3,
    "qwen3-4b": _QWEN3,
    "qwen3-8b": _QWEN3,
    "qwen3-14b": _QWEN3,
    "qwen3-32b": _QWEN3,
}
"""By the last part of the name in lower case, without how it was packed or quantised."""

_PACKING = re.compile(
    r"([.-](gguf|mlx|awq|gptq|fp8|bf16|f16|[468]-?bit|i?q[1-8](_[a-z0-9]{1,3}){0,3})){1,4}$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What a person decides about a server. Checked when it is made.

    Raises:
        ConfigError: a value is out of bounds, or the server would be open to others without a key.
    """

    model: str
    """A repository on Hugging Face, or a local folder or file."""
    port: int
    """1 to 65,535."""
    host: str = "127.0.0.1"
    has_key: bool = False
    """Whether the server shall ask for a key."""
    tp: int = 1
    """Over how many GPUs one copy of the model is split."""
    dp: int = 1
    """How many copies of the model are served."""
    mem_fraction: float | None = None
    """Share of the GPU's memory for weights and cache, in (0, 1); None: the server's own choice."""
    context_tokens: int = 0
    """0: the known model's default, else the model's own."""
    extra: tuple[str, ...] = ()
    """Arguments handed over as they are."""

    def __post_init__(self) -> None:
        if not self.model.strip() or self.model.startswith("-"):
            raise ConfigError(f"not a model: {self.model!r}", hint="name one with --model")
        _check_port(self.port)
        _check_host(self.host, has_key=self.has_key)
        if self.tp < 1 or self.dp < 1:
            raise ConfigError("--tp and --dp are at least 1")
        if self.mem_fraction is not None and not 0 < self.mem_fraction < 1:
            raise ConfigError(f"--mem-fraction is between 0 and 1, not {self.mem_fraction:g}")
        if not 0 <= self.context_tokens <= MAX_CONTEXT_TOKENS:
            raise ConfigError(f"--context-tokens is at most {MAX_CONTEXT_TOKENS:,}")
        _check_extra(self.extra)

    @property
    def served_name(self) -> str:
        """What clients call the model: the last part of its name."""
        return self.model.rstrip("/").rpartition("/")[2].removesuffix(".gguf") or self.model

    @property
    def known(self) -> KnownModel | None:
        """What the table says about the model."""
        return KNOWN_MODELS.get(_PACKING.sub("", self.served_name.lower()))

    @property
    def context(self) -> int:
        """The context to serve in tokens; 0 leaves it to the model's configuration."""
        return self.context_tokens or (self.known.context_tokens if self.known else 0)

    @property
    def yarn_factor(self) -> float:
        """The factor of YaRN scaling; 0: no scaling."""
        known = self.known
        if known is None or self.context <= known.plain_tokens:
            return 0.0
        needed = -(-self.context * 100 // known.yarn_original_tokens) / 100
        return max(known.yarn_least_factor, needed)

    @property
    def rope_scaling(self) -> dict[str, object]:
        """The scaling as a model's config.json describes it; empty without scaling."""
        if not self.known or not self.yarn_factor:
            return {}
        return {
            "rope_type": "yarn",
            "factor": self.yarn_factor,
            "original_max_position_embeddings": self.known.yarn_original_tokens,
        }


@dataclass(frozen=True, slots=True)
class Recipe:
    """A command, without the key."""

    argv: tuple[str, ...]
    key_flag: str = ""
    """The flag that takes the key, for all to see; "" without a key or with `key_variable`."""
    key_variable: str = ""
    """The environment variable in which the server looks for the key."""
    notes: tuple[str, ...] = ()
    """What to know before running it, one sentence or two each."""

    def shell_line(self) -> str:
        """The command for a POSIX shell; the key stands in it as a variable's name only."""
        prefix = f'{self.key_variable}="${KEY_VARIABLE}" ' if self.key_variable else ""
        suffix = f' {self.key_flag} "${KEY_VARIABLE}"' if self.key_flag else ""
        return prefix + shlex.join(self.argv) + suffix

    def as_json(self) -> dict[str, object]:
        """The command for programs; `api_key` says how to hand the key over, null without one."""
        key = None
        if self.key_flag or self.key_variable:
            key = {"from": KEY_VARIABLE, "flag": self.key_flag, "variable": self.key_variable}
        return {"argv": list(self.argv), "api_key": key, "notes": list(self.notes)}


_SGLANG_MEM_FRACTION = 0.85
"""Of a card's memory for weights and cache. Said openly: it is what to lower when a card is small,
and to raise for more questions at once."""


def sglang(options: ServeOptions, *, python: str = "python3") -> Recipe:
    """SGLang's server; flags checked against version 0.5.23."""
    known = options.known
    argv = [python, "-m", "sglang.launch_server", "--model-path", options.model]
    argv += ["--served-model-name", options.served_name]
    argv += ["--host", options.host, "--port", str(options.port)]
    argv += ["--tool-call-parser", known.tool_call_parser if known else "auto"]
    argv += ["--reasoning-parser", known.reasoning_parser if known else "auto"]
    if options.context:
        argv += ["--context-length", str(options.context)]
    if scaling := options.rope_scaling:
        # With a scaled `original_max_position_embeddings` SGLang 0.5.23 ignores the factor and
        # refuses a context above the checkpoint's `max_position_embeddings`.
        override = {"rope_scaling": scaling, "max_position_embeddings": options.context}
        argv += ["--json-model-override-args", _json(override)]
    argv += ["--tp-size", str(options.tp), "--dp-size", str(options.dp)]
    fraction = options.mem_fraction or (_SGLANG_MEM_FRACTION if known else None)
    if fraction is not None:
        argv += ["--mem-fraction-static", f"{fraction:g}"]
    # Without the report nobody can see whether the prefix cache works; an idle server that does not
    # sleep keeps a whole core busy.
    argv += ["--enable-metrics", "--enable-cache-report", "--sleep-on-idle", *options.extra]
    key_flag = "--api-key" if options.has_key else ""
    return Recipe(tuple(argv), key_flag=key_flag, notes=_unknown_model(options))


def vllm(options: ServeOptions) -> Recipe:
    """The server of vLLM; flags checked against its documentation only."""
    argv = ["vllm", "serve", options.model, "--served-model-name", options.served_name]
    argv += ["--host", options.host, "--port", str(options.port)]
    argv += ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    if options.known:
        argv += ["--reasoning-parser", options.known.reasoning_parser]
    if options.context:
        argv += ["--max-model-len", str(options.context)]
    if options.known and (scaling := options.rope_scaling):
        # It replaces the whole section, so it needs the base of the frequencies, too.
        rope = scaling | {"rope_theta": options.known.rope_theta}
        argv += ["--hf-overrides", _json({"rope_parameters": rope})]
    argv += ["--tensor-parallel-size", str(options.tp), "--data-parallel-size", str(options.dp)]
    if options.mem_fraction is not None:
        argv += ["--gpu-memory-utilization", f"{options.mem_fraction:g}"]
    argv += ["--enable-prompt-tokens-details", *options.extra]
    notes = _unknown_model(options)
    if options.has_key:
        notes += ("vLLM asks for the key under /v1 only: /metrics and others stay open",)
    return Recipe(tuple(argv), key_variable="VLLM_API_KEY" if options.has_key else "", notes=notes)


def llama_cpp(options: ServeOptions) -> Recipe:
    """llama.cpp's server, for a GGUF file."""
    _refuse_parallelism(options, "llama.cpp")
    is_file = options.model.lower().endswith(".gguf")
    argv = ["llama-server", "--model", options.model if is_file else f"{options.served_name}.gguf"]
    argv += ["--alias", options.served_name]
    argv += ["--host", options.host, "--port", str(options.port), "--jinja"]
    argv += ["--ctx-size", str(options.context), "--parallel", "1"]
    if options.known and options.yarn_factor:
        argv += ["--rope-scaling", "yarn", "--rope-scale", f"{options.yarn_factor:g}"]
        argv += ["--yarn-orig-ctx", str(options.known.yarn_original_tokens)]
    argv += ["--metrics", *options.extra]
    notes = _unknown_model(options)
    if not is_file:
        notes += (
            "llama.cpp reads GGUF files: convert the model with its convert_hf_to_gguf.py, or give"
            " a GGUF file as --model",
        )
    notes += ("for N questions at once raise --parallel to N and --ctx-size by the same factor",)
    return Recipe(tuple(argv), key_variable="LLAMA_API_KEY" if options.has_key else "", notes=notes)


def mlx(options: ServeOptions) -> Recipe:
    """MLX's server, for Macs with an Apple chip."""
    _refuse_parallelism(options, "mlx_lm.server")
    if not is_loopback(options.host):
        raise ConfigError(
            f"mlx_lm.server knows no key, so it must not listen on {options.host!r}",
            hint="leave --host out",
        )
    argv = ["mlx_lm.server", "--model", options.model]
    argv += ["--host", options.host, "--port", str(options.port), *options.extra]
    notes: tuple[str, ...] = ()
    if options.rope_scaling:
        notes += (
            "mlx_lm.server scales no context: it takes what the model's own config.json says",
        )
    notes += (
        "a smaller build: mlx_lm.convert -q --hf-path"
        f" {shlex.quote(options.model)}, then --model mlx_model",
    )
    return Recipe(tuple(argv), notes=notes)


ENGINES: Mapping[str, tuple[Callable[[ServeOptions], Recipe], int]] = {
    "sglang": (sglang, 30_000),
    "vllm": (vllm, 8_000),
    "llama.cpp": (llama_cpp, 8_080),
    "mlx": (mlx, 8_080),
}
"""What makes the command of each engine, and its usual port."""
ROUTER_PORT = 30_000


def sglang_router(
    workers: Sequence[str],
    *,
    host: str = "127.0.0.1",
    port: int = ROUTER_PORT,
    has_key: bool = False,
    extra: Sequence[str] = (),
) -> Recipe:
    """SGLang's router over running servers; it sends a prompt to where its prefix is cached.

    Flags checked against sglang-router 0.3.2. Its key is the one that the workers ask for, and
    that it asks its clients for.

    Raises:
        ConfigError: no worker, something that is not a worker's URL, the router itself among the
            workers, or a router that would be open to others without a key.
    """
    _check_port(port)
    _check_host(host, has_key=has_key)
    _check_extra(extra)
    if not workers:
        raise ConfigError("the router needs servers", hint="name each with --worker URL")
    for worker in workers:
        _check_worker(worker, port)
    argv = ["python3", "-m", "sglang_router.launch_router"]
    argv += ["--worker-urls", *(worker.rstrip("/") for worker in workers)]
    argv += ["--policy", "cache_aware", "--host", host, "--port", str(port), *extra]
    notes = ("the router is a package of its own: pip install sglang-router",)
    return Recipe(tuple(argv), key_flag="--api-key" if has_key else "", notes=notes)


def _unknown_model(options: ServeOptions) -> tuple[str, ...]:
    if options.known:
        return ()
    return (
        f"{options.served_name!r} is not in Seekling's table of models: check context length and"
        " parsers against its model card",
    )


def _refuse_parallelism(options: ServeOptions, engine: str) -> None:
    if (options.tp, options.dp, options.mem_fraction) != (1, 1, None):
        raise ConfigError(f"--tp, --dp and --mem-fraction mean nothing to {engine}")


def _check_port(port: int) -> None:
    if not 1 <= port <= 65_535:
        raise ConfigError(f"--port is between 1 and 65535, not {port}")


def _check_extra(extra: Sequence[str]) -> None:
    # The last one counts with every engine, so these would undo what has been checked.
    if any(word.partition("=")[0] in ("--host", "--port") for word in extra):
        raise ConfigError("--host and --port stand before the --, not behind it")


def _check_host(host: str, *, has_key: bool) -> None:
    if not host or host.startswith("-") or any(char.isspace() for char in host):
        raise ConfigError(f"not a host: {host!r}")
    if not has_key and not is_loopback(host):
        raise ConfigError(
            f"a server on {host!r} would answer anybody who reaches it",
            hint=f"set {KEY_VARIABLE} to a long random key, or leave --host out",
        )


def _check_worker(worker: str, router_port: int) -> None:
    try:
        parts = urlsplit(worker)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.path.strip("/") or parts.query:
        raise ConfigError(
            f"not a worker: {worker!r}", hint="write it like http://127.0.0.1:30001, without /v1"
        )
    if is_loopback(host) and port == router_port:
        raise ConfigError(
            f"router and worker cannot share port {port}", hint="give the router another --port"
        )


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"))
