"""What the connections of a server share; the protocol factory that makes them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IProtocolFactory,
    IProtocolNegotiationFactory,
)
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from httpx_tw.app.response import Response
from httpx_tw.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, Timeouts
from httpx_tw.observe.stats import ServerStats
from httpx_tw.protocol.http1_reader import RequestHeadParser
from httpx_tw.server.connection import HTTP1Connection
from httpx_tw.server.dates import FixedFields
from httpx_tw.server.deadlines import NEVER, Tick, interval_for
from httpx_tw.server.file_sending import FileTurn
from httpx_tw.server.wire import Phase
from httpx_tw.transport.listener import AcceptGate
from httpx_tw.workers.disk import DiskThreads

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IAddress

    from httpx_tw.app.app import App
    from httpx_tw.observe.access_log import AccessLog
    from httpx_tw.server.threads import Threads

__all__ = ["HTTPFactory"]

_log = Logger()

_NOWHERE = 3
"""More than any Route.runs_on: no endpoint is handed to a worker."""

_RETRY_AFTER = "1"
"""Seconds until a client that was turned away may ask again: queues are short-lived."""

_SHED = 32
"""Idle connections closed when descriptors run out: the longest idle."""


@implementer(IProtocolFactory, IProtocolNegotiationFactory)
class HTTPFactory:
    """A Twisted protocol factory that serves an App.

    Give it to any endpoint or ``listenTCP`` of your own; Server does so for you. It
    ticks between ``doStart`` and ``doStop``, which ports call by themselves.

    :param app: what answers the requests.
    :param reactor: the time of deadlines (IReactorTime).
    :param access_log: None: no access log.
    :param server_name: the Server field; "" for none.
    :param hsts: max-age, in seconds, of the Strict-Transport-Security in each response
        over TLS. 0: no such field.
    :param wall_clock: seconds since the epoch, for the Date field.
    :param threads: the workers for endpoints that may block; whoever made them stops
        them. None: every endpoint runs on the reactor thread.

    Everything happens on the reactor thread.
    """

    noisy = False

    def __init__(  # noqa: PLR0913, PLR0915  # all but two are keywords with defaults; and all that a server keeps
        self,
        app: App,
        reactor: Any,
        *,
        limits: Limits = DEFAULT_LIMITS,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        access_log: AccessLog | None = None,
        server_name: str = "httpx-tw",
        hsts: int = 0,
        wall_clock: Callable[[], float] = time.time,
        threads: Threads | None = None,
    ) -> None:
        self.app = app
        self.find = app.find
        self.limits = limits
        self.timeouts = timeouts
        self.keep_alive = timeouts.keep_alive or NEVER
        self.access_log = access_log
        self.parser = RequestHeadParser(limits)
        self.seconds: Callable[[], float] = reactor.seconds
        self.tick = Tick(reactor, interval_for(timeouts), self._ticked)
        self.fixed = FixedFields(server_name, hsts)
        self.gate = AcceptGate(limits.max_connections, self._shed_idle)
        self.use_threads(threads)
        self.disk_reads = DiskThreads(reactor)
        self.file_turn = FileTurn()
        self._reactor = reactor
        self._wall_clock = wall_clock
        self._ports = 0
        self._started_at: float | None = None
        self._connections: set[HTTP1Connection] = set()
        self._when_empty: list[Deferred[None]] = []
        self.is_draining = False
        self.counts_requests = bool(limits.max_requests_per_connection)
        # Figures; see ServerStats.
        self.accepted = 0
        self.closed = 0
        self.responses = [0] * 10  # by the first digit of the status
        self.bytes_received = 0
        self.bytes_sent = 0
        self.protocol_errors = 0
        self.handler_errors = 0
        self.deadlines_passed = 0
        self.disconnects = 0

    # Called by ports: IProtocolFactory

    def doStart(self) -> None:
        """See IProtocolFactory."""
        self._ports += 1
        if self._ports == 1:
            self._started_at = self.seconds()
            self.is_draining = False
            self.counts_requests = bool(self.limits.max_requests_per_connection)
            self._start_ticking()

    def doStop(self) -> None:
        """See IProtocolFactory."""
        self._ports -= 1
        if not self._ports and not self._connections:
            self._rest()

    def buildProtocol(self, addr: IAddress | None) -> HTTP1Connection | None:
        """See IProtocolFactory. None: over the limit, on ports that cannot wait."""
        del addr
        return None if self.gate.refuses else HTTP1Connection(self)

    def acceptableProtocols(self) -> list[bytes]:  # noqa: N802  # Twisted's name
        """See IProtocolNegotiationFactory: ALPN, where TLS is Twisted's own.

        Without it Twisted fails every client that offers anything.
        """
        return [b"http/1.1"]

    # Called by connections

    def connection_opened(self, connection: HTTP1Connection) -> None:
        """Count *connection* and watch its deadlines."""
        if not self.tick.is_running:
            # Accepted elsewhere and handed over (adoptStreamConnection): no port.
            self._start_ticking()
        self.accepted += 1
        self._connections.add(connection)
        self.gate.connection_opened()

    def connection_closed(self, connection: HTTP1Connection) -> None:
        """Forget *connection*."""
        self.closed += 1
        self._connections.discard(connection)
        self.gate.connection_closed()
        if not self._connections:
            waiting, self._when_empty = self._when_empty, []
            for deferred in waiting:
                deferred.callback(None)
            if not self._ports:
                self._rest()

    def refused(self, client: str, status: int, length: int) -> None:
        """Count an answer to something that was no request."""
        self.responses[status // 100] += 1
        if self.access_log is not None:
            self.access_log.record(client, "-", "-", "1.1", status, length, [])

    def timeout_response(self) -> Response:
        """Return the answer for a handler that took too long."""
        return Response.text("503 Service Unavailable: it took too long\n", 503)

    def overload_response(self) -> Response:
        """Return the answer for a request that no worker can take."""
        return Response.text(
            "503 Service Unavailable: too many requests wait already\n",
            503,
            [("Retry-After", _RETRY_AFTER)],
        )

    def use_threads(self, threads: Threads | None) -> None:
        """From the next request on, hand endpoints to *threads*; None: to none."""
        self.threads: Any = threads
        """Worker threads; None: every endpoint runs on the reactor thread."""
        self.offload_from = _NOWHERE if threads is None else threads.takes_from
        """The least Route.runs_on that is handed to a worker."""

    def next_turn(self) -> Deferred[None]:
        """Return a Deferred that fires when the reactor has been round."""
        return deferLater(self._reactor, 0)

    # Stopping

    def drain(self) -> Deferred[None]:
        """End every connection as soon as it has nothing to do; fire when none is left.

        Idle ones are closed at once, the others with their exchange.
        """
        self.is_draining = True
        self.counts_requests = True
        finished: Deferred[None] = Deferred()
        self._when_empty.append(finished)
        for connection in list(self._connections):
            connection.drain()
        if not self._connections and not finished.called:
            self._when_empty.remove(finished)
            finished.callback(None)
        return finished

    def abort(self) -> None:
        """End every connection at once."""
        for connection in list(self._connections):
            connection.abort()

    # Ours

    def _start_ticking(self) -> None:
        self.fixed.refresh(self._wall_clock())
        self.tick.start()

    def _rest(self) -> None:
        self.tick.stop()
        if self.access_log is not None:
            self.access_log.flush()

    def _ticked(self, now: float) -> None:
        self.fixed.refresh(self._wall_clock())
        self.gate.retry()
        for connection in list(self._connections):
            # Most are idle, in time, and done with in this comparison.
            if (
                connection.deadline <= now
                or connection.exchange is not None
                or connection.is_watched
            ):
                try:
                    connection.check(now)
                except Exception:  # noqa: BLE001  # one must not keep time from others
                    _log.failure("a deadline could not be dealt with: aborted")
                    connection.transport.abortConnection()
        if self.access_log is not None:
            self.access_log.flush()

    def _shed_idle(self) -> None:
        """Close the connections idle for longest: their descriptors are worth more."""
        idle = [c for c in self._connections if c.phase is Phase.IDLE]
        idle.sort(key=lambda connection: connection.deadline)
        for connection in idle[:_SHED]:
            connection.drain()

    def statistics(self) -> ServerStats:
        """Return the figures of this moment."""
        phases = [connection.phase for connection in self._connections]
        started = self._started_at
        responses = self.responses
        return ServerStats(
            connections_accepted=self.accepted,
            connections_open=len(phases),
            connections_closed=self.closed,
            reading_request=sum(p <= Phase.COLLECTING for p in phases),
            processing=sum(p is Phase.PROCESSING for p in phases),
            writing_response=sum(
                p in (Phase.WRITING, Phase.DISCARDING) for p in phases
            ),
            closing=sum(p >= Phase.LINGERING for p in phases),
            accepting=self.gate.is_open,
            requests=sum(responses),
            responses_1xx=responses[1],
            responses_2xx=responses[2],
            responses_3xx=responses[3],
            responses_4xx=responses[4],
            responses_5xx=responses[5],
            bytes_received=self.bytes_received,
            bytes_sent=self.bytes_sent,
            protocol_errors=self.protocol_errors,
            handler_errors=self.handler_errors,
            deadlines_passed=self.deadlines_passed,
            disconnects=self.disconnects,
            times_out_of_descriptors=self.gate.times_exhausted,
            uptime=0.0 if started is None else self.seconds() - started,
        )
