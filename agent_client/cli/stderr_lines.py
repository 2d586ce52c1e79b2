"""What a command says beside its result: on stderr, for a person."""

import sys

from agent_client.cli.commands import PROGRAM

MAX_LINE_CHARS = 2_000


def tell(text: str) -> None:
    """Print a text on stderr at once, without what could drive or confuse a terminal."""
    from agent_client.clean import terminal_text

    print(terminal_text(text), file=sys.stderr, flush=True)


def error_line(message: str, hint: str) -> None:
    """Tell on one line what went wrong and what to do."""
    from agent_client.clean import terminal_line

    joint = " " if message.endswith(("?", ".", "!")) else "; "
    line = f"{message}{joint}{hint}" if hint else message
    print(f"{PROGRAM}: {terminal_line(line, MAX_LINE_CHARS)}", file=sys.stderr)
