"""What can be asked of an episode by name, in `--where` and in the flags of a full row."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from agent_client.agent.answer import UNVERIFIED
from agent_client.agent.call_memory import call_key
from agent_client.agent.notes import MALFORMED_TOOL
from agent_client.agent.offered_tools import ToolKind, kind_of
from agent_client.agent.page_address import asked_urls
from agent_client.agent.provenance import SeenUrls
from agent_client.conversation import Message
from agent_client.evaluation.episode_record import SETTLED, EpisodeRecord
from agent_client.evaluation.export.trajectory import ExportedRun, NotExpressible, Trajectory
from agent_client.evaluation.export.turn_text import is_rendered_back
from agent_client.events import Guard

LONG_LINE_WORDS = 20
"""A shorter line may well stand in several turns."""
MAX_SAME_LINES = 2
_THINK_TAG = re.compile(r"</?think>")


class EpisodeFacts(Mapping[str, object]):
    """The facts of one episode, each worked out when it is asked for.

    Those that stand in its record cost nothing; for the others its events are read, once. Besides
    the names of `FACTS` there are `grade_G` and `score_G` of each grader G, and `field.F` of each
    field F of the dataset.
    """

    def __init__(self, run: ExportedRun, record: EpisodeRecord) -> None:
        self.run = run
        self.record = record
        self._known: dict[str, object] = {}

    @cached_property
    def trajectory(self) -> Trajectory:
        """The episode itself.

        Raises:
            NotExpressible: no conversation is stored of it.
        """
        return self.run.trajectory(self.record)

    @cached_property
    def whole(self) -> Trajectory | None:
        """The same; None where no conversation is stored."""
        try:
            return self.trajectory
        except NotExpressible:
            return None

    def __getitem__(self, name: str) -> object:
        if name not in self._known:
            self._known[name] = self._work_out(name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        yield from FACTS
        for grader in self.run.graders:
            yield from (f"grade_{grader}", f"score_{grader}")
        yield from (f"field.{name}" for name in self.record.fields)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _work_out(self, name: str) -> object:
        if fact := FACTS.get(name):
            return fact.of(self)
        kind, _, rest = name.partition(".")
        if kind == "field" and rest in self.record.fields:
            return self.record.fields[rest]
        kind, _, grader = name.partition("_")
        if kind in ("grade", "score") and grader in self.run.graders:
            return self.grade(grader) if kind == "grade" else self.score(grader)
        raise KeyError(name)

    def grade(self, grader: str) -> str:
        """What a grader says; "ungraded" where it has not said anything."""
        verdict = self.run.verdicts_on(self.record.key).get(grader)
        return verdict.grade if verdict else "ungraded"

    def score(self, grader: str) -> float | None:
        """The measure of a grader that measures."""
        verdict = self.run.verdicts_on(self.record.key).get(grader)
        return verdict.score if verdict else None


@dataclass(frozen=True, slots=True)
class Fact:
    """One name that can be asked for."""

    line: str
    """What it says, for the documentation."""
    of: Callable[[EpisodeFacts], object]
    """Works it out."""


def _no_guard(name: Guard) -> Callable[[EpisodeFacts], bool]:
    return lambda facts: not facts.record.counts.guards.get(name)


def _pass_rate(facts: EpisodeFacts) -> float | None:
    """The share of correct ones among the settled and graded repeats of the question."""
    run = facts.run
    grades: list[str] = []
    for key in run.keys_by_question[facts.record.id]:
        verdict = run.verdicts_on(key).get(run.grader)
        is_settled = run.stored.records[key].status in SETTLED
        if verdict and verdict.grade != "ungraded" and is_settled:
            grades.append(verdict.grade)
    return grades.count("correct") / len(grades) if grades else None


def _cites_visited(facts: EpisodeFacts) -> bool:
    record = facts.record
    return UNVERIFIED not in record.answer and any(source.is_cited for source in record.sources)


def _gold_visited(facts: EpisodeFacts) -> bool | None:
    evidence = facts.record.evidence
    return all(evidence.visited) if evidence else None


def _tokens(facts: EpisodeFacts) -> int | None:
    """Those of the last prompt and its reply, as the server counted them."""
    replies = facts.whole.replies if facts.whole else ()
    usage = next((reply.reply.usage for reply in reversed(replies) if reply), None)
    return usage.prompt_tokens + usage.completion_tokens if usage else None


def _turns_of(facts: EpisodeFacts) -> list[Message]:
    messages = facts.whole.messages if facts.whole else ()
    return [message for message in messages if message.role == "assistant"]


def _visited_from_results(facts: EpisodeFacts) -> bool:
    """Follows the conversation: an address has to stand in it before it is called."""
    if facts.whole is None:
        return False
    seen = SeenUrls()
    for message in facts.whole.messages:
        if message.role in ("user", "tool"):
            seen.add_text(message.text)
            if told := facts.whole.returned.get(message.tool_call_id or ""):
                seen.add_meta(told.meta)
        for call in message.tool_calls:
            if any(url not in seen for url in asked_urls(call.arguments)):
                return False
    return True


def _no_repeated_calls(facts: EpisodeFacts) -> bool:
    """Also where the profile runs a call as often as it is written."""
    if facts.whole is None:
        return False
    kinds: dict[str, ToolKind] = {tool.name: kind_of(tool) for tool in facts.whole.tools}
    keys = [
        call_key(call.name, call.arguments, kinds.get(call.name, "other"))
        for message in _turns_of(facts)
        for call in message.tool_calls
        if call.name != MALFORMED_TOOL
    ]
    return len(set(keys)) == len(keys)


def _clean_turns(facts: EpisodeFacts) -> int:
    """Counts from the end."""
    clean = 0
    for message in reversed(facts.whole.messages if facts.whole else ()):
        if message.role == "assistant":
            clean += 1
        elif message.role == "tool" and _has_failed(facts, message):
            break
    return clean


def _has_failed(facts: EpisodeFacts, message: Message) -> bool:
    told = facts.whole.finished_calls.get(message.tool_call_id or "") if facts.whole else None
    return told is not None and told.result.is_error


def _no_tool_error(facts: EpisodeFacts) -> bool:
    messages = facts.whole.messages if facts.whole else ()
    return facts.whole is not None and not any(_has_failed(facts, message) for message in messages)


def _one_think_per_turn(facts: EpisodeFacts) -> bool:
    turns = _turns_of(facts)
    return bool(turns) and all(map(_thinks_once, turns))


def _thinks_once(message: Message) -> bool:
    if not message.reasoning.strip():
        return False
    if message.raw:  # where the prompt opens the block, the model only closes it
        return _THINK_TAG.findall(message.raw) in (["<think>", "</think>"], ["</think>"])
    return not _THINK_TAG.search(message.reasoning + message.text)


def _no_repetition(facts: EpisodeFacts) -> bool:
    counts: Counter[str] = Counter()
    for message in _turns_of(facts):
        for line in f"{message.reasoning}\n{message.text}".split("\n"):
            words = line.split()
            if len(words) >= LONG_LINE_WORDS:
                counts[" ".join(words)] += 1
    return max(counts.values(), default=0) <= MAX_SAME_LINES


def _has_text(facts: EpisodeFacts) -> bool:
    turns = _turns_of(facts)
    return bool(turns) and all(message.raw for message in turns)


def _has_token_ids(facts: EpisodeFacts) -> bool:
    turns = _turns_of(facts)
    return bool(turns) and all(message.token_ids for message in turns)


def _renders_back(facts: EpisodeFacts) -> bool:
    turns = _turns_of(facts)
    return bool(turns) and all(
        is_rendered_back(message, is_last=message is turns[-1]) for message in turns
    )


FACTS: Mapping[str, Fact] = {
    "id": Fact("the question's id", lambda f: f.record.id),
    "repeat": Fact("which of the question's repeats, from 0", lambda f: f.record.repeat),
    "question": Fact("its words", lambda f: f.record.question),
    "status": Fact("ok, budget, infra_error or cancelled", lambda f: f.record.status),
    "stop_reason": Fact("why the agent stopped", lambda f: f.record.stop_reason),
    "grade": Fact("what the deciding grader says", lambda f: f.grade(f.run.grader)),
    "score": Fact("its measure in [0, 1], if it measures", lambda f: f.score(f.run.grader)),
    "correct": Fact("its grade is correct", lambda f: f.grade(f.run.grader) == "correct"),
    "pass_rate": Fact("share of correct ones among the question's graded repeats", _pass_rate),
    "answered": Fact("there is an answer", lambda f: bool(f.record.answer.strip())),
    "boxed": Fact(r"the answer has a `\boxed{}`", lambda f: f.record.short_answer is not None),
    "cites_visited": Fact("at least one citation, and all of pages visited", _cites_visited),
    "gold_visited": Fact("every page that holds the evidence was visited", _gold_visited),
    "visited_from_results": Fact(
        "every address called stood in the question or in a result before", _visited_from_results
    ),
    "no_repeated_calls": Fact("no two calls mean the same", _no_repeated_calls),
    "no_repair_used": Fact(
        "no call had to be repaired", lambda f: not any(f.record.counts.repairs.values())
    ),
    "no_malformed": Fact(
        "no call was unreadable",
        lambda f: not f.record.counts.malformed_calls and _no_guard("malformed_call")(f),
    ),
    "no_unknown_tool": Fact("no call of a tool that there is not", _no_guard("unknown_tool")),
    "no_resample": Fact("no reply was thrown away", lambda f: not f.record.counts.resamples),
    "no_tool_error": Fact("no result was an error", _no_tool_error),
    "clean_turns": Fact("turns since the last result that was an error", _clean_turns),
    "one_think_per_turn": Fact("each turn has one block of reasoning", _one_think_per_turn),
    "no_repetition": Fact(
        f"no line of {LONG_LINE_WORDS} words or more stands more than"
        f" {MAX_SAME_LINES} times in what the model wrote",
        _no_repetition,
    ),
    "leak": Fact(
        "the agent was shown a page that publishes the benchmark", lambda f: bool(f.record.leaks)
    ),
    "not_leaked": Fact("it was not", lambda f: not f.record.leaks),
    "no_replay_miss": Fact(
        "a replayed recording held every call", lambda f: not f.record.replay_misses
    ),
    "not_continued": Fact(
        "it was not cut off and continued", lambda f: not f.record.continued_turns
    ),
    "not_shortened": Fact(
        "the model was shown this very conversation, nothing left out",
        lambda f: f.whole is not None and f.whole.is_as_shown,
    ),
    "text_known": Fact("what the model wrote is stored to the byte", _has_text),
    "token_ids": Fact("its tokens are stored too", _has_token_ids),
    "renders_back": Fact(
        "Qwen3's template makes of the messages exactly what the model wrote", _renders_back
    ),
    "turns": Fact("calls of the model", lambda f: f.record.counts.turns),
    "searches": Fact("searches that were run", lambda f: f.record.counts.searches),
    "visits": Fact("visits that were run", lambda f: f.record.counts.visits),
    "tool_calls": Fact("calls that were run", lambda f: f.record.counts.tool_calls),
    "tool_errors": Fact("calls that failed", lambda f: f.record.counts.tool_errors),
    "tokens": Fact("tokens of the whole conversation, as the server counted", _tokens),
    "completion_tokens": Fact(
        "tokens that the model wrote", lambda f: f.record.usage.completion_tokens
    ),
    "seconds": Fact("how long it took", lambda f: f.record.seconds),
    "cost_usd": Fact("what it cost", lambda f: f.record.cost_usd),
}
"""Every name, with what it says."""
