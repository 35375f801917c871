"""A connection pool for other threads: each call is made on the reactor's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from twisted.internet.threads import blockingCallFromThread
from twisted.python.threadable import isInIOThread

from httpx_tw.client.timeouts import DEFAULT_TIMEOUT
from httpx_tw.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

    from httpx_tw.client.connection import HTTP1Connection
    from httpx_tw.client.outgoing import OutgoingRequest
    from httpx_tw.client.pool import ConnectionPool
    from httpx_tw.client.pool_facts import PoolKey, PoolStatistics
    from httpx_tw.client.response import ClientResponse
    from httpx_tw.client.timeouts import Timeout

__all__ = ["ThreadsafePool"]

P = ParamSpec("P")
T = TypeVar("T")


class ThreadsafePool:
    """The face of a :class:`ConnectionPool` for any thread but the reactor's.

    Calls block until they are done on the reactor's thread, where everything is
    decided; so no lock is held while anything is dialled or sent. Errors are those of
    the pool.

    :param pool: made with its reactor, which must be running.
    :raises LocalProtocolError: from each method, on the reactor's thread: it would wait
        for itself.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def get_connection(
        self,
        key: PoolKey,
        *,
        wait: bool = True,
        timeout: Timeout = DEFAULT_TIMEOUT,
    ) -> HTTP1Connection:
        """See ConnectionPool.get_connection."""
        return self._wait(self._pool.get_connection, key, wait=wait, timeout=timeout)

    def send_on(
        self,
        connection: HTTP1Connection,
        request: OutgoingRequest,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
    ) -> ClientResponse:
        """See ConnectionPool.send_on; the response has its body."""
        return self._wait(self._pool.send_on, connection, request, timeout=timeout)

    def release_connection(self, connection: HTTP1Connection) -> None:
        """See ConnectionPool.release_connection."""
        self._call(self._pool.release_connection, connection)

    def cleanup(self) -> int:
        """See ConnectionPool.cleanup."""
        return self._call(self._pool.cleanup)

    def stats(self) -> PoolStatistics:
        """See ConnectionPool.stats."""
        return self._call(self._pool.stats)

    def host_connection_count(self, host: str, port: int) -> int:
        """See ConnectionPool.host_connection_count."""
        return self._call(self._pool.host_connection_count, host, port)

    def close(self) -> None:
        """See ConnectionPool.close."""
        self._wait(self._pool.close)

    def _wait(
        self, function: Callable[P, Deferred[T]], *args: P.args, **options: P.kwargs
    ) -> T:
        found: Any = self._call(function, *args, **options)
        waited_for: T = found  # blockingCallFromThread waits for Deferreds itself
        return waited_for

    def _call(self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        if isInIOThread():
            raise LocalProtocolError("this blocks: on the reactor's thread use a pool")
        found: Any = blockingCallFromThread(
            self._pool.reactor, function, *args, **options
        )
        result: T = found
        return result
