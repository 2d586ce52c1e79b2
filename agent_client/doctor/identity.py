"""What a server says of itself beyond `ServerFacts`: its version and its load."""

import re
from collections.abc import Mapping
from typing import cast

from agent_client.doctor.site import Site

_VERSIONS: Mapping[str, tuple[str, str]] = {
    "SGLang": ("/server_info", "version"),
    "vLLM": ("/version", "version"),
    "llama.cpp": ("/props", "build_info"),
    "Ollama": ("/api/version", "version"),
}
"""Where each server tells its version, and under which name."""
_MAX_VERSION_CHARS = 100
_RUNNING = re.compile(
    r"^(?:sglang:num_running_reqs|vllm:num_requests_running|llamacpp:requests_processing)"
    r"(?:\{[^}\n]{0,2000}\})? ([0-9]{1,9})(?:\.[0-9]{0,9})?$",
    re.MULTILINE,
)


async def version_of(site: Site, server: str) -> str:
    """Ask a server for its version; "" where it does not tell."""
    if server not in _VERSIONS:
        return ""
    path, name = _VERSIONS[server]
    version = (await site.get(path)).json().get(name)
    return version[:_MAX_VERSION_CHARS] if isinstance(version, str) else ""


async def running_requests(site: Site) -> int | None:
    """How many requests the server works on now; None when it does not tell."""
    # Fresher than SGLang's metrics, which it writes every so many tokens.
    loads = (await site.get("/v1/loads")).json().get("loads")
    if isinstance(loads, list) and loads:
        return sum(map(_running_in, cast(list[object], loads)))
    metrics = await site.get("/metrics")
    if metrics.is_ok and (found := _RUNNING.findall(metrics.text())):
        return sum(map(int, found))
    return None


def _running_in(load: object) -> int:
    running = cast(dict[str, object], load).get("num_running_reqs") if isinstance(load, dict) else 0
    return running if isinstance(running, int) else 0
