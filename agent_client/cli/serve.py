"""`seekling serve`: the agent as a model behind an OpenAI-compatible endpoint."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from agent_client.cli.options import add_settings, load_config

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    import uvicorn

    from agent_client.service.chat_api import ChatApp

DEFAULT_PORT = 8765
MAX_CONNECTIONS = 256
STOP_SECONDS = 3
"""How long runs may go on after a signal to stop."""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command to the grammar."""
    parser = subparsers.add_parser(
        "serve",
        help="offer the agent as a model, over the OpenAI protocol",
        description="Offer the agent as the model `seekling` at /v1/chat/completions, for chat\n"
        "applications and IDE plug-ins. Its steps and thoughts arrive as reasoning.",
        usage="seekling serve [options]",
        epilog="example:\n  seekling serve --model http://127.0.0.1:30000 --port 8765",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="HOST", help="default: loopback")
    parser.add_argument("--port", default=DEFAULT_PORT, type=int, metavar="N", help="0: a free one")
    parser.add_argument("--token-file", metavar="FILE", help="what callers must send as a key")
    parser.add_argument("--max-running", default=8, type=int, metavar="N", help="questions at once")
    parser.add_argument("--json", action="store_true", help="print the address as a JSON object")
    add_settings(parser)


async def run(options: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM.

    Raises:
        ConfigError: the address cannot be used, or is open to others without a token.
        SeeklingClientError: the model or the tools cannot be opened.
    """
    import uvicorn

    from agent_client.app import open_agent, session_recorder
    from agent_client.errors import ConfigError
    from agent_client.loopback import is_loopback
    from agent_client.service.chat_api import ChatApp

    config = load_config(options)
    token = _read_token(options.token_file)
    if not token and not is_loopback(options.host):
        raise ConfigError(
            f"--host {options.host} would open the agent to other machines without a token",
            hint="name a file that holds one with --token-file",
        )
    if options.max_running < 1:
        raise ConfigError(f"--max-running {options.max_running} is less than 1")
    with _listen(options.host, options.port) as listener:
        async with open_agent(config, tell=_tell) as agent:
            app = ChatApp(
                agent,
                token=token,
                recording=session_recorder(config, "api"),
                max_running=options.max_running,
            )
            _announce(listener, as_json=options.json)
            settings = uvicorn.Config(
                app,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
            await _server(settings, app).serve([listener])
    return 0


def _server(settings: "uvicorn.Config", app: "ChatApp") -> "uvicorn.Server":
    import logging

    import anyio
    import uvicorn

    class Server(uvicorn.Server):
        """Ends on a signal without raising it again: to stop as asked is no failure."""

        def handle_exit(self, sig: int, frame: object) -> None:
            self.should_exit = True
            # Else it logs a traceback for each request that the stop cuts off.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)

        async def shutdown(self, sockets: "list[socket.socket] | None" = None) -> None:
            with anyio.move_on_after(STOP_SECONDS):
                await app.stop()
            await super().shutdown(sockets)

    return Server(settings)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _announce(listener: "socket.socket", *, as_json: bool) -> None:
    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"
    if as_json:
        print(json.dumps({"url": address, "model": "seekling"}), flush=True)
    else:
        _tell(f"serving the model 'seekling' at {address}")


def _listen(host: str, port: int) -> "socket.socket":
    import socket

    from agent_client.errors import ConfigError

    if not 0 <= port <= 65_535:
        raise ConfigError(f"--port {port} is out of range", hint="use 1 to 65535, 0 for a free one")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(MAX_CONNECTIONS)
    except OSError as exc:
        listener.close()
        raise ConfigError(
            f"cannot listen on {host} port {port}: {exc.strerror or exc}",
            hint="name another --port or --host",
        ) from exc
    return listener


def _read_token(name: "str | Path | None") -> str:
    from pathlib import Path

    from agent_client.errors import ConfigError

    if name is None:
        return ""
    try:
        token = Path(name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"cannot read the token file {str(name)!r}: {exc}") from exc
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"the token file {str(name)!r} does not hold one word of ASCII characters",
            hint=f"make one: openssl rand -hex 32 > {name}",
        )
    return token
