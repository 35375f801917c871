"""What is answered when something goes wrong, and who is told."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any, TypeAlias

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from httpx_tw.app.middleware.onion import is_awaitable
from httpx_tw.app.response import Response, to_response
from httpx_tw.errors import ConfigurationError, HTTPError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from httpx_tw.app.request import Request

__all__ = ["ErrorHook", "ErrorPage", "ErrorPages"]

ErrorPage: TypeAlias = "Callable[[Request, HTTPError], Any]"
"""Takes the request and the error; returns what an endpoint may return."""

ErrorHook: TypeAlias = "Callable[[Request | None, Failure], Any]"
"""Is told of every unexpected exception."""


class ErrorPages:
    """The pages of an application for errors, and its hooks. See App for both."""

    __slots__ = ("_hooks", "_log", "_pages", "are_async")

    def __init__(self) -> None:
        self.are_async = False
        """One of the pages may need the reactor thread."""
        self._pages: dict[int, ErrorPage] = {}
        self._hooks: list[ErrorHook] = []
        self._log = Logger(namespace="httpx_tw.app")

    def set(self, status: int, page: ErrorPage, *, needs_reactor: bool) -> None:
        """Answer *status* with *page* from now on.

        :raises ConfigurationError: unless *status* is 400 to 599 and *page* callable.
        """
        if not 400 <= status <= 599:
            raise ConfigurationError(f"an error page is for 400 to 599, not {status}")
        if not callable(page):
            raise ConfigurationError(f"{page!r} cannot be called")
        self._pages[status] = page
        self.are_async = self.are_async or needs_reactor

    def add_hook(self, hook: ErrorHook) -> None:
        """Call *hook* for every unexpected exception from now on."""
        if not callable(hook):
            raise ConfigurationError(f"{hook!r} cannot be called")
        self._hooks.append(hook)

    def page_for(self, request: Request | None, error: HTTPError) -> Any:
        """Return the Response for *error*, or an awaitable of it; may raise.

        A page that says nothing about the status gets the error's, and its headers.
        """
        page = None if request is None else self._pages.get(error.status)
        if request is None or page is None:
            return _plain(error)
        result = page(request, error)
        if is_awaitable(result):
            return _awaited(result, error)
        return _completed(result, error)

    def respond(
        self, request: Request | None, failure: Failure
    ) -> Response | Awaitable[Response]:
        """Return the answer to *failure*, or an awaitable of it. Never raises.

        Told to the log and the hooks, unless it was meant for the client.
        """
        try:
            answer = self.page_for(request, self._classified(request, failure))
        except Exception:  # noqa: BLE001  a page is the application's: anything
            return self._give_up(request)
        return self._guarded(request, answer) if is_awaitable(answer) else answer

    async def _guarded(
        self, request: Request | None, answer: Awaitable[Response]
    ) -> Response:
        try:
            return await answer
        except CancelledError:
            raise  # the client is gone, or the time is up: it is no error of the page's
        except Exception:  # noqa: BLE001  as above
            return self._give_up(request)

    def _give_up(self, request: Request | None) -> Response:
        self._report(request, Failure())
        return _plain(HTTPError(500))

    def _classified(self, request: Request | None, failure: Failure) -> HTTPError:
        error = failure.value
        if isinstance(error, HTTPError):
            return error
        if isinstance(error, RemoteProtocolError):
            return HTTPError(error.status)  # its message may quote what the peer sent
        self._report(request, failure)
        return HTTPError(500)

    def _report(self, request: Request | None, failure: Failure) -> None:
        # The target as it was sent has no control characters; the decoded path may
        # have line breaks, and the query may have secrets.
        method, path = ("-", "-") if request is None else _named(request)
        self._log.failure(
            "unhandled error in {method} {path}",
            failure=failure,
            method=method,
            path=path,
        )
        for hook in self._hooks:
            try:
                result = hook(request, failure)
                if is_awaitable(result):
                    Deferred.fromCoroutine(_finished(result)).addErrback(self._log_hook)
            except Exception:  # noqa: BLE001  a hook is the application's: anything
                self._log_hook(Failure())

    def _log_hook(self, failure: Failure) -> None:
        self._log.failure("an error hook failed", failure=failure)


def _named(request: Request) -> tuple[str, str]:
    return request.method, request.target.partition("?")[0]


def _plain(error: HTTPError) -> Response:
    message = error.message
    if message is None:
        try:
            message = http.HTTPStatus(error.status).phrase
        except ValueError:
            message = "Error"
    return Response(message, error.status, error.headers or None)


async def _awaited(result: Awaitable[object], error: HTTPError) -> Response:
    return _completed(await result, error)


async def _finished(result: Awaitable[object]) -> None:
    await result


def _completed(result: object, error: HTTPError) -> Response:
    response = to_response(result)
    if response.status in (200, 204):  # nothing was said, or None was returned
        response.status = error.status
    own = {name.lower() for name, _ in response.headers}
    for name, value in error.headers:  # one name may come twice: WWW-Authenticate
        if name.lower() not in own:
            response.headers.add(name, value)
    return response
