"""Run questions through `seekling ask --json`, one process each, and score the answers.

    python tests/bench/ask_questions.py tests/data/demo_questions.jsonl [--limit N] [-- ASK FLAGS]

A question is a JSON line with `question`, `answer` and perhaps `aliases`, `hops`, `path`. It counts
as right when the short answer equals the answer or an alias, or holds it as whole words, after
lower-casing and dropping punctuation and articles (SQuAD's normalisation). What the processes need,
such as SEEKLING_MCP_INDEX, is taken from the environment.
"""

import argparse
import json
import re
import statistics
import string
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

SEEKLING = str(Path(sys.executable).with_name("seekling"))


def normalised(text: str) -> str:
    """Lower case, without punctuation, articles and extra white space."""
    text = "".join(" " if char in string.punctuation else char for char in text.lower())
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def is_right(told: str, golds: list[str]) -> bool:
    """Whether the answer is one of the gold strings or holds one as whole words."""
    padded = f" {normalised(told)} "
    return any(gold and f" {gold} " in padded for gold in map(normalised, golds))


def ask(question: str, flags: list[str]) -> dict[str, Any]:
    """One run of the command; an infrastructure failure is an `error`, not an answer."""
    done = subprocess.run(
        [SEEKLING, "ask", "--json", question, *flags], capture_output=True, text=True, check=False
    )
    try:
        return json.loads(done.stdout) | {"exit_code": done.returncode}
    except ValueError:
        return {"error": {"message": done.stderr[-500:]}, "exit_code": done.returncode}


def main() -> None:
    """Ask them all, print a line each and a summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("questions", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out", type=Path, help="write every outcome as a JSON line")
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    options, flags = parser.parse_args(given[:end]), given[end + 1 :]
    lines = options.questions.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines if line.strip()][: options.limit]
    records: list[dict[str, Any]] = []
    for row in rows:
        record = ask(row["question"], flags)
        told = record.get("short_answer") or record.get("answer") or ""
        right = is_right(told, [row["answer"], *row.get("aliases", [])])
        records.append(row | {"outcome": record, "is_right": right})
        seconds = record.get("timings", {}).get("seconds", 0.0)
        mark = "error" if "error" in record else "right" if right else "wrong"
        print(f"{mark:5} {seconds:5.1f} s  {row['question'][:90]}")
        print(f"              gold {row['answer']!r}, told {told[:80]!r}", flush=True)
    if options.out:
        options.out.write_text("".join(json.dumps(record) + "\n" for record in records))
    summarise(records)


def summarise(records: list[dict[str, Any]]) -> None:
    """Accuracy over all and by hops, tools and seconds per question, errors apart."""
    answered = [record for record in records if "error" not in record["outcome"]]
    right = sum(record["is_right"] for record in records)
    print(f"\n{right} of {len(records)} right, {len(records) - len(answered)} errors")
    by_hops: dict[int, list[bool]] = defaultdict(list)
    for record in records:
        if "hops" in record:
            by_hops[record["hops"]].append(record["is_right"])
    for hops, rights in sorted(by_hops.items()):
        print(f"  {hops} hops: {sum(rights)} of {len(rights)}")
    if answered:
        counts = [record["outcome"]["counts"] for record in answered]
        seconds = [record["outcome"]["timings"]["seconds"] for record in answered]
        print(
            f"per question: {statistics.mean(c['searches'] for c in counts):.1f} searches,"
            f" {statistics.mean(c['visits'] for c in counts):.1f} visits,"
            f" {statistics.mean(seconds):.1f} s mean, {statistics.median(seconds):.1f} s median"
        )


if __name__ == "__main__":
    main()
