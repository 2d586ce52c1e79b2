"""Evaluations over a closed corpus, end to end, from the command line down.

    python tests/bench/closed_corpus.py FOLDER [--set musique_train100 …] [--limit N]
    python tests/bench/closed_corpus.py FOLDER --model embedded --limit 10

FOLDER holds `wiki_passages.jsonl.gz` (passages with `_id`, `title`, `text`) and, per set, a folder
with `questions.jsonl` (`id`, `question`, `answer`, `aliases`, `gold_passages`, `decomposition`).
The passages are indexed by `seekling-mcp index build`; then `seekling eval run` works through each
set with the real MCP server over that index, and `seekling eval table` prints the table, with the
recall of the gold passages among the pages that were visited; per question it is in a CSV file.

Without `--model` the model is an oracle, a server that speaks the chat protocol and follows a
script instead of thinking. For each hop of a question's decomposition it searches the sub-question,
with the answers of earlier hops filled in, and opens hits in their order until a page holds the
hop's answer, at most `--visits`. A question without a decomposition is one hop. At the end it gives
the right answer if the last hop's answer stands on a page that it has read (of a yes/no question:
if it has read all gold passages), else "unknown". So its score says what search and harness let
through, and nothing of a model.
"""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SETS = ("musique_train100", "hotpotqa_train100")
BIN = Path(sys.executable).parent
_URL = re.compile(r"^URL: (\S+)$", re.MULTILINE)
_WORD = re.compile(r"[^\W_]+")
_REFERENCE = re.compile(r"#(\d)")


@dataclass(frozen=True, slots=True)
class Hop:
    """One step: what to search, and what a page has to hold."""

    query: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """What the oracle does with one question."""

    question: str
    answer: str
    hops: tuple[Hop, ...]
    gold: tuple[str, ...]

    @property
    def is_yes_or_no(self) -> bool:
        """Whether the answer stands on no page."""
        return self.answer.casefold() in ("yes", "no")


def script_of(row: dict[str, Any]) -> Script:
    """The script of a question of the sets."""
    answer = str(row["answer"])
    steps = row.get("decomposition") or []
    found = [str(step["answer"]) for step in steps]

    def filled(text: str) -> str:
        return _REFERENCE.sub(
            lambda m: found[int(m[1]) - 1] if 0 < int(m[1]) <= len(found) else m[0], text
        ).replace(" >> ", " ")

    hops = [Hop(filled(str(step["question"])), (str(step["answer"]),)) for step in steps]
    if hops:  # the last one's answer is the question's, under any of its names
        hops[-1] = Hop(hops[-1].query, (answer, *row.get("aliases", ())))
    else:
        hops = [Hop(str(row["question"]), (answer,))]
    return Script(str(row["question"]), answer, tuple(hops), tuple(row.get("gold_passages", ())))


def as_words(text: str) -> str:
    """A text as its words alone, with a space around each."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "


def holds(text: str, answers: Sequence[str]) -> bool:
    """Whether a page's text contains one of the answers as words."""
    words = as_words(text)
    return any(as_words(answer) in words for answer in answers)


@dataclass(frozen=True, slots=True)
class Step:
    """What the oracle has done already: a call and its result."""

    name: str
    argument: str
    result: str


def steps_of(messages: list[dict[str, Any]]) -> list[Step]:
    """The calls of a conversation with their results, in order."""
    results = {m["tool_call_id"]: str(m["content"]) for m in messages if m["role"] == "tool"}
    steps: list[Step] = []
    for message in messages:
        for call in message.get("tool_calls") or ():
            arguments = json.loads(call["function"]["arguments"])
            argument = str(arguments.get("query") or arguments.get("url"))
            steps.append(Step(call["function"]["name"], argument, results.get(call["id"], "")))
    return steps


def next_step(script: Script, done: Sequence[Step], visits: int) -> tuple[str, str]:
    """The tool and argument of the next call, or "" and the answer.

    The whole conversation is worked through each time: the server keeps no state.
    """
    position = 0
    is_found = False
    for hop in script.hops:
        is_found = False
        if position == len(done):
            return "web_search", hop.query
        hits = _URL.findall(done[position].result)
        position += 1
        for url in hits[:visits]:
            if position == len(done):
                return "web_visit", url
            is_found = holds(done[position].result, hop.answers)
            position += 1
            if is_found and not script.is_yes_or_no:
                break
    if script.is_yes_or_no:
        read = [step.argument for step in done if step.name == "web_visit"]
        is_found = all(any(url.endswith(gold) for url in read) for gold in script.gold)
    return "", script.answer if is_found else "unknown"


def reply_of(scripts: dict[str, Script], body: dict[str, Any], visits: int) -> dict[str, Any]:
    """The message of the assistant."""
    messages = body["messages"]
    asked = str(next(m["content"] for m in messages if m["role"] == "user"))
    script = next((s for q, s in scripts.items() if asked.startswith(q)), None)
    if script is None:
        return {"role": "assistant", "content": "I know no such question."}
    name, text = next_step(script, steps_of(messages), visits)
    if not name:
        return {"role": "assistant", "content": f"\\boxed{{{text}}}"}
    argument = "query" if name == "web_search" else "url"
    function = {"name": name, "arguments": json.dumps({argument: text})}
    call = {"index": 0, "id": f"call_{len(messages)}", "type": "function", "function": function}
    return {"role": "assistant", "content": "", "tool_calls": [call]}


def oracle(scripts: dict[str, Script], visits: int) -> Starlette:
    """The model server."""

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "oracle", "object": "model"}]})

    async def chat(request: Request) -> Response:
        delta = reply_of(scripts, await request.json(), visits)
        reason = "tool_calls" if "tool_calls" in delta else "stop"
        chunks = [
            {"choices": [{"index": 0, "delta": delta}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        ]
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
        return Response("".join([*lines, "data: [DONE]\n\n"]), media_type="text/event-stream")

    return Starlette(
        routes=[Route("/v1/models", models), Route("/v1/chat/completions", chat, methods=["POST"])]
    )


def serve_oracle(scripts: dict[str, Script], visits: int) -> str:
    """Start the model server in a thread of this process; its base URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(oracle(scripts, visits), log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, args=([listener],), daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def run(*command: str, environment: dict[str, str]) -> None:
    """Run one of our commands and show it."""
    print(f"$ {' '.join(command)}", flush=True)
    subprocess.run([str(BIN / command[0]), *command[1:]], env=environment, check=True)


def main() -> None:
    """Index the passages, run each set, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--set", action="append", dest="sets", metavar="NAME")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--visits", type=int, default=3, help="most pages per hop")
    parser.add_argument("--model", help="a real model instead of the oracle")
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--work", type=Path, default=Path("closed-corpus-runs"))
    options = parser.parse_args()
    index = options.work / "index"
    environment = {
        **os.environ,
        "SEEKLING_MCP_INDEX": str(index.absolute()),
        "SEEKLING_MCP_PROVIDERS": "local",
    }
    if not index.exists():
        passages = options.folder / "wiki_passages.jsonl.gz"
        command = ("seekling-mcp", "index", "build", str(passages), "--out", str(index))
        run(*command, environment=environment)
    runs: list[str] = []
    for name in options.sets or SETS:
        questions = options.folder / name / "questions.jsonl"
        rows = [json.loads(line) for line in questions.read_text("utf-8").splitlines()]
        scripts = {str(row["question"]).strip(): script_of(row) for row in rows}
        model = options.model or serve_oracle(scripts, options.visits)
        out = options.work / f"{name}-{'oracle' if not options.model else 'model'}-{os.getpid()}"
        more = ["--limit", str(options.limit)] if options.limit else []
        command = ("seekling", "eval", "run", str(questions), "--out", str(out), "--model", model)
        run(
            *command,
            *("--grader", "em_f1", "--style", "short", "--concurrency", str(options.concurrency)),
            *more,
            environment=environment,
        )
        runs.append(str(out))
    run("seekling", "eval", "table", *runs, "--by", "hops", environment=environment)
    command = ("eval", "table", *runs, "--shape", "questions", "--format", "csv")
    told = subprocess.run([str(BIN / "seekling"), *command], capture_output=True, check=True)
    by_question = options.work / "questions.csv"
    by_question.write_bytes(told.stdout)
    print(f"each question with its gold passages: {by_question}")


if __name__ == "__main__":
    main()
