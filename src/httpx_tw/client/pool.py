"""A pool of connections: it does what the slots decide, and keeps the deadlines."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred, succeed

from httpx_tw.client.connection import HTTP1Connection
from httpx_tw.client.deadlines import NEVER, Tick
from httpx_tw.client.decoding import body_decoder
from httpx_tw.client.dialing import Dialer
from httpx_tw.client.exchange import BareOwner, Exchange
from httpx_tw.client.lending import Borrower
from httpx_tw.client.pool_facts import DropReason, PoolConfig
from httpx_tw.client.slots import Abandon, Close, Dial, Refuse, Slots, Use
from httpx_tw.client.timeouts import DEFAULT_TIMEOUT
from httpx_tw.client.wire import Phase
from httpx_tw.errors import (
    ClientClosed,
    ConfigurationError,
    ConnectFailed,
    ConnectTimeout,
    HTTPXError,
    LocalProtocolError,
    PoolExhausted,
    PoolTimeout,
    TotalTimeout,
)
from httpx_tw.headers import Headers
from httpx_tw.limits import KIB, Limits
from httpx_tw.protocol.http1_reader import ResponseHeadParser

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure

    from httpx_tw.client.body import Decoder
    from httpx_tw.client.dialing import MakesConnections
    from httpx_tw.client.outgoing import OutgoingRequest
    from httpx_tw.client.pool_facts import PoolKey, PoolStatistics
    from httpx_tw.client.response import ClientResponse
    from httpx_tw.client.slots import Order
    from httpx_tw.client.timeouts import Timeout
    from httpx_tw.protocol.events import ResponseHead
    from httpx_tw.tls.contexts import ClientContexts

__all__ = ["RESPONSE_LIMITS", "ConnectionPool"]

RESPONSE_LIMITS: Final = Limits(
    max_request_line=8190,
    max_header_bytes=64 * KIB,  # policies and cookies add up; curl takes 300 KiB
    max_headers=256,
)
"""What a response may have of head; ``max_request_line`` goes for its status line."""

IDLE_INTERVAL: Final = 5.0
"""Seconds between two looks at connections that are all idle."""


class _Dialing:
    """A dial going on."""

    __slots__ = ("deadline", "deferred", "error", "timeout")

    def __init__(self, timeout: float | None, deadline: float) -> None:
        self.timeout = timeout
        self.deadline = deadline
        self.deferred: Deferred[HTTP1Connection]
        self.error: Exception | None = None


class ConnectionPool:
    """Connections kept open between requests, of one client or of several.

    Reactor thread only; other threads have
    :class:`~httpx_tw.client.pool_threads.ThreadsafePool`.

    :param config: None: the defaults.
    :param reactor: None: the one that is installed when the first request is made.
    :param contexts: where TLS contexts and sessions come from; None: its own.
    :param dialer: what makes connections; None: a Dialer, with *contexts*.
    :raises ConfigurationError: *config* is something else.
    """

    def __init__(
        self,
        config: PoolConfig | None = None,
        *,
        reactor: Any = None,
        contexts: ClientContexts | None = None,
        dialer: MakesConnections | None = None,
    ) -> None:
        if not isinstance(config, PoolConfig | None):
            raise ConfigurationError(f"not a PoolConfig: {config!r}")
        self.config = PoolConfig() if config is None else config
        self.limits = RESPONSE_LIMITS
        self.parser = ResponseHeadParser(self.limits)
        self.is_closed = False
        self.reactor: Any = None
        self.seconds: Callable[[], float]
        """The reactor's time; only once something was started."""
        self.tick: Tick
        self._contexts = contexts
        self._dialer = dialer
        self._slots: Slots[HTTP1Connection, Exchange | Borrower] = Slots(self.config)
        self._connections: dict[HTTP1Connection, None] = {}
        self._dialing: dict[Dial, _Dialing] = {}
        self._all_closed: list[Deferred[None]] = []
        if reactor is not None:
            self._use_reactor(reactor)

    def _use_reactor(self, reactor: Any) -> None:
        self.reactor = reactor
        self.seconds = reactor.seconds
        self.tick = Tick(reactor, self._ticked)
        if self._dialer is None:
            self._dialer = Dialer(reactor, self._contexts)

    # Called by clients

    def start(self, exchange: Exchange, *, may_wait: bool = True) -> None:
        """Give *exchange* a connection, now or when there is one.

        :param may_wait: False: fail when all connections are in use.
        :raises PoolExhausted: they are, and it may not wait.
        :raises ClientClosed: the pool is closed.
        """
        timeout = exchange.timeout
        if self.reactor is None or timeout.interval < self.tick.interval:
            self._wake(timeout)
        tick = self.tick
        if not exchange.started:
            exchange.started = self.seconds()
            exchange.total_deadline = tick.latest + timeout.total  # type: ignore[operator]  # it is inf, never None: see Timeout
        connection = self._slots.take(exchange.request.key)
        if connection is None:
            self._ask(exchange, may_wait=may_wait)
        elif exchange.request.is_idempotent or not connection.may_be_stale:
            connection.send(exchange)
        else:
            # Sent into a closed connection it could not be sent again: nobody would
            # know whether the server has done it.
            self._obey(self._slots.drop(connection, DropReason.PEER_CLOSED))
            self.start(exchange, may_wait=may_wait)

    def _wake(self, timeout: Timeout) -> None:
        """See to it that deadlines of *timeout* are met."""
        if self.reactor is None:
            # Imported here, so that importing us installs nothing.
            self._use_reactor(importlib.import_module("twisted.internet.reactor"))
        if timeout.interval < self.tick.interval:
            self.tick.hasten(timeout.interval)

    def _ask(self, exchange: Exchange | Borrower, *, may_wait: bool) -> None:
        if self.is_closed:
            self._rest()
            raise ClientClosed("the connection pool is closed")
        exchange.deadline = self.tick.latest + exchange.timeout.pool  # type: ignore[operator]  # see start
        self._obey(self._slots.ask(exchange, may_wait=may_wait))

    def forget(self, waiter: Exchange | Borrower) -> None:
        """Let *waiter*, which waits for a connection, wait no more."""
        self._obey(self._slots.forget(waiter))
        self._rest()

    # Called by people

    def get_connection(
        self,
        key: PoolKey,
        *,
        wait: bool = True,
        timeout: Timeout = DEFAULT_TIMEOUT,
    ) -> Deferred[HTTP1Connection]:
        """Return a connection that is its caller's until it is released.

        Use it with :meth:`send_on`. It counts as active meanwhile. Whoever only wants
        responses has no need of this: see Client.

        :param key: for instance ``PoolKey("http", "a.example", 80)``.
        :param wait: False: fail with PoolExhausted if all are in use.
        :param timeout: its ``connect`` and ``pool`` count.
        """
        self._wake(timeout)
        borrower = Borrower(self, key, timeout)
        connection = self._slots.take(key)
        if connection is not None:
            borrower.use(connection)
            return borrower.lent
        try:
            self._ask(borrower, may_wait=wait)
        except (PoolExhausted, ClientClosed) as error:
            borrower.failed(error)
        return borrower.lent

    def send_on(
        self,
        connection: HTTP1Connection,
        request: OutgoingRequest,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        stream: bool = False,
    ) -> Deferred[ClientResponse]:
        """Send *request* on a connection from get_connection; return its response.

        Nothing follows from the response: no redirects, no retries, no cookies.

        :raises LocalProtocolError: the connection is busy, closed, or was released.
        """
        if not (connection.is_lent and connection.is_free):
            raise LocalProtocolError("the connection is busy, closed or given back")
        self._wake(timeout)
        exchange = Exchange(request, timeout, request.limit, BareOwner(self))
        exchange.streams = stream
        exchange.is_plain = False
        exchange.started = self.seconds()
        exchange.total_deadline = self.tick.latest + timeout.total  # type: ignore[operator]  # see start
        connection.send(exchange)
        return exchange

    def release_connection(self, connection: HTTP1Connection) -> None:
        """Give a connection back; closed or given back already is fine.

        One that is still busy is closed.
        """
        if not connection.is_lent:
            return
        connection.is_lent = False
        if connection.is_free:
            self.connection_free(connection)
        else:
            connection.fail(
                ClientClosed("the connection was given back"), DropReason.CANCELLED
            )

    @property
    def requests(self) -> int:
        """How many requests there were since the beginning, with those that failed."""
        return self._slots.requests

    def stats(self) -> PoolStatistics:
        """Return the figures of this moment."""
        return self._slots.statistics()

    def host_connection_count(self, host: str, port: int) -> int:
        """Return how many connections to *host* and *port* there are, or are made."""
        return self._slots.host_count(host, port)

    def cleanup(self) -> int:
        """Close what has been idle for too long; return how many that were.

        It happens by itself, too, up to 5 seconds late.
        """
        if self.reactor is None:
            return 0
        orders = self._slots.expire(self.reactor.seconds())
        self._obey(orders)
        return sum(type(order) is Close for order in orders)

    def close_idle(self) -> None:
        """Close all connections that are idle, and forget the addresses of names."""
        self._obey(self._slots.close_idle(DropReason.POOL_CLOSED))
        if self._dialer is not None:
            self._dialer.forget_addresses()

    def close(self) -> Deferred[None]:
        """Close all connections; fires when they are closed.

        Whoever waits for a connection or a response gets ClientClosed.
        """
        if not self.is_closed:
            self.is_closed = True
            if self.reactor is not None:
                self._close_all()
            if self._dialer is not None:
                self._dialer.close()
        if self._slots.is_empty:
            return succeed(None)
        closed: Deferred[None] = Deferred(self._all_closed.remove)
        self._all_closed.append(closed)
        return closed

    def _close_all(self) -> None:
        error = ClientClosed("the client was closed")
        for exchange in self._slots.waiting():
            self.forget(exchange)
            exchange.failed(error)
        self._obey(self._slots.close_idle(DropReason.POOL_CLOSED))
        for connection in list(self._connections):
            connection.fail(error, DropReason.CANCELLED)
        for dialing in list(self._dialing.values()):
            dialing.deferred.cancel()

    # Called by connections: WireOwner

    def connection_free(self, connection: HTTP1Connection) -> None:
        """See WireOwner."""
        if connection.is_lent:
            return  # until release_connection
        orders = self._slots.release(connection, self.tick.latest)
        if orders:
            self._obey(orders)

    def connection_spoilt(
        self, connection: HTTP1Connection, reason: DropReason
    ) -> None:
        """See WireOwner."""
        self._obey(self._slots.drop(connection, reason))

    def connection_closed(
        self, connection: HTTP1Connection, reason: DropReason
    ) -> None:
        """See WireOwner."""
        self._connections.pop(connection, None)
        self._obey(self._slots.remove(connection, reason))
        self._rest()

    def _rest(self) -> None:
        """Leave nothing behind when there is no connection, and nobody wants one."""
        if not self._slots.is_empty:
            return
        self.tick.stop()
        waiting, self._all_closed = self._all_closed, []
        for deferred in waiting:
            deferred.callback(None)

    def decoder_for(self, response: ResponseHead) -> Decoder | None:
        """See WireOwner."""
        headers = Headers.from_pairs(response.headers)
        return body_decoder(headers.get("content-encoding"), max_size=0)

    # Doing what was decided

    def _obey(self, orders: list[Order[HTTP1Connection, Exchange | Borrower]]) -> None:
        for order in orders:
            if type(order) is Use:
                order.waiter.use(order.connection)
            elif type(order) is Close:
                order.connection.close(order.reason)
            elif type(order) is Dial:
                self._dial(order)
            elif type(order) is Abandon:
                self._dialing.pop(order.dial).deferred.cancel()
            else:
                assert type(order) is not Refuse, "dial_failed deals with these"

    def _dial(self, dial: Dial) -> None:
        exchange: Exchange | Borrower = dial.waiter
        exchange.deadline = NEVER  # the dial's own governs
        timeout = exchange.timeout.connect
        assert self._dialer is not None
        dialing = _Dialing(timeout, self.tick.latest + timeout)  # type: ignore[operator]  # see start
        self._dialing[dial] = dialing
        dialing.deferred = Deferred.fromCoroutine(
            self._dialer.dial(dial.key, self._make)
        )
        dialing.deferred.addCallbacks(
            self._dialed, self._dial_failed, callbackArgs=(dial,), errbackArgs=(dial,)
        )

    def _make(
        self, handshake: Callable[[Failure | None], None] | None
    ) -> HTTP1Connection:
        return HTTP1Connection(self, handshake)

    def _dialed(self, connection: HTTP1Connection, dial: Dial) -> None:
        if self._dialing.pop(dial, None) is None:
            connection.transport.abortConnection()  # abandoned, and made all the same
            return
        self._connections[connection] = None
        self._obey(self._slots.dialed(dial, connection, self.tick.latest))

    def _dial_failed(self, failure: Failure, dial: Dial) -> None:
        dialing = self._dialing.pop(dial, None)
        if dialing is None:
            return  # abandoned
        error = dialing.error or failure.value
        if not isinstance(error, HTTPXError):
            cause = error
            error = ConnectFailed(f"no connection could be made: {cause}")
            error.__cause__ = cause
        orders = self._slots.dial_failed(dial)
        for order in orders:
            if type(order) is Refuse:
                order.waiter.failed(error)
            else:
                self._obey([order])
        self._rest()

    # Called by the tick

    def _ticked(self, now: float) -> float:
        """Deal with the deadlines that have passed; return when to look again."""
        for connection in list(self._connections):
            connection.check(now)
        for exchange in self._slots.waiting():
            self._check_waiting(exchange, now)
        for dialing in list(self._dialing.values()):
            if dialing.deadline <= now:
                dialing.error = ConnectTimeout(
                    f"no connection after {dialing.timeout} seconds"
                )
                dialing.deferred.cancel()
        self._obey(self._slots.expire(now))
        return self._interval()

    def _check_waiting(self, exchange: Exchange | Borrower, now: float) -> None:
        timeout = exchange.timeout
        if exchange.total_deadline <= now:
            self.forget(exchange)
            exchange.failed(TotalTimeout(f"no end after {timeout.total} seconds"))
        elif exchange.deadline <= now:
            self.forget(exchange)
            exchange.failed(
                PoolTimeout(f"no connection came free in {timeout.pool} seconds")
            )
        elif exchange.deadline == NEVER and exchange.dial is None:
            # Its dial has served another, who had asked before.
            exchange.deadline = now + timeout.pool  # type: ignore[operator]  # see start

    def _interval(self) -> float:
        if self._slots.is_empty:
            return NEVER
        intervals = [exchange.timeout.interval for exchange in self._slots.waiting()]
        for connection in self._connections:
            if connection.exchange is not None:
                intervals.append(connection.exchange.timeout.interval)
            elif connection.phase is Phase.CLOSING:
                intervals.append(1.0)
        if self._dialing:
            intervals.append(1.0)
        idle = max(0.02, self.config.idle_timeout_ms / 4000)
        return min(intervals, default=min(IDLE_INTERVAL, idle))
