"""Opens those who grade: offline rules at once, judges with their model.

Part of the composition root, apart from `agent_client.evaluation_app` because no agent is opened to
grade stored answers again.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from agent_client.config import ClientConfig
from agent_client.evaluation.graders import GRADERS, grader_named
from agent_client.evaluation.graders.grader import Grader
from agent_client.evaluation.graders.judge import Judge
from agent_client.evaluation.run_settings import RunSettings
from agent_client.evaluation.runner.pace import Paces
from agent_client.evaluation.runner.paced_model import PacedModel
from agent_client.ports import ModelClient

JUDGE = "judge"
"""The judge among the providers of a run."""

Tell = Callable[[str], None]
"""Takes one line about what is being set up."""


@asynccontextmanager
async def open_graders(
    config: ClientConfig, settings: RunSettings, *, paces: Paces, tell: Tell
) -> AsyncGenerator[tuple[Sequence[Grader], str]]:
    """Open the graders, and the judge that some of them need; gives the judge's name too.

    Raises:
        ConfigError: a grader is unknown, or asked for and without its judge.
        ModelError: the judge cannot be used.
    """
    names = settings.graders
    judged = [name for name in names if GRADERS.get(name, "").startswith("judge")]
    async with AsyncExitStack() as stack:
        judge = None
        if judged and config.judge.model:
            client = await stack.enter_async_context(_open_judge_model(config, tell=tell))
            paced = PacedModel(client, paces.at(JUDGE))
            judge = Judge(paced, exact_first=settings.exact_first)
        elif judged and not settings.are_asked_for:
            tell(
                f"{', '.join(judged)} needs a judge, and none is named: the answers stay ungraded"
                " until `seekling eval grade DIR --judge URL`"
            )
            names = tuple(name for name in names if name not in judged)
        graders = [
            grader_named(name, judge=judge, template=settings.template if name in judged else None)
            for name in names
        ]
        yield graders, judge.model if judge else ""


@asynccontextmanager
async def _open_judge_model(config: ClientConfig, *, tell: Tell) -> AsyncGenerator[ModelClient]:
    settings = config.model_copy(
        update={
            "model": config.judge.model,
            "model_name": config.judge.model_name,
            "api_key": config.judge_api_key,
            "wire": "chat",
            "guidance": "none",
        }
    )

    def tell_of_judge(line: str) -> None:
        tell(line.replace("model:", "judge:", 1))

    from agent_client.app import open_model  # half a second: who grades offline need not wait

    async with open_model(settings, tell=tell_of_judge) as client:
        yield client
