"""The client: what people call, and the shortest way for what they call most."""

from __future__ import annotations

import os
import time
from math import inf
from typing import TYPE_CHECKING, Any, Final, Self

from twisted.internet.defer import fail, succeed
from twisted.python.failure import Failure

from httpx_tw.client.authentication import auth_from
from httpx_tw.client.call import MOMENTS, Call, CallOptions
from httpx_tw.client.cookies import CookieJar
from httpx_tw.client.decoding import accept_encoding
from httpx_tw.client.exchange import Exchange
from httpx_tw.client.pool import ConnectionPool
from httpx_tw.client.preparing import RequestMaker, Route, content_from
from httpx_tw.client.proxies import ProxySettings
from httpx_tw.client.redirects import RedirectPolicy
from httpx_tw.client.retries import RetryPolicy
from httpx_tw.client.timeouts import DEFAULT_TIMEOUT, as_timeout
from httpx_tw.errors import ConfigurationError, HTTPXError
from httpx_tw.headers import Headers
from httpx_tw.limits import MIB
from httpx_tw.tls.contexts import TLSPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from twisted.internet.defer import Deferred

    from httpx_tw.client.authentication import Auth, AuthInput
    from httpx_tw.client.content import ContentInput
    from httpx_tw.client.fields import FieldsInput
    from httpx_tw.client.multipart import FilesInput
    from httpx_tw.client.outgoing import OutgoingRequest
    from httpx_tw.client.pool_facts import PoolConfig
    from httpx_tw.client.proxies import ProxiesInput
    from httpx_tw.client.response import ClientResponse
    from httpx_tw.client.timeouts import Timeout, TimeoutInput
    from httpx_tw.headers import HeadersInput
    from httpx_tw.tls.contexts import ClientContexts

__all__ = ["MAX_RESPONSE_SIZE", "Client", "StreamedResponse"]

MAX_RESPONSE_SIZE: Final = 100 * MIB
"""Bytes of a response body that is collected."""

_PLAIN_REMEMBERED: Final = 1024


class _AsTheClient:
    """What an argument is that was not given; None means something of its own."""

    def __repr__(self) -> str:
        return "<as the client>"


_AS_THE_CLIENT: Any = _AsTheClient()


class Client:
    """An HTTP client over a pool of persistent connections.

        client = Client(base_url="https://api.shop.example/v1", timeout=5)
        response = await client.get("items", params={"page": 2})
        print(response.status, response.headers["content-type"], response.json())

    Methods return Deferreds, to be awaited in ``async def`` or used as they are.
    Cancelling one gives up the request and returns its connection, or closes it.
    Responses have their bodies, except those of :meth:`stream`.

    Reactor thread only. Other threads use
    :class:`~httpx_tw.client.blocking.BlockingClient`.

    :param base_url: what relative URLs are below; its path is kept.
    :param headers: fields of each request, over our own defaults.
    :param params: query fields of each request.
    :param cookies: a CookieJar, which may be shared with other clients, or names and
        values for *base_url* alone. None: a jar of its own.
    :param auth: credentials of each request, never sent to another origin that a
        redirect leads to; a pair is user name and password for Basic.
    :param timeout: a Timeout, seconds, or None for no timeouts.
    :param pool: a pool to share, or a PoolConfig. None: its own, with defaults.
    :param verify: True: the authorities of the platform; a path: those in that file;
        False: trust **anybody**. See TLSPolicy, which may be given here as a whole.
    :param cert: our own certificate: a path of a PEM file, or of certificate and key.
    :param proxy: the URL of a proxy, or of one for each scheme: see ProxiesInput.
    :param no_proxy: who is reached directly, as ``NO_PROXY`` has it.
    :param trust_env: take proxies from the environment, unless *proxy* is given.
    :param follow_redirects: whether to. A RedirectPolicy says it in full.
    :param retries: how often at most, or a RetryPolicy. 0 or None: never.
    :param event_hooks: callables by moment: see
        :data:`~httpx_tw.client.call.MOMENTS`. What they return is awaited if it can be.
    :param max_response_size: bytes of a body, decoded, that is collected. 0: no limit.
    :param local_address: the IP address that connections leave from.
    :param uds: path of a Unix socket that all connections are made to.
    :param reactor: None: the one that is installed at the first request.
    :raises ConfigurationError: when an option makes no sense.
    """

    def __init__(  # noqa: PLR0913  # options, each with a default
        self,
        *,
        base_url: str | None = None,
        headers: HeadersInput = None,
        params: FieldsInput = None,
        cookies: CookieJar | Mapping[str, str] | None = None,
        auth: AuthInput = None,
        timeout: TimeoutInput = DEFAULT_TIMEOUT,
        pool: ConnectionPool | PoolConfig | None = None,
        verify: bool | str | os.PathLike[str] | TLSPolicy = True,
        cert: Any = None,
        proxy: ProxiesInput = None,
        no_proxy: str = "",
        trust_env: bool = False,
        follow_redirects: bool | RedirectPolicy = True,
        max_redirects: int = 10,
        retries: int | RetryPolicy | None = RetryPolicy(),  # noqa: B008  # frozen
        event_hooks: Mapping[str, Sequence[Callable[..., object]]] | None = None,
        max_response_size: int = MAX_RESPONSE_SIZE,
        user_agent: str | None = None,
        local_address: str | None = None,
        uds: str | None = None,
        contexts: ClientContexts | None = None,
        reactor: Any = None,
    ) -> None:
        if uds is not None and (proxy is not None or local_address is not None):
            raise ConfigurationError("a Unix socket takes no proxy or local address")
        self._owns_pool = not isinstance(pool, ConnectionPool)
        self.pool: ConnectionPool = (
            pool
            if isinstance(pool, ConnectionPool)
            else ConnectionPool(pool, reactor=reactor, contexts=contexts)
        )
        """Where its connections come from."""
        self.cookies = cookies if isinstance(cookies, CookieJar) else CookieJar()
        """The jar: cookies that were received, or set by :meth:`CookieJar.set`."""
        self.hooks = _checked_hooks(event_hooks)
        self._auth: Auth | None = auth_from(auth)
        self._options = CallOptions(
            redirects=_redirect_policy(follow_redirects, max_redirects),
            retries=_retry_policy(retries),
            timeout=as_timeout(timeout),
            limit=float(max_response_size) or inf,
            streams=False,
        )
        self.maker = RequestMaker(
            Route(
                tls=verify
                if isinstance(verify, TLSPolicy)
                else TLSPolicy(verify=verify, cert=cert),
                local_address=local_address,
                uds=uds,
                proxies=ProxySettings.from_environment(os.environ)
                if trust_env and proxy is None
                else ProxySettings.of(proxy, no_proxy),
            ),
            base_url=base_url,
            params=params,
            headers=headers,
            defaults=_default_fields(user_agent),
            jar=self.cookies,
        )
        if cookies is not None and cookies is not self.cookies:
            if base_url is None:
                raise ConfigurationError("cookies need a base_url that they are for")
            host = self.maker.url(base_url).host
            for name, value in dict(cookies).items():  # type: ignore[arg-type]  # no jar
                self.cookies.set(name, value, domain=host)
        # GETs of a URL alone, each with its head ready: what most requests are.
        self._plain: dict[str, OutgoingRequest] = {}
        self._can_be_plain = self._auth is None and not self.hooks
        self._timeout: Timeout = self._options.timeout
        self._limit = self._options.limit

    # Requests

    def get(self, url: str, **options: Any) -> Deferred[ClientResponse]:
        """Send GET; see :meth:`request`."""
        if options or not self._can_be_plain or self.cookies.count:
            return self.request("GET", url, **options)
        request = self._plain.get(url)
        # The shortest way: Call and Draft are made only if the response wants more.
        try:
            if request is None:
                request = self._first_plain(url)
            exchange = Exchange(request, self._timeout, self._limit, self)
            self.pool.start(exchange)
        except HTTPXError as error:
            return fail(error)
        return exchange

    def _first_plain(self, url: str) -> OutgoingRequest:
        parsed = self.maker.url(url)
        draft = self.maker.draft("GET", parsed, **self._nothing_special())
        request = self.maker.finish(draft, 0.0)
        if parsed.userinfo is None:
            if len(self._plain) >= _PLAIN_REMEMBERED:
                self._plain.clear()
            self._plain[url] = request
        return request

    def _nothing_special(self) -> dict[str, Any]:
        return {
            "headers": None,
            "content": None,
            "cookies": None,
            "auth": self._auth,
            "limit": self._limit,
        }

    def conclude(
        self, exchange: Exchange, outcome: ClientResponse | BaseException
    ) -> None:
        """See ExchangeOwner: a plain GET has had no plain answer."""
        request = exchange.request
        draft = self.maker.draft("GET", request.url, **self._nothing_special())
        Call(self, self._options, draft).conclude(exchange, outcome)

    def request(  # noqa: PLR0913  # what a request may have
        self,
        method: str,
        url: str,
        *,
        params: FieldsInput = None,
        headers: HeadersInput = None,
        content: ContentInput | None = None,
        data: FieldsInput | ContentInput | None = None,
        json: Any = None,
        files: FilesInput = None,
        cookies: Mapping[str, str] | None = None,
        auth: AuthInput = _AS_THE_CLIENT,
        timeout: TimeoutInput = _AS_THE_CLIENT,
        follow_redirects: bool | RedirectPolicy = _AS_THE_CLIENT,
        retries: int | RetryPolicy | None = _AS_THE_CLIENT,
        max_response_size: int | None = None,
        wait: bool = True,
        stream: bool = False,
    ) -> Deferred[ClientResponse]:
        """Send a request, and return its response with the body read.

        :param params: query fields, behind those of the URL and of the client.
        :param headers: fields that stand in for the client's of the same name.
        :param content: the body: see :data:`~httpx_tw.client.content.ContentInput`.
        :param data: a form: sent urlencoded, or with *files* as multipart.
        :param json: what is sent as JSON.
        :param files: see :mod:`httpx_tw.client.multipart`.
        :param cookies: for this request, besides the jar's.
        :param auth: None: none, not the client's either.
        :param wait: False: fail with PoolExhausted if all connections are in use.
        :param stream: give the response at its head. Then read it to its end or close
            it: it holds a connection. :meth:`stream` does so by itself.
        :raises InvalidURL, InvalidHeader, LocalProtocolError, ConfigurationError: when
            it makes no sense.
        :raises ConnectFailed: there is no connection to be had.
        :raises RequestTimeout: ConnectTimeout, ReadTimeout, WriteTimeout, PoolTimeout,
            TotalTimeout: it took too long.
        :raises ConnectionLost: the server broke the connection.
        :raises RemoteProtocolError: the server sent what is no HTTP, or not all of it.
        :raises ResponseTooLarge, TooManyRedirects: a limit was met.
        """
        client = self._options
        try:
            options = CallOptions(
                redirects=client.redirects
                if follow_redirects is _AS_THE_CLIENT
                else _redirect_policy(follow_redirects, client.redirects.max_redirects),
                retries=client.retries
                if retries is _AS_THE_CLIENT
                else _retry_policy(retries),
                timeout=self._timeout
                if timeout is _AS_THE_CLIENT
                else as_timeout(timeout),
                limit=self._limit
                if max_response_size is None
                else float(max_response_size) or inf,
                streams=stream,
                may_wait=wait,
            )
            draft = self.maker.draft(
                method,
                self.maker.url(url, params),
                headers=headers,
                content=content_from(
                    content=content, data=data, json=json, files=files
                ),
                cookies=cookies,
                auth=self._auth if auth is _AS_THE_CLIENT else auth_from(auth),
                limit=options.limit,
            )
            request = self.maker.finish(draft, time.time())
            return Call(self, options, draft).start(request)
        except HTTPXError:
            return fail(Failure())

    def head(self, url: str, **options: Any) -> Deferred[ClientResponse]:
        """Send HEAD; see :meth:`request`."""
        return self.request("HEAD", url, **options)

    def options(self, url: str, **options: Any) -> Deferred[ClientResponse]:
        """Send OPTIONS; see :meth:`request`."""
        return self.request("OPTIONS", url, **options)

    def delete(self, url: str, **options: Any) -> Deferred[ClientResponse]:
        """Send DELETE; see :meth:`request`."""
        return self.request("DELETE", url, **options)

    def post(self, url: str, **options: Any) -> Deferred[ClientResponse]:
        """Send POST; see :meth:`request`."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> Deferred[ClientResponse]:
        """Send PUT; see :meth:`request`."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Any) -> Deferred[ClientResponse]:
        """Send PATCH; see :meth:`request`."""
        return self.request("PATCH", url, **options)

    def stream(self, method: str, url: str, **options: Any) -> StreamedResponse:
        """Send a request; its response is read while it comes.

            async with client.stream("GET", url) as response:
                async for piece in response:
                    file.write(piece)

        Options are those of :meth:`request`. What is not read at the end of the block
        is dropped, with the connection if it is much.
        """
        return StreamedResponse(self.request(method, url, stream=True, **options))

    # The end

    def close(self) -> Deferred[None]:
        """Close its connections, unless its pool was given; fires when they are.

        Requests still going on get ClientClosed.
        """
        if self._owns_pool:
            return self.pool.close()
        return succeed(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class StreamedResponse:
    """A response for the time of an ``async with`` block. See :meth:`Client.stream`."""

    __slots__ = ("_coming", "_response")

    def __init__(self, coming: Deferred[ClientResponse]) -> None:
        self._coming = coming
        self._response: ClientResponse | None = None

    async def __aenter__(self) -> ClientResponse:
        self._response = await self._coming
        return self._response

    async def __aexit__(self, *_: object) -> None:
        if self._response is not None:
            self._response.close()


def _default_fields(user_agent: str | None) -> list[tuple[bytes, bytes]]:
    if user_agent is None:
        # Imported late: the package imports this module.
        from httpx_tw import __version__

        user_agent = f"httpx-tw/{__version__}"
    return Headers(
        [
            ("User-Agent", user_agent),
            ("Accept", "*/*"),
            ("Accept-Encoding", accept_encoding()),
        ]
    ).raw


def _redirect_policy(value: bool | RedirectPolicy, limit: int) -> RedirectPolicy:
    if isinstance(value, RedirectPolicy):
        return value
    return RedirectPolicy(follow_redirects=bool(value), max_redirects=limit)


def _retry_policy(value: int | RetryPolicy | None) -> RetryPolicy:
    if isinstance(value, RetryPolicy):
        return value
    return RetryPolicy(max_retries=value) if value else RetryPolicy.none()


def _checked_hooks(
    hooks: Mapping[str, Sequence[Callable[..., object]]] | None,
) -> dict[str, tuple[Callable[..., object], ...]]:
    found = {moment: tuple(called) for moment, called in (hooks or {}).items()}
    unknown = found.keys() - MOMENTS.keys()
    if unknown:
        raise ConfigurationError(
            f"no such moments: {', '.join(sorted(unknown))}; there are "
            f"{', '.join(MOMENTS)}"
        )
    return {moment: called for moment, called in found.items() if called}
