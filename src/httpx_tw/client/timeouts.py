"""How long each part of a request may take."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from math import inf

from httpx_tw.errors import ConfigurationError

__all__ = ["DEFAULT_TIMEOUT", "NO_TIMEOUT", "Timeout", "TimeoutInput", "as_timeout"]

_MAX_INTERVAL = 1.0
_MIN_INTERVAL = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout:
    """The timeouts of a request, in seconds. 0 or None turns one off.

    They are checked by one coarse tick (see :mod:`httpx_tw.client.deadlines`), so each
    may be up to a second late, or a quarter of the shortest of them; none is early.

    :raises ConfigurationError: when a value is negative or not a number.
    """

    connect: float | None = 30.0
    """Name, connection, proxy and TLS together: ConnectTimeout."""

    read: float | None = 30.0
    """The server sends nothing: from the end of the request to the response, and
    between two pieces of it: ReadTimeout. The time that nobody wants to read the body
    does not count."""

    write: float | None = 30.0
    """The server takes nothing of the request: WriteTimeout."""

    pool: float | None = 30.0
    """Waiting for a connection of the pool to come free: PoolTimeout."""

    total: float | None = 300.0
    """All of it, with redirects, retries and the body: TotalTimeout. Turn it off for
    responses that go on and on. 5 minutes, as aiohttp."""

    expect: float | None = 1.0
    """A request with ``Expect: 100-continue`` waits for the server's 100; then its body
    is sent all the same, for there are servers that never say it (RFC 9110 section
    10.1.1). 1 s, as curl and Go; exact, and no error. 0 or None: wait as long as
    *read*."""

    interval: float = field(init=False, repr=False, compare=False)
    """How often it wants to be looked at, in seconds."""

    def __post_init__(self) -> None:
        for each in fields(self):
            if not each.init:
                continue
            value = getattr(self, each.name)
            if value is None or value == 0:
                # Then whatever is added to it is a deadline that does not pass.
                object.__setattr__(self, each.name, inf)
            elif isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigurationError(
                    f"{each.name}: expected seconds, got {value!r}"
                )
            elif not value > 0:  # this way round NaN is refused too
                raise ConfigurationError(f"{each.name} must not be negative: {value}")
        shortest = min(
            float(getattr(self, each.name))
            for each in fields(self)
            if each.init and each.name != "expect"  # it has a timer of its own
        )
        interval = min(_MAX_INTERVAL, max(_MIN_INTERVAL, shortest / 4))
        object.__setattr__(self, "interval", interval)


TimeoutInput = Timeout | float | None
"""A Timeout; seconds for each of connect, read, write and pool, with the usual total;
or None: no timeouts at all."""

DEFAULT_TIMEOUT = Timeout()
NO_TIMEOUT = Timeout(connect=None, read=None, write=None, pool=None, total=None)


def as_timeout(value: TimeoutInput) -> Timeout:
    """Return what *value* means.

    :raises ConfigurationError: see Timeout.
    """
    if isinstance(value, Timeout):
        return value
    if value is None:
        return NO_TIMEOUT
    return Timeout(connect=value, read=value, write=value, pool=value)
