"""Write a report on a topic: plan, research, outline, write, check.

The order of the work follows STORM (Shao et al. 2024, "Assisting in Writing Wikipedia-like Articles
From Scratch with Large Language Models", https://arxiv.org/abs/2402.14207): perspectives found in
pages on the topic, questions from each of them, an outline from what was found, sections written
from the passages that fit their headings. Two things differ. The questions are not a conversation
between two roles but runs of the agent; and no sentence is believed: each is matched against the
text of the page that it cites, and a section that fails is quoted from its sources instead.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from anyio.to_thread import run_sync

from agent_client.agent.agent import Agent
from agent_client.errors import ConfigError, ReportError
from agent_client.events import Emit, Event, Stage
from agent_client.report import prompts
from agent_client.report.document import Method, Question, Report, ReportSource, Section
from agent_client.report.evidence import Evidence, Passage
from agent_client.report.plan import DEFAULT_PLAN, ReportPlan
from agent_client.report.prompts import BASIC_FACTS
from agent_client.report.research import Finding, investigate
from agent_client.report.sections import (
    CheckedSection,
    Draft,
    Numbering,
    check_section,
    read_drafts,
    without_repeats_over,
)
from agent_client.report.sentences import tokens_of
from agent_client.report.side_by_side import side_by_side
from agent_client.report.store import ReportStore
from agent_client.report.writer import Writer, strings

MAX_TOPIC_CHARS = 300
SHOWN_HEADINGS = 12
SHOWN_FACTS = 8
ABSTRACT_SENTENCES = 3
ABSTRACT_LEADS = 2
"""Sentences that say what the topic is, for the summary to begin with."""
EMPTY_HEADINGS = frozenset(("introduction", "conclusion", "summary", "sources", "references"))
"""Headings that say nothing about what stands under them."""
LEAST_HEADINGS = 2
"""When the model names fewer, the perspectives serve as headings too."""
PASSAGES_PER_SENTENCE = 2
"""Passages that a section may choose from, for each of its sentences."""
ASSUMED_CONTEXT_TOKENS = 8_192
"""Where the endpoint does not say."""
PASSAGE_CHARS_PER_TOKEN = 0.5
"""Characters of passages for each token of the context: they fill half of it at one token for each
character, as with Chinese, and an eighth with English."""


def _no_one(_: Event) -> None:
    return None


def _utc_now() -> datetime:
    return datetime.now(UTC)


async def write_report(
    topic: str,
    agent: Agent,
    *,
    plan: ReportPlan = DEFAULT_PLAN,
    store: ReportStore | None = None,
    emit: Emit = _no_one,
    now: Callable[[], datetime] = _utc_now,
) -> Report:
    """Write a report. Cancel the surrounding scope to stop: finished steps are in the store.

    Args:
        topic: a few words, at most `MAX_TOPIC_CHARS` characters.
        agent: does the research; `agent.writer`, or else its model, writes.
        plan: how large the report is.
        store: where finished steps are kept, and those of an earlier run are found; None keeps
            them in memory only.
        emit: told each `Stage` and the tool calls.
        now: the time that the report is dated with.

    Raises:
        ConfigError: the topic is empty or too long.
        ReportError: no page on the topic could be read, or a step could not be kept.
        ModelError: the model's endpoint failed. What was done is in the store.
        ToolServerError: the tools are lost. What was done is in the store.
    """
    topic = " ".join(topic.split())
    if not topic:
        raise ConfigError("the topic is empty", hint='try: seekling report "Marie Curie" -o out.md')
    if len(topic) > MAX_TOPIC_CHARS:
        raise ConfigError(f"the topic is longer than {MAX_TOPIC_CHARS} characters")
    kept = store or ReportStore()
    if kept.kept:
        emit(Stage("resume", f"{kept.kept} finished steps of an earlier run are used again"))
    # A report needs cited answers; a question that ends in "?" would else get a boxed one.
    researcher = replace(agent, profile=replace(agent.profile, style="cited"))
    writer = Writer(agent.writer or agent.model, agent.profile.sampling, kept, emit)
    return await _Work(topic, researcher, writer, plan, kept, emit).to_the_end(now)


@dataclass(slots=True)
class _Work:
    """The state of one report."""

    topic: str
    agent: Agent
    writer: Writer
    plan: ReportPlan
    store: ReportStore
    emit: Emit

    async def to_the_end(self, now: Callable[[], datetime]) -> Report:
        """All stages in order."""
        survey = await self._research([(BASIC_FACTS, prompts.survey_question(self.topic))])
        first = await self._evidence(survey)
        perspectives = await self._perspectives(first)
        questions = await self._questions(perspectives, first)
        findings = survey + await self._research(questions)
        evidence = await self._evidence(findings)
        if not evidence.pages:
            raise ReportError(
                f"no page on {self.topic!r} could be read",
                hint="check the tools with: seekling-mcp search; or word the topic differently",
            )
        headings = await self._headings(perspectives, evidence)
        sections = await self._sections(headings, questions, evidence)
        if not sections:
            raise ReportError(
                f"the pages that were read on {self.topic!r} hold no usable sentence",
                hint="word the topic differently, or give more questions",
            )
        abstract = await self._abstract(sections, evidence)
        self.emit(Stage("done", _tally([*sections, abstract])))
        return self._report(abstract, sections, evidence, findings, perspectives, now())

    async def _research(self, questions: Sequence[tuple[str, str]]) -> list[Finding]:
        return await investigate(
            self.agent,
            questions,
            concurrency=self.plan.concurrency,
            store=self.store,
            emit=self.emit,
        )

    async def _evidence(self, findings: Sequence[Finding]) -> Evidence:
        pages = [page for finding in findings for page in finding.pages]
        # In a thread: cutting and counting a hundred long pages takes seconds.
        return await run_sync(Evidence, self.topic, pages)

    async def _perspectives(self, evidence: Evidence) -> list[str]:
        """The basic facts, and what the model adds."""
        wanted = self.plan.perspectives - 1
        named: list[str] = []
        if wanted:
            prompt, schema = prompts.perspectives_prompt(
                self.topic, evidence.headings(SHOWN_HEADINGS), wanted
            )
            reply = await self.writer.ask("perspectives", prompt, schema)
            named = strings(reply, "perspectives", prompts.MAX_PERSPECTIVE_CHARS)
        perspectives = [BASIC_FACTS, *(name for name in named if name.lower() != BASIC_FACTS)]
        perspectives = perspectives[: self.plan.perspectives]
        self.emit(Stage("perspectives", "; ".join(perspectives)))
        return perspectives

    async def _questions(
        self, perspectives: Sequence[str], evidence: Evidence
    ) -> list[tuple[str, str]]:
        """Perspective and text of every question; each names the topic, none is asked twice."""
        known = [passage.text for passage in evidence.best([self.topic], SHOWN_FACTS)[0]]
        asked: dict[frozenset[str], tuple[str, str]] = {}
        for perspective in perspectives:
            prompt, schema = prompts.questions_prompt(
                self.topic, perspective, known, self.plan.questions
            )
            reply = await self.writer.ask("questions", prompt, schema)
            written = strings(reply, "questions", prompts.MAX_QUESTION_CHARS)
            for text in written or [prompts.fallback_question(self.topic, perspective)]:
                named = prompts.names_topic(text, self.topic)
                question = text if named else f"{self.topic}: {text}"
                asked.setdefault(tokens_of(question).all, (perspective, question))
        self.emit(Stage("questions", "; ".join(question for _, question in asked.values())))
        return list(asked.values())

    async def _headings(self, perspectives: Sequence[str], evidence: Evidence) -> list[str]:
        count = self.plan.sections
        sample = evidence.best([self.topic, *perspectives], SHOWN_FACTS // 2)
        facts = [passage.text for passages in sample for passage in passages][: 2 * SHOWN_FACTS]
        prompt, schema = prompts.outline_prompt(self.topic, perspectives, facts, count)
        reply = await self.writer.ask("outline", prompt, schema)
        headings = strings(reply, "headings", prompts.MAX_HEADING_CHARS)
        headings = [h for h in headings if h.casefold().strip(" .:") not in EMPTY_HEADINGS]
        if len(headings) < LEAST_HEADINGS:
            headings = list(dict.fromkeys(headings + [name.capitalize() for name in perspectives]))
        headings = headings[:count]
        self.emit(Stage("outline", "; ".join(headings)))
        return headings

    async def _sections(
        self, headings: Sequence[str], questions: Sequence[tuple[str, str]], evidence: Evidence
    ) -> list[CheckedSection]:
        """Write all sections side by side, then check them."""
        most = self.plan.section_sentences
        queries = _queries(headings, [text for _, text in questions])
        shared = await run_sync(evidence.best, queries, PASSAGES_PER_SENTENCE * most)
        plans = [(h, passages) for h, passages in zip(headings, shared, strict=True) if passages]
        drafts: dict[int, list[Draft]] = {}

        async def write(number: int, heading: str, passages: list[Passage]) -> None:
            drafts[number] = await self._drafts("section", heading, passages, evidence, most)
            self.emit(Stage("section", f"{heading}: {len(drafts[number])} sentences written"))

        jobs = [partial(write, number, *planned) for number, planned in enumerate(plans)]
        await side_by_side(jobs, at_once=self.plan.concurrency)
        checked = [
            await run_sync(
                partial(check_section, heading, drafts[number], passages, evidence, most=most)
            )
            for number, (heading, passages) in enumerate(plans)
        ]
        self.emit(Stage("check", _tally(checked)))
        return without_repeats_over(checked)

    async def _drafts(
        self, name: str, heading: str, passages: Sequence[Passage], evidence: Evidence, most: int
    ) -> list[Draft]:
        ordered = sorted(passages[: self._fitting(passages)], key=lambda one: one.place)
        shown = [(evidence.pages[passage.page].title, passage.text) for passage in ordered]
        prompt, schema = prompts.section_prompt(self.topic, heading, shown, most)
        return read_drafts(await self.writer.ask(name, prompt, schema), ordered)

    def _fitting(self, passages: Sequence[Passage]) -> int:
        """How many of the passages the writer's context has room for."""
        context = self.writer.model.context_tokens or ASSUMED_CONTEXT_TOKENS
        room = PASSAGE_CHARS_PER_TOKEN * context
        for count, passage in enumerate(passages):
            room -= len(passage.text)
            if room < 0:
                return max(1, count)
        return len(passages)

    async def _abstract(
        self, sections: Sequence[CheckedSection], evidence: Evidence
    ) -> CheckedSection:
        """A summary of what the topic is and what was found on it, checked like the sections."""
        leads = [(passage.page, passage.text) for passage in evidence.leads(ABSTRACT_LEADS)]
        found = [
            (sentence.matches[0][0], sentence.text)
            for section in sections
            for sentence in [one for one in section.sentences if one.verdict == "found"][:2]
        ]
        passages = [
            Passage(place, page, text, "", tokens_of(text))
            for place, (page, text) in enumerate(dict.fromkeys(leads + found))
        ]
        drafts: list[Draft] = []
        if passages:
            drafts = await self._drafts(
                "abstract", "short summary", passages, evidence, ABSTRACT_SENTENCES
            )
        return check_section("", drafts, passages, evidence, most=ABSTRACT_SENTENCES)

    def _report(
        self,
        abstract: CheckedSection,
        sections: Sequence[CheckedSection],
        evidence: Evidence,
        findings: Sequence[Finding],
        perspectives: Sequence[str],
        made_at: datetime,
    ) -> Report:
        numbering = Numbering()
        summary = tuple(numbering.statement(sentence) for sentence in abstract.sentences)
        written = tuple(
            Section(
                heading=section.heading,
                statements=tuple(numbering.statement(sentence) for sentence in section.sentences),
                is_quoted=section.is_quoted,
            )
            for section in sections
        )
        cited = [evidence.pages[number] for number in numbering.pages]
        dropped = sum(section.dropped for section in (abstract, *sections))
        return Report(
            topic=self.topic,
            abstract=summary,
            sections=written,
            sources=tuple(
                ReportSource(number=number, url=page.url, title=page.title)
                for number, page in enumerate(cited, start=1)
            ),
            method=self._method(findings, perspectives, len(evidence.pages), dropped, made_at),
        )

    def _method(
        self,
        findings: Sequence[Finding],
        perspectives: Sequence[str],
        pages: int,
        dropped: int,
        made_at: datetime,
    ) -> Method:
        told = [(f.prefix_mean, f.prefix_turns) for f in findings if f.prefix_mean is not None]
        turns = sum(count for _, count in told)
        return Method(
            model=self.agent.model.name,
            profile=self.agent.profile.name,
            profile_digest=self.agent.profile.digest,
            made_at=f"{made_at:%Y-%m-%d %H:%M}",
            perspectives=tuple(perspectives),
            questions=tuple(
                Question(text=f.question, perspective=f.perspective, stop_reason=f.stop_reason)
                for f in findings
            ),
            searches=sum(f.searches for f in findings),
            visits=sum(f.visits for f in findings),
            pages=pages,
            model_calls=self.writer.calls + sum(f.turns for f in findings),
            prompt_tokens=self.writer.usage.prompt_tokens + sum(f.prompt_tokens for f in findings),
            completion_tokens=self.writer.usage.completion_tokens
            + sum(f.completion_tokens for f in findings),
            prefix_stability=sum(m * n for m, n in told) / turns if turns else None,
            dropped=dropped,
        )


def _queries(headings: Sequence[str], questions: Sequence[str]) -> list[str]:
    """What passages of each section should speak of: its heading and the questions close to it.

    A question belongs to the heading with which it shares most; one that shares nothing goes to
    the sections in turn, so that what was asked is written about.
    """
    wanted = [tokens_of(f"On {heading}").all for heading in headings]
    queries = list(headings)
    for turn, question in enumerate(questions):
        shared = [len(tokens & tokens_of(question).all) for tokens in wanted]
        place = shared.index(max(shared)) if max(shared) else turn % len(headings)
        queries[place] += f" {question}"
    return queries


def _tally(sections: Sequence[CheckedSection]) -> str:
    verdicts = [sentence.verdict for section in sections for sentence in section.sentences]
    quoted = sum(section.is_quoted for section in sections)
    told = f"{verdicts.count('found')} of {len(verdicts)} sentences found in their sources"
    parts = f"{quoted} part{'' if quoted == 1 else 's'}"
    return f"{told}, {parts} quoted instead of written" if quoted else told
