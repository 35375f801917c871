"""A response as Twisted has it: IResponse, its body delivered to a protocol."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import AlreadyCalledError
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IClientRequest, IResponse
from zope.interface import implementer

from httpx_tw.protocol.events import UNTIL_CLOSE

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocol

    from httpx_tw.client.body import ResponseBody
    from httpx_tw.client.outgoing import OutgoingRequest
    from httpx_tw.client.response import ClientResponse
    from httpx_tw.headers import HeaderPairs

__all__ = ["AgentResponse", "reasons_of"]

# What Twisted's agent keeps to itself: it was about the connection.
_OF_THE_CONNECTION: Final = frozenset(
    b"connection content-length keep-alive proxy-connection te trailers "
    b"transfer-encoding upgrade".split()
)


@implementer(IResponse)
class AgentResponse:
    """A response whose head has come. Reactor thread only.

    Its body waits, with the connection, until somebody has it delivered.
    """

    def __init__(self, response: ClientResponse, reactor: Any) -> None:
        head = response.head
        self._body = response.stream
        self._reactor = reactor
        self._headers: Headers | None = None
        self._raw_headers = head.headers
        self._is_delivered = False
        self._ends_with_connection = head.body_length == UNTIL_CLOSE
        self.version = (b"HTTP", 1, int(head.is_http11))
        self.code = head.status
        self.phrase = head.reason.encode("latin-1")
        self.length: Any = head.body_length if head.body_length >= 0 else UNKNOWN_LENGTH
        """Bytes of body, or UNKNOWN_LENGTH."""
        self.request = _AgentRequest(response.request)
        self.previousResponse: Any = None

    @property
    def headers(self) -> Headers:
        """The header fields, but for those about the connection."""
        headers = self._headers
        if headers is None:
            hidden = _OF_THE_CONNECTION
            if self.request.method == b"HEAD":
                hidden -= {b"content-length"}  # there it is about the resource
            headers = self._headers = _headers(self._raw_headers, hidden)
        return headers

    def setPreviousResponse(self, response: IResponse) -> None:  # noqa: N802  # Twisted calls it
        """See IResponse: note what has led here, a redirect."""
        self.previousResponse = response

    def deliverBody(self, protocol: IProtocol) -> None:  # noqa: N802  # Twisted's users call it
        """See IResponse: give the body to *protocol* as it comes, then its end.

        *protocol* may pause it, by its transport, and gets nothing meanwhile but what
        has been read already. ``connectionLost`` has ResponseDone when all has come;
        PotentialDataLoss when it ended with the connection, so that nobody knows;
        ResponseFailed when it broke off.

        :raises RuntimeError: when it has been delivered to somebody already.
        """
        if self._is_delivered:
            raise RuntimeError("the body of this response was delivered already")
        self._is_delivered = True
        body = self._body
        assert body is not None  # it streams
        delivery: Any = _Delivery(self, body, protocol)  # of ITransport it has enough
        protocol.makeConnection(delivery)
        body.push_to(protocol.dataReceived, delivery.ended)

    def end_of(self, error: BaseException | None) -> Exception:
        """Return what says that the body has ended, because of *error* or well."""
        if error is not None:
            return ResponseFailed(reasons_of(error), self)
        if self._ends_with_connection:
            return PotentialDataLoss()
        return ResponseDone("Response body fully received")

    def call_soon(self, function: Any, *arguments: Any) -> None:
        """Call *function* when whoever is at work has finished."""
        self._reactor.callLater(0, function, *arguments)

    def __repr__(self) -> str:
        return f"<AgentResponse {self.code} {self.request.absoluteURI!r}>"


@implementer(IPushProducer)
class _Delivery:
    """The transport of whoever gets a body."""

    def __init__(
        self, response: AgentResponse, body: ResponseBody, protocol: IProtocol
    ) -> None:
        self._response = response
        self._body = body
        self._protocol = protocol
        self._is_closing = False

    # Called by the protocol: IPushProducer, and some of ITransport

    def pauseProducing(self) -> None:
        """See IPushProducer."""
        self._body.pause()

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self._body.resume()

    def stopProducing(self) -> None:
        """See IProducer: want no more of the body."""
        self._is_closing = True
        self._body.close()

    loseConnection = abortConnection = stopProducing  # Twisted's names

    # Called by the body

    def ended(self, error: BaseException | None) -> None:
        """Tell the protocol that nothing more comes."""
        end = Failure(self._response.end_of(error))
        if self._is_closing:
            # Who closes a transport does not expect to hear of it before that returns.
            self._response.call_soon(self._tell_later, end)
        else:
            self._protocol.connectionLost(end)

    def _tell_later(self, end: Failure) -> None:
        # Who cancels readBody has closed this, and has its answer already.
        with suppress(AlreadyCalledError):
            self._protocol.connectionLost(end)


@implementer(IClientRequest)
class _AgentRequest:
    """What a response says of the request it answers."""

    __slots__ = ("_request",)

    def __init__(self, request: OutgoingRequest) -> None:
        self._request = request

    @property
    def method(self) -> bytes:
        return self._request.method.encode("ascii")

    @property
    def absoluteURI(self) -> bytes:  # noqa: N802  # Twisted's name
        return str(self._request.url).encode("ascii")

    @property
    def headers(self) -> Headers:
        return _headers(self._request.headers, frozenset())


def _headers(pairs: HeaderPairs, hidden: frozenset[bytes]) -> Headers:
    headers = Headers()
    for name, value in pairs:
        if name.lower() not in hidden:
            headers.addRawHeader(name, value)
    return headers


def reasons_of(error: BaseException) -> list[Failure]:
    """Return *error*, behind what Twisted said of the connection, if that was it."""
    cause = error.__cause__
    own = Failure(error)
    return [own] if cause is None else [Failure(cause), own]
