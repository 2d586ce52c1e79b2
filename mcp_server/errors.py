"""What can go wrong in the server, one type per boundary crossed.

```text
SeeklingServerError
├── ConfigError                 a setting is wrong                  -> stderr, exit 2
├── CorpusError                 documents or an index are unusable  -> stderr, exit 1
├── BadQuery                    what is asked contradicts itself or cannot be
├── ProviderError               one search provider did not answer
│   ├── ProviderBlocked         it refused us: rate limit, bot wall, quota, key
│   └── ProviderFailed          it broke: network, 5xx, malformed reply
├── NoProviderAnswered          every provider of the chain failed
├── BlockedUrl                  our own policy refuses the address
├── FetchError                  the page could not be fetched
├── UnsupportedMediaType        the page is not text
├── TookTooLong                 a call had no answer by its deadline
├── ExtractionError             the page could not be read
├── KeysUnavailable             no OAuth token can be judged for now    -> HTTP 503
└── UnusableSettings            a host's settings cannot be edited      -> stderr, exit 1
```

Every error carries `retryable` (whether the same call can succeed later) and `hint` (what else to
try). The message names the subject and what happened; `tools/`, `cli/`, `doctor/` and `serving/`
are the only places that turn an error into text for a model, a person or an HTTP client.
"""

from collections.abc import Sequence


class SeeklingServerError(Exception):
    """Base of all expected failures.

    Attributes:
        retryable: whether the same call can succeed later without a change.
        hint: one sentence on what to do instead, or "".
    """

    retryable: bool = False
    hint: str = ""

    def __init__(self, message: str, *, hint: str = "", retryable: bool | None = None) -> None:
        super().__init__(message)
        if hint:
            self.hint = hint
        if retryable is not None:
            self.retryable = retryable


class ConfigError(SeeklingServerError):
    """A setting is unknown, malformed or contradicts another one."""


class CorpusError(SeeklingServerError):
    """Documents cannot be read, or an index is missing, damaged or cannot be written."""


class BadQuery(SeeklingServerError):
    """A query asks for what cannot be: no words, an impossible date, contradicting operators."""


class ProviderError(SeeklingServerError):
    """One search provider did not answer.

    Attributes:
        provider: the provider's name in `PROVIDERS`.
        retry_after_seconds: when the provider says that it can be asked again, or None.
    """

    def __init__(
        self,
        provider: str,
        reason: str,
        *,
        retryable: bool,
        retry_after_seconds: float | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(reason, hint=hint, retryable=retryable)
        self.provider = provider
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class ProviderBlocked(ProviderError):
    """The provider refused the request: rate limit, bot check, quota or key. Never "no results"."""


class ProviderFailed(ProviderError):
    """The provider could not be reached, broke, or sent a reply that is not what it documents."""


class NoProviderAnswered(SeeklingServerError):
    """No provider of the chain answered.

    Attributes:
        failures: one error per provider, in the order asked; never empty.
    """

    def __init__(self, failures: Sequence[ProviderError]) -> None:
        self.failures = tuple(failures)
        told = "; ".join(f"{failure.provider}: {failure.reason}" for failure in self.failures)
        super().__init__(
            f"no search provider answered ({told})",
            hint=next((failure.hint for failure in self.failures if failure.hint), ""),
            retryable=any(failure.retryable for failure in self.failures),
        )

    @property
    def is_blocked(self) -> bool:
        """Whether every provider refused us, rather than broke."""
        return all(isinstance(failure, ProviderBlocked) for failure in self.failures)


class BlockedUrl(SeeklingServerError):
    """Our policy refuses this URL or the address behind it. Never retryable.

    The message never names the resolved address: it would map the user's network.
    """

    def __init__(self, url: str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"blocked: {reason}", hint=hint)
        self.url = url
        self.reason = reason


class FetchError(SeeklingServerError):
    """The page could not be fetched.

    Attributes:
        status: the HTTP status, or None when no reply came.
        retry_after_seconds: when the site says that it can be asked again, or None.
    """

    def __init__(
        self,
        url: str,
        reason: str,
        *,
        status: int | None = None,
        retryable: bool = False,
        retry_after_seconds: float | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(reason, hint=hint, retryable=retryable)
        self.url = url
        self.reason = reason
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class UnsupportedMediaType(SeeklingServerError):
    """The page is not text that we can read."""

    def __init__(self, url: str, media_type: str, size_bytes: int) -> None:
        super().__init__(
            f"not a text page: {media_type}, {size_bytes:,} bytes",
            hint="try another result",
        )
        self.url = url
        self.media_type = media_type
        self.size_bytes = size_bytes


class ExtractionError(SeeklingServerError):
    """The page was fetched but its text could not be extracted."""


class TookTooLong(SeeklingServerError):
    """A call had no answer by its deadline. Always retryable: what is slow may be fast later."""

    def __init__(self, what: str, seconds: float, *, hint: str = "") -> None:
        super().__init__(f"{what} within {seconds:g} seconds", hint=hint, retryable=True)


class KeysUnavailable(SeeklingServerError):
    """No token can be judged for now: the keys of the OAuth server cannot be had.

    The reply to it is a 503. A 401 would send callers to a login that may be down, for a token
    that may be good.

    Attributes:
        retry_after_seconds: when the keys are asked for again.
    """

    retryable = True

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__("the keys of the authorization server cannot be had")
        self.retry_after_seconds = retry_after_seconds


class UnusableSettings(SeeklingServerError):
    """A host's settings file is unreadable or cannot be merged safely. It was not touched."""
