"""Every exception httpx_tw raises, as one tree.

    HTTPXError
     ├── ConfigurationError (ValueError)  a bad option, route pattern or argument
     ├── LocalProtocolError               our caller asked for what HTTP forbids
     │    ├── InvalidHeader (ValueError)  a header name or value that must not be sent
     │    ├── InvalidURL (ValueError)     not an http or https URL, or an unsafe one
     │    └── FileChanged                 a file became shorter or longer while sent
     ├── RemoteProtocolError              the peer broke HTTP; carries what to answer
     │    ├── HeadTooLarge                414 or 431
     │    ├── BodyTooLarge                413
     │    │    └── DecompressionBomb      … once it is decompressed
     │    ├── DecodingError               the body is not in the coding it claims
     │    └── IncompleteMessage           the peer stopped in the middle of a message
     ├── HTTPError                        raised by a handler to answer with a status
     ├── ConnectionLost                   the other side is gone
     ├── ConnectFailed                    no connection could be made to the server
     │    ├── NameNotResolved             … for its name has no address
     │    ├── HandshakeFailed             … for TLS could not be agreed on
     │    │    └── CertificateRejected    … or its certificate does not prove who it is
     │    └── ProxyError                  … for the proxy makes none
     │         └── ProxyAuthenticationRequired
     ├── ClientClosed                     a client or connection pool was closed
     ├── PoolExhausted                    all connections are in use, and wait=False
     │    └── PoolExhaustedForHost        all of one host are
     ├── ResponseTooLarge                 a response is over max_response_size
     ├── StatusError                      raise_for_status of a 4xx or 5xx response
     ├── DeadlinePassed                   something took longer than its timeout
     │    └── RequestTimeout (TimeoutError)
     │         ├── ConnectTimeout         no connection in time
     │         ├── ReadTimeout            the server sent nothing for too long
     │         ├── WriteTimeout           the server took nothing for too long
     │         ├── PoolTimeout            no connection of the pool came free in time
     │         └── TotalTimeout           the whole request took too long
     ├── WorkerPoolError                  a worker pool did not run a call to its end
     │    ├── QueueFull                   it holds as many as it may
     │    ├── PoolStopped                 it is not running, or ended first
     │    └── NoWorkers                   no thread could be started
     ├── TooManyRedirects                 a chain of redirects was too long, or a loop
     ├── NoRequests                       a race of no requests, which nobody wins
     ├── BodyNotRead                      json() or text() before the body was read
     ├── BodyConsumed                     the body was asked for twice
     └── NoSuchRoute (LookupError)        url_for of a name nobody registered

Two blames, as in h11: *local* is our own caller's mistake, *remote* is the peer's.
This module imports nothing of ours.
"""

from __future__ import annotations

__all__ = [
    "BodyConsumed",
    "BodyNotRead",
    "BodyTooLarge",
    "CertificateRejected",
    "ClientClosed",
    "ConfigurationError",
    "ConnectFailed",
    "ConnectTimeout",
    "ConnectionLost",
    "DeadlinePassed",
    "DecodingError",
    "DecompressionBomb",
    "FileChanged",
    "HTTPError",
    "HTTPXError",
    "HandshakeFailed",
    "HeadTooLarge",
    "IncompleteMessage",
    "InvalidHeader",
    "InvalidURL",
    "LocalProtocolError",
    "NameNotResolved",
    "NoRequests",
    "NoSuchRoute",
    "NoWorkers",
    "PoolExhausted",
    "PoolExhaustedForHost",
    "PoolStopped",
    "PoolTimeout",
    "ProxyAuthenticationRequired",
    "ProxyError",
    "QueueFull",
    "ReadTimeout",
    "RemoteProtocolError",
    "RequestTimeout",
    "ResponseTooLarge",
    "StatusError",
    "TooManyRedirects",
    "TotalTimeout",
    "WorkerPoolError",
    "WriteTimeout",
]


class HTTPXError(Exception):
    """The root: catch this to catch everything httpx_tw raises on purpose."""


class ConfigurationError(HTTPXError, ValueError):
    """An option, a route pattern or an argument makes no sense; it says why."""


class LocalProtocolError(HTTPXError):
    """Our own caller asked for something HTTP forbids."""


class InvalidHeader(LocalProtocolError, ValueError):
    """A header name or value holds bytes that must never be sent (CR, LF, NUL, …)."""


class InvalidURL(LocalProtocolError, ValueError):
    """Not an http or https URL, or one that parsers disagree about."""


class FileChanged(LocalProtocolError):
    """A file became shorter or longer while it was sent: its length had been told.

    The message is not complete, and its connection is closed.
    """


class RemoteProtocolError(HTTPXError):
    """The peer broke HTTP.

    *status* is what a server answers; a client only reads the message.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class HeadTooLarge(RemoteProtocolError):
    """The request line (414) or the header block (431) is over its limit."""


class BodyTooLarge(RemoteProtocolError):
    """The body is larger than the limit that applies to it."""

    def __init__(self, message: str, status: int = 413) -> None:
        super().__init__(message, status)


class DecompressionBomb(BodyTooLarge):
    """The body becomes larger than its limits when it is decompressed."""


class DecodingError(RemoteProtocolError):
    """The body is damaged, or not in the content coding that the peer claims."""


class IncompleteMessage(RemoteProtocolError):
    """The peer ended the connection in the middle of a message."""


class HTTPError(HTTPXError):
    """Raise it in a handler or a middleware to answer with *status*.

    *message* is sent to the client, so keep secrets out of it; None means the
    status's own phrase. *headers* are (name, value) pairs added to the answer.
    """

    def __init__(
        self,
        status: int,
        message: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(status if message is None else f"{status}: {message}")
        self.status = status
        self.message = message
        self.headers = headers


class ConnectionLost(HTTPXError):
    """The other side is gone; what was being read or written will not complete."""


class ConnectFailed(HTTPXError):
    """No connection could be made to the server; the cause says why.

    Nothing of the request was sent.
    """


class NameNotResolved(ConnectFailed):
    """The server's name has no address, or nobody could be asked for it."""


class HandshakeFailed(ConnectFailed):
    """TLS could not be agreed on with the peer; nothing was sent but the handshake."""


class CertificateRejected(HandshakeFailed):
    """The peer's certificate does not prove that the peer is who was asked for."""


class ProxyError(ConnectFailed):
    """The proxy refused to connect to the server, or made no sense."""


class ProxyAuthenticationRequired(ProxyError):
    """The proxy wants credentials, or other ones than it was given."""


class ClientClosed(HTTPXError):
    """The client, or its connection pool, was closed before the request was over."""


class PoolExhausted(HTTPXError):
    """All connections are in use, and the caller did not want to wait."""


class PoolExhaustedForHost(PoolExhausted):
    """All connections to one host are in use, and the caller did not want to wait."""


class ResponseTooLarge(HTTPXError):
    """A response body, decoded, is larger than ``max_response_size``."""


class StatusError(HTTPXError):
    """What ``raise_for_status`` makes of a 4xx or 5xx response.

    *response* is the response, *status* its status.
    """

    def __init__(self, message: str, status: int, response: object) -> None:
        super().__init__(message)
        self.status = status
        self.response = response


class DeadlinePassed(HTTPXError):
    """Something took longer than the timeout that applies to it."""


class RequestTimeout(DeadlinePassed, TimeoutError):
    """A request of ours took too long; which part of it, its subclass says."""


class ConnectTimeout(RequestTimeout):
    """Name, connection, proxy and TLS together took too long."""


class ReadTimeout(RequestTimeout):
    """The server sent nothing for too long, before its response or within it."""


class WriteTimeout(RequestTimeout):
    """The server took nothing of the request for too long."""


class PoolTimeout(RequestTimeout):
    """No connection of the pool came free in time."""


class TotalTimeout(RequestTimeout):
    """The whole took too long: waiting, redirects, retries and body included."""


class WorkerPoolError(HTTPXError):
    """A worker pool did not run a call, or not to its end: overload, not a mistake."""


class QueueFull(WorkerPoolError):
    """The queue of a worker pool is as long as it may be: try again later."""


class PoolStopped(WorkerPoolError):
    """A worker pool is not running, or was stopped before the call was over."""


class NoWorkers(WorkerPoolError):
    """A worker pool has no thread left, and the system would not start one."""


class TooManyRedirects(HTTPXError):
    """Redirects followed one another beyond the limit, as they do in a loop."""


class NoRequests(HTTPXError):
    """The first of no requests was asked for."""


class BodyNotRead(HTTPXError):
    """The body was asked for as a whole before ``await request.read()``."""


class BodyConsumed(HTTPXError):
    """The body was asked for a second time after it had been streamed away."""


class NoSuchRoute(HTTPXError, LookupError):
    """``url_for`` was given a name that no route carries, or the wrong parameters."""
