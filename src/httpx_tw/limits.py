"""How much, how many and how long: every limit and deadline, with its reason.

Both records are frozen: change one with ``dataclasses.replace``. Zero means "no limit"
wherever a field says so, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from httpx_tw.errors import ConfigurationError

__all__ = ["DEFAULT_LIMITS", "DEFAULT_TIMEOUTS", "Limits", "Timeouts"]

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes and counts. Sizes are in bytes.

    :raises ConfigurationError: when a value is negative or not a number, or is 0 where
        0 has no meaning.
    """

    max_request_line: int = 8190
    """Longest request line without its CRLF; over it: 414. As Apache and aiohttp."""

    max_header_bytes: int = 16 * KIB
    """Largest header block, and trailer section, less its last CRLF; over it: 431."""

    max_headers: int = 100
    """Most field lines in a header block or trailer section; over it: 431. As hyper."""

    max_body: int = 10 * MIB
    """Largest request body; over it: 413. 0: no limit. A route may have its own."""

    max_chunk_extension: int = 1 * KIB
    """Longest chunk-size line with its extensions; over it: 400. As twisted.web."""

    max_pipelined: int = 16
    """Requests held behind the one being answered; then reading pauses."""

    max_requests_per_connection: int = 0
    """The last one is answered with ``Connection: close``. 0: no limit."""

    max_connections: int = 1000
    """Open connections; then accepting pauses, and the backlog holds who waits.
    0: no limit."""

    backlog: int = 1024
    """Length of the kernel's accept queue, which may cap it (net.core.somaxconn)."""

    def __post_init__(self) -> None:
        _refuse_negative(self)
        may_be_zero = {
            "max_body",
            "max_pipelined",
            "max_requests_per_connection",
            "max_connections",
        }
        for field in fields(self):
            if field.name not in may_be_zero and getattr(self, field.name) == 0:
                raise ConfigurationError(f"{field.name} must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Deadlines, all in seconds (rates in bytes per second). 0 turns a rule off.

    They are checked by one coarse tick (see :mod:`httpx_tw.server.deadlines`), so a
    connection may live up to one tick longer than its deadline.

    :raises ConfigurationError: when a value is negative or not a number.
    """

    head: float = 10.0
    """The whole request head, from accept or from the first byte after idling: 408."""

    body_idle: float = 30.0
    """Between two pieces of a request body: 408."""

    body_min_rate: float = 240.0
    """Average rate of a request body after the grace period, in bytes/s: 408."""

    response_idle: float = 30.0
    """A response waiting to be read by the client, without any progress: abort."""

    response_min_rate: float = 240.0
    """Average rate of reading a response after the grace period, in bytes/s: abort."""

    rate_grace: float = 5.0
    """How long a transfer may be slower than its minimum rate. 240 B/s as Kestrel."""

    keep_alive: float = 60.0
    """Idle between two requests: close."""

    handler: float = 30.0
    """From the last byte of the request to the start of the response: 503."""

    linger: float = 5.0
    """After an early refusal: how long to read on, so that the client sees it."""

    drain: float = 30.0
    """On stop: how long requests in flight may take until aborted. 0: no wait."""

    def __post_init__(self) -> None:
        _refuse_negative(self)


def _refuse_negative(record: Limits | Timeouts) -> None:
    for field in fields(record):
        value = getattr(record, field.name)
        if not isinstance(value, int | float):
            raise ConfigurationError(f"{field.name} must be a number, got {value!r}")
        if not value >= 0:  # this way round NaN is refused too
            raise ConfigurationError(f"{field.name} must not be negative, got {value}")


DEFAULT_LIMITS = Limits()
DEFAULT_TIMEOUTS = Timeouts()
