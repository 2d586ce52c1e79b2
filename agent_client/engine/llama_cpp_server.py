"""The child process that runs llama.cpp: `python llama_cpp_server.py MODEL`.

A process of its own, because llama.cpp aborts the whole process on some errors, cannot be stopped
inside one, and writes to stdout. It says `{"port": N}` on stdout once it answers requests and ends
with its parent, even when the parent is killed. It is started by its path, so it imports nothing of
this project.
"""

import argparse
import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

# Warnings and errors; llama.cpp's INFO prints three lines for each request.
_LOG_WARNINGS = 2
# llama.cpp's own default lets the prompt cache grow to 8 GiB; one user's few conversations need
# about 12 KiB per token with the 0.5B and 28 KiB with the 1.5B.
_PROMPT_CACHE_MIB = 512
_PARENT_CHECK_SECONDS = 1.0


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line: `model`, `port` (0: any free one), `context_tokens`, `threads`."""
    parser = argparse.ArgumentParser(prog="llama_cpp_server")
    parser.add_argument("model", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--context-tokens", type=int, default=8192)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--parent", type=int, default=None, help="end when this process ends")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Serve one model on loopback until SIGTERM, SIGINT or the end of the parent process."""
    args = parse_args(argv)
    parent = os.getppid() if args.parent is None else args.parent
    # stdout belongs to the one line for the parent: whatever else is printed goes to the log.
    ready = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    # Prints on import in some builds, hence after the redirection. Untyped, hence by name.
    xllamacpp: Any = importlib.import_module("xllamacpp")

    params = xllamacpp.CommonParams()
    params.model.path = str(args.model)
    params.model_alias = {args.model.stem}  # else /v1/models tells the path
    params.hostnames = ["127.0.0.1"]
    params.port = args.port
    # A page in the user's browser can reach loopback; without CORS it cannot read the answers.
    params.cors_origins = ""
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_metrics = True
    params.n_ctx = args.context_tokens
    params.n_parallel = 1
    params.cpuparams.n_threads = args.threads
    params.cpuparams_batch.n_threads = args.threads
    params.use_jinja = True
    params.cache_prompt = True
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.verbosity = _LOG_WARNINGS
    try:
        server = xllamacpp.Server(params)  # returns when the model is loaded and the port is bound
    except RuntimeError as exc:
        sys.exit(f"llama.cpp: {exc}")  # the reason is in the log lines above

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    with ready:
        ready.write(json.dumps({"port": int(server.listening_address.rpartition(":")[2])}) + "\n")
    while not stop.wait(_PARENT_CHECK_SECONDS) and os.getppid() == parent:
        pass
    # Not through the destructors: the server's would wait for a generation to end.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
