"""The application: routes, the middleware around them, and the pages for errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from httpx_tw.app.files.static import StaticFiles
from httpx_tw.app.group import Group
from httpx_tw.app.middleware.onion import Middleware, checked_middleware, compose
from httpx_tw.app.pages import ErrorPage, ErrorPages
from httpx_tw.app.route import ON_REACTOR, is_async
from httpx_tw.app.router import Found, Router
from httpx_tw.app.verbs import RouteOptions, Verbs

if TYPE_CHECKING:
    import os

    from twisted.python.failure import Failure

    from httpx_tw.app.request import Request
    from httpx_tw.app.response import Response
    from httpx_tw.app.route import Endpoint, Route

__all__ = ["App"]

E = TypeVar("E", bound=Callable[..., Any])


class App(Verbs):
    """What a Server serves and ``--app`` names.

    It knows no connection and no reactor. Routes, middleware and pages may be added at
    any time on the reactor thread; the middleware is composed around the routes when
    the next request is looked up, not for each request.
    """

    __slots__ = ("_is_stale", "_layers", "_pages", "_registered", "_router")

    def __init__(self) -> None:
        self._pages = ErrorPages()
        self._router = Router(refuse=self._pages.page_for, prepare=self._prepare)
        self._layers: list[Middleware] = []
        self._registered: list[tuple[Route, Group | None, list[Middleware]]] = []
        self._is_stale = False

    # Called by the application's author. The verbs are in Verbs.

    def use(self, middleware: E) -> E:
        """Put *middleware* inside what is there, around every route; also a decorator.

        Also around 404, 405, automatic OPTIONS and redirects.
        """
        self._layers.extend(checked_middleware([middleware]))
        self._is_stale = True
        return middleware

    def group(self, prefix: str, middleware: Iterable[Middleware] = ()) -> Group:
        """Return a group: its routes begin with *prefix* and have its *middleware*.

        :raises ConfigurationError: unless *prefix* begins with "/" and does not end so.
        """
        return Group((self._add_to, self._mark_stale), None, prefix, middleware)

    def static(  # noqa: PLR0913  # all but two are keywords with defaults
        self,
        prefix: str,
        directory: str | os.PathLike[str],
        *,
        index: str | None = "index.html",
        listing: bool = False,
        precompressed: bool = True,
        cache_control: str | None = None,
        follow_links: bool = False,
        dot_files: bool = False,
        middleware: Iterable[Middleware] = (),
    ) -> None:
        """Answer GET and HEAD below *prefix* with the files of *directory*.

        Preconditions and ranges are looked at. What is not there, hidden, behind a link
        or no regular file is 404; what the process may not read is 403.

        :param prefix: "/assets"; "/" for the whole application's rest.
        :param directory: it may be a link, followed for each file.
        :param index: the file shown for a directory; None: none.
        :param listing: show what is in a directory without that file.
        :param precompressed: where there is ``name.br``, ``name.zst`` or ``name.gz``
            beside a ``name`` worth compressing and not older, send that to clients that
            take it.
        :param cache_control: the Cache-Control field; None: none, and clients guess.
        :param follow_links: follow links inside *directory* that do not lead out of it.
        :param dot_files: give away what begins with a dot, too.
        :raises ConfigurationError: when *directory* cannot be read, or the place is
            taken.
        """
        files = StaticFiles(
            directory,
            index=index,
            listing=listing,
            precompressed=precompressed,
            cache_control=cache_control,
            follow_links=follow_links,
            dot_files=dot_files,
        )
        prefix = prefix.rstrip("/")
        # A worker would only take longer: whatever waits for a disk is on threads.
        self.get(f"{prefix}/*", files, thread=False, middleware=middleware)
        if index is not None or listing:
            self.get(f"{prefix}/", files, thread=False, middleware=middleware)

    def not_found(self, endpoint: E) -> E:
        """Answer 404 with what *endpoint* of the request returns; also a decorator."""
        self._set_page(404, lambda request, _: endpoint(request), is_async(endpoint))
        return endpoint

    def method_not_allowed(self, endpoint: E) -> E:
        """Answer 405 with what *endpoint* (of the request) returns; also a decorator.

        Allow is added to it.
        """
        self._set_page(405, lambda request, _: endpoint(request), is_async(endpoint))
        return endpoint

    @overload
    def error_page(self, status: int, page: E) -> E: ...

    @overload
    def error_page(self, status: int, page: None = None) -> Callable[[E], E]: ...

    def error_page(self, status: int, page: Any = None) -> Any:
        """Answer *status* with what *page* (of request and HTTPError) returns.

        Without *page* it is a decorator. A page may return what an endpoint may, and be
        ``async def``. A status of 200 becomes *status*, and the error's headers are
        added. If the page raises, the answer is a plain 500. A request that is refused
        before it is a Request (a broken head) has no page of the application's.

        :raises ConfigurationError: unless *status* is 400 to 599.
        """

        def register(page: E) -> E:
            self._set_page(status, page, is_async(page))
            return page

        return register if page is None else register(page)

    def on_error(self, hook: E) -> E:
        """Call *hook* with the request (or None) and the Failure; also a decorator.

        For every exception that was not meant for the client, after it was logged. What
        the hook raises is logged.
        """
        self._pages.add_hook(hook)
        return hook

    def url_for(self, name: str, /, **params: Any) -> str:
        """Return the path of the route called *name*, percent-encoded.

        :raises NoSuchRoute: when no route has that name, or *params* do not fit it.
        """
        return self._router.url_for(name, **params)

    # Called by the server, on the reactor thread.

    def find(self, method: str, raw_path: str) -> Found:
        """Return the route for a request, ready to be called. See Router.find."""
        if self._is_stale:
            self._compose()
        return self._router.find(method, raw_path)

    def error_response(
        self, request: Request | None, failure: Failure
    ) -> Response | Awaitable[Response]:
        """Return what to answer when an endpoint failed, or an awaitable of it.

        An HTTPError is answered as it says, a RemoteProtocolError (a body too large)
        with its status; both through the error pages. Everything else is logged with
        its traceback, told to the hooks, and answered 500 without detail. *request* is
        None when there was none yet. Never raises.
        """
        return self._pages.respond(request, failure)

    # Ours.

    def _set_page(self, status: int, page: ErrorPage, needs_reactor: bool) -> None:
        self._pages.set(status, page, needs_reactor=needs_reactor)
        self._is_stale = True

    def _add(
        self,
        path: str,
        methods: Iterable[str],
        endpoint: Endpoint,
        options: RouteOptions,
    ) -> None:
        self._add_to(None, path, methods, endpoint, options)

    def _add_to(
        self,
        group: Group | None,
        path: str,
        methods: Iterable[str],
        endpoint: Endpoint,
        options: RouteOptions,
    ) -> None:
        settings: dict[str, Any] = {**options}
        layers = checked_middleware(settings.pop("middleware", ()))
        route = self._router.add(path, methods, endpoint, **settings)
        self._registered.append((route, group, layers))
        self._is_stale = True

    def _mark_stale(self) -> None:
        self._is_stale = True

    def _compose(self) -> None:
        for route, group, own in self._registered:
            outer = [] if group is None else group.layers()
            _surround(route, [*self._layers, *outer, *own])
        self._router.forget_answers()
        self._is_stale = False

    def _prepare(self, answer: Route) -> None:
        _surround(answer, self._layers)
        # Which page will be asked for shows only when the request is there.
        if self._pages.are_async:
            answer.is_async = True
            answer.runs_on = ON_REACTOR


def _surround(route: Route, layers: list[Middleware]) -> None:
    route.call = compose(route.endpoint, layers, thread=route.thread)
    route.is_async = route.streams or any(map(is_async, layers))
    route.runs_on = route.place(has_layers=bool(layers))
