"""What a pool is told, and what it says: limits, keys, reasons, figures."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, NamedTuple

from httpx_tw.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from httpx_tw.client.proxies import Proxy

__all__ = ["DropReason", "PoolConfig", "PoolKey", "PoolStatistics", "Via"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """How many connections a pool may have, and how long it keeps them.

    :raises ConfigurationError: when a value is no number, negative, or 0 where 0 has no
        meaning.
    """

    max_connections: int = 100
    """Open or being dialled, to all hosts together."""

    max_per_host: int = 10
    """The same, for one key: scheme, host, port and all else that must be equal."""

    idle_timeout_ms: int = 60_000
    """How long an unused connection is kept, in milliseconds. 0: it is not kept."""

    max_requests_per_connection: int = 1000
    """Then it is closed, not used again. 0: no limit."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not isinstance(value, int) or value < 0:
                raise ConfigurationError(
                    f"{each.name} must be a whole number and not negative, "
                    f"got {value!r}"
                )
            if each.name.startswith("max_") and not value and each.name[4] != "r":
                raise ConfigurationError(f"{each.name} must be at least 1")


class Via(NamedTuple):
    """How a request goes through a proxy."""

    proxy: Proxy
    is_tunnel: bool
    """The proxy only hands bytes on; else it is sent requests for others."""
    tls: Hashable = None
    """How the proxy proves who it is; None: not over TLS."""


@dataclass(frozen=True, slots=True)
class PoolKey:
    """What must be equal for two requests to share a connection."""

    scheme: str
    host: str
    port: int
    via: Via | None = None
    """None: directly. What is sent to a proxy for it to do has the proxy's own host and
    port: such connections serve all servers."""
    tls: Hashable = None
    """How the server proves who it is, and we do; None: not over TLS."""
    local_address: str | None = None
    """The address it leaves from; None: the system chooses."""
    uds: str | None = None
    """Path of the Unix socket it is made to in place of host and port."""

    _hash: int = field(init=False, repr=False, compare=False)
    # Computed once, for it is asked for at each request and may take a microsecond.

    def __post_init__(self) -> None:
        parts = (
            self.scheme,
            self.host,
            self.port,
            self.via,
            self.tls,
            self.local_address,
            self.uds,
        )
        object.__setattr__(self, "_hash", hash(parts))

    def __hash__(self) -> int:
        return self._hash


class DropReason(enum.Enum):
    """Why a connection was not kept."""

    PEER_CLOSED = "the server closed it while it was idle"
    UNASKED_BYTES = "the server sent bytes while it was idle"
    IDLE_TOO_LONG = "it was idle for longer than the timeout"
    WORN_OUT = "it has carried as many requests as one may"
    NOT_REUSABLE = "its last exchange cannot be followed by another"
    FAILED = "its last exchange failed"
    TIMED_OUT = "its last exchange took too long"
    CANCELLED = "its last exchange was cancelled"
    UNREAD = "its last response was not read to the end"
    EVICTED = "its slot was needed for another host, and it was idle"
    YIELDED = "its slot was needed for another host, which had waited longer"
    POOL_CLOSED = "the pool was closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatistics:
    """The figures of a pool at one moment."""

    total: int
    """Connections that take a slot: active, idle, being dialled, being closed."""
    active: int
    """Connections with an exchange on them, or in somebody's hands."""
    idle: int
    dialing: int
    closing: int
    """Connections that are about to be closed."""
    waiting: int
    """Who asked and has none yet, waiting for a slot or for a dial."""
    max_connections: int
    max_per_host: int
    dialed: int
    """Connections made since the beginning."""
    dials_failed: int
    reused: int
    """How often a connection was used that had been used before."""
    dropped: Mapping[DropReason, int]
    """Connections not kept since the beginning, by reason."""
