"""How a request is answered: at once, later, piece by piece, or in another protocol."""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from httpx_tw.app.files.body import FileBody
from httpx_tw.app.files.ready import ReadyFile
from httpx_tw.app.response import Response, to_json, to_response
from httpx_tw.app.route import ANYWHERE, ON_WORKER
from httpx_tw.app.upgrade import SwitchProtocols
from httpx_tw.errors import (
    DeadlinePassed,
    HTTPError,
    LocalProtocolError,
    RemoteProtocolError,
    WorkerPoolError,
)
from httpx_tw.headers import checked_value
from httpx_tw.protocol.grammar import list_members
from httpx_tw.protocol.http1_server import ServerSide
from httpx_tw.server.deadlines import NEVER
from httpx_tw.server.exchange import Exchange
from httpx_tw.server.file_sending import send_at_once
from httpx_tw.server.on_workers import (
    ResponseWriter,
    call_on_worker,
    inner_call,
    is_plain_stream,
    iterate_on_worker,
)
from httpx_tw.server.ready_files import send_ready
from httpx_tw.server.static import as_asked
from httpx_tw.server.threads import WaitingCall
from httpx_tw.server.whole_responses import ReadyResponse, send_whole
from httpx_tw.server.wire import Phase, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.app.request import Request
    from httpx_tw.app.route import Route
    from httpx_tw.headers import HeaderPairs
    from httpx_tw.server.factory import HTTPFactory
    from httpx_tw.server.threads import Call, Threads

__all__ = ["DISCARD_LIMIT", "Answering"]

_log = Logger()

DISCARD_LIMIT: Final = 64 * 1024
"""A body nobody read is read to its end, to keep the connection, up to this size."""

# The ends of most heads, made at import: to format one costs 0.25 µs.
_MANY_LENGTHS: Final = 1024
_LENGTHS: Final = tuple(b"%d\r\n\r\n" % length for length in range(_MANY_LENGTHS))

_IDLE: Final = Phase.IDLE
_PROCESSING: Final = Phase.PROCESSING
_WRITING: Final = Phase.WRITING
_LINGERING: Final = Phase.LINGERING


class Answering(Wire):
    """The half of a connection that answers. See connection.py for the other."""

    __slots__ = (
        "_at_work",
        "_call",
        "_lender",
        "exchange",
        "http",
        "streamed",
        "switched_to",
    )

    def __init__(self, factory: HTTPFactory) -> None:
        super().__init__(factory)
        self.http = ServerSide(factory.parser, factory.limits)
        # The exchange going on, if it takes longer than one call.
        self.exchange: Exchange | None = None
        # The request a worker has, and the call that can be given up.
        self._at_work: Request | None = None
        self._call: Call | None = None
        # Whose worker has it, or had the latest: what that one posts goes there.
        self._lender: Threads | None = None
        self.streamed = 0  # bytes of response body sent, before chunking
        # Who has the connection after a switch of protocols.
        self.switched_to: Any = None

    def exchange_over(self) -> None:
        """The response is written: on to the next request, or to the end."""
        raise NotImplementedError

    def processing(self, route: Route) -> None:
        """Note that a handler is at work, and how long it may be."""
        self.phase = _PROCESSING
        timeout = (
            self.factory.timeouts.handler if route.timeout is None else route.timeout
        )
        self.set_deadline(timeout)

    def answer(self, request: Request) -> bool:
        """Call the handler, here or on a worker, and deal with what it returns.

        True: the connection is idle again, and was told how long it may be.
        """
        route = request.route
        if route.runs_on >= self.factory.offload_from:
            self._hand_over(request)
            return False
        try:
            result = route.call(request)
        except Exception:  # noqa: BLE001  # whatever a handler raises is answered
            self.failed(request, Failure())
            return False
        if type(result) is ReadyFile:
            return send_ready(self, request, result)
        return self._answered(request, result)

    def _answered(self, request: Request, result: Any) -> bool:  # noqa: PLR0912  # the hot path, where a call costs
        http = self.http
        kind = type(result)
        if (
            (kind is str or kind is dict or kind is list or (kind is bytes and result))
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
                elif kind is bytes:
                    start, body = fixed.binary_head, result
                else:
                    start, body = fixed.json_head, to_json(result)
            except Exception:  # noqa: BLE001  # what cannot be encoded is the handler's
                self.failed(request, Failure())
                return False
            length = len(body)
            if length < _MANY_LENGTHS:
                self.send(start + _LENGTHS[length] + body)
            else:
                self.send_whole(b"%b%d\r\n\r\n" % (start, length), body)
            factory.responses[2] += 1
            if factory.access_log is not None:
                self.log_access(request, 200, length)
            self.phase = _IDLE
            if http.start_next_cycle() and not self.is_write_paused:
                self.deadline = factory.tick.latest + factory.keep_alive
                return True
            return False
        if kind is ReadyResponse:
            return send_whole(self, request, result, result.fields)
        if kind is Response and type(result.body) is bytes:
            return send_whole(self, request, result, result.headers.raw)
        self.settle(request, result)
        return False

    # On worker threads: see on_workers.py

    def _hand_over(self, request: Request) -> None:
        """Have a worker thread call the handler."""
        factory = self.factory
        self._lender = threads = factory.threads
        timeout = request.route.timeout
        # processing(), with a call less.
        self.phase = _PROCESSING
        if timeout is None:
            self.deadline = factory.tick.latest + threads.timeout
        else:
            self.set_deadline(timeout)
        try:
            self._call = call = threads.offload(call_on_worker, request, self._worked)
        except WorkerPoolError:
            self.settle(request, factory.overload_response())
            return
        self._at_work = request
        if type(call) is WaitingCall:
            self.pause_reading()

    def _worked(self, result: Any, failure: Failure | None) -> None:
        """Go on with what a worker returned."""
        request, self._at_work, self._call = self._at_work, None, None
        assert request is not None
        if failure is not None:
            self.failed(request, failure)
        elif self._answered(request, result):
            if self._read_paused:
                self.resume_reading()
            return
        if self.phase is _IDLE:
            # It was answered at once; what is answered later goes on by itself.
            self.go_on()

    def go_on(self) -> None:
        """Deal with what came while a worker was at work."""
        raise NotImplementedError

    def begin_response(self, request: Request, response: Response) -> None:
        """Send *response*, which a worker thread begins to write."""
        call = self._call
        if call is None or self._at_work is not request:
            # Nobody waits for it any more.
            request.writer.lose()
            return
        # The worker may go on when its response has ended, and the next request be
        # with another by then: how its call ends is between it and its writer.
        call.finished = request.writer.returned
        self._at_work = self._call = None
        try:
            self._respond(request, response)
        except Exception:  # noqa: BLE001  # as in settle
            request.writer.lose()
            self.failed(request, Failure())

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Have *function* called on the reactor thread. From the worker's.

        :raises PoolStopped: when the workers have been stopped without it.
        """
        assert self._lender is not None
        self._lender.post(function, *args)

    def call_endpoint(
        self, function: Callable[[Request], Any], request: Request, place: int
    ) -> Any:
        """See RequestLink."""
        if place < self.factory.offload_from:
            return function(request)
        answer: Deferred[Any] = Deferred(lambda _: call.cancel())

        def finished(result: Any, failure: Failure | None) -> None:
            answer.callback(result if failure is None else failure)

        call = self.factory.threads.offload(inner_call(function), request, finished)
        return answer.addCallback(_run_if_coroutine)

    def written_by_worker(self, request: Request, stream: Any) -> ResponseWriter | None:
        """Have a worker advance *stream*, a response's body, if it may block.

        None: it is for the reactor thread. The worker has its turn when the queue has
        room, whatever the policy: the response has begun.
        """
        route = request.route
        place = ON_WORKER if route.thread else ANYWHERE
        if (
            place < self.factory.offload_from
            or route.thread is False
            or route.streams
            or not is_plain_stream(stream)
        ):
            return None
        threads = self.factory.threads
        writer = ResponseWriter(threads.post)
        writing = threads.submit(iterate_on_worker, writer, stream)
        writing.addErrback(writer.abort)
        return writer

    def _leave_worker(self, *, in_time: bool = True) -> bool:
        """Want nothing more of the worker; whether there was one at work."""
        call, self._call = self._call, None
        self._at_work = None
        if call is None:
            return False
        if in_time:
            call.cancel()
        else:
            call.time_out()
        return True

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
        if self.phase is not _PROCESSING:
            self.processing(request.route)
        return self.exchange

    def failed(self, request: Request, failure: Failure) -> None:
        """Answer for a handler that raised, or that no worker could take or finish."""
        if failure.check(WorkerPoolError):
            response: Any = self.factory.overload_response()
        elif failure.type is DeadlinePassed:  # a pool's: subclasses are of others
            self.factory.deadlines_passed += 1
            response = self.factory.timeout_response()
        else:
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
        if type(body) is FileBody:
            response = as_asked(request, response)
            body = response.body
        fixed, fields = self.factory.fixed.lines, response.headers.raw
        if type(body) is bytes:
            self.send_whole(*http.whole_response(response.status, fixed, fields, body))
            self.count(request, response.status, len(body))
            self.exchange_over()
            return
        head = http.response_head(
            response.status, fixed, fields, response.content_length
        )
        self.phase = _WRITING
        self.deadline = NEVER
        self.streamed = 0
        if type(body) is not FileBody or request.method == "HEAD":
            self.send(head)
        elif send_at_once(head, body, self):
            self.count(request, response.status, self.streamed)
            self.exchange_over()
            return
        if self.exchange is None:
            self.exchange = Exchange(self, request, 0)
        self.exchange.stream(response)

    def _decide_about_unread_body(self) -> None:
        """Go on with this connection only if what nobody read is soon read."""
        exchange = self.exchange
        if exchange is not None and exchange.continue_owed:
            # RFC 9110 section 10.1.1: the client may or may not send the body now.
            self.http.keep_alive = False
        elif self.http.body_left > DISCARD_LIMIT or not self.factory.timeouts.linger:
            self.http.keep_alive = False

    def send_body(self, data: bytes) -> None:
        """Send a piece of a streaming response's body; b"" sends nothing."""
        wire = self.http.data(data)
        if wire:
            self.streamed += len(data)
            self.send(wire)

    def send_from_file(
        self, fd: int, offset: int, count: int, head: bytes = b""
    ) -> int | None:
        """Have the kernel send a piece of a file: see FileLink."""
        sent = self.send_file(fd, offset, count, head)
        if sent:
            self.http.note_sent(sent)
            self.streamed += sent
        return sent

    def stream_ended(self) -> None:
        """End a streaming response that is complete."""
        exchange = self.exchange
        assert exchange is not None
        try:
            ending = self.http.end(exchange.trailers)
        except Exception:  # noqa: BLE001  # trailers are made by the application
            _log.failure(
                "the response to {method} {path} could not be completed: aborted",
                method=exchange.request.method,
                path=exchange.request.path,
            )
            self.stream_failed()
            return
        if ending:
            self.send(ending)
        self.count(exchange.request, exchange.status, self.streamed)
        self.exchange_over()

    def stream_failed(self) -> None:
        """End a streaming response that cannot be completed."""
        self.factory.handler_errors += 1
        self.exchange = None
        self.abort()

    def count(self, request: Request, status: int, length: int) -> None:
        """Count a request answered, and put it in the access log."""
        self.factory.responses[status // 100] += 1
        if self.factory.access_log is not None:
            self.log_access(request, status, length)

    def log_access(self, request: Request, status: int, length: int) -> None:
        """Put a request answered in the access log, which there is."""
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
        self.count(request, 101, 0)
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

    def send_interim(self, request: Request, status: int, fields: HeaderPairs) -> None:
        """See RequestLink."""
        exchange = self.exchange
        current = self._at_work or (request if exchange is None else exchange.request)
        # The head alone does not tell: two requests may share one.
        is_current = current is request and self.http.request is request.head
        if is_current and self.phase < _WRITING:
            self.send(self.http.interim(status, fields))

    # What a body asks of its connection: BodyLink

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


def _drop(result: Any) -> None:
    """Let go of what a handler returned: a coroutine warns if it never runs."""
    if isinstance(result, CoroutineType):
        result.close()


def _run_if_coroutine(result: Any) -> Any:
    return Deferred.fromCoroutine(result) if type(result) is CoroutineType else result
