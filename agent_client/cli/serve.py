"""`seekling serve`: the agent as a model behind an OpenAI-compatible endpoint."""

import argparse
from typing import TYPE_CHECKING

from agent_client.cli.json_output import print_json
from agent_client.cli.options import add_settings, load_config
from agent_client.cli.stderr_lines import tell

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_PORT = 8765


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
    from agent_client.app import open_agent, session_recorder
    from agent_client.errors import ConfigError
    from agent_client.loopback import is_loopback
    from agent_client.service.chat_api import ChatApp
    from agent_client.service.loopback_server import listen, serve, url_of

    config = load_config(options)
    token = _read_token(options.token_file)
    if not token and not is_loopback(options.host):
        raise ConfigError(
            f"--host {options.host} would open the agent to other machines without a token",
            hint="name a file that holds one with --token-file",
        )
    if options.max_running < 1:
        raise ConfigError(f"--max-running {options.max_running} is less than 1")
    with listen(options.host, options.port) as listener:
        async with open_agent(config, tell=tell) as agent:
            app = ChatApp(
                agent,
                token=token,
                recording=session_recorder(config, "api"),
                max_running=options.max_running,
            )
            _announce(f"{url_of(listener)}/v1", as_json=options.json)
            await serve(app, listener, stop=app.stop)
    return 0


def _announce(address: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"url": address, "model": "seekling"})
    else:
        tell(f"serving the model 'seekling' at {address}")


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
