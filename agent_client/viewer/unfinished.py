"""What is stored of episodes that have no record: they are at work, or were cut off."""

from agent_client.evaluation.episode_record import EpisodeKey
from agent_client.evaluation.records.earlier_chain import read_chain
from agent_client.evaluation.records.resume_plan import find_unfinished
from agent_client.evaluation.records.stored_lines import read_record_lines
from agent_client.evaluation.records.stored_run import StoredRun
from agent_client.sessions.event_codec import EventReader
from agent_client.sessions.known import Known
from agent_client.timeline.steps import AnyStep
from agent_client.timeline.timeline import steps_of


class UnfinishedEpisodes:
    """The episodes without a record at one moment, found as `eval resume` finds them."""

    def __init__(self, run: StoredRun) -> None:
        """Look for them: only the lines behind the oldest of them are read.

        Raises:
            OSError: the run's files cannot be read.
        """
        self._run = run
        records = read_record_lines(run.directory)
        self._found, _ = find_unfinished(run.directory, records.ended, records.low)

    def steps(self, key: EpisodeKey) -> tuple[AnyStep, ...]:
        """What an episode did, up to the last reply or result; empty of one that never began."""
        unfinished = self._found.get(key)
        if unfinished is None:
            return ()
        chain = read_chain(self._run.directory, key, unfinished.spans, self._reader)
        return steps_of(chain.events) if chain else ()

    def _reader(self) -> EventReader:
        known = Known(self._run.manifest.profile.texts)
        return EventReader(self._run.results.get, known=known)
