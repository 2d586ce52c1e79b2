"""JSON on stdout, for programs, and harmless where a person looks at it in a terminal."""

import json


def print_json(value: object) -> None:
    """Print a value on one line, at once.

    Characters that could drive or confuse a terminal are escaped; whoever reads the JSON gets them
    as they are.
    """
    from agent_client.clean import terminal_json

    print(terminal_json(json.dumps(value, ensure_ascii=False)), flush=True)
