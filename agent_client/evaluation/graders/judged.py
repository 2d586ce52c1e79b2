"""Graders that ask a judge.

The prompts are in our own words; they state the rules of the benchmarks. An answer without text is
`not_attempted` without asking. What a judge makes of the rest is its own word: where it cannot be
asked or decides nothing, the verdict is `ungraded`, never a default.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agent_client.conversation import Usage
from agent_client.evaluation.graders.extraction import extract, tidy
from agent_client.evaluation.graders.judge import TRIES, Heard, Judge
from agent_client.evaluation.graders.offline import digest_of, equals_any, shortened
from agent_client.evaluation.graders.templates import (
    MAX_ANSWER_CHARS,
    Template,
    own_template,
)
from agent_client.evaluation.graders.verdict_parsing import (
    Reader,
    decision,
    frames_lenient,
    simpleqa_official,
    three_grades,
    two_grades,
    yes_or_no,
)
from agent_client.evaluation.ports import GradedAnswer
from agent_client.evaluation.verdict import Grade, Verdict

MAX_SAID_CHARS = 4000
"""Of a longer reply the end is stored, where the verdict stands."""
MAX_EXTRACTED_WORDS = 20
"""The extraction is asked for 1 to 5; a longer reply is no short answer."""
NOT_FOUND = "not found"
"""What the extraction says of an answer that answers nothing."""

_EXTRACTION_REMINDER = (
    f'Reply with one line: the short answer alone, or "{NOT_FOUND}", and nothing else.'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """How a benchmark has its answers judged."""

    prompt: str
    """Name of the file in `prompts/`."""
    read: Reader
    reminder: str
    """Said when a reply decided nothing."""
    version: int = 1
    """Counts up with every change of the reading that can change a verdict."""
    extracts: bool = False
    """Whether a short answer is extracted by the judge first, and that is judged."""


_LETTER = "Reply with one line that holds nothing but the letter A, B or C."
_TRUTH = 'End with a line that is either "Decision: TRUE" or "Decision: FALSE".'

PROCEDURES: Mapping[str, Procedure] = {
    "simpleqa": Procedure(prompt="simpleqa", read=three_grades, reminder=_LETTER),
    "simpleqa_official": Procedure(prompt="simpleqa", read=simpleqa_official, reminder=_LETTER),
    "simpleqa_lenient": Procedure(prompt="simpleqa_lenient", read=three_grades, reminder=_LETTER),
    "simpleqa_extracted": Procedure(
        prompt="simpleqa_lenient", read=three_grades, reminder=_LETTER, extracts=True
    ),
    "frames": Procedure(prompt="frames", read=decision, reminder=_TRUTH),
    "frames_lenient": Procedure(prompt="frames", read=frames_lenient, reminder=_TRUTH),
    "frames_extracted": Procedure(
        prompt="frames", read=frames_lenient, reminder=_TRUTH, extracts=True
    ),
    "gaia": Procedure(
        prompt="gaia",
        read=two_grades,
        reminder="Reply with one word, Correct or Incorrect.",
    ),
    "browsecomp": Procedure(
        prompt="browsecomp",
        read=yes_or_no,
        reminder='The reply must have a line that is either "correct: yes" or "correct: no".',
    ),
}


class JudgeGrader:
    """Has answers judged by a model."""

    needs_judge = True

    def __init__(self, name: str, judge: Judge, template: Template | None = None) -> None:
        """Judge as a benchmark does.

        Args:
            name: one of `PROCEDURES`.
            judge: whom to ask.
            template: instructions in place of our own.
        """
        self.name = name
        self._procedure = PROCEDURES[name]
        self._judge = judge
        self._template = template or own_template(self._procedure.prompt)
        self._extraction = own_template("extraction") if self._procedure.extracts else None

    @property
    def digest(self) -> str:
        """SHA-256 of name, version, prompts, reminders, model, sampling and bounds."""
        extraction = self._extraction
        return digest_of(
            {
                "grader": self.name,
                "version": self._procedure.version,
                "prompt": self._template.digest,
                "reminder": self._procedure.reminder,
                "extraction": [extraction.digest, _EXTRACTION_REMINDER] if extraction else None,
                "model": self._judge.model,
                "sampling": self._judge.sampling,
                "tries": TRIES,
                "exact_first": self._judge.exact_first,
                "max_answer_chars": MAX_ANSWER_CHARS,
            }
        )

    async def grade(self, asked: GradedAnswer) -> Verdict:
        """Have one answer judged."""
        answer = asked.answer.strip() or (asked.short_answer or "").strip()
        if not answer:
            return Verdict(grade="not_attempted")
        found = extract(asked) if self._judge.exact_first else None
        if found and equals_any(found.text, asked.answers):
            return Verdict(grade="correct", graded=shortened(found.text), rule="exact_first")
        if self._extraction is None:
            return await self._judged(asked, answer, "whole")
        heard = await self._judge.ask(
            self._extraction.filled(asked.question, ("",), answer),
            _short_answer,
            reminder=_EXTRACTION_REMINDER,
        )
        if heard.value is None or heard.value.lower() == NOT_FOUND:
            grade: Grade = "not_attempted" if heard.value else "ungraded"
            return self._verdict(grade, heard, heard.value or "", "extracted")
        return await self._judged(asked, heard.value, "extracted", heard.usage)

    async def _judged(
        self, asked: GradedAnswer, text: str, rule: str, spent: Usage | None = None
    ) -> Verdict:
        prompt = self._template.filled(asked.question, asked.answers, text)
        heard = await self._judge.ask(
            prompt, self._procedure.read, reminder=self._procedure.reminder
        )
        return self._verdict(heard.value or "ungraded", heard, text, rule, spent)

    def _verdict(
        self,
        grade: Grade,
        heard: Heard[Grade] | Heard[str],
        text: str,
        rule: str,
        spent: Usage | None = None,
    ) -> Verdict:
        usage = heard.usage
        return Verdict(
            grade=grade,
            graded=shortened(text),
            rule=rule,
            said=heard.said[-MAX_SAID_CHARS:],
            judge=self._judge.model,
            usage=usage + spent if usage and spent else usage or spent,
            tries=heard.tries,
            error=heard.error,
        )


def _short_answer(reply: str) -> str | None:
    """The one line of an extraction; None where it says more."""
    lines = [line for line in reply.splitlines() if line.strip()]
    if len(lines) != 1 or len(lines[0].split()) > MAX_EXTRACTED_WORDS:
        return None
    return tidy(lines[0]) or None
