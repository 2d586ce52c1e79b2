"""`seekling web`: the agent as a page in the browser."""

import argparse

from agent_client.cli.json_output import print_json
from agent_client.cli.options import add_settings, load_config
from agent_client.cli.stderr_lines import tell

DEFAULT_PORT = 8766
_EVERY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104 - refused below


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command to the grammar."""
    parser = subparsers.add_parser(
        "web",
        help="the agent in your browser",
        description="Ask in a browser: watch the searches and the pages that are read, follow up,\n"
        "open the sources. The printed address lets in whoever has it; Ctrl-C ends it.",
        usage="seekling web [options]",
        epilog="examples:\n  seekling web\n  seekling web --model http://127.0.0.1:30000 --no-open",
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="HOST", help="default: loopback")
    parser.add_argument("--port", default=DEFAULT_PORT, type=int, metavar="N", help="0: a free one")
    parser.add_argument("--no-open", action="store_true", help="do not open the browser")
    parser.add_argument("--json", action="store_true", help="print the address as a JSON object")
    add_settings(parser)


async def run(options: argparse.Namespace) -> int:
    """Serve the page until SIGINT or SIGTERM.

    Raises:
        ConfigError: a setting is malformed, or the address cannot be used.
    """
    from agent_client.app import open_agent
    from agent_client.cli.browser import open_in_browser
    from agent_client.errors import ConfigError
    from agent_client.loopback import is_loopback
    from agent_client.pages.gate import PageGate, entry_address, new_token
    from agent_client.service.loopback_server import listen, serve, url_of
    from agent_client.sessions.store import SessionStore, sessions_directory
    from agent_client.web_chat.opening import open_chat

    config = load_config(options)
    if options.host in _EVERY_ADDRESS:
        raise ConfigError(
            f"--host {options.host!r} says not by which name the page is opened",
            hint="name one address of this machine, such as --host 192.168.1.20",
        )
    if not is_loopback(options.host):
        tell(f"others can reach {options.host}, and read along on their way: this is plain HTTP")
    store = SessionStore(sessions_directory(config.data_dir)) if config.save else None
    token, code = new_token(), new_token()
    with listen(options.host, options.port) as listener:
        async with open_chat(lambda tell: open_agent(config, tell=tell), store) as chat:
            address = entry_address(url_of(listener), token)
            _announce(address, as_json=options.json)
            if not options.no_open and not options.json:
                open_in_browser(entry_address(url_of(listener), code))
            names = (options.host, f"[{options.host}]")  # an IPv6 address has brackets
            gate = PageGate(chat, token=token, code=code, hosts=names)
            await serve(gate, listener, stop=chat.stop)
    return 0


def _announce(address: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"url": address})
    else:
        tell(f"open in a browser: {address}\nCtrl-C ends it")
