"""Opens what an evaluation needs: the agent to be measured, its web, those who grade.

Part of the composition root: `agent_client.app` builds models, tools and agents, and this puts them
together for a run over many questions.
"""

import hashlib
import os
import platform
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import msgspec

from agent_client import __version__
from agent_client.agent.agent import Agent
from agent_client.agent.profile import Profile
from agent_client.app import (
    FoundModel,
    Tell,
    chosen_profile,
    new_agent,
    open_found_model,
    open_tools,
    tool_server_target,
)
from agent_client.config import SECRETS, ClientConfig
from agent_client.conversation import ToolSpec
from agent_client.errors import ConfigError
from agent_client.evaluation.episode_record import EpisodeKey
from agent_client.evaluation.graders.grader import Grader
from agent_client.evaluation.ports import Solve
from agent_client.evaluation.question import Dataset
from agent_client.evaluation.records.manifest import (
    DatasetStamp,
    ModelStamp,
    ProfileStamp,
    RunManifest,
    ToolsStamp,
)
from agent_client.evaluation.records.run_writer import RunWriter
from agent_client.evaluation.run_settings import CONCURRENCY, OWN_DIRECTORY, RunSettings
from agent_client.evaluation.runner.episode import EpisodeSettings, solver
from agent_client.evaluation.runner.pace import Paces
from agent_client.evaluation.runner.paced_model import PacedModel
from agent_client.evaluation.runner.progress import Progress
from agent_client.evaluation.web.episode_web import WebSettings
from agent_client.evaluation.web.recorded_web import RecordedWeb, read_recorded_web
from agent_client.evaluation.web.recording import Recording, ReplayedTools
from agent_client.grading_app import open_graders
from agent_client.ports import ModelClient, Toolbox
from agent_client.sessions.journal import now_iso

_EXCLUDED = "SEEKLING_MCP_EXCLUDE_DOMAINS"
"""Setting of our MCP server; its word `benchmarks` is the shipped list of mirrors."""
_SEARCHES = "searches"
"""The search side among the providers of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedRun:
    """Everything that stays open while a run is worked on."""

    config: ClientConfig
    settings: RunSettings
    agent: Agent
    """The one that is measured: the shipped one."""
    model: ModelStamp
    profile: ProfileStamp
    tools: ToolsStamp
    graders: Sequence[Grader]
    judge: str
    """The judge's model, or ""."""
    concurrency: int
    progress: Progress
    paces: Paces
    replayed: RecordedWeb | None

    def manifest(
        self, dataset: Dataset, *, where: str, seed: int | None, repeats: int
    ) -> RunManifest:
        """What is stored about a run that begins now.

        Args:
            dataset: with the questions that are asked.
            where: how these were picked, in words.
            seed: of the run.
            repeats: how often each question is asked.
        """
        settings = self.settings
        return RunManifest(
            created=now_iso(),
            seekling=__version__,
            python=platform.python_version(),
            platform=platform.platform(),
            argv=tuple(sys.argv[1:]),
            dataset=DatasetStamp(
                name=dataset.name,
                source=dataset.source,
                digest=dataset.digest,
                version=dataset.version,
                total=dataset.total,
                picked=len(dataset.questions),
                where=where,
                grader=dataset.grader,
            ),
            profile=self.profile,
            model=self.model,
            tools=self.tools,
            config=self.config.model_dump(mode="json", exclude=set(SECRETS)),
            graders=settings.graders,
            judge=self.judge,
            judge_template=str(settings.template.absolute()) if settings.template else "",
            exact_first=settings.exact_first,
            seed=seed,
            repeats=repeats,
            concurrency=self.concurrency,
            question_seconds=settings.question_seconds,
            record=settings.record,
            replay=settings.replay,
            misses=settings.on_miss,
            allow_mirrors=settings.allow_mirrors,
        )

    @asynccontextmanager
    async def solver(self, writer: RunWriter, *, tell: Tell) -> AsyncGenerator[Solve]:
        """Who works on the episodes: the agent here, or those of a cluster.

        Args:
            writer: of the run, which stops where the web cannot be recorded any more.
            tell: told when a machine of the cluster comes or goes.

        Raises:
            EvaluationError: the recording cannot be written, or there is no cluster.
        """
        settings = self.settings
        if settings.ray:
            from agent_client.evaluation.cluster.opening import open_ray_solve

            async with open_ray_solve(
                settings.ray,
                self.config,
                self.agent.profile,
                question_seconds=settings.question_seconds,
                allow_mirrors=settings.allow_mirrors,
                concurrency=self.concurrency,
                tell=tell,
            ) as solve:
                yield solve
            return
        with ExitStack() as stack:
            recording = None
            if settings.record:
                is_here = settings.record == OWN_DIRECTORY
                recording = Recording(
                    writer.directory if is_here else Path(settings.record),
                    await self.agent.tools.list_tools(),
                    results=writer.results if is_here else None,
                    on_failure=writer.fail,
                )
                stack.enter_context(recording)
            replayed = self.replayed
            if recording and replayed and recording.web.directory == replayed.directory:
                replayed = recording.web  # what one episode fetches, later ones are answered from
            yield solver(
                self.agent,
                EpisodeSettings(question_seconds=settings.question_seconds),
                tools_for=WebSettings(
                    replay=replayed,
                    record=recording,
                    on_miss=settings.on_miss,
                    allow_mirrors=settings.allow_mirrors,
                ),
                search_pace=self.paces.at(_SEARCHES),
            )


@asynccontextmanager
async def open_run(
    config: ClientConfig, settings: RunSettings, directory: Path, *, tell: Tell
) -> AsyncGenerator[OpenedRun]:
    """Open the agent to be measured, its web and those who grade.

    Args:
        config: the agent's settings.
        settings: the run's.
        directory: of the run; it need not be there yet.
        tell: told what is being set up.

    Raises:
        ConfigError: settings contradict each other, or a grader is unknown or lacks its judge.
        EvaluationError: there is no such recording.
        SeeklingClientError: what `agent_client.app.open_agent` raises.
    """
    if settings.ray and (settings.record or settings.replay):
        raise ConfigError("recording and replaying the web work on one machine, not with Ray")
    if settings.ray:
        from agent_client.evaluation.cluster.ray_nodes import expect_cluster

        await expect_cluster(settings.ray)  # before a run's directory is made in vain
    progress = Progress()
    paces = Paces(progress, settings.concurrency or CONCURRENCY)
    replayed: RecordedWeb | None = None
    if settings.replay:
        replayed = read_recorded_web(_place(settings.replay, directory))
        tell(f"searches and visits: from the recording in {replayed.directory}")
    profile = chosen_profile(config)

    def paced(address: str, client: ModelClient) -> ModelClient:
        return PacedModel(client, paces.at(address))

    async with AsyncExitStack() as stack:
        graders, judge = await stack.enter_async_context(
            open_graders(config, settings, paces=paces, tell=tell)
        )
        model = await stack.enter_async_context(open_found_model(config, tell=tell, around=paced))
        tools: Toolbox
        if replayed is not None and not settings.record:
            tools, target = ReplayedTools(replayed, EpisodeKey("")), "a recording"
        else:
            environ = tool_environment(os.environ, allow_mirrors=settings.allow_mirrors)
            tools = await stack.enter_async_context(open_tools(config, tell=tell, environ=environ))
            target = str(tool_server_target(config, {}))
        yield OpenedRun(
            config=config,
            settings=settings,
            agent=new_agent(config, profile, model, tools),
            model=_model_stamp(model),
            profile=_profile_stamp(profile),
            tools=_tools_stamp(target, await tools.list_tools()),
            graders=graders,
            judge=judge,
            concurrency=settings.concurrency or (1 if model.wire == "embedded" else CONCURRENCY),
            progress=progress,
            paces=paces,
            replayed=replayed,
        )


def tool_environment(environ: Mapping[str, str], *, allow_mirrors: bool) -> Mapping[str, str]:
    """The environment of a tool server of ours, which keeps mirrors of benchmarks out too.

    Domains that are excluded by an environment variable stay so.
    """
    if allow_mirrors:
        return environ
    excluded = environ.get(_EXCLUDED, "")
    return {**environ, _EXCLUDED: f"{excluded},benchmarks" if excluded else "benchmarks"}


def _place(told: str, directory: Path) -> Path:
    return directory if told == OWN_DIRECTORY else Path(told)


def _model_stamp(model: FoundModel) -> ModelStamp:
    return ModelStamp(
        name=model.client.name,
        wire=model.wire,
        endpoints=tuple(_plain(facts) for facts in model.endpoints),
        context_tokens=model.client.context_tokens,
    )


def _profile_stamp(profile: Profile) -> ProfileStamp:
    prompts = {
        name: hashlib.sha256(text.encode()).hexdigest()
        for name, text in asdict(profile.prompts).items()
        if text
    }
    return ProfileStamp(
        name=profile.name,
        digest=profile.digest,
        overrides=profile.overrides,
        content=_plain(profile),
        prompts=prompts,
    )


def _tools_stamp(target: str, specs: Sequence[ToolSpec]) -> ToolsStamp:
    schemas = tuple(_plain(spec) for spec in specs)
    text = msgspec.json.encode(schemas, order="sorted")
    return ToolsStamp(target=target, schemas=schemas, digest=hashlib.sha256(text).hexdigest())


def _plain(value: object) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], msgspec.to_builtins(value))
