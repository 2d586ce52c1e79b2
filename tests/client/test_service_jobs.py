"""Jobs: research that goes on while nobody waits."""

import anyio
import pytest

from agent_client.errors import ModelUnreachable
from agent_client.events import Event, Finished
from agent_client.service import jobs as module
from agent_client.service.jobs import Job, Jobs, TooManyJobs
from tests.support.agents import StepModel, recording_into, scripted_agent


async def end_of(job: Job) -> None:
    with anyio.fail_after(5):
        while not job.is_over:
            await job.next_change()


async def test_a_job_ends_with_the_outcome_and_counts_its_steps() -> None:
    told: list[Event] = []
    async with anyio.create_task_group() as tasks:
        jobs = Jobs(scripted_agent(), tasks, recording=recording_into(told))
        job = jobs.start("Who designed the lighthouse?")
        await end_of(job)
        assert (job.state, job.steps) == ("done", 2)
        assert job.outcome is not None
        assert job.outcome.answer == "Mara Voss designed it [1]."
        assert isinstance(told[-1], Finished)
        assert jobs.find(job.id) is job
        assert jobs.find("nobody") is None


async def test_the_same_question_under_way_is_not_worked_on_twice() -> None:
    gate = anyio.Event()
    async with anyio.create_task_group() as tasks:
        jobs = Jobs(scripted_agent(gate=gate), tasks)
        first = jobs.start("Who?")
        assert jobs.start(" Who? ") is first
        assert jobs.start("Who?", "short") is not first
        gate.set()
        await end_of(first)
        assert jobs.start("Who?") is not first


async def test_more_questions_than_places_wait_for_their_turn() -> None:
    gate = anyio.Event()
    async with anyio.create_task_group() as tasks:
        jobs = Jobs(scripted_agent(gate=gate), tasks, max_running=1)
        first, second = jobs.start("Who?"), jobs.start("Where?")
        await anyio.wait_all_tasks_blocked()
        assert (first.state, second.state) == ("running", "waiting")
        gate.set()
        await end_of(second)
        assert (first.state, second.state) == ("done", "done")


async def test_a_cancelled_job_stops_its_model_call() -> None:
    agent = scripted_agent(gate=anyio.Event())
    async with anyio.create_task_group() as tasks:
        jobs = Jobs(agent, tasks)
        job = jobs.start("Who?")
        await anyio.wait_all_tasks_blocked()
        await jobs.stop()
        assert job.state == "cancelled"
        assert isinstance(agent.model, StepModel)
        assert agent.model.cancelled == 1


async def test_a_model_that_cannot_be_reached_fails_the_job_and_is_no_answer() -> None:
    agent = scripted_agent([ModelUnreachable("http://m/v1", "no connection")])
    async with anyio.create_task_group() as tasks:
        jobs = Jobs(agent, tasks)
        job = jobs.start("Who?")
        await end_of(job)
        assert job.state == "failed"
        assert isinstance(job.error, ModelUnreachable)


async def test_an_empty_question_fails_its_job_and_no_other() -> None:
    async with anyio.create_task_group() as tasks:
        jobs = Jobs(scripted_agent(), tasks)
        empty, other = jobs.start("  "), jobs.start("Who?")
        await end_of(empty)
        await end_of(other)
        assert (empty.state, other.state) == ("failed", "done")


async def test_old_jobs_make_room_and_unfinished_ones_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_JOBS", 2)
    gate = anyio.Event()
    async with anyio.create_task_group() as tasks:
        jobs = Jobs(scripted_agent(gate=gate), tasks)
        first, second = jobs.start("1?"), jobs.start("2?")
        with pytest.raises(TooManyJobs, match="2 questions are under way"):
            jobs.start("3?")
        gate.set()
        await end_of(first)
        await end_of(second)
        third = jobs.start("3?")
        assert jobs.find(third.id) is third
        assert jobs.find(first.id) is None
        await end_of(third)
