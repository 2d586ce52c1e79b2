"""F24: the model that grades is down, or does not answer as it was asked to."""

from tests.support.scripted_model import Json, Reply, Script
from tests.torture.agent.fault_case import Seen, fault
from tests.torture.agent.model_faults import clean_end
from tests.torture.agent.stage import Stage, json_lines, model_on, research, settled

QUESTIONS = 4


def _graded_later(broken: Script, stage: Stage, seen: Seen) -> None:
    """A run whose judge is of no use keeps its answers, which another judge grades."""
    with model_on(research) as model:
        with model_on(broken) as judge:
            flags = ("--grader", "simpleqa", "--judge", judge.base_url)
            program = stage.evaluate(model, QUESTIONS, *flags)
            code = program.end()
        verdicts = json_lines(stage.run_directory / "grades.jsonl")
        answered = settled(stage.records())
        seen.expect(code == 3, f"exit {code}: {program.err[-200:]}")
        seen.expect(list(answered.values()) == [1] * QUESTIONS, f"answers: {answered}")
        wrong = [grade for grade in verdicts if grade.get("grade") in ("correct", "incorrect")]
        seen.expect(not wrong, f"graded by nobody: {wrong}")
        clean_end(program, seen, stage.ordinary_mb)
        asked = len(model.requests)
        with model_on(lambda _: Reply(text="A")) as judge:
            command = ("seekling", "eval", "grade", str(stage.run_directory), "--json")
            again = stage.start(*command, "--judge", judge.base_url)
            regraded = again.end()
        seen.expect(regraded == 0, f"grade ends with {regraded}: {again.err[-200:]}")
        seen.expect(len(model.requests) == asked, "the agent was run again")
    seen.tell(f"exit 3, {QUESTIONS} answers kept and ungraded; graded later without the agent")
    clean_end(again, seen, stage.ordinary_mb)


@fault("F24", "the judge refuses", "answers kept, ungraded; graded later without the agent")
def refusing_judge(stage: Stage, seen: Seen) -> None:
    _graded_later(lambda _: Reply(status=400, body='{"message": "not today"}'), stage, seen)


@fault("F24", "the judge answers in no form that was asked for", "the same")
def rambling_judge(stage: Stage, seen: Seen) -> None:
    _graded_later(lambda _: Reply(text="Bananas are rich in potassium."), stage, seen)


@fault("F24", "the judge hangs up", "the same")
def dying_judge(stage: Stage, seen: Seen) -> None:
    def script(_: Json) -> Reply:
        return Reply(hangs_up=True)

    _graded_later(script, stage, seen)
