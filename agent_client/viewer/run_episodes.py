"""The episodes of a run in the order of the page's rows."""

from collections.abc import Iterator, Sequence
from functools import cached_property

from agent_client.evaluation.episode_record import EpisodeKey
from agent_client.evaluation.records.stored_run import StoredRun, read_episode
from agent_client.evaluation.statistics.judged import Judged, judged
from agent_client.viewer.document import EpisodeView
from agent_client.viewer.episode_view import ended_view, unfinished_view
from agent_client.viewer.run_index import repeats_of
from agent_client.viewer.unfinished import UnfinishedEpisodes


class RunEpisodes:
    """The episodes of a run, each read when it is looked at.

    Attributes:
        judged: all of them in the order of the page's rows, as one grader sees them.
    """

    def __init__(self, run: StoredRun, grader: str) -> None:
        """Use a run.

        Raises:
            EvaluationError: the run knows no such grader.
        """
        self._run = run
        self.judged: Sequence[Judged] = judged(run, grader)
        self._repeats = repeats_of(self.judged)
        self._graders = sorted({name for _, name in run.grades})

    def __len__(self) -> int:
        return len(self.judged)

    def __iter__(self) -> Iterator[EpisodeView]:
        return (self.view(row) for row in range(len(self)))

    def view(self, row: int) -> EpisodeView:
        """The episode of a row: only its own lines and results are read.

        Raises:
            IndexError: there is no such row.
        """
        episode = self.judged[row]
        if episode.record is None:
            repeat = self._repeats[row]
            steps = self._unfinished.steps(EpisodeKey(episode.question.id, repeat))
            return unfinished_view(episode, steps, repeat=repeat)
        stored = read_episode(self._run, episode.record)
        grades = self._run.grades
        found = (grades.get((episode.record.key, grader)) for grader in self._graders)
        return ended_view(episode, stored, [grade for grade in found if grade])

    def look_again(self) -> None:
        """Read anew, when next asked, what the episodes at work have done so far."""
        self.__dict__.pop("_unfinished", None)

    @cached_property
    def _unfinished(self) -> UnfinishedEpisodes:
        return UnfinishedEpisodes(self._run)
