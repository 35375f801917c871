"""One HTTP/1.1 connection to a server: a request out, its response in, and so on.

    DIALING → IDLE ⇄ BUSY (one exchange) → … → CLOSING → CLOSED

A connection is used again only if the last exchange left no doubt about where the next
response begins. Everything else ends it, with a reason (see DropReason).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, IProtocol
from zope.interface import implementer

from httpx_tw.client.body import ResponseBody
from httpx_tw.client.deadlines import NEVER
from httpx_tw.client.expecting import Expectation
from httpx_tw.client.pool_facts import DropReason
from httpx_tw.client.response import ClientResponse
from httpx_tw.client.sending import BodySender
from httpx_tw.client.wire import CLOSE_TIMEOUT, DRAIN_LIMIT, MAX_INTERIM, Phase, Wire
from httpx_tw.errors import (
    BodyConsumed,
    ConnectionLost,
    LocalProtocolError,
    ReadTimeout,
    RemoteProtocolError,
    ResponseTooLarge,
    TotalTimeout,
    WriteTimeout,
)
from httpx_tw.protocol.events import NEED_DATA, ResponseHead
from httpx_tw.protocol.http1_client import ClientSide
from httpx_tw.transport.file_sender import can_send_files, send_file
from httpx_tw.transport.undelivered import undelivered_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from httpx_tw.client.exchange import Exchange
    from httpx_tw.client.file_pieces import FileSpan
    from httpx_tw.client.wire import WireOwner
    from httpx_tw.protocol.http1 import Event

__all__ = ["HTTP1Connection"]


@implementer(IProtocol, IHandshakeListener)
class HTTP1Connection(Wire):
    """A connection of a pool. Reactor thread only."""

    __slots__ = (
        "_body",
        "_expectation",
        "_http",
        "_interim",
        "_sender",
        "_sent",
        "_taken",
        "_to_discard",
        "exchange",
    )

    def __init__(
        self,
        owner: WireOwner,
        handshake: Callable[[Failure | None], None] | None = None,
    ) -> None:
        super().__init__(owner, handshake)
        self._http = ClientSide(owner.parser, owner.limits)
        # For the exchange.
        self.exchange: Exchange | None = None
        """What it is busy with; it may be over for the one who asked."""
        self._body: ResponseBody | None = None
        self._sender: BodySender | None = None
        self._expectation: Expectation | None = None
        self._interim = 0
        self._to_discard = -1  # bytes of an unwanted body still to be read; -1: wanted
        self._sent = 0  # bytes of request body handed to the transport
        self._taken = 0  # of those, what had left it when that was last looked at

    # Called by Twisted: IProtocol

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        exchange = self.exchange
        if exchange is None:
            self._unasked()
            return
        http = self._http
        if not exchange.streams:
            # The shortest way, which most responses go: all in one read, and the head
            # like the one before.
            body = http.take_whole(data, exchange.limit)
            if body is not None:
                self.exchange = None
                self._owner.connection_free(self)
                exchange.answered(
                    ClientResponse(http.response, exchange.request, self.facts, body)
                )
                return
        try:
            event = http.receive(data)
            if (
                type(event) is ResponseHead
                and event.status >= 200
                and not (exchange.streams or event.has_coding or self._interim)
                and self._sender is None
            ):
                # The same for a head that is like none before.
                body = http.take_whole_body() if event.body_length else b""
                if body is not None and len(body) <= exchange.limit:
                    self.exchange = None
                    if http.keep_alive:
                        self._owner.connection_free(self)
                    else:
                        self.spoilt(DropReason.NOT_REUSABLE)
                    exchange.answered(
                        ClientResponse(event, exchange.request, self.facts, body)
                    )
                    return
            self._advance(exchange, event)
        except (RemoteProtocolError, ResponseTooLarge) as error:
            self._fail(error, DropReason.FAILED)

    def connectionLost(self, reason: Failure) -> None:
        """See IProtocol."""
        if self.dial_has_failed(reason):
            return
        self.let_go()
        exchange, body = self.exchange, self._body
        if exchange is None:
            self._owner.connection_closed(self, DropReason.PEER_CLOSED)
            return
        error = self._missing_at_end(reason)
        if error is None:
            self._owner.connection_closed(self, DropReason.NOT_REUSABLE)
            assert body is not None
            self._complete(exchange, body)
        else:
            self._owner.connection_closed(self, DropReason.FAILED)
            self.exchange = None
            self._tell(exchange, error)

    def _missing_at_end(self, reason: Failure) -> Exception | None:
        """Return why the exchange fails; None: the end completes its response."""
        assert self.exchange is not None
        if self._body is None and not (self._http.unread or self._interim):
            # Not a byte: it may have been closed before the request was there.
            self.exchange.met_stale_connection = self.requests > 1
        elif reason.check(ConnectionDone) is not None:
            try:
                self._http.receive_eof()
            except RemoteProtocolError as error:
                return error
            return None
        lost = ConnectionLost(f"the server broke the connection: {reason.value}")
        lost.__cause__ = reason.value
        return lost

    # Called by the pool

    def send(self, exchange: Exchange) -> None:
        """Send the request of *exchange*, and give it the response."""
        request = exchange.request
        self.exchange = exchange
        exchange.connection = self
        self.requests += 1
        content = request.content
        self.deadline = self._tick.latest + exchange.timeout.read  # type: ignore[operator]  # it is inf, never None: see Timeout
        if content is None:
            self._http.ask(request.method)
            self._write(self.transport, request.head)
            return
        data = content.data
        self._http.begin(request.method, content.length)
        if request.expects_continue:
            self._send_when_wanted(exchange)
        elif data is not None and exchange.upload_progress is None:
            self._write(self.transport, request.head + self._http.data(data))
            self._http.end()
        else:
            self._send_in_pieces(exchange, request.head)

    def _send_when_wanted(self, exchange: Exchange) -> None:
        # RFC 9110 section 10.1.1: wait for 100, but not for ever.
        patience = exchange.timeout.expect
        if patience != NEVER:
            self.deadline = NEVER  # the request is not over
        self._write(self.transport, exchange.request.head)
        self._expectation = Expectation(
            self._owner.reactor,
            patience,
            lambda: self._send_in_pieces(exchange, b""),
        )

    def _send_in_pieces(self, exchange: Exchange, head: bytes) -> None:
        request = exchange.request
        assert request.content is not None
        self._sent = self._taken = 0
        self.deadline = NEVER
        try:
            sender = BodySender(
                request.content, self, self._owner.reactor, exchange.upload_progress
            )
        except BodyConsumed as error:
            self._fail(error, DropReason.FAILED)
            return
        self._sender = sender
        if head:
            self._write(self.transport, head)
        self.transport.registerProducer(sender, True)
        sender.start()

    def fail(self, error: Exception, reason: DropReason) -> None:
        """Fail the exchange, if there is one, with *error*, and have it closed."""
        self._fail(error, reason)

    @property
    def is_free(self) -> bool:
        """Whether a request can be sent on it, or could if the last one allowed it."""
        return self.phase is Phase.OPEN and self.exchange is None

    # Called by the exchange

    def give_up(self, reason: DropReason) -> None:
        """Want the response no more."""
        self.exchange = None
        self.spoilt(reason)

    # Called by the tick

    def check(self, now: float) -> None:
        """Deal with a deadline that has passed."""
        exchange = self.exchange
        if self.phase is Phase.CLOSING:
            self.check_closing(now)
            return
        if exchange is None:
            return
        if exchange.total_deadline <= now:
            self._fail(
                TotalTimeout(f"no end after {exchange.timeout.total} seconds"),
                DropReason.TIMED_OUT,
            )
        elif self._sender is not None:
            self._check_sending(exchange, now)
        elif self.deadline <= now:
            if self._to_discard >= 0:
                self.spoilt(DropReason.UNREAD)
                return
            self._fail(
                ReadTimeout(f"nothing came for {exchange.timeout.read} seconds"),
                DropReason.TIMED_OUT,
            )

    def _check_sending(self, exchange: Exchange, now: float) -> None:
        waiting = undelivered_bytes(self.transport) or 0
        taken = self._sent - waiting
        if taken > self._taken or not waiting:
            self._taken = taken
            self.deadline = NEVER
        elif self.deadline == NEVER:
            self.deadline = now + exchange.timeout.write  # type: ignore[operator]  # see send
        elif self.deadline <= now:
            self._fail(
                WriteTimeout(f"nothing was taken for {exchange.timeout.write} seconds"),
                DropReason.TIMED_OUT,
            )

    # Called by the sender of the body: SendingLink

    def send_piece(self, data: bytes) -> None:
        """See SendingLink."""
        wire = self._http.data(data)
        self._sent += len(wire)
        self._write(self.transport, wire)

    @property
    def sends_files(self) -> bool:
        """See SendingLink."""
        return not self._http.is_chunked and can_send_files(self.transport)

    def send_from_file(self, fd: int, offset: int, count: int) -> int | None:
        """See SendingLink."""
        sent = send_file(self.transport, fd, offset, count)
        if sent:
            self._http.note_sent(sent)
            self._sent += sent
        return sent

    def fetch(self, span: FileSpan, count: int) -> Deferred[None]:
        """See SendingLink."""
        return self.facts.disk.fetch(span, span.offset, count)

    def sent(self) -> None:
        """See SendingLink."""
        exchange = self.exchange
        assert exchange is not None
        try:
            ending = self._http.end()
        except LocalProtocolError as error:
            self.sending_failed(error)
            return
        if ending:
            self._write(self.transport, ending)
        self.let_go()
        self.deadline = self._tick.latest + exchange.timeout.read  # type: ignore[operator]  # see send
        exchange.request_sent()

    def sending_failed(self, error: BaseException) -> None:
        """See SendingLink."""
        self.let_go()
        self._fail(error, DropReason.FAILED)

    def let_go(self) -> None:
        """See Wire."""
        expectation, self._expectation = self._expectation, None
        if expectation is not None:
            expectation.drop()
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.stop()
            if self.phase is Phase.OPEN:
                self.transport.unregisterProducer()

    # Called by the body of the response: BodyLink

    def body_wanted(self) -> None:
        """See BodyLink."""
        exchange = self.exchange
        if exchange is not None and self.phase is Phase.OPEN:
            self.deadline = self._tick.latest + exchange.timeout.read  # type: ignore[operator]  # see send
            self.resume_reading()

    def body_sated(self) -> None:
        """See BodyLink."""
        self.deadline = NEVER  # it is us who are slow
        self.pause_reading()

    def body_dropped(self) -> None:
        """See BodyLink."""
        if self.exchange is None or self.exchange.response is not None:
            return  # what is collected is dropped by _body_received
        # Reading on is worth it for a connection that can be kept.
        left = self._http.body_left if self._http.keep_alive else None
        if self._sender is None and left is not None and left <= DRAIN_LIMIT:
            self._to_discard = DRAIN_LIMIT
            self.body_wanted()
            self.deadline = self._tick.latest + CLOSE_TIMEOUT
        else:
            self.exchange = None
            self.spoilt(DropReason.UNREAD)

    # The response

    def _advance(self, exchange: Exchange, event: Event) -> None:
        """Deal with *event* and all that can be dealt with after it."""
        http = self._http
        while True:
            if type(event) is bytes:
                self._body_received(exchange, event)
            elif event is NEED_DATA:
                if self._body is not None:
                    self._watch(exchange, self._body)
                return
            elif type(event) is ResponseHead:
                self._head_received(exchange, event)
            elif self._body is not None:
                self._complete(exchange, self._body)
                return
            if self.exchange is not exchange:
                return
            event = http.next_event()

    def _watch(self, exchange: Exchange, body: ResponseBody) -> None:
        """Let the time run until the next piece, if somebody waits for it."""
        if self._to_discard >= 0:
            return
        is_wanted = body.is_wanted and not self._is_read_paused
        limit = exchange.timeout.read if is_wanted else NEVER
        self.deadline = self._tick.latest + limit  # type: ignore[operator]  # see send

    def _head_received(self, exchange: Exchange, head: ResponseHead) -> None:
        if head.status < 200:
            self._interim += 1
            if head.status == 101:
                raise RemoteProtocolError("101 to a request that offered no protocol")
            if self._interim > MAX_INTERIM:
                raise RemoteProtocolError(f"more than {MAX_INTERIM} interim responses")
            if head.status == 100 and self._expectation is not None:
                self._expectation.meet()
            return
        exchange.response_started()
        if self._expectation is not None or (
            self._sender is not None and (head.status >= 300 or not head.keep_alive)
        ):
            # It has been refused, most likely: the rest would be sent in vain.
            self.let_go()
        if not exchange.streams and head.body_length > exchange.limit:
            raise ResponseTooLarge(
                f"a response of {head.body_length} bytes, limit {exchange.limit}"
            )
        is_coded = head.has_coding and head.body_length and exchange.request.decodes
        decoder = self._owner.decoder_for(head) if is_coded else None
        self._body = body = ResponseBody(self, decoder)
        response = ClientResponse(head, exchange.request, self.facts, None)
        response.stream = body
        if exchange.streams:
            if not head.body_length:
                self._complete(exchange, body)
            exchange.answered(response)
        else:
            exchange.response = response
            body.read(exchange.limit).addErrback(_already_told)
            if not head.body_length:
                self._complete(exchange, body)

    def _body_received(self, exchange: Exchange, data: bytes) -> None:
        body = self._body
        if self._to_discard >= 0:
            self._to_discard -= len(data)
            if self._to_discard < 0:
                self.exchange = None
                self.spoilt(DropReason.UNREAD)
        elif body is not None:
            body.feed(data)
            if body.error is not None and exchange.response is not None:
                raise body.error

    def _complete(self, exchange: Exchange, body: ResponseBody) -> None:
        """Deal with the end of a body."""
        exchange.response_ended()
        trailers = self._http.trailers
        response = exchange.response
        if response is None:
            # First of all: who has read to the end may ask for the next response at
            # once, and should not need another connection for it.
            self._end()
            if not body.can_finish(trailers) and self.is_free:
                self.spoilt(DropReason.FAILED)
            return
        if not body.can_finish(trailers):
            self._http.keep_alive = False  # who sends that is not to be trusted
        exchange.response = None
        self._end()
        if exchange.is_over:
            return
        if body.error is not None:
            exchange.failed(body.error)
        else:
            exchange.answered(response)

    def _end(self) -> None:
        """Let go of the exchange, and be free for another or closed."""
        self.exchange = None
        self.deadline = NEVER
        if self._body is not None or self._interim or self._sender is not None:
            self._body = None
            self._interim = 0
            self._to_discard = -1
            self.let_go()
            self.resume_reading()
        if self.phase is not Phase.OPEN:
            return
        if self._http.keep_alive:
            self._owner.connection_free(self)
        else:
            self.spoilt(DropReason.NOT_REUSABLE)

    # Failing

    def _unasked(self) -> None:
        """Deal with bytes that came while nothing was asked."""
        if self.phase is Phase.OPEN:
            self.spoilt(DropReason.UNASKED_BYTES)

    def _fail(self, error: BaseException, reason: DropReason) -> None:
        exchange, self.exchange = self.exchange, None
        self.spoilt(reason)
        if exchange is not None:
            self._tell(exchange, error)

    def _tell(self, exchange: Exchange, error: BaseException) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.fail(error)
        exchange.failed(error)


def _already_told(failure: Failure) -> None:
    """Drop a failure of the body: the exchange has been told of it."""
    del failure
