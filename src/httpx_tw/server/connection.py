"""One HTTP/1 connection: bytes in, exchanges one after the other, bytes out.

IDLE → HEAD → COLLECTING → PROCESSING → WRITING → IDLE …
                 (body for a plain handler)    ↘ DISCARDING (body nobody read) → IDLE
from anywhere: → LINGERING (refused early; reading on) → CLOSING → CLOSED
               → SWITCHED (another protocol has the connection)
"""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from httpx_tw.app.percent import decoded_path
from httpx_tw.app.request import Request
from httpx_tw.app.response import Response, to_json, to_response
from httpx_tw.app.upgrade import SwitchProtocols
from httpx_tw.errors import (
    BodyConsumed,
    BodyTooLarge,
    ConnectionLost,
    DeadlinePassed,
    HTTPError,
    LocalProtocolError,
    RemoteProtocolError,
)
from httpx_tw.headers import checked_value
from httpx_tw.protocol.events import (
    END_OF_MESSAGE,
    NEED_DATA,
    PAUSED,
    RequestHead,
)
from httpx_tw.protocol.grammar import list_members
from httpx_tw.protocol.http1 import Event, ServerSide
from httpx_tw.protocol.http1_reader import origin_form
from httpx_tw.protocol.http1_writer import reason_phrase
from httpx_tw.server.deadlines import NEVER
from httpx_tw.server.exchange import Exchange
from httpx_tw.server.wire import Phase, Wire

if TYPE_CHECKING:
    from httpx_tw.app.route import Route
    from httpx_tw.server.factory import HTTPFactory

__all__ = ["HTTP1Connection"]

_log = Logger()

_TEXT: Final = [(b"content-type", b"text/plain; charset=utf-8")]

_DISCARD_LIMIT: Final = 64 * 1024
"""A body nobody read is read to its end, to keep the connection, up to this size."""


def _drop(result: Any) -> None:
    """Let go of what a handler returned: a coroutine warns if it never runs."""
    if isinstance(result, CoroutineType):
        result.close()


_IDLE: Final = Phase.IDLE
_WRITING: Final = Phase.WRITING
_LINGERING: Final = Phase.LINGERING


@implementer(IProtocol, IHalfCloseableProtocol)
class HTTP1Connection(Wire):
    """The protocol of one connection. Everything happens on the reactor thread."""

    __slots__ = (
        "_advancing",
        "_streamed",
        "_to_discard",
        "exchange",
        "http",
        "requests",
        "switched_to",
    )

    def __init__(self, factory: HTTPFactory) -> None:
        super().__init__(factory)
        self.http = ServerSide(factory.parser, factory.limits)
        self.requests = 0
        self._advancing = False
        # The exchange going on, if it takes longer than one call.
        self.exchange: Exchange | None = None
        self._streamed = 0  # bytes of response body sent, before chunking
        self._to_discard = 0  # bytes of request body we are willing to skip
        # Who has the connection after a switch of protocols.
        self.switched_to: Any = None

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
        self.deadline = NEVER
        self._outgoing = None
        self.factory.connection_closed(self)
        switched_to, self.switched_to = self.switched_to, None
        if switched_to is not None:
            switched_to.connectionLost(reason)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            self.factory.disconnects += 1
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
                    self._request_received(event)
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
                if self._write_paused and self.exchange is None:
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

    def _request_received(self, head: RequestHead) -> None:
        factory = self.factory
        self.requests += 1
        if factory.counts_requests:
            self._maybe_last()
        target = head.target
        if target[0] != "/":
            target = origin_form(target)
        if "?" in target:
            path, _, query = target.partition("?")
        else:
            path, query = target, ""
        route, params = factory.find(head.method, path)
        if "%" in path:
            # A path that cannot be decoded is answered 400 by its route; whoever looks
            # at it meanwhile sees it as it came.
            path = decoded_path(path) or path
        if head.body_length:
            self._with_body(head, path, query, route, params)
            return
        self._answer(Request(head, path, query, route, params, self, b""))

    def _maybe_last(self) -> None:
        limit = self.factory.limits.max_requests_per_connection
        if self.factory.is_draining or (limit and self.requests >= limit):
            self.http.keep_alive = False

    def _with_body(
        self, head: RequestHead, path: str, query: str, route: Route, params: Any
    ) -> None:
        factory = self.factory
        limit = factory.limits.max_body if route.max_body is None else route.max_body
        # A 404, a 405 or a redirect is known before the body is here, however large:
        # nobody is asked to send it, and nobody waits for it.
        is_refusal = route.template is None
        if limit and head.body_length > limit and not is_refusal:
            raise BodyTooLarge(f"a body of {head.body_length} bytes, limit {limit}")
        request = Request(head, path, query, route, params, self, b"")
        self.exchange = exchange = Exchange(self, request, limit)
        exchange.continue_owed = head.expects_continue
        streams = route.streams or is_refusal
        body = exchange.expect_body(factory.seconds(), streams=streams)
        if route.is_async or not is_refusal:
            request.give_body(body)
        if streams:
            self._processing(route)
            self._answer(request)
        else:
            self.phase = Phase.COLLECTING
            self.deadline = NEVER  # the exchange's pace governs it
            self.body_wanted()

    def _processing(self, route: Route) -> None:
        self.phase = Phase.PROCESSING
        timeout = (
            self.factory.timeouts.handler if route.timeout is None else route.timeout
        )
        self.set_deadline(timeout)

    def _body_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            self._discard(data)
            return
        exchange.body_received(data, self.factory.seconds())
        if self.phase is Phase.PROCESSING:
            # The handler's time counts from the last byte it was sent.
            self._processing(exchange.request.route)

    def _discard(self, data: bytes) -> None:
        self._to_discard -= len(data)
        if self._to_discard < 0:
            self.linger()

    def _body_ended(self) -> None:
        exchange = self.exchange
        if exchange is None:
            self._exchange_over()
            return
        exchange.body_ended(self.http.trailers)
        if self.phase is Phase.COLLECTING:
            # It is a request like any without a body now.
            self.exchange = None
            exchange.request.give_body(exchange.collected())
            self._answer(exchange.request)

    # The answer

    def _answer(self, request: Request) -> None:
        """Call the handler and deal with what it returns."""
        try:
            result = request.route.call(request)
        except Exception:  # noqa: BLE001  # whatever a handler raises is answered
            self.failed(request, Failure())
            return
        http = self.http
        kind = type(result)
        if (
            (kind is str or kind is dict or kind is list)
            and http.keep_alive
            and self.exchange is None
            and request.head.is_http11
            and request.head.method != "HEAD"
        ):
            # What most handlers return, by the shortest way: settle() would send the
            # same bytes, 1.5 µs later.
            factory = self.factory
            fixed = factory.fixed
            try:
                if kind is str:
                    start, body = fixed.text_head, result.encode()
                else:
                    start, body = fixed.json_head, to_json(result)
            except Exception:  # noqa: BLE001  # what cannot be encoded is the handler's
                self.failed(request, Failure())
                return
            length = len(body)
            self.send(b"%b%d\r\n\r\n%b" % (start, length, body))
            factory.responses[2] += 1
            if factory.access_log is not None:
                self._log_access(request, 200, length)
            http.start_next_cycle()
            self.phase = _IDLE
            return
        self.settle(request, result)

    def settle(self, request: Request, result: Any) -> None:
        """Send *result*, what a handler or an error page gave, or wait for it."""
        if self.phase >= _LINGERING:
            # Whoever made it had the connection closed meanwhile.
            _drop(result)
        elif isinstance(result, CoroutineType):
            self._exchange_for(request).run(result)
        elif isinstance(result, Deferred):
            self._exchange_for(request).wait_for(result)
        elif isinstance(result, SwitchProtocols):
            self._switch(request, result)
        else:
            try:
                self._respond(request, to_response(result))
            except Exception:  # noqa: BLE001  # the handler returned what cannot be sent
                self.failed(request, Failure())

    def _exchange_for(self, request: Request) -> Exchange:
        if self.exchange is None:
            self.exchange = Exchange(self, request, 0)
        if self.phase is not Phase.PROCESSING:
            self._processing(request.route)
        return self.exchange

    def failed(self, request: Request, failure: Failure) -> None:
        """Answer for a handler that raised."""
        response = self.factory.app.error_response(request, failure)
        if not failure.check(HTTPError, RemoteProtocolError):
            self.factory.handler_errors += 1
        if self.phase >= _WRITING:
            # The connection was refused or lost meanwhile, or its response had begun.
            _drop(response)
            if self.phase is _WRITING:
                self.abort()
            return
        self.settle(request, response)

    def _respond(self, request: Request, response: Response) -> None:
        http = self.http
        if response.headers.closes:
            http.keep_alive = False
        if not http.body_is_read:
            self._decide_about_unread_body()
        body = response.body
        fixed = self.factory.fixed.lines
        if type(body) is bytes:
            self.send(http.response(response.status, fixed, response.headers.raw, body))
            self._count(request, response.status, len(body))
            self._exchange_over()
            return
        head = http.response_head(
            response.status, fixed, response.headers.raw, response.content_length
        )
        exchange = self._exchange_for(request)
        self.phase = _WRITING
        self.deadline = NEVER
        self._streamed = 0
        self.send(head)
        exchange.stream(response)

    def _decide_about_unread_body(self) -> None:
        """Go on with this connection only if what nobody read is soon read."""
        exchange = self.exchange
        if exchange is not None and exchange.continue_owed:
            # RFC 9110 section 10.1.1: the client may or may not send the body now.
            self.http.keep_alive = False
        elif self.http.body_left > _DISCARD_LIMIT or not self.factory.timeouts.linger:
            self.http.keep_alive = False

    def send_body(self, data: bytes) -> None:
        """Send a piece of a streaming response's body; b"" sends nothing."""
        wire = self.http.data(data)
        if wire:
            self._streamed += len(data)
            self.send(wire)

    def stream_ended(self) -> None:
        """End a streaming response that is complete."""
        exchange = self.exchange
        assert exchange is not None
        try:
            ending = self.http.end()
        except LocalProtocolError:
            _log.failure(
                "the response to {method} {path} was shorter than it said: aborted",
                method=exchange.request.method,
                path=exchange.request.path,
            )
            self.stream_failed()
            return
        if ending:
            self.send(ending)
        self._count(exchange.request, exchange.status, self._streamed)
        self._exchange_over()

    def stream_failed(self) -> None:
        """End a streaming response that cannot be completed."""
        self.factory.handler_errors += 1
        self.exchange = None
        self.abort()

    def _count(self, request: Request, status: int, length: int) -> None:
        self.factory.responses[status // 100] += 1
        if self.factory.access_log is not None:
            self._log_access(request, status, length)

    def _log_access(self, request: Request, status: int, length: int) -> None:
        access_log = self.factory.access_log
        assert access_log is not None
        head = request.head
        access_log.record(
            self.client_host,
            head.method,
            head.target,
            "1.1" if head.is_http11 else "1.0",
            status,
            length,
            head.headers,
        )

    def _exchange_over(self) -> None:
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
                self._to_discard = _DISCARD_LIMIT
                self.set_deadline(self.factory.timeouts.linger)
        else:
            http.start_next_cycle()
            if not http.keep_alive:
                self.close()
                return
            self.phase = _IDLE
            self.deadline = NEVER  # until the loop says what comes next
        self.resume_reading()
        if not (self._advancing or self._write_paused):
            self._next()

    def _switch(self, request: Request, switch: SwitchProtocols) -> None:
        offered = list_members(request.headers.get("upgrade", "").encode("latin-1"))
        if not request.head.upgrade or switch.name.lower().encode() not in offered:
            error = LocalProtocolError(f"the client did not offer {switch.name!r}")
            self.failed(request, Failure(error))
            return
        if not self.http.body_is_read:
            # RFC 9110 section 7.8: the request comes first, all of it.
            error = LocalProtocolError("the request has a body that was not read")
            self.failed(request, Failure(error))
            return
        fields = [
            (b"upgrade", checked_value(switch.name)),
            (b"connection", b"upgrade"),
            *([] if switch.headers is None else switch.headers.raw),
        ]
        self.send(self.http.interim(101, fields))
        self._count(request, 101, 0)
        self.exchange = None
        self.phase = Phase.SWITCHED
        self.deadline = NEVER
        self._outgoing = None
        self.transport.unregisterProducer()
        self.switched_to = switch.protocol
        self.resume_reading()
        rest = self.http.switch_protocols()
        try:
            switch.protocol.makeConnection(self.transport)
            if rest:
                switch.protocol.dataReceived(rest)
        except Exception:  # noqa: BLE001  # it is somebody else's protocol
            _log.failure("the {name} protocol failed", name=switch.name)
            self.transport.abortConnection()

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
            self._count(exchange.request, status, len(body))
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
            assert self.exchange is not None
            request = self.exchange.request
            self.exchange.abandon(DeadlinePassed("the handler took too long"))
            self.settle(request, self.factory.timeout_response())
        elif phase is Phase.HEAD and not self.http.is_idle:
            self.refuse(408, "the head took too long")
        elif phase is Phase.CLOSING:
            self.abort()
        else:
            # Idle; silent since accept; or it did not go in the time we lingered.
            self.close()

    def body_wanted(self) -> None:
        """The application waits for body: see BodyLink."""
        exchange = self.exchange
        if exchange is None or self.http.body_is_read:
            return
        if exchange.continue_owed and not exchange.response_started:
            exchange.continue_owed = False
            self.send(self.http.interim(100))
        exchange.reading_goes_on(self.factory.seconds())
        self.resume_reading()

    def body_sated(self) -> None:
        """The application has more body than it has read: see BodyLink."""
        if self.exchange is not None:
            self.exchange.reading_held(self.factory.seconds())
        self.pause_reading()
