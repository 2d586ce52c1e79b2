"""Graders: they say whether an answer is right, and how they came to it.

```text
grader.py          what a grader is
extraction.py      the short answer within an answer, and the rule that found it
normalisation.py   texts made comparable, exact match and token F1, as the benchmarks define them
numbers.py         numbers made comparable
latex.py           the little LaTeX of boxes as plain text
offline.py         graders that are rules
judge.py           a model that is asked for verdicts
verdict_parsing.py what a judge's reply says, strictly
templates.py       a judge's instructions, ours in prompts/ or another's, and how texts go into them
judged.py          graders that ask a judge
grading.py         grades episodes as they end, or stored ones again
measures.py        shares, accuracy given attempted, F
disagreements.py   where a judge and an offline grader differ in a way that is worth a look
```
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_client.evaluation.graders.grader import Grader
    from agent_client.evaluation.graders.judge import Judge

GRADERS: Mapping[str, str] = {
    "exact": "offline: equals the reference or an alias, case, articles and punctuation apart",
    "em_f1": "offline: exact match and token F1 as MuSiQue counts them, with HotpotQA's rule for"
    " questions whose reference is yes or no",
    "em_f1_musique": "offline: exact match and token F1, the official script of MuSiQue",
    "em_f1_hotpotqa": "offline: exact match and token F1, the official script of HotpotQA (and"
    " 2WikiMultihopQA)",
    "sub_em": "offline: the reference occurs in the answer (Search-R1)",
    "boxed": r"offline: what stands in \boxed{} equals the reference; no box is not attempted",
    "numbers": "offline, for a further column: as exact, but number words, thousands separators"
    " and 1 % on large numbers do not count",
    "simpleqa": "judge: CORRECT, INCORRECT or NOT_ATTEMPTED; the whole answer (SimpleQA, SEAL-0)",
    "simpleqa_lenient": "judge: simpleqa with the reference author's leniencies on numbers",
    "simpleqa_extracted": "judge: an answer of 1 to 5 words is extracted first, then graded by"
    " simpleqa_lenient, as the reference author did",
    "simpleqa_official": "judge: simpleqa, read as the official script reads it: the first A, B or"
    " C in the reply, else C",
    "frames": "judge: Decision TRUE or FALSE, whether the answer holds the reference (FRAMES)",
    "frames_lenient": "judge: frames, read as the reference author did: without a decision any TRUE"
    " counts",
    "frames_extracted": "judge: an answer of 1 to 5 words is extracted first, then graded by"
    " frames_lenient, as the reference author did",
    "gaia": "judge: Correct or Incorrect, whether the answer means the reference (GAIA text-103)",
    "browsecomp": "judge: extracts the answer, then correct: yes or no (BrowseComp, HLE)",
}
"""What `--grader` takes, with a line for its help."""


def grader_named(
    name: str, *, judge: "Judge | None" = None, template: Path | None = None
) -> "Grader":
    """Make a grader.

    Args:
        name: one of `GRADERS`.
        judge: whom graders that need a judge ask.
        template: a file with the judge's instructions in place of ours, such as a benchmark's
            official ones. It names `{question}`, `{target}` and `{predicted_answer}`.

    Raises:
        ConfigError: there is no such grader, it needs a judge and there is none, or the template
            cannot be used.
    """
    from agent_client.errors import ConfigError
    from agent_client.evaluation.graders.judged import PROCEDURES, JudgeGrader
    from agent_client.evaluation.graders.offline import OFFLINE
    from agent_client.evaluation.graders.templates import read_template

    if name in OFFLINE:
        if template:
            raise ConfigError(
                f"the grader {name!r} asks no judge, so that it takes no template",
                hint="leave --judge-template out, or name a grader that asks a judge",
            )
        return OFFLINE[name]
    if name not in PROCEDURES:
        close = difflib.get_close_matches(name, GRADERS, n=1)
        raise ConfigError(
            f"there is no grader {name!r}" + (f", did you mean {close[0]!r}?" if close else ""),
            hint=f"graders: {', '.join(GRADERS)}",
        )
    if judge is None:
        raise ConfigError(
            f"the grader {name!r} needs a judge, and none is given",
            hint="name a model with --judge URL, or take an offline grader such as em_f1",
        )
    return JudgeGrader(name, judge, read_template(template) if template else None)
