"""The onion: an endpoint with middleware around it becomes one function.

A middleware is called with the request and ``call_next``, which is what stands inside:

    async def timed(request, call_next):
        response = await call_next(request)
        response.headers.set("Server-Timing", "app")
        return response

    def guarded(request, call_next):
        if "authorization" not in request.headers:
            raise HTTPError(401)
        return call_next(request)

What ``call_next`` gives is a Response, whatever the endpoint returned; only a
SwitchProtocols stays one. An ``async def`` middleware awaits it. A plain one gets the
Response itself when everything inside is plain too, and otherwise a Deferred of it.
What is raised inside comes out of ``call_next``, so it can be caught there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from twisted.internet.defer import Deferred

from httpx_tw.app.response import Response, to_response
from httpx_tw.app.route import ANYWHERE, ON_WORKER, is_async
from httpx_tw.app.upgrade import SwitchProtocols
from httpx_tw.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from httpx_tw.app.request import Request
    from httpx_tw.app.route import Endpoint

__all__ = ["Middleware", "checked_middleware", "compose", "is_awaitable"]

Middleware: TypeAlias = "Callable[[Request, Callable[[Request], Any]], Any]"
"""Takes the request and call_next; returns what an endpoint may return."""

_Answer: TypeAlias = "Response | SwitchProtocols"


def compose(
    endpoint: Endpoint, layers: Iterable[Middleware], *, thread: bool | None = None
) -> Endpoint:
    """Return *endpoint* with *layers* around it, the first one outermost.

    Without layers that is *endpoint* itself. What is plain inside the innermost ``async
    def`` is left to the server, which may give it to a worker thread: *thread* is the
    route's.
    """
    may_block = thread is not False and not is_async(endpoint)
    for layer in reversed(list(layers)):
        if may_block and is_async(layer):
            endpoint = _left_to_server(endpoint, ON_WORKER if thread else ANYWHERE)
            may_block = False
        endpoint = _wrapped(layer, endpoint)
    return endpoint


def checked_middleware(layers: Iterable[Middleware]) -> list[Middleware]:
    """Return *layers* as a list.

    :raises ConfigurationError: when one cannot be called.
    """
    checked = list(layers)
    for layer in checked:
        if not callable(layer):
            raise ConfigurationError(f"middleware {layer!r} cannot be called")
    return checked


def is_awaitable(result: object) -> bool:
    """Tell whether *result* is a coroutine, a Deferred, or something else to await."""
    return hasattr(result, "__await__")


def _wrapped(layer: Middleware, inner: Endpoint) -> Endpoint:
    call_next = _awaiting(inner) if is_async(layer) else _passing(inner)

    def call(request: Request) -> Any:
        return layer(request, call_next)

    return call


def _left_to_server(inner: Endpoint, place: int) -> Endpoint:
    def call(request: Request) -> Any:
        return request.link.call_endpoint(inner, request, place)

    return call


def _awaiting(inner: Endpoint) -> Callable[[Request], Awaitable[_Answer]]:
    async def call_next(request: Request) -> _Answer:
        result = inner(request)
        if type(result) is not Response and is_awaitable(result):
            result = await result
        return _to_answer(result)

    return call_next


def _passing(inner: Endpoint) -> Callable[[Request], _Answer | Deferred[_Answer]]:
    def call_next(request: Request) -> _Answer | Deferred[_Answer]:
        result = inner(request)
        if isinstance(result, Deferred):
            return result.addCallback(_to_answer)
        if type(result) is not Response and is_awaitable(result):
            return Deferred.fromCoroutine(_awaited(result))
        return _to_answer(result)

    return call_next


async def _awaited(result: Awaitable[object]) -> _Answer:
    return _to_answer(await result)


def _to_answer(result: object) -> _Answer:
    return result if isinstance(result, SwitchProtocols) else to_response(result)
