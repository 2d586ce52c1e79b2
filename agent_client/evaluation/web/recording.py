"""Records what the tools answer, and answers from it, so that a run repeats byte for byte.

The boundary is that of MCP: what a server returned, before anything else touches it. An episode
that is worked on again is given its own answers in its own order, also where the web changed
between two of its calls; another one the first answer that was recorded. What is not recorded is
never fetched silently.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, cast

from agent_client.conversation import ToolCall, ToolResult, ToolSpec
from agent_client.errors import (
    EvaluationError,
    RunInUse,
    RunMismatch,
    SessionError,
    StorageFailed,
    ToolServerError,
)
from agent_client.evaluation.episode_record import EpisodeKey
from agent_client.evaluation.ports import Episode
from agent_client.evaluation.records.result_store import ResultStore
from agent_client.evaluation.web.recorded_web import (
    FILE,
    FORMAT,
    VERSION,
    CallKey,
    RecordedCall,
    RecordedWeb,
    call_key,
    call_line,
    tools_line,
)
from agent_client.ports import Toolbox
from agent_client.sessions.journal import Journal
from agent_client.tool_meta import ERROR_META, ERRORS_META

OnMiss = Literal["stop", "tell"]
"""What becomes of a call that is not recorded: `stop` ends the episode, which is then owed; `tell`
lets the model read that there is no answer."""
_SHOWN_CHARS = 300


class ReplayMiss(ToolServerError):
    """A recording that a run is replayed from does not hold the answer to a call."""

    def __init__(self, directory: Path, call: ToolCall) -> None:
        super().__init__(
            str(directory),
            f"the recording holds no answer to {_shown(call)}",
            hint="record and replay with the same directory to fetch what is missing",
        )


class Recording:
    """The one writer of a recording. As a context manager it is closed at the end.

    Attributes:
        web: what is recorded, this run's calls included.
        failure: why nothing more is stored; set once, and from then on nothing is.
    """

    def __init__(
        self,
        directory: Path,
        tools: Sequence[ToolSpec],
        *,
        results: ResultStore | None = None,
        on_failure: Callable[[StorageFailed], None] | None = None,
    ) -> None:
        """Begin a recording, or go on with one.

        Args:
            directory: of a run, or any other; is made where it does not exist.
            tools: that the server offers.
            results: of the directory, where somebody else writes them too; they are closed there.
            on_failure: told when nothing more can be stored.

        Raises:
            RunInUse: another process writes it.
            RunMismatch: it was recorded with other tools.
            EvaluationError: what is there cannot be read.
            StorageFailed: it cannot be written.
        """
        self._owns_results = results is None
        self._results = results or ResultStore(directory)
        self.web = RecordedWeb(directory, self._results)
        self.failure: StorageFailed | None = None
        self._on_failure = on_failure
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = Journal(directory / FILE, {"format": FORMAT, "version": VERSION})
        except OSError as exc:
            raise _storage_failed(directory, exc) from exc
        except SessionError as exc:
            raise _not_opened(exc) from exc
        try:
            self._begin(tools)
        except BaseException:
            self.close()
            raise

    def _begin(self, tools: Sequence[ToolSpec]) -> None:
        self.web.read()
        if self.web.tools is None:
            self.web.tools = tuple(tools)
            try:
                self._file.append(tools_line(tools))
            except OSError as exc:
                raise _storage_failed(self.web.directory, exc) from exc
        elif tools_line(self.web.tools) != tools_line(tools):
            raise RunMismatch(
                f"the recording in {str(self.web.directory)!r} was made with other tools",
                hint="record into another directory, or use the server that it was made with",
            )

    def add(self, episode: Episode, call: ToolCall, result: ToolResult) -> None:
        """Store what a call of an episode was given. Never raises: see `failure`."""
        if self.failure is not None:
            return
        try:
            recorded = RecordedCall(
                tool=call.name,
                arguments=dict(call.arguments),
                result=self._results.put(result),
                id=episode.question.id,
                repeat=episode.repeat,
                run=episode.run_id,
                call=call.id,
                failed=is_passing_failure(result),
            )
            self._file.append(call_line(recorded))
            self.web.add(recorded)
        except OSError as exc:
            self.failure = _storage_failed(self.web.directory, exc)
            if self._on_failure is not None:
                self._on_failure(self.failure)
        except (ValueError, RecursionError):
            return  # arguments or meta without a form in JSON: a replay misses this call

    def close(self) -> None:
        """Let the next writer in."""
        if self._owns_results:
            self._results.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class RecordingTools:
    """The tools of one episode, whose answers are stored. Implements `Toolbox`."""

    def __init__(self, tools: Toolbox, recording: Recording, episode: Episode) -> None:
        """Call `tools` and store what they return."""
        self._tools, self._recording, self._episode = tools, recording, episode

    async def list_tools(self) -> Sequence[ToolSpec]:
        """List the tools.

        Raises:
            ToolServerError: the connection to the tool server is broken.
        """
        return await self._tools.list_tools()

    async def call(self, call: ToolCall) -> ToolResult:
        """Run a call and store its result.

        Raises:
            ToolServerError: the connection to the tool server is broken; nothing is stored.
        """
        result = await self._tools.call(call)
        self._recording.add(self._episode, call, result)
        return result


class ReplayedTools:
    """The tools of one episode, answered from a recording. Implements `Toolbox`.

    Attributes:
        misses: calls that the recording does not hold.
    """

    def __init__(
        self,
        web: RecordedWeb,
        episode: EpisodeKey,
        *,
        live: Toolbox | None = None,
        on_miss: OnMiss = "stop",
    ) -> None:
        """Answer an episode.

        Args:
            web: the recording.
            episode: that is given its own answers first.
            live: asked for what the recording does not hold; None asks nobody.
            on_miss: what becomes of such a call then.
        """
        self._web, self._live, self._on_miss = web, live, on_miss
        self._own = {key: calls[::-1] for key, calls in web.given_to(episode).items()}
        self._given: dict[tuple[CallKey, str], RecordedCall] = {}
        self.misses = 0

    async def list_tools(self) -> Sequence[ToolSpec]:
        """The tools that were offered when the web was recorded.

        Raises:
            ToolServerError: the recording does not say.
        """
        if self._web.tools is None:
            raise ToolServerError(str(self._web.directory), "the recording names no tools")
        return self._web.tools

    async def call(self, call: ToolCall) -> ToolResult:
        """Give what was recorded.

        Raises:
            ReplayMiss: nothing was, and that ends the episode.
            ToolServerError: the connection to the live tools is broken.
        """
        result = self._recorded(call)
        if result is not None:
            return result
        self.misses += 1
        if self._live is not None:
            return await self._live.call(call)
        if self._on_miss == "stop":
            raise ReplayMiss(self._web.directory, call)
        text = "Error: this call is not in the recording that this run is replayed from."
        return ToolResult(call.id, call.name, text, is_error=True)

    def took_over(self, call: ToolCall) -> None:
        """Count a call of the episode as answered: an attempt before has been given it."""
        with suppress(ValueError, RecursionError):
            own = self._own.get(call_key(call.name, call.arguments))
            if own:
                own.pop()

    def _recorded(self, call: ToolCall) -> ToolResult | None:
        try:
            key = call_key(call.name, call.arguments)
        except (ValueError, RecursionError):
            return None  # such a call cannot be recorded
        return self._own_answer(key, call) or self._web.answer(key, call)

    def _own_answer(self, key: CallKey, call: ToolCall) -> ToolResult | None:
        """What this episode was given the next time it made this call."""
        recorded = self._given.get((key, call.id))
        if recorded is None:
            own = self._own.get(key)
            if not own:
                return None
            recorded = self._given[key, call.id] = own.pop()
        if recorded.failed and self._live is not None:
            return None
        result = self._web.result(recorded.result, call)
        return _final(result) if result is not None and recorded.failed else result


def is_passing_failure(result: ToolResult) -> bool:
    """Whether the same call can bring something else a little later, as far as is known.

    Our server says so of each failure; a failure of another server may be a passing one.
    """
    told = [result.meta.get(ERROR_META)]
    pages = result.meta.get(ERRORS_META)
    if isinstance(pages, list):
        told += cast(list[object], pages)
    said = [cast(Mapping[str, object], each) for each in told if isinstance(each, Mapping)]
    if not said:
        return result.is_error
    return any(each.get("retryable") is True for each in said)


def _final(result: ToolResult) -> ToolResult:
    """A failure as a recording gives it: it says the same however often it is asked."""
    told = result.meta.get(ERROR_META)
    if not isinstance(told, Mapping):
        return result
    error = {**cast(Mapping[str, object], told), "retryable": False}
    meta = {**result.meta, ERROR_META: error}
    return ToolResult(result.call_id, result.name, result.text, result.is_error, meta)


def _shown(call: ToolCall) -> str:
    arguments = json.dumps(call.arguments, ensure_ascii=False, default=str)
    return f"{call.name} {arguments[:_SHOWN_CHARS]}"


def _storage_failed(directory: Path, exc: OSError) -> StorageFailed:
    return StorageFailed(
        f"cannot record the web in {str(directory)!r}: {exc.strerror or exc}",
        hint="make room, then `seekling eval resume`",
    )


def _not_opened(exc: SessionError) -> EvaluationError:
    """Why a recording could not be opened: another process has it, or the disk does not take it."""
    if isinstance(exc.__cause__, OSError):
        return StorageFailed(str(exc), hint="choose another directory for the recording")
    return RunInUse(str(exc), hint=exc.hint)
