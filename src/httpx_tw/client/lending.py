"""Who waits for a connection that is to be used by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from httpx_tw.client.deadlines import NEVER

if TYPE_CHECKING:
    from httpx_tw.client.connection import HTTP1Connection
    from httpx_tw.client.pool import ConnectionPool
    from httpx_tw.client.pool_facts import PoolKey
    from httpx_tw.client.slots import Dial
    from httpx_tw.client.timeouts import Timeout

__all__ = ["Borrower"]


class Borrower:
    """Waits for a connection, as an Exchange does, and has it lent."""

    dial: Dial | None = None
    deadline = NEVER
    total_deadline = NEVER

    def __init__(self, pool: ConnectionPool, key: PoolKey, timeout: Timeout) -> None:
        self._pool = pool
        self.key = key
        self.timeout = timeout
        self.lent: Deferred[HTTP1Connection] = Deferred(self._cancelled)

    def use(self, connection: HTTP1Connection) -> None:
        """See Exchange."""
        connection.is_lent = True
        self.lent.callback(connection)

    def failed(self, error: BaseException) -> None:
        """See Exchange."""
        if not self.lent.called:
            self.lent.errback(Failure(error))

    def _cancelled(self, _: Deferred[Any]) -> None:
        self._pool.forget(self)
