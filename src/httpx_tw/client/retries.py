"""Whether a request is tried again, and after how long."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeAlias
from weakref import WeakKeyDictionary

from httpx_tw.client.dates import parse_date
from httpx_tw.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "RetryBudget",
    "RetryBudgetInput",
    "RetryPolicy",
    "is_idempotent",
    "parse_retry_after",
    "retry_budget_from",
    "retry_policy_from",
]

_IDEMPOTENT: Final = frozenset("GET HEAD OPTIONS TRACE PUT DELETE".split())

# Longer than the digits of any delay that is worth waiting for.
_MOST_DIGITS: Final = 10


def is_idempotent(method: str, header_names: Iterable[str] = ()) -> bool:
    """Whether doing it twice is the same as doing it once (RFC 9110 section 9.2.2).

    Or whether a field says that the server can tell: ``Idempotency-Key``, as payment
    services have it; Go honours it too. *header_names* in lower case.
    """
    return method in _IDEMPOTENT or any(
        name in {"idempotency-key", "x-idempotency-key"} for name in header_names
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a request is tried again. Times in seconds; pure: any thread may ask.

    :raises ConfigurationError: for a number below zero, a multiplier below one, a
        jitter over one, or a status that is no failure.
    """

    max_retries: int = 3
    """Besides the first try. 0: never again."""

    initial_delay: float = 1.0
    """Before the first retry; 0: at once."""

    backoff_multiplier: float = 2.0
    """How much longer each further delay is."""

    max_delay: float = 30.0
    """The longest delay that is computed."""

    jitter: float = 0.5
    """The part of a delay that is left to chance, so that clients which failed together
    do not come back together. 0: none; 1: anything from at once to the whole delay."""

    max_retry_after: float = 60.0
    """The longest Retry-After to wait for. If a server asks for more, its answer
    stands: coming back earlier is what it asked us not to do. 0: wait for none."""

    retry_on_status: frozenset[int] = frozenset({429, 500, 502, 503, 504})
    """Statuses after which to try again."""

    retry_on_connection_error: bool = True
    """Whether to try again when no response came at all."""

    retry_only_idempotent: bool = True
    """Whether only requests are repeated that may be; see is_idempotent. False: all,
    so that an order may be placed twice."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and not value >= 0:  # NaN fails, too
                raise ConfigurationError(f"{field.name} must not be negative: {value}")
        if self.backoff_multiplier < 1:
            raise ConfigurationError("backoff_multiplier must be at least 1")
        if self.jitter > 1:
            raise ConfigurationError(f"jitter is from 0 to 1, got {self.jitter}")
        # Whatever was given: a list is convenient to write.
        object.__setattr__(self, "retry_on_status", frozenset(self.retry_on_status))
        for status in self.retry_on_status:
            if not 400 <= status <= 599:
                raise ConfigurationError(f"retry_on_status: {status} is no failure")

    @classmethod
    def none(cls) -> Self:
        """Return a policy that tries once."""
        return cls(max_retries=0)

    @classmethod
    def aggressive(cls) -> Self:
        """Return a policy that tries five times more, and soon."""
        return cls(max_retries=5, initial_delay=0.5, backoff_multiplier=1.5)

    def delay(self, retry: int, chance: float = 0.0) -> float:
        """Return how long to wait before retry number *retry*, counted from 1.

        :param chance: a random number, from 0 (the whole delay) to below 1.
        """
        if retry < 1 or self.initial_delay == 0:
            return 0.0
        try:
            growth = self.backoff_multiplier ** (retry - 1)
        except OverflowError:
            growth = float("inf")
        whole = min(self.initial_delay * growth, self.max_delay)
        return whole * (1 - self.jitter * chance)

    def after_response(
        self,
        status: int,
        *,
        retries: int,
        idempotent: bool,
        retry_after: float | None = None,
        chance: float = 0.0,
    ) -> float | None:
        """Return how long to wait until the next try, or None: the response stands.

        :param retries: how many there were before.
        :param idempotent: see :func:`is_idempotent`; False too when the body cannot be
            sent again.
        :param retry_after: see :func:`parse_retry_after`.
        :param chance: see :meth:`delay`.
        """
        if (
            status not in self.retry_on_status
            or retries >= self.max_retries
            or not (idempotent or not self.retry_only_idempotent)
        ):
            return None
        delay = self.delay(retries + 1, chance)
        if retry_after is None:
            return delay
        return max(delay, retry_after) if retry_after <= self.max_retry_after else None

    def after_error(
        self,
        *,
        retries: int,
        idempotent: bool,
        was_sent: bool,
        chance: float = 0.0,
    ) -> float | None:
        """Return how long to wait until the next try, or None: raise the error.

        :param was_sent: the server may have seen the request, at least in part. If not
            (no connection was made) every method may be tried again.
        """
        if (
            not self.retry_on_connection_error
            or retries >= self.max_retries
            or (was_sent and not idempotent and self.retry_only_idempotent)
        ):
            return None
        return self.delay(retries + 1, chance)


class CountsRequests(Protocol):
    """What a budget looks at to see how many requests there were: a pool."""

    @property
    def requests(self) -> int:
        """How many were sent since the beginning."""


class RetryBudget:
    """Keeps retries a small part of all requests.

    Else they keep a server down that would recover from its overload without them.
    Each request pays *ratio* of a retry in, each retry takes one out; *reserve* is how
    many it holds, and how many there are to begin with. One for a client, or one for
    several: then they share it. Not thread-safe; used on the reactor thread.

    :raises ConfigurationError: when *ratio* or *reserve* is negative.
    """

    __slots__ = ("_counted", "_left", "_ratio", "_reserve")

    def __init__(self, ratio: float = 0.2, reserve: float = 100.0) -> None:
        if not (ratio >= 0 and reserve >= 0):
            raise ConfigurationError("a retry budget is not negative")
        self._ratio = ratio
        self._reserve = reserve
        self._left = reserve
        self._counted: WeakKeyDictionary[CountsRequests, int] = WeakKeyDictionary()

    @property
    def left(self) -> float:
        """How many retries there would be now."""
        self._count()
        return self._left

    def deposit(self, requests: int = 1) -> None:
        """Count *requests*, each at its first try."""
        self._left = min(self._left + requests * self._ratio, self._reserve)

    def watch(self, pool: CountsRequests) -> None:
        """Count the requests of *pool* from now on; watched already is fine.

        Nothing is done at each of them: they are counted when one is to be retried.
        """
        self._counted.setdefault(pool, pool.requests)

    def try_withdraw(self) -> bool:
        """Take one retry out and return True; or False: there is none."""
        self._count()
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def _count(self) -> None:
        for pool, counted in list(self._counted.items()):
            if pool.requests != counted:
                self.deposit(pool.requests - counted)
                self._counted[pool] = pool.requests


RetryBudgetInput: TypeAlias = RetryBudget | float | None
"""A budget; a number, the ratio of one with the usual reserve; 0 or None: no limit."""


def retry_budget_from(value: RetryBudgetInput) -> RetryBudget | None:
    """Return what *value* means; None: retries are not limited together.

    :raises ConfigurationError: see RetryBudget; also for what is no number.
    """
    if value is None or isinstance(value, RetryBudget):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(f"retry_budget: expected a number, got {value!r}")
    return RetryBudget(value) if value else None


def retry_policy_from(value: int | RetryPolicy | None) -> RetryPolicy:
    """Return what *value* means: how often at most; 0 or None: never.

    :raises ConfigurationError: see RetryPolicy.
    """
    if isinstance(value, RetryPolicy):
        return value
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ConfigurationError(f"retries: expected a number, got {value!r}")
    return RetryPolicy(max_retries=value) if value else RetryPolicy.none()


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After field asks for, or None: it says nothing.

    RFC 9110 section 10.2.3: a number of seconds, or a date; one that is past is 0.

    :param value: the field's, or None.
    :param now: seconds since the epoch.
    """
    if value is None:
        return None
    text = value.strip(" \t")
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= _MOST_DIGITS else float("inf")
    date = parse_date(text)
    return None if date is None else max(0.0, date - now)
