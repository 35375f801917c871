"""Twisted's own interface to clients, IAgent, on our connections.

Code that is given an agent works on it as it is: treq, RedirectAgent, CookieAgent,
ContentDecoderAgent. Like Twisted's, an Agent does what it is told and nothing else: it
follows no redirects, keeps no cookies and undoes no content codings. And its errors are
those that Twisted's users catch.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import fail
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimedOut
from twisted.python.failure import Failure
from twisted.web.client import (
    RequestGenerationFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.error import SchemeNotSupported
from twisted.web.iweb import IAgent, IPolicyForHTTPS
from zope.interface import implementer

from httpx_tw.client.agent_response import AgentResponse, reasons_of
from httpx_tw.client.content import as_content
from httpx_tw.client.cookies import CookieJar
from httpx_tw.client.exchange import Exchange
from httpx_tw.client.pool import ConnectionPool
from httpx_tw.client.pool_facts import PoolConfig
from httpx_tw.client.preparing import RequestMaker, Route
from httpx_tw.client.response import ClientResponse
from httpx_tw.client.timeouts import Timeout
from httpx_tw.errors import (
    ClientClosed,
    ConfigurationError,
    ConnectFailed,
    ConnectTimeout,
    HTTPXError,
    LocalProtocolError,
    NameNotResolved,
    PoolExhausted,
    RemoteProtocolError,
)
from httpx_tw.protocol.grammar import is_token
from httpx_tw.tls.contexts import TLSPolicy

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.web.http_headers import Headers
    from twisted.web.iweb import IBodyProducer, IResponse

    from httpx_tw.client.outgoing import OutgoingRequest

__all__ = ["AGENT_TIMEOUT", "Agent"]

AGENT_TIMEOUT: Final = Timeout(read=300.0, write=300.0, pool=300.0, total=None)
"""Twisted's agent waits for ever; programs written for it may wait long on purpose, for
the next event of a stream, but hardly for longer than this in silence."""


@implementer(IAgent)
class Agent:
    """An IAgent. Reactor thread only.

    :param reactor: where connections are made; *pool* has its own.
    :param contextFactory: says who is trusted: an IPolicyForHTTPS, or a TLSPolicy.
        None: the authorities of the platform, as TLSPolicy has it, with TLS sessions
        resumed.
    :param connectTimeout: seconds; in place of that of *timeout*.
    :param bindAddress: the address to leave from, or a tuple of it and port 0.
    :param pool: connections to share. None: none are kept open, as in Twisted: give it
        a ``ConnectionPool(reactor=reactor)`` to have them kept.
    :param timeout: see AGENT_TIMEOUT.
    :raises ConfigurationError: for a *pool* of Twisted's, or what is no policy.
    """

    def __init__(  # Twisted's own, in its order
        self,
        reactor: Any,
        contextFactory: Any = None,  # noqa: N803  # Twisted's name
        connectTimeout: float | None = None,  # noqa: N803
        bindAddress: str | bytes | tuple[str | bytes, int] | None = None,  # noqa: N803
        pool: ConnectionPool | None = None,
        *,
        timeout: Timeout = AGENT_TIMEOUT,
    ) -> None:
        if pool is None:
            pool = ConnectionPool(PoolConfig(idle_timeout_ms=0), reactor=reactor)
        elif not isinstance(pool, ConnectionPool):
            raise ConfigurationError(
                f"a pool of httpx_tw is wanted, ConnectionPool, not {pool!r}"
            )
        self.pool = pool
        """Where its connections come from."""
        if connectTimeout is not None:
            timeout = replace(timeout, connect=connectTimeout)
        self._timeout = timeout
        self._maker = RequestMaker(
            Route(tls=_policy(contextFactory), local_address=_address(bindAddress)),
            base_url=None,
            params=None,
            headers=None,
            defaults=[],
            jar=CookieJar(),
        )

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,  # noqa: N803  # Twisted's name
    ) -> Deferred[IResponse]:
        """Send a request; see IAgent.request. Cancelling it gives it up.

        :raises ValueError: for a method, URI or header field that cannot be sent; at
            once, as Twisted's agent does.
        """
        if not is_token(method):
            raise ValueError(f"not a method: {method!r}")
        text = uri.strip().decode("ascii", "replace")
        if text.partition(":")[0].lower() not in {"http", "https"}:
            return fail(SchemeNotSupported(f"Unsupported scheme: {uri!r}"))
        try:
            request = self._made(method, text, headers, bodyProducer)
        except LocalProtocolError as error:
            raise _as_value_error(error) from error
        exchange = self._exchange_of(request)
        try:
            self.pool.start(exchange)
        except HTTPXError as error:
            return fail(_as_twisteds(error))
        deferred: Any = exchange  # of what conclude makes of its response
        return deferred  # type: ignore[no-any-return]  # see above

    # Called by exchanges: ExchangeOwner

    def conclude(
        self, exchange: Exchange, outcome: ClientResponse | BaseException
    ) -> None:
        """See ExchangeOwner: give what Twisted's users expect."""
        deferred: Any = exchange
        request = exchange.request
        if isinstance(outcome, ClientResponse):
            deferred.callback(AgentResponse(outcome, self.pool.reactor))
        elif (
            exchange.met_stale_connection
            and request.is_idempotent
            and request.can_replay
        ):
            self._try_again(exchange)
        else:
            deferred.errback(Failure(_as_twisteds(outcome)))

    def _try_again(self, exchange: Exchange) -> None:
        """Send the request over another connection: the server had closed this one."""
        again = self._exchange_of(exchange.request)
        again.started = exchange.started
        again.total_deadline = exchange.total_deadline
        exchange.following = again
        again.addCallbacks(exchange.callback, exchange.errback)
        try:
            self.pool.start(again)
        except HTTPXError as error:
            again.failed(error)

    # Ours

    def _made(
        self,
        method: bytes,
        url: str,
        headers: Headers | None,
        producer: IBodyProducer | None,
    ) -> OutgoingRequest:
        fields = None
        if headers is not None:
            fields = [
                (name, value)
                for name, values in headers.getAllRawHeaders()
                for value in values
            ]
        draft = self._maker.draft(
            method.decode("ascii"),
            self._maker.url(url),
            headers=fields,
            content=None if producer is None else (as_content(producer), None),
            cookies=None,
            auth=None,
            limit=inf,
        )
        request = self._maker.finish(draft, 0.0)
        request.decodes = False
        return request

    def _exchange_of(self, request: OutgoingRequest) -> Exchange:
        exchange = Exchange(request, self._timeout, inf, self)
        exchange.streams = True
        exchange.is_plain = False
        return exchange


def _policy(given: Any) -> Any:
    if given is None:
        return TLSPolicy()
    if isinstance(given, TLSPolicy) or IPolicyForHTTPS.providedBy(given):
        return given
    raise ConfigurationError(f"neither an IPolicyForHTTPS nor a TLSPolicy: {given!r}")


def _address(given: str | bytes | tuple[str | bytes, int] | None) -> str | None:
    if isinstance(given, tuple):
        given, port = given
        if port:
            raise ConfigurationError(f"bindAddress: port {port}; only 0 can be shared")
    return given.decode("ascii") if isinstance(given, bytes) else given


def _as_value_error(error: LocalProtocolError) -> ValueError:
    # InvalidURL and InvalidHeader are; the others become one.
    return error if isinstance(error, ValueError) else ValueError(str(error))


def _as_twisteds(error: BaseException) -> BaseException:
    """Return what Twisted's agent would have failed with, with *error* as its cause."""
    twisteds = _counterpart(error)
    if twisteds not in {error, error.__cause__}:
        twisteds.__cause__ = error
    return twisteds


def _counterpart(error: BaseException) -> BaseException:  # noqa: PLR0911  # a table
    cause = error.__cause__
    match error:
        case ClientClosed() | PoolExhausted():
            return error  # Twisted has nothing like it
        case NameNotResolved():
            return DNSLookupError(str(error))
        case ConnectTimeout():
            return ConnectTimedOut(string=str(error))
        case ConnectFailed() if isinstance(cause, ConnectError):
            return cause
        case ConnectFailed() if cause is None:
            return ConnectError(string=str(error))
        case RemoteProtocolError():
            return ResponseFailed(reasons_of(error))
        case HTTPXError() if not isinstance(error, LocalProtocolError):
            return ResponseNeverReceived(reasons_of(error))
        case _:  # what the body producer failed with
            return RequestGenerationFailed([Failure(error)])
