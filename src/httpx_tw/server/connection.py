"""One HTTP/1 connection: bytes in, exchanges one after the other, bytes out.

IDLE → HEAD → COLLECTING → PROCESSING → WRITING → IDLE …
                 (body for a plain handler)    ↘ DISCARDING (body nobody read) → IDLE
from anywhere: → LINGERING (refused early; reading on) → CLOSING → CLOSED
               → SWITCHED (another protocol has the connection)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol
from twisted.logger import Logger
from zope.interface import implementer

from httpx_tw.app.percent import decoded_path
from httpx_tw.app.request import Request
from httpx_tw.errors import (
    BodyConsumed,
    BodyTooLarge,
    ConnectionLost,
    DeadlinePassed,
    RemoteProtocolError,
)
from httpx_tw.protocol.events import (
    END_OF_MESSAGE,
    NEED_DATA,
    PAUSED,
    RequestHead,
)
from httpx_tw.protocol.http1_writer import reason_phrase
from httpx_tw.server.answering import DISCARD_LIMIT, Answering
from httpx_tw.server.deadlines import NEVER
from httpx_tw.server.exchange import Exchange
from httpx_tw.server.wire import Phase

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from httpx_tw.app.route import Route
    from httpx_tw.protocol.http1 import Event
    from httpx_tw.server.factory import HTTPFactory

__all__ = ["HTTP1Connection"]

_log = Logger()

_TEXT: Final = [(b"content-type", b"text/plain; charset=utf-8")]

_IDLE: Final = Phase.IDLE
_WRITING: Final = Phase.WRITING
_LINGERING: Final = Phase.LINGERING


@implementer(IProtocol, IHalfCloseableProtocol)
class HTTP1Connection(Answering):
    """The protocol of one connection. Everything happens on the reactor thread."""

    __slots__ = ("_advancing", "_to_discard", "requests")

    def __init__(self, factory: HTTPFactory) -> None:
        super().__init__(factory)
        self.requests = 0
        self._advancing = False
        self._to_discard = 0  # bytes of request body we are willing to skip

    # Called by Twisted: IProtocol, IHalfCloseableProtocol

    def connectionMade(self) -> None:
        """See IProtocol."""
        self.factory.connection_opened(self)
        # The head's deadline counts from here: a silent client has no right to more.
        self.set_deadline(self.factory.timeouts.head)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self.factory.bytes_received += len(data)
        if self.phase >= _LINGERING:
            if self.phase is Phase.SWITCHED:
                self.switched_to.dataReceived(data)
            return
        if self._advancing:
            # The transport delivers from inside a call of ours; the loop that made the
            # call comes back to these bytes.
            self.http.hold(data)
            return
        try:
            event = self.http.receive(data)
        except RemoteProtocolError as error:
            self._refuse(error)
            return
        self._advance(event)

    def readConnectionLost(self) -> None:
        """See IHalfCloseableProtocol: the client has said all it wanted to say."""
        if self.phase is Phase.SWITCHED:
            if IHalfCloseableProtocol.providedBy(self.switched_to):
                self.switched_to.readConnectionLost()
            else:
                self.transport.loseConnection()
            return
        if self.phase >= _LINGERING:
            self.close()
            return
        self.http.hold_eof()
        if not self._advancing:
            self._next()

    def writeConnectionLost(self) -> None:
        """See IHalfCloseableProtocol."""
        if IHalfCloseableProtocol.providedBy(self.switched_to):
            self.switched_to.writeConnectionLost()

    def connectionLost(self, reason: Failure) -> None:
        """See IProtocol."""
        self.phase = Phase.CLOSED
        self.http.keep_alive = False
        self.deadline = NEVER
        self._outgoing = None
        self.factory.connection_closed(self)
        switched_to, self.switched_to = self.switched_to, None
        if switched_to is not None:
            switched_to.connectionLost(reason)
        exchange, self.exchange = self.exchange, None
        if self._leave_worker() or exchange is not None:
            self.factory.disconnects += 1
        if exchange is not None:
            exchange.abandon(ConnectionLost("the client closed the connection"))

    # Called by the wire

    def drained(self) -> None:
        """See Wire."""
        if self.exchange is not None:
            self.exchange.drained()
        elif self.phase < _LINGERING and not self._advancing:
            if self.phase is _WRITING:
                self.phase = _IDLE
            self.resume_reading()
            self._next()

    def ending(self) -> None:
        """See Wire."""
        self.http.keep_alive = False
        self._leave_worker()
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.abandon(ConnectionLost("the connection was closed"))

    @property
    def peer_has_closed(self) -> bool:
        """See Wire."""
        return self.http.peer_has_closed

    # The exchange of messages

    def _advance(self, event: Event) -> None:  # noqa: C901, PLR0912, PLR0915  # a branch an event
        """Deal with *event* and all that can be dealt with after it."""
        self._advancing = True
        http = self.http
        try:
            while True:
                if type(event) is RequestHead:
                    factory = self.factory
                    self.requests += 1
                    if factory.counts_requests:
                        self._maybe_last()
                    path = event.path
                    route, params = factory.find(event.method, path)
                    if "%" in path:
                        # A path that cannot be decoded is answered 400 by its route;
                        # whoever looks at it meanwhile sees it as it came.
                        path = decoded_path(path) or path
                    if event.body_length:
                        self._with_body(event, path, route, params)
                    elif self.answer(
                        Request(event, path, event.query, route, params, self, b"")
                    ):
                        # The rest of the loop would find out no more, 0.3 µs later.
                        return
                elif event is NEED_DATA:
                    if self.exchange is None:
                        self._wait_for_more()
                    return
                elif event is PAUSED:
                    if http.is_full:
                        self.pause_reading()
                    return
                elif type(event) is bytes:
                    self._body_received(event)
                elif event is END_OF_MESSAGE:
                    self._body_ended()
                else:
                    self.close()
                    return
                if self.phase >= _LINGERING:
                    return
                if self.is_write_paused and self.exchange is None:
                    # A client that does not read gets no further answers meanwhile.
                    if self.phase is _IDLE:
                        self.phase = _WRITING
                        self.deadline = NEVER
                    self.pause_reading()
                    return
                event = http.next_event()
        except RemoteProtocolError as error:
            self._refuse(error)
        finally:
            self._advancing = False

    def go_on(self) -> None:
        """See Answering."""
        if self.is_write_paused:
            # As in _advance: who does not read gets no further answers meanwhile.
            self.phase = _WRITING
            self.deadline = NEVER
            self.pause_reading()
            return
        self.resume_reading()
        if not self._advancing:
            self._next()

    def _next(self) -> None:
        """Go on with what was received before."""
        try:
            event = self.http.next_event()
        except RemoteProtocolError as error:
            self._refuse(error)
            return
        self._advance(event)

    def _wait_for_more(self) -> None:
        if self.http.is_idle:
            if self.requests:
                self.phase = _IDLE
                factory = self.factory
                self.deadline = factory.tick.latest + factory.keep_alive
        elif self.phase is _IDLE:
            self.phase = Phase.HEAD
            self.set_deadline(self.factory.timeouts.head)

    def _maybe_last(self) -> None:
        limit = self.factory.limits.max_requests_per_connection
        if self.factory.is_draining or (limit and self.requests >= limit):
            self.http.keep_alive = False

    def _with_body(
        self, head: RequestHead, path: str, route: Route, params: Any
    ) -> None:
        factory = self.factory
        limit = factory.limits.max_body if route.max_body is None else route.max_body
        # A 404, a 405 or a redirect is known before the body is here, however large:
        # nobody is asked to send it, and nobody waits for it.
        is_refusal = route.template is None
        if limit and head.body_length > limit and not is_refusal:
            raise BodyTooLarge(f"a body of {head.body_length} bytes, limit {limit}")
        request = Request(head, path, head.query, route, params, self, b"")
        self.exchange = exchange = Exchange(self, request, limit)
        exchange.continue_owed = head.expects_continue
        streams = route.streams or is_refusal
        body = exchange.expect_body(factory.seconds(), streams=streams)
        if route.is_async or not is_refusal:
            request.give_body(body)
        if streams:
            self.processing(route)
            self.answer(request)
        else:
            self.phase = Phase.COLLECTING
            self.deadline = NEVER  # the exchange's pace governs it
            self.body_wanted()

    def _body_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            self._discard(data)
            return
        try:
            exchange.body_received(data, self.factory.seconds())
        except OSError:
            self._cannot_keep_body()
            return
        if self.phase is Phase.PROCESSING:
            # The handler's time counts from the last byte it was sent.
            self.processing(exchange.request.route)

    def _discard(self, data: bytes) -> None:
        self._to_discard -= len(data)
        if self._to_discard < 0:
            self.linger()

    def _body_ended(self) -> None:
        exchange = self.exchange
        if exchange is None:
            self.exchange_over()
            return
        exchange.body_ended(self.http.trailers)
        if self.phase is Phase.COLLECTING:
            # It is a request like any without a body now.
            self.exchange = None
            request = exchange.request
            try:
                request.give_body(exchange.collected())
            except OSError:
                self._cannot_keep_body()
                return
            self.answer(request)

    def _cannot_keep_body(self) -> None:
        _log.failure("a request body could not be kept in a temporary file")
        self.factory.handler_errors += 1
        self.refuse(503, "the body could not be kept")

    # The end of an exchange

    def exchange_over(self) -> None:
        """The response is written: on to the next request, or to the end."""
        http = self.http
        exchange, self.exchange = self.exchange, None
        if not http.body_is_read:
            if exchange is not None:
                exchange.abandon(BodyConsumed("the request has been answered already"))
            if not http.keep_alive:
                self.linger()
                return
            if self.phase is not Phase.DISCARDING:
                self.phase = Phase.DISCARDING
                self._to_discard = DISCARD_LIMIT
                self.set_deadline(self.factory.timeouts.linger)
        else:
            http.start_next_cycle()
            if not http.keep_alive:
                self.close()
                return
            self.phase = _IDLE
            self.deadline = NEVER  # until the loop says what comes next
        self.resume_reading()
        if not (self._advancing or self.is_write_paused):
            self._next()

    # Refusing and ending

    def _refuse(self, error: RemoteProtocolError) -> None:
        """Answer what is no acceptable request, and end the connection."""
        self.factory.protocol_errors += 1
        self.refuse(error.status, str(error))

    def refuse(self, status: int, message: str) -> None:
        """Answer *status* and end the connection; abort it if an answer has begun."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.abandon(RemoteProtocolError(message, status))
        if self.phase is _WRITING:
            self.abort()
            return
        if self.phase >= _LINGERING:
            return
        http = self.http
        http.keep_alive = False
        if self.phase is Phase.DISCARDING:
            # Answered already; what is wrong now is in a body nobody wants.
            self.linger()
            return
        body = f"{status} {reason_phrase(status)}: {message}\n".encode()
        self.send(http.response(status, self.factory.fixed.lines, _TEXT, body))
        if exchange is not None:
            self.count(exchange.request, status, len(body))
        else:
            self.factory.refused(self.client_host, status, len(body))
        self.linger()

    def drain(self) -> None:
        """The server is stopping: end now if idle, else with the exchange going on."""
        if self.phase < _LINGERING and self.http.is_idle:
            self.close()
        elif self.phase < _LINGERING and self.http.request is not None:
            self.http.keep_alive = False

    # Called by the tick

    def check(self, now: float) -> None:
        """Deal with a deadline that has passed, or a transfer that is too slow."""
        if self.deadline <= now:
            self.factory.deadlines_passed += 1
            self._deadline_passed()
        elif self.exchange is not None and self.exchange.is_too_slow(now):
            self.factory.deadlines_passed += 1
            self.refuse(408, "the body came too slowly")
        elif self.is_read_too_slowly(now):
            self.factory.deadlines_passed += 1
            self.abort()

    def _deadline_passed(self) -> None:
        phase = self.phase
        if phase is Phase.PROCESSING:
            request = self._at_work
            if request is None:
                assert self.exchange is not None
                request = self.exchange.request
                self.exchange.abandon(DeadlinePassed("the handler took too long"))
            else:
                # The thread goes on: nothing can stop it. Nobody waits for it any more.
                self._leave_worker(in_time=False)
            self.settle(request, self.factory.timeout_response())
        elif phase is Phase.HEAD and not self.http.is_idle:
            self.refuse(408, "the head took too long")
        elif phase is Phase.CLOSING:
            self.abort()
        else:
            # Idle; silent since accept; or it did not go in the time we lingered.
            self.close()
