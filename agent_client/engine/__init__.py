"""The embedded engine: a small model on the CPU, to try Seekling without a GPU or a key.

`weights` brings model files to the disk, `sources` are the places they come from, `llama_cpp` runs
one in a child process (`llama_cpp_server`) and hands out its OpenAI-compatible address. `recipes`
are the commands that serve models with other engines; `launch` runs SGLang under `group_leader`.
"""

from agent_client.engine.llama_cpp import serve
from agent_client.engine.sources import PullProgress
from agent_client.engine.weights import (
    DEFAULT_MODEL,
    MODELS,
    ModelFile,
    find_model,
    models_dir,
    pull,
)

__all__ = [
    "DEFAULT_MODEL",
    "MODELS",
    "ModelFile",
    "PullProgress",
    "find_model",
    "models_dir",
    "pull",
    "serve",
]
