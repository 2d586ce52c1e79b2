"""A scripted researcher and writer, and the small library that they work with."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agent_client.agent.agent import Agent
from agent_client.conversation import ModelReply, ModelRequest, ToolCall, ToolResult
from agent_client.events import Event, Stage
from agent_client.report.document import Report
from agent_client.report.plan import ReportPlan
from agent_client.report.store import ReportStore
from agent_client.report.write import write_report
from tests.support.loop_fakes import Model, Tools, agent, page_result, says, search, visit

HISTORY = "https://dams.example/history"
POWER = "https://dams.example/power"
LIBRARY: Mapping[str, str] = {
    HISTORY: (
        "Vell Dam is a gravity dam on the river Orra.\n\n## Construction\n\n"
        "Construction of Vell Dam began in 1961 and took eight years. Twelve workers died during"
        " the construction of Vell Dam. The engineer Ada Brandt designed Vell Dam. The dam was"
        " opened by Queen Ilse on 4 May 1969."
    ),
    POWER: (
        "The power station of Vell Dam has four turbines with 210 MW each.\n\n## Use\n\n"
        "The power station supplies the city of Tarn with electricity. Vell Dam protects the lower"
        " valley of the Orra from floods. Fish ladders were added to Vell Dam in 2004."
    ),
}
TITLES = {HISTORY: "Vell Dam", POWER: "Power station of Vell Dam"}
TOPIC = "Vell Dam"
SMALL = ReportPlan(perspectives=2, questions=2, sections=2, section_words=60, concurrency=1)
NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)

Write = Callable[[list[str]], list[tuple[str, list[int]]]]
"""From the numbered passages of a prompt to sentences with the numbers that they cite."""


@dataclass
class Library(Tools):
    """Pages with titles of their own."""

    pages: Mapping[str, str | Exception] = field(default_factory=lambda: dict(LIBRARY))
    titles: Mapping[str, str] = field(default_factory=lambda: dict(TITLES))

    async def call(self, call: ToolCall) -> ToolResult:
        result = await super().call(call)
        url = str(call.arguments.get("url", ""))
        if call.name == "web_search" or result.is_error:
            return result
        told = page_result(call, url, str(self.pages[url]))
        title = self.titles.get(url, "T")
        pages = [{**dict(result.meta["seekling/pages"][0]), "title": title}]  # type: ignore[index]
        return ToolResult(
            call.id,
            call.name,
            told.text.replace("Title: T", f"Title: {title}"),
            meta={"seekling/pages": pages},
        )


def copies(passages: list[str]) -> list[tuple[str, list[int]]]:
    """A writer that says what the first passages say."""
    return [(text, [number]) for number, text in enumerate(passages[:3], start=1)]


def invents(_: list[str]) -> list[tuple[str, list[int]]]:
    """A writer that knows better than the pages."""
    return [
        ("Vell Dam was blown up by Colonel Karras in 1944.", [1]),
        ("Its concrete contains gold from Peru.", [1]),
    ]


@dataclass
class Scripted:
    """One model for research and writing; it answers by what it is asked."""

    write: Write = copies
    urls: Sequence[str] = (HISTORY, POWER)
    fail_at: int = -1
    """The request before which `on_fail` is called."""
    on_fail: Callable[[], None] = lambda: None
    asked: list[str] = field(default_factory=list[str])
    """What was begun, in order: the name of a writer's step, or a question."""
    requests: int = 0

    def __call__(self, request: ModelRequest) -> ModelReply:
        self.requests += 1
        if self.requests == self.fail_at:
            self.on_fail()
        if request.response_schema is None:
            return self._research(request)
        (name,) = request.response_schema["properties"]  # type: ignore[misc]
        self.asked.append(str(name))
        prompt = request.messages[-1].text
        return says(json.dumps({name: self._said(str(name), prompt)}))

    def _said(self, name: str, prompt: str) -> object:
        if name == "perspectives":
            return ["how it was built"]
        if name == "questions":
            built = "built" in prompt.partition("Point of view: ")[2].splitlines()[0]
            about = "construction" if built else "power station"
            return [f"Who worked on the {about} of Vell Dam?", f"When was the {about} begun?"]
        if name == "headings":
            return ["Construction", "Power station and use"]
        passages = re.findall(r"^\[\d+\] \(.*?\) (.*)$", prompt, re.MULTILINE)
        return [{"text": text, "passages": cited} for text, cited in self.write(passages)]

    def _research(self, request: ModelRequest) -> ModelReply:
        results = [message for message in request.messages if message.role == "tool"]
        if not results:
            self.asked.append(request.messages[-1].text)
            return says("", search("Vell Dam"))
        if len(results) == 1:
            return says("", *(visit(url) for url in self.urls))
        return says(f"It is a dam [{self.urls[0] if self.urls else ''}].")


def researcher(script: Scripted, tools: Tools | None = None) -> Agent:
    return agent(Model([script]), tools or Library())


async def report_of(
    script: Scripted,
    tools: Tools | None = None,
    *,
    store: ReportStore | None = None,
    plan: ReportPlan = SMALL,
    events: list[Event] | None = None,
    topic: str = TOPIC,
) -> Report:
    return await write_report(
        topic,
        researcher(script, tools),
        plan=plan,
        store=store,
        emit=(events if events is not None else []).append,
        now=lambda: NOW,
    )


def stages(events: Sequence[Event]) -> list[str]:
    return [event.name for event in events if isinstance(event, Stage)]
