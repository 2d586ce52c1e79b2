"""Examine one model server: every check in its order, within a minute."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import anyio
import httpx

from agent_client.doctor import generation_checks, server_checks
from agent_client.doctor.findings import Diagnosis, Finding
from agent_client.doctor.generation_checks import Subject
from agent_client.doctor.identity import version_of
from agent_client.doctor.site import ANSWER_SECONDS, Site
from agent_client.errors import ModelError
from agent_client.model.endpoint import Endpoint
from agent_client.model.server_facts import ServerFacts, facts_about

TOTAL_SECONDS = 55.0
"""For all checks of the model server together."""

Show = Callable[[Finding], None]


@dataclass(slots=True)
class _Record:
    """What is known so far."""

    show: Show
    facts: ServerFacts
    version: str = ""
    findings: list[Finding] = field(default_factory=list[Finding])
    is_unreachable: bool = False

    def add(self, *findings: Finding) -> None:
        for finding in findings:
            self.findings.append(finding)
            self.show(finding)


def _show_nothing(_: Finding) -> None:
    return None


async def examine(
    endpoint: Endpoint,
    http: httpx.AsyncClient,
    model: str = "",
    *,
    is_quick: bool = False,
    show: Show = _show_nothing,
) -> Diagnosis:
    """Look at a model server from all sides; at most 55 s and about 600 written tokens.

    A check that depends on a failed one is left out.

    Args:
        endpoint: the server.
        http: for the questions about the server itself.
        model: the model to ask for; "" takes the first that the server lists.
        is_quick: let the model write nothing.
        show: told each finding as it comes.
    """
    record = _Record(show, ServerFacts(endpoint.base_url, model))
    started = anyio.current_time()
    with anyio.move_on_after(TOTAL_SECONDS) as limit:
        await _examine(Site(endpoint), http, record, is_quick=is_quick)
    if limit.cancelled_caught:
        told = f"more than {TOTAL_SECONDS:g} s are over: the other checks are left out"
        record.add(Finding("time", "skip", told, "--quick leaves out what the model has to write"))
    return Diagnosis(
        facts=record.facts,
        version=record.version,
        findings=tuple(record.findings),
        is_unreachable=record.is_unreachable,
        seconds=anyio.current_time() - started,
    )


async def _examine(site: Site, http: httpx.AsyncClient, record: _Record, *, is_quick: bool) -> None:
    listing = await site.get("models")
    record.add(server_checks.reachable(listing))
    record.is_unreachable = listing.status == 0
    if record.is_unreachable:
        return
    key = await server_checks.key(site, listing)
    record.add(key)
    if key.outcome == "fail":
        return
    wanted = record.facts.model
    try:
        record.facts = await _facts(site.endpoint, http, wanted)
    except ModelError:
        record.add(server_checks.no_models(listing))
        return
    record.add(server_checks.models(record.facts, wanted))
    if not record.facts.model:
        return
    record.version = await version_of(site, record.facts.server)
    record.add(
        server_checks.software(record.facts, record.version), server_checks.context(record.facts)
    )
    if not is_quick:
        await _let_it_write(Subject(site, record.facts), record)


async def _facts(endpoint: Endpoint, http: httpx.AsyncClient, wanted: str) -> ServerFacts:
    """What the server says of itself; a model that it does not list is asked for all the same."""
    url, key = endpoint.base_url, endpoint.api_key
    facts = await facts_about(url, http, model=wanted, api_key=key, seconds=ANSWER_SECONDS)
    if wanted in facts.models or not wanted:
        return facts
    other = await facts_about(url, http, api_key=key, seconds=ANSWER_SECONDS)
    return replace(other, model=wanted)


async def _let_it_write(subject: Subject, record: _Record) -> None:
    facts = subject.facts
    can_answer, without = await generation_checks.answers(subject)
    record.add(can_answer)
    if can_answer.outcome == "fail":
        return
    first = await generation_checks.offered(subject)
    record.add(generation_checks.template(without, first))
    if first.error is None:
        trial = await generation_checks.called(subject)
        record.add(
            generation_checks.tool_calls(trial, facts),
            generation_checks.reasoning(trial, facts),
            generation_checks.streaming(trial),
            generation_checks.usage(trial, facts),
        )
    record.add(await generation_checks.abort(subject))
    record.add(await server_checks.raw_mode(subject.site, facts))
