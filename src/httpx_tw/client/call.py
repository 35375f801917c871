"""One call of a client: its first request, and those that follow from the responses."""

from __future__ import annotations

import inspect
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from httpx_tw.client.exchange import BareOwner, Exchange
from httpx_tw.client.redirects import next_request
from httpx_tw.client.retries import parse_retry_after
from httpx_tw.client.timing import TimedExchange
from httpx_tw.errors import (
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    HandshakeFailed,
    IncompleteMessage,
)
from httpx_tw.observe.moments import MOMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from httpx_tw.client.cookies import CookieJar
    from httpx_tw.client.outgoing import OutgoingRequest
    from httpx_tw.client.pool import ConnectionPool
    from httpx_tw.client.preparing import Draft, RequestMaker
    from httpx_tw.client.redirects import Redirect, RedirectPolicy
    from httpx_tw.client.response import ClientResponse
    from httpx_tw.client.retries import RetryBudget, RetryPolicy
    from httpx_tw.client.saving import Progress
    from httpx_tw.client.timeouts import Timeout

__all__ = ["Call", "CallOptions", "hooks_from"]

_MOST_CHALLENGES = 3
"""401s in a row that are answered: for Digest one, or two when a nonce is stale."""

# What another try may mend: nobody answered, or whoever did is gone.
_WORTH_A_RETRY = (ConnectFailed, ConnectTimeout, ConnectionLost, IncompleteMessage)


@dataclass(slots=True)
class CallOptions:
    """How a call goes on when its first response is not the end of it."""

    redirects: RedirectPolicy
    retries: RetryPolicy
    timeout: Timeout
    limit: float
    """Most bytes of body to be collected."""
    streams: bool
    may_wait: bool = True
    budget: RetryBudget | None = None
    """What all calls of the client have for retries."""
    upload_progress: Progress | None = None


def hooks_from(
    hooks: Mapping[str, Sequence[Callable[..., object]]] | None,
) -> dict[str, tuple[Callable[..., object], ...]]:
    """Return *hooks* by the moments that have any.

    :raises ConfigurationError: for a moment that there is not, or what is no list.
    """
    found: dict[str, tuple[Callable[..., object], ...]] = {}
    for moment, called in (hooks or {}).items():
        if moment not in MOMENTS:
            raise ConfigurationError(
                f"no such moment: {moment}; there are {', '.join(MOMENTS)}"
            )
        if callable(called):
            raise ConfigurationError(f"hooks of {moment}: a list is wanted")
        if called:
            found[moment] = tuple(called)
    return found


class CallOwner(Protocol):
    """What a client is to its calls."""

    pool: ConnectionPool
    cookies: CookieJar

    @property
    def maker(self) -> RequestMaker:
        """What makes requests."""

    @property
    def hooks(self) -> Mapping[str, Sequence[Callable[..., object]]]:
        """What is called at the moments that it names."""

    @property
    def is_timed(self) -> bool:
        """Whether responses have their timing."""


class Call:
    """The requests of one call, one after the other. Reactor thread only."""

    __slots__ = (
        "_challenges",
        "_draft",
        "_exchange",
        "_history",
        "_options",
        "_owner",
        "_redirects",
        "_retries",
        "pool",
    )

    def __init__(self, owner: CallOwner, options: CallOptions, draft: Draft) -> None:
        self._owner = owner
        self.pool = owner.pool
        self._options = options
        self._draft = draft
        self._exchange: Exchange
        self._history: list[ClientResponse] = []
        self._redirects = 0
        self._retries = 0
        self._challenges = 0

    def start(self, request: OutgoingRequest) -> Deferred[ClientResponse]:
        """Send *request*, made of the draft; return the response to the whole."""
        self._exchange = exchange = self._exchange_of(request, self)
        if self._owner.hooks:
            self._go_on(exchange, self._first(request))
        else:
            self.pool.start(exchange, may_wait=self._options.may_wait)
        return exchange

    # Called by exchanges: ExchangeOwner

    def conclude(
        self, exchange: Exchange, outcome: ClientResponse | BaseException
    ) -> None:
        """See ExchangeOwner: go on from the first outcome."""
        self._exchange = exchange
        self._go_on(exchange, self._follow(exchange.request, exchange, outcome))

    # Ours

    @staticmethod
    def _go_on(exchange: Exchange, coroutine: Any) -> None:
        following: Deferred[ClientResponse] = Deferred.fromCoroutine(coroutine)
        exchange.following = following
        following.addCallbacks(exchange.callback, exchange.errback)

    def _exchange_of(self, request: OutgoingRequest, owner: Any) -> Exchange:
        options = self._options
        basics = request, options.timeout, options.limit, owner
        exchange = (
            TimedExchange(*basics, hooks=self._owner.hooks)
            if self._owner.is_timed
            else Exchange(*basics)
        )
        exchange.streams = options.streams
        if options.upload_progress is not None:
            exchange.upload_progress = options.upload_progress
        exchange.is_plain = owner is self and not self._owner.hooks
        return exchange

    async def _first(self, request: OutgoingRequest) -> ClientResponse:
        exchange, outcome = await self._try(request)
        return await self._follow(request, exchange, outcome)

    async def _try(
        self, request: OutgoingRequest
    ) -> tuple[Exchange, ClientResponse | BaseException]:
        if self._owner.hooks:
            await self._at("request", request)
        exchange = self._exchange_of(request, BareOwner(self.pool))
        exchange.total_deadline = self._exchange.total_deadline
        exchange.started = self._exchange.started
        if exchange.started:
            exchange.begin(self.pool.seconds())
        self.pool.start(exchange, may_wait=self._options.may_wait)
        self._exchange.started = exchange.started
        self._exchange.total_deadline = exchange.total_deadline
        try:
            return exchange, await exchange
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the outcome
            return exchange, error

    async def _follow(
        self,
        request: OutgoingRequest,
        exchange: Exchange,
        outcome: ClientResponse | BaseException,
    ) -> ClientResponse:
        """Do what follows from *outcome*, until one is the answer."""
        while True:
            next_one = await self._next(request, exchange, outcome)
            if next_one is None:
                break
            request = next_one
            exchange, outcome = await self._try(request)
        if isinstance(outcome, BaseException):
            raise outcome
        if self._history:
            outcome.history = self._history
        outcome.elapsed = self.pool.seconds() - self._exchange.started
        return outcome

    async def _next(
        self,
        request: OutgoingRequest,
        exchange: Exchange,
        outcome: ClientResponse | BaseException,
    ) -> OutgoingRequest | None:
        """Return the request to send next; None: *outcome* is the answer."""
        if isinstance(outcome, BaseException):
            return await self._after_error(request, exchange, outcome)
        if outcome.head.sets_cookies:
            self._owner.cookies.receive(
                request.url, outcome.headers.get_all("set-cookie"), time.time()
            )
        if self._owner.hooks:
            await self._at("response", outcome)
        if self._is_answered_by_auth(request, outcome) or (
            outcome.status == 417
            and request.expects_continue
            and request.can_replay
            # RFC 9110 section 10.1.1: somebody on the way knows no expectations.
            and self._draft.expect_nothing()
        ):
            outcome.close()
            return self._owner.maker.finish(self._draft, time.time())
        redirect = next_request(
            self._options.redirects,
            status=outcome.status,
            method=request.method,
            url=request.url,
            locations=outcome.headers.get_all("location"),
            can_replay=request.can_replay,
            redirects=self._redirects,
        )
        if redirect is not None:
            return await self._redirected(redirect, outcome)
        return await self._after_response(request, outcome)

    def _is_answered_by_auth(
        self, request: OutgoingRequest, response: ClientResponse
    ) -> bool:
        auth = self._draft.auth
        if (
            response.status != 401
            or auth is None
            or self._challenges >= _MOST_CHALLENGES
            or not request.can_replay
        ):
            return False
        self._challenges += 1
        sent = next(
            (v for n, v in request.headers if n.lower() == b"authorization"), None
        )
        return auth.challenged(
            self._draft.auth_request,
            None if sent is None else sent.decode("latin-1"),
            response.status,
            response.headers.get_all("www-authenticate"),
        )

    async def _redirected(
        self, redirect: Redirect, response: ClientResponse
    ) -> OutgoingRequest:
        response.close()
        self._history.append(response)
        self._redirects += 1
        self._challenges = 0
        self._draft.redirect(redirect)
        request = self._owner.maker.finish(self._draft, time.time())
        if self._owner.hooks:
            await self._at("redirect", response, request)
        return request

    async def _after_error(
        self, request: OutgoingRequest, exchange: Exchange, error: BaseException
    ) -> OutgoingRequest | None:
        is_repeatable = request.is_idempotent and request.can_replay
        if exchange.met_stale_connection and is_repeatable:
            # The connection was used before: one that is closed while idle says so
            # only now. It is gone from the pool, so this ends with a new one at last.
            return request
        if isinstance(error, HandshakeFailed) or not isinstance(error, _WORTH_A_RETRY):
            return None
        delay = self._options.retries.after_error(
            retries=self._retries,
            idempotent=is_repeatable,
            was_sent=not isinstance(error, ConnectFailed | ConnectTimeout),
            chance=random.random(),  # noqa: S311  # it spreads load, it hides nothing
        )
        return await self._retry(request, error, delay)

    async def _after_response(
        self, request: OutgoingRequest, response: ClientResponse
    ) -> OutgoingRequest | None:
        retries = self._options.retries
        if response.status not in retries.retry_on_status:
            return None
        delay = retries.after_response(
            response.status,
            retries=self._retries,
            idempotent=request.is_idempotent and request.can_replay,
            retry_after=parse_retry_after(
                response.headers.get("retry-after"), time.time()
            ),
            chance=random.random(),  # noqa: S311  # see _after_error
        )
        return await self._retry(request, response, delay)

    async def _retry(
        self,
        request: OutgoingRequest,
        outcome: ClientResponse | BaseException,
        delay: float | None,
    ) -> OutgoingRequest | None:
        pool = self.pool
        if delay is None or not request.can_replay or pool.is_closed:
            return None
        if pool.seconds() + delay >= self._exchange.total_deadline:
            return None  # it could only end in a TotalTimeout
        budget = self._options.budget
        if budget is not None and not budget.try_withdraw():
            return None
        if not isinstance(outcome, BaseException):
            outcome.close()
        self._retries += 1
        if self._owner.hooks:
            await self._at("retry", request, outcome, delay)
        await deferLater(pool.reactor, delay)
        return request

    async def _at(self, moment: str, *facts: object) -> None:
        for hook in self._owner.hooks.get(moment, ()):
            result = hook(*facts)
            if inspect.isawaitable(result):
                await result
