"""The client: what people call, and the shortest way for what they call most."""

from __future__ import annotations

import os
import time
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final, Self, Unpack

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from httpx_tw.client.authentication import auth_from
from httpx_tw.client.call import Call, CallOptions, hooks_from
from httpx_tw.client.cookies import CookieJar
from httpx_tw.client.decoding import accept_encoding
from httpx_tw.client.exchange import Exchange
from httpx_tw.client.pool import ConnectionPool
from httpx_tw.client.preparing import RequestMaker, Route, content_from
from httpx_tw.client.proxies import ProxySettings
from httpx_tw.client.redirects import RedirectPolicy, redirect_policy_from
from httpx_tw.client.response import ClientResponse
from httpx_tw.client.retries import (
    RetryPolicy,
    retry_budget_from,
    retry_policy_from,
)
from httpx_tw.client.timeouts import DEFAULT_TIMEOUT, as_timeout
from httpx_tw.errors import ConfigurationError, HTTPXError
from httpx_tw.headers import Headers
from httpx_tw.limits import MIB
from httpx_tw.observe.moments import PHASES
from httpx_tw.tls.contexts import TLSPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from httpx_tw.client.authentication import Auth, AuthInput
    from httpx_tw.client.content import ContentInput
    from httpx_tw.client.dialing import MakesConnections
    from httpx_tw.client.fields import FieldsInput
    from httpx_tw.client.multipart import FilesInput
    from httpx_tw.client.outgoing import OutgoingRequest
    from httpx_tw.client.pool_facts import PoolConfig
    from httpx_tw.client.proxies import ProxiesInput
    from httpx_tw.client.request_options import RequestOptions, StreamOptions
    from httpx_tw.client.retries import RetryBudgetInput
    from httpx_tw.client.saving import Progress
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
    :param retry_budget: retries of all requests together, as a part of them (behind a
        reserve of 100), or a RetryBudget, which several clients may share. Beyond it
        the error or response stands. 0 or None: no such limit.
    :param event_hooks: callables by moment: see
        :data:`~httpx_tw.observe.moments.STEPS`, where what they return is awaited if it
        can be, and :data:`~httpx_tw.observe.moments.PHASES`, where it is not.
    :param timing: note when the phases of each request are over, in
        :attr:`ClientResponse.timing`; hooks at a phase do so, too.
    :param max_response_size: bytes of a body, decoded, that is collected. 0: no limit.
    :param user_agent: the User-Agent field. None: our own, with our version.
    :param local_address: the IP address that connections leave from.
    :param uds: path of a Unix socket that all connections are made to.
    :param contexts: what keeps TLS sessions, to be shared. None: its own.
    :param dialer: what makes connections in place of sockets: for tests, see
        :mod:`httpx_tw.testing`.
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
        retry_budget: RetryBudgetInput = 0.2,
        event_hooks: Mapping[str, Sequence[Callable[..., object]]] | None = None,
        timing: bool = False,
        max_response_size: int = MAX_RESPONSE_SIZE,
        user_agent: str | None = None,
        local_address: str | None = None,
        uds: str | None = None,
        contexts: ClientContexts | None = None,
        dialer: MakesConnections | None = None,
        reactor: Any = None,
    ) -> None:
        if isinstance(pool, ConnectionPool) and (dialer or contexts):
            raise ConfigurationError("a pool that is given has its dialer and contexts")
        if uds is not None and (proxy is not None or local_address is not None):
            raise ConfigurationError("a Unix socket takes no proxy or local address")
        if local_address is not None and not (
            isIPAddress(local_address) or isIPv6Address(local_address)
        ):
            raise ConfigurationError(f"not an IP address: {local_address!r}")
        self._owns_pool = not isinstance(pool, ConnectionPool)
        self.pool: ConnectionPool = (
            pool
            if isinstance(pool, ConnectionPool)
            else ConnectionPool(pool, reactor=reactor, contexts=contexts, dialer=dialer)
        )
        """Where its connections come from."""
        self.cookies = cookies if isinstance(cookies, CookieJar) else CookieJar()
        """The jar: cookies that were received, or set by :meth:`CookieJar.set`."""
        self.hooks = hooks_from(event_hooks)
        self.is_timed = timing or not self.hooks.keys().isdisjoint(PHASES)
        """Whether responses have their :attr:`~ClientResponse.timing`."""
        budget = retry_budget_from(retry_budget)
        if budget is not None:
            budget.watch(self.pool)
        self._auth: Auth | None = auth_from(auth)
        self._options = CallOptions(
            redirects=redirect_policy_from(follow_redirects, max_redirects),
            retries=retry_policy_from(retries),
            timeout=as_timeout(timeout),
            limit=float(max_response_size) or inf,
            streams=False,
            budget=budget,
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
        self._can_be_plain = not (self._auth or self.hooks or self.is_timed)
        self._timeout: Timeout = self._options.timeout
        self._limit = self._options.limit

    # Requests

    def get(
        self, url: str, **options: Unpack[RequestOptions]
    ) -> Deferred[ClientResponse]:
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
        upload_progress: Progress | None = None,
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
        :param upload_progress: called on the reactor thread with the bytes of the body
            that the transport was given and those in all (None: unknown), once with 0
            and then for each piece; from 0 again when the request is sent again. What
            it raises fails the request.
        :raises InvalidURL, InvalidHeader, LocalProtocolError, ConfigurationError: when
            it makes no sense.
        :raises ConnectFailed: there is no connection to be had.
        :raises RequestTimeout: ConnectTimeout, ReadTimeout, WriteTimeout, PoolTimeout,
            TotalTimeout: it took too long.
        :raises FileChanged: a file became shorter or longer while it was sent.
        :raises ConnectionLost: the server broke the connection.
        :raises RemoteProtocolError: the server sent what is no HTTP, or not all of it.
        :raises ResponseTooLarge, TooManyRedirects: a limit was met.
        """
        client = self._options
        try:
            options = CallOptions(
                redirects=client.redirects
                if follow_redirects is _AS_THE_CLIENT
                else redirect_policy_from(
                    follow_redirects, client.redirects.max_redirects
                ),
                retries=client.retries
                if retries is _AS_THE_CLIENT
                else retry_policy_from(retries),
                timeout=self._timeout
                if timeout is _AS_THE_CLIENT
                else as_timeout(timeout),
                limit=self._limit
                if max_response_size is None
                else float(max_response_size) or inf,
                streams=stream,
                may_wait=wait,
                budget=client.budget,
                upload_progress=upload_progress,
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

    def head(
        self, url: str, **options: Unpack[RequestOptions]
    ) -> Deferred[ClientResponse]:
        """Send HEAD; see :meth:`request`."""
        return self.request("HEAD", url, **options)

    def options(
        self, url: str, **options: Unpack[RequestOptions]
    ) -> Deferred[ClientResponse]:
        """Send OPTIONS; see :meth:`request`."""
        return self.request("OPTIONS", url, **options)

    def delete(
        self, url: str, **options: Unpack[RequestOptions]
    ) -> Deferred[ClientResponse]:
        """Send DELETE; see :meth:`request`."""
        return self.request("DELETE", url, **options)

    def post(
        self, url: str, **options: Unpack[RequestOptions]
    ) -> Deferred[ClientResponse]:
        """Send POST; see :meth:`request`."""
        return self.request("POST", url, **options)

    def put(
        self, url: str, **options: Unpack[RequestOptions]
    ) -> Deferred[ClientResponse]:
        """Send PUT; see :meth:`request`."""
        return self.request("PUT", url, **options)

    def patch(
        self, url: str, **options: Unpack[RequestOptions]
    ) -> Deferred[ClientResponse]:
        """Send PATCH; see :meth:`request`."""
        return self.request("PATCH", url, **options)

    def stream(
        self, method: str, url: str, **options: Unpack[StreamOptions]
    ) -> StreamedResponse:
        """Send a request; its response is read while it comes.

            async with client.stream("GET", url) as response:
                async for piece in response:
                    file.write(piece)

        Options are those of :meth:`request`. What is not read at the end of the block
        is dropped, with the connection if it is much.
        """
        return StreamedResponse(self.request(method, url, stream=True, **options))

    def download(  # as save, and a request
        self,
        url: str,
        path: str | os.PathLike[str],
        *,
        method: str = "GET",
        progress: Progress | None = None,
        max_size: int | None = None,
        **options: Any,
    ) -> Deferred[int]:
        """Save what is at *url* to the file at *path*; return its bytes.

        *options* are those of :meth:`request`; the rest is as
        :meth:`ClientResponse.save` has it. Mind the timeout: ``total`` is for all of
        it. It is not tried again once the file has begun to come.

        :raises StatusError: the status is 4xx or 5xx; *path* is as it was.
        """
        return Deferred.fromCoroutine(
            self._download(
                self.stream(method, url, **options),
                partial(
                    ClientResponse.save,
                    path=path,
                    progress=progress,
                    max_size=max_size,
                ),
            )
        )

    @staticmethod
    async def _download(
        stream: StreamedResponse, save: Callable[[ClientResponse], Deferred[int]]
    ) -> int:
        async with stream as response:
            return await save(response.raise_for_status())

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
