"""One request on its way: from asking for a connection to the start of its response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from twisted.python.failure import Failure

from httpx_tw.client.awaited import Awaited
from httpx_tw.client.deadlines import NEVER
from httpx_tw.client.pool_facts import DropReason

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from httpx_tw.client.connection import HTTP1Connection
    from httpx_tw.client.outgoing import OutgoingRequest
    from httpx_tw.client.pool import ConnectionPool
    from httpx_tw.client.pool_facts import PoolKey
    from httpx_tw.client.response import ClientResponse
    from httpx_tw.client.saving import Progress
    from httpx_tw.client.slots import Dial
    from httpx_tw.client.timeouts import Timeout

__all__ = ["BareOwner", "Exchange", "ExchangeOwner"]


class ExchangeOwner(Protocol):
    """Who is told of an exchange that is not simply over."""

    pool: ConnectionPool

    def conclude(
        self, exchange: Exchange, outcome: ClientResponse | BaseException
    ) -> None:
        """Fire the exchange, now or later."""


class Exchange(Awaited["ClientResponse"]):
    """A request, and the Deferred of its response.

    One object is both, not a Deferred beside it that knows how to cancel it. It waits
    for a connection (the pool has it), then for a response (its connection has it),
    then it is over, or its owner goes on with it: redirects, retries.
    """

    __slots__ = (
        "connection",
        "is_over",
        "is_plain",
        "limit",
        "owner",
        "request",
        "started",
        "streams",
        "timeout",
        "total_deadline",
    )
    # What each exchange has is in slots: with all that a Deferred has it would be more
    # than CPython keeps without a dictionary for each, 5 % of a GET's instructions.
    # What most never change is a class attribute: 0.3 µs less than slots that are all
    # filled.

    dial: Dial | None = None
    response: ClientResponse | None = None
    """The response whose body is being collected."""
    following: Deferred[Any] | None = None
    """What the owner does on behalf of it."""
    deadline = NEVER
    """When waiting for a slot has taken too long."""
    met_stale_connection = False
    """The server had closed the connection, it seems, before it saw the request."""
    upload_progress: Progress | None = None
    """What is told how much of the request's body was sent."""

    def __init__(
        self,
        request: OutgoingRequest,
        timeout: Timeout,
        limit: float,
        owner: ExchangeOwner,
    ) -> None:
        super().__init__()
        self.request = request
        self.timeout = timeout
        self.limit = limit
        """Most bytes of body, if it is collected."""
        self.owner = owner
        self.connection: HTTP1Connection | None = None
        self.started = 0.0
        self.total_deadline = NEVER
        self.is_over = False
        self.streams = False
        """The response is given at its head; else with its body."""
        self.is_plain = True
        """A good response is the answer, whatever its fields say."""

    @property
    def key(self) -> PoolKey:
        """What kind of connection it wants."""
        return self.request.key

    def use(self, connection: HTTP1Connection) -> None:
        """Go on with *connection*: it is ours until the exchange is over."""
        connection.send(self)

    # What there is to note: see TimedExchange. The shortest way passes by all of it.

    def begin(self, now: float) -> None:
        """It begins later than the call that it is a part of."""

    def request_sent(self) -> None:
        """All of the request is sent."""

    def response_started(self) -> None:
        """The head of the final response is there."""

    def response_ended(self) -> None:
        """The last byte of the response is there."""

    def answered(self, response: ClientResponse) -> None:
        """Give *response*: it is complete, or streams."""
        self.is_over = True
        self.connection = None
        response.elapsed = self.owner.pool.seconds() - self.started
        head = response.head
        if self.is_plain and head.status < 300 and not head.sets_cookies:
            self.fire(response)
        else:
            self.owner.conclude(self, response)

    def failed(self, error: BaseException) -> None:
        """Give up because of *error*; over already is fine."""
        if not self.is_over:
            self.is_over = True
            self.connection = None
            self.owner.conclude(self, error)

    def cancel(self) -> None:
        """See Deferred.cancel: want the response no more."""
        if not self.called:
            self._give_up()
        super().cancel()

    def _give_up(self) -> None:
        if self.following is not None:
            self.following.cancel()
        elif not self.is_over:
            self.is_over = True
            connection, self.connection = self.connection, None
            if connection is not None:
                connection.give_up(DropReason.CANCELLED)
            else:
                self.owner.pool.forget(self)


class BareOwner:
    """The owner of an exchange whose outcome is its end."""

    __slots__ = ("pool",)

    def __init__(self, pool: ConnectionPool) -> None:
        self.pool = pool

    def conclude(
        self, exchange: Exchange, outcome: ClientResponse | BaseException
    ) -> None:
        """See ExchangeOwner."""
        if isinstance(outcome, BaseException):
            exchange.errback(Failure(outcome))
        else:
            exchange.callback(outcome)
