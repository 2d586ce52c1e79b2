"""What can go wrong in the client, one type per boundary crossed.

```text
SeeklingClientError
├── ConfigError                 a setting is wrong                        -> stderr, exit 2
├── NoModel                     no model is configured, running or there     -> stderr, exit 6
├── ModelError                  the model endpoint refused or failed
│   ├── ModelUnreachable        nothing answers at its address            -> stderr, exit 6
│   ├── ContextOverflow         the conversation does not fit the model
│   ├── ModelOverloaded         it is busy; the same request can work later
│   ├── ModelUnauthorized       it wants a key, or another one
│   ├── ModelNotFound           it serves no model of that name
│   ├── BadModelRequest         it does not accept the request as it is
│   ├── ModelTimeout            it took the request and fell silent
│   └── MalformedReply          what it sent is not a chat completion
├── ToolServerError             the link to the MCP server is broken
├── ToolFailed                  a person's own search or visit failed
│   └── ToolUnavailable         blocked, or not available now             -> stderr, exit 5
├── SessionError                a stored session is not there or cannot be read or written
├── ReportError                 no report could be written from what was found
├── DatasetError                a dataset is not there or not what it should be -> exit 2
├── EvaluationError             an evaluation cannot begin, go on or be read
│   ├── RunMismatch             it would not be the same run any more       -> exit 2
│   ├── RunInUse                another process writes its directory        -> exit 4
│   └── StorageFailed           its directory takes nothing more            -> exit 3
└── EngineError                 a local engine did not start or died
```

A tool that fails is no error in a run: the model reads the failure as a tool result. The message
names the subject and what happened; `hint` says what to do; only `cli/` turns them into text.
"""

from collections.abc import Sequence
from typing import ClassVar


class SeeklingClientError(Exception):
    """Base of all expected failures.

    Attributes:
        exit_code: the exit status of a command that ends with this error.
        hint: one sentence on what to do, or "".
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(SeeklingClientError):
    """A setting is unknown, malformed or contradicts another one.

    Attributes:
        repair: the command that takes the wrong setting away, or "".
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str = "", repair: str = "") -> None:
        super().__init__(message, hint=hint)
        self.repair = repair


class NoModel(SeeklingClientError):
    """No model is configured, none answers on this machine, and the embedded one is not there.

    Attributes:
        looked_at: one line for each place that was looked at and what was there, or none.
    """

    exit_code: ClassVar[int] = 6

    def __init__(self, message: str, *, hint: str = "", looked_at: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.looked_at = tuple(looked_at)


class ModelError(SeeklingClientError):
    """The model endpoint refused the request or failed while it answered.

    Attributes:
        endpoint: the base URL of the endpoint.
        status: the HTTP status, or the code of an error inside the stream; None when no reply came.
        retryable: whether the same request can succeed later without a change.
        retries: how often it was sent again before it failed for good.
    """

    retries: int = 0

    def __init__(
        self,
        endpoint: str,
        reason: str,
        *,
        status: int | None = None,
        retryable: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(f"model endpoint {endpoint}: {reason}", hint=hint)
        self.endpoint = endpoint
        self.reason = reason
        self.status = status
        self.retryable = retryable


class ModelUnreachable(ModelError):
    """No connection to the endpoint: nothing listens there, or its name does not resolve."""

    exit_code: ClassVar[int] = 6


class ContextOverflow(ModelError):
    """The conversation and the reply do not fit into the model's context; shorten it."""


class ModelOverloaded(ModelError):
    """The endpoint is up but takes no more requests. Always retryable.

    Attributes:
        retry_after_seconds: when the endpoint asks to be called again, or None.
    """

    def __init__(
        self,
        endpoint: str,
        reason: str,
        *,
        status: int | None = None,
        retry_after_seconds: float | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(endpoint, reason, status=status, retryable=True, hint=hint)
        self.retry_after_seconds = retry_after_seconds


class ModelUnauthorized(ModelError):
    """The endpoint wants a key, or another one (HTTP 401, 403)."""


class ModelNotFound(ModelError):
    """The endpoint serves no model of that name, or nothing at that path (HTTP 404)."""


class BadModelRequest(ModelError):
    """The endpoint does not accept the request as it is (HTTP 400, 422): asking again is no use."""


class ModelTimeout(ModelError):
    """The endpoint took the request and sent no token in time. Retryable."""


class MalformedReply(ModelError):
    """The reply is not a chat completion: an HTML page, broken JSON, an endless line."""


class ToolServerError(SeeklingClientError):
    """The connection to the MCP server is lost or never came up.

    Attributes:
        command_or_url: what was started or connected to.
        stderr_tail: the last lines that a started server wrote to stderr, or "".
    """

    def __init__(
        self, command_or_url: str, reason: str, *, stderr_tail: str = "", hint: str = ""
    ) -> None:
        super().__init__(f"tool server {command_or_url!r}: {reason}", hint=hint)
        self.command_or_url = command_or_url
        self.reason = reason
        self.stderr_tail = stderr_tail


class ToolFailed(SeeklingClientError):
    """A search or a visit that a person asked for failed; the message is the server's."""


class ToolUnavailable(ToolFailed):
    """Who was asked blocks us, is busy, broken or out of reach: no word about what is there."""

    exit_code: ClassVar[int] = 5


class SessionError(SeeklingClientError):
    """A stored session does not exist, is in use, or cannot be read or written."""


class ReportError(SeeklingClientError):
    """There is nothing to write a report from: no page could be read."""


class DatasetError(SeeklingClientError):
    """A dataset does not exist, cannot be read, or lacks what makes it a set of questions."""

    exit_code: ClassVar[int] = 2


class EvaluationError(SeeklingClientError):
    """An evaluation cannot begin, go on, be graded, compared or exported."""


class RunMismatch(EvaluationError):
    """What is asked for differs from what the run's directory holds: another model, say."""

    exit_code: ClassVar[int] = 2


class RunInUse(EvaluationError):
    """Another process writes the run's directory.

    Attributes:
        pid: its process id, or 0 where it is not known.
    """

    exit_code: ClassVar[int] = 4

    def __init__(self, message: str, *, pid: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.pid = pid


class StorageFailed(EvaluationError):
    """The run's directory takes nothing more: the disk is full, read-only or gone.

    What was stored before is whole; `seekling eval resume` goes on.
    """

    exit_code: ClassVar[int] = 3


class EngineError(SeeklingClientError):
    """A local inference engine did not start, or died.

    Attributes:
        log_tail: the last lines of the engine's log, or "".
    """

    def __init__(self, message: str, *, log_tail: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.log_tail = log_tail
