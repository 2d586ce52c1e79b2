"""Leaving a provider alone, and finding out when it is well again."""

import pytest

from mcp_server.errors import ProviderBlocked, ProviderError, ProviderFailed
from mcp_server.search.breaker import Breakers
from mcp_server.search.skip import Skip


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> Breakers:
    return Breakers(clock=clock)


def blocked(wait: float | None = None) -> ProviderBlocked:
    return ProviderBlocked("a", "rate limit", retryable=True, retry_after_seconds=wait)


def broken(wait: float | None = None, *, retryable: bool = True) -> ProviderFailed:
    return ProviderFailed("a", "HTTP 500", retryable=retryable, retry_after_seconds=wait)


def call(breakers: Breakers, error: BaseException | None = None) -> None:
    """One call that ends so; what it raised itself is not told again."""
    try:
        with breakers.attempt("a"):
            if error is not None:
                raise error
    except ProviderError:
        pass


def skipped(breakers: Breakers) -> Skip | None:
    """What a call now would be told, None where it would go through; teaches nothing."""
    try:
        with breakers.attempt("a"):
            raise KeyError
    except Skip as skip:
        return skip
    except KeyError:
        return None


def left_seconds(breakers: Breakers) -> float | None:
    skip = skipped(breakers)
    return skip.error.retry_after_seconds if skip else None


def test_a_block_opens_at_once_as_long_as_it_says(breakers: Breakers) -> None:
    call(breakers, blocked(wait=42))
    skip = skipped(breakers)
    assert skip is not None
    assert str(skip) == "left alone for 42 s more after: rate limit"
    assert isinstance(skip.error, ProviderBlocked)
    assert skip.error.retry_after_seconds == 42
    assert skip.error.retryable


def test_other_providers_are_not_concerned(breakers: Breakers) -> None:
    call(breakers, blocked())
    with breakers.attempt("b"):
        pass


@pytest.mark.parametrize(
    ("asked", "seconds"), [(None, 60), (0.5, 0.5), (1_800, 1_800), (90_000, 3_600), (-5, None)]
)
def test_the_length_of_a_pause_is_bounded(
    breakers: Breakers, asked: float | None, seconds: float | None
) -> None:
    call(breakers, blocked(wait=asked))
    assert left_seconds(breakers) == seconds


def test_two_failures_in_a_row_open_and_one_does_not(breakers: Breakers) -> None:
    call(breakers, broken())
    call(breakers)
    call(breakers, broken())
    assert skipped(breakers) is None
    call(breakers, broken())
    skip = skipped(breakers)
    assert skip is not None
    assert isinstance(skip.error, ProviderFailed)
    assert skip.error.retry_after_seconds == 20


def test_a_failure_that_says_when_to_come_back_opens_at_once(breakers: Breakers) -> None:
    call(breakers, broken(wait=7))
    assert left_seconds(breakers) == 7


def test_failures_about_one_query_count_neither_way(breakers: Breakers) -> None:
    call(breakers, broken())
    for _ in range(5):
        call(breakers, broken(retryable=False))
    assert skipped(breakers) is None
    call(breakers, broken())
    assert skipped(breakers) is not None


@pytest.mark.parametrize(
    ("error", "pauses"),
    [(blocked(), [60, 120, 240, 480, 600, 600]), (broken(), [20, 40, 80, 160, 320, 600])],
)
def test_pauses_grow_until_a_call_succeeds(
    breakers: Breakers, clock: Clock, error: ProviderError, pauses: list[float]
) -> None:
    call(breakers, error)
    if isinstance(error, ProviderFailed):
        call(breakers, error)
    for seconds in pauses:
        assert left_seconds(breakers) == seconds
        clock.now += seconds
        call(breakers, error)
    clock.now += 600
    call(breakers)
    call(breakers, blocked())
    assert left_seconds(breakers) == 60


def test_one_probe_goes_through_while_the_others_are_skipped(
    breakers: Breakers, clock: Clock
) -> None:
    call(breakers, blocked(wait=10))
    clock.now += 10
    with breakers.attempt("a"):
        skip = skipped(breakers)
        assert skip is not None
        assert "until the call that probes it is over" in str(skip)
        assert skip.error.retry_after_seconds is None
    assert skipped(breakers) is None


def test_a_probe_that_says_nothing_lets_the_next_one_through(
    breakers: Breakers, clock: Clock
) -> None:
    call(breakers, blocked(wait=10))
    clock.now += 10
    assert skipped(breakers) is None  # a cancelled probe
    with breakers.attempt("a"):
        assert skipped(breakers) is not None


def test_the_end_of_an_older_call_lets_no_second_probe_through(
    breakers: Breakers, clock: Clock
) -> None:
    older = breakers.attempt("a")
    older.__enter__()
    call(breakers, blocked(wait=10))
    clock.now += 10
    with breakers.attempt("a"):
        older.__exit__(None, None, None)
        assert skipped(breakers) is not None


def test_calls_in_flight_when_it_opens_neither_close_nor_lengthen_it(
    breakers: Breakers, clock: Clock
) -> None:
    with breakers.attempt("a"):
        call(breakers, blocked(wait=30))
        clock.now += 10
    assert left_seconds(breakers) == 20
    with pytest.raises(ProviderBlocked):
        late_block(breakers, clock)
    assert left_seconds(breakers) == 30


def late_block(breakers: Breakers, clock: Clock) -> None:
    """A call that began before the breaker opened is refused after it."""
    clock.now += 20
    call(breakers)
    with breakers.attempt("a"):
        call(breakers, blocked(wait=30))
        raise blocked(wait=500)
