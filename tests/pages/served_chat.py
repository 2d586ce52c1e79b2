"""`seekling web` as it ships: the command as a process, real tools, a model that a test scripts."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio.from_thread import start_blocking_portal

from mcp_server.corpus.build import build_index
from mcp_server.corpus.sources.opening import open_source
from tests.support.scripted_model import Reply, ScriptedModel, scripted_model
from tests.support.shared_tools import serving_tools

SEEKLING = str(Path(sys.executable).with_name("seekling"))
LIGHTHOUSE = "https://facts.example/lighthouse"
TRAP = "https://facts.example/trap"
HOSTILE = (
    "<script>window.isOurs = false</script><img src=x onerror='window.isOurs = false'>"
    " </script></style><iframe src=javascript:alert(1)> \u202egnp.exe\u202c {{7*7}}"
)
_FILLER = "The coast is long and the nights are dark. " * 12
PAGES = (
    ("lighthouse", "Brindlewick Lighthouse", f"{_FILLER}It was designed by Mara Voss. {_FILLER}"),
    ("voss", "Mara Voss", "Mara Voss was an engineer born in Ostrelund."),
    ("trap", f"Trap {HOSTILE}", f"The trap of Brindlewick. {HOSTILE}"),
)


@dataclass(frozen=True, slots=True)
class ServedChat:
    """A page that is served."""

    address: str
    """Of the page, with its token."""
    model: ScriptedModel
    process: subprocess.Popen[bytes]


@contextmanager
def served_chat(folder: Path, *more: str) -> Generator[ServedChat]:
    """Serve the page until the block is left.

    Args:
        folder: for an index, sessions and settings; empty.
        more: arguments of the command; without a `--model` among them a scripted one answers.
    """
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(scripted_model(script)) as model,
        serving_tools(_index(folder)) as tools,
    ):
        arguments = ["--json", "--port", "0", "--mcp", tools, *more]
        if "--model" not in more:
            arguments += ["--model", model.base_url]
        environ = {
            "PATH": os.defpath,
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "SEEKLING_DATA_DIR": str(folder / "data"),
        }
        command = [SEEKLING, "web", *arguments]
        with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                yield ServedChat(json.loads(process.stdout.readline())["url"], model, process)
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(10)


def script(request: dict[str, Any]) -> Reply:
    """What the model says; a question's words choose it."""
    messages = request["messages"]
    asked = max(place for place, it in enumerate(messages) if it["role"] == "user")
    question = str(messages[asked]["content"])
    results = len(messages) - 1 - asked
    if "wait" in question:
        # The stream begins, and then nothing comes any more.
        return Reply(reasoning="I wait for the tide to turn. " * 20, stall_after_bytes=2_500)
    if "how many" in question:
        count = sum(it["role"] == "user" for it in messages)
        return Reply(text=f"You asked {count} questions.")
    if results == 0:
        query = "trap" if "trap" in question else "Brindlewick Lighthouse"
        return Reply(
            reasoning="First I search.\nThen I read.",
            tool_calls=[("web_search", {"query": query})],
            pause_seconds=0.01,
        )
    page = TRAP if "trap" in question else LIGHTHOUSE
    if results == 2:
        return Reply(reasoning="I read it.", tool_calls=[("web_visit", {"url": page})])
    if "trap" in question:
        return Reply(
            reasoning=HOSTILE,
            text=f"{HOSTILE} [click](javascript:alert(1)) ![x](https://evil.example/x.png)"
            f" [a](data:text/html,x) [{page}].",
        )
    return Reply(reasoning="Now I know.", text=f"It was **designed by Mara Voss** [{page}].")


def _index(folder: Path) -> Path:
    source = folder / "pages.jsonl"
    source.write_text(
        "".join(
            json.dumps({"url": f"https://facts.example/{key}", "title": title, "text": text}) + "\n"
            for key, title, text in PAGES
        )
    )
    build_index([open_source(source)], folder / "index")
    return folder / "index"
