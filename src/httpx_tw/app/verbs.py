"""get, post and the others: how routes are registered, on an App and on its groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack, overload

if TYPE_CHECKING:
    from httpx_tw.app.middleware.onion import Middleware
    from httpx_tw.app.route import Endpoint

__all__ = ["RouteOptions", "Verbs"]

E = TypeVar("E", bound=Callable[..., Any])


class RouteOptions(TypedDict, total=False):
    """The keyword arguments of each verb."""

    name: str | None
    """For ``url_for``. None: it cannot be asked for."""

    middleware: Iterable[Middleware]
    """Around this route alone, inside that of the application and its groups."""

    max_body: int | None
    """Largest body in bytes. 0: no limit. None: the server's."""

    timeout: float | None
    """Seconds until the response must begin. 0: no deadline. None: the server's."""

    thread: bool | None
    """True: on a worker thread. False: on the reactor thread. None: a plain endpoint
    as the server does it (see Server.enable_threading)."""


class Verbs:
    """Registers endpoints, by call or as a decorator.

        app.get("/users/{id:int}", show_user)

        @app.post("/users", max_body=4096)
        async def create_user(request): ...

    What is decorated stays as it is. All raise
    :class:`~httpx_tw.errors.ConfigurationError` for a bad pattern or option, and when
    the place or the name is taken. Call them on the reactor thread, at any time.
    """

    __slots__ = ()

    def _add(
        self,
        path: str,
        methods: Iterable[str],
        endpoint: Endpoint,
        options: RouteOptions,
    ) -> None:
        raise NotImplementedError

    def _add_or_decorate(
        self,
        path: str,
        methods: Iterable[str],
        endpoint: E | None,
        options: RouteOptions,
    ) -> E | Callable[[E], E]:
        def decorate(decorated: E) -> E:
            self._add(path, methods, decorated, options)
            return decorated

        return decorate if endpoint is None else decorate(endpoint)

    @overload
    def get(self, path: str, endpoint: E, **options: Unpack[RouteOptions]) -> E: ...

    @overload
    def get(
        self, path: str, endpoint: None = None, **options: Unpack[RouteOptions]
    ) -> Callable[[E], E]: ...

    def get(
        self, path: str, endpoint: Any = None, **options: Unpack[RouteOptions]
    ) -> Any:
        """Answer GET, and HEAD unless it has its own."""
        return self._add_or_decorate(path, ["GET"], endpoint, options)

    @overload
    def post(self, path: str, endpoint: E, **options: Unpack[RouteOptions]) -> E: ...

    @overload
    def post(
        self, path: str, endpoint: None = None, **options: Unpack[RouteOptions]
    ) -> Callable[[E], E]: ...

    def post(
        self, path: str, endpoint: Any = None, **options: Unpack[RouteOptions]
    ) -> Any:
        """Answer POST."""
        return self._add_or_decorate(path, ["POST"], endpoint, options)

    @overload
    def put(self, path: str, endpoint: E, **options: Unpack[RouteOptions]) -> E: ...

    @overload
    def put(
        self, path: str, endpoint: None = None, **options: Unpack[RouteOptions]
    ) -> Callable[[E], E]: ...

    def put(
        self, path: str, endpoint: Any = None, **options: Unpack[RouteOptions]
    ) -> Any:
        """Answer PUT."""
        return self._add_or_decorate(path, ["PUT"], endpoint, options)

    @overload
    def delete(self, path: str, endpoint: E, **options: Unpack[RouteOptions]) -> E: ...

    @overload
    def delete(
        self, path: str, endpoint: None = None, **options: Unpack[RouteOptions]
    ) -> Callable[[E], E]: ...

    def delete(
        self, path: str, endpoint: Any = None, **options: Unpack[RouteOptions]
    ) -> Any:
        """Answer DELETE."""
        return self._add_or_decorate(path, ["DELETE"], endpoint, options)

    @overload
    def patch(self, path: str, endpoint: E, **options: Unpack[RouteOptions]) -> E: ...

    @overload
    def patch(
        self, path: str, endpoint: None = None, **options: Unpack[RouteOptions]
    ) -> Callable[[E], E]: ...

    def patch(
        self, path: str, endpoint: Any = None, **options: Unpack[RouteOptions]
    ) -> Any:
        """Answer PATCH."""
        return self._add_or_decorate(path, ["PATCH"], endpoint, options)

    @overload
    def head(self, path: str, endpoint: E, **options: Unpack[RouteOptions]) -> E: ...

    @overload
    def head(
        self, path: str, endpoint: None = None, **options: Unpack[RouteOptions]
    ) -> Callable[[E], E]: ...

    def head(
        self, path: str, endpoint: Any = None, **options: Unpack[RouteOptions]
    ) -> Any:
        """Answer HEAD."""
        return self._add_or_decorate(path, ["HEAD"], endpoint, options)

    @overload
    def options(self, path: str, endpoint: E, **options: Unpack[RouteOptions]) -> E: ...

    @overload
    def options(
        self, path: str, endpoint: None = None, **options: Unpack[RouteOptions]
    ) -> Callable[[E], E]: ...

    def options(
        self, path: str, endpoint: Any = None, **options: Unpack[RouteOptions]
    ) -> Any:
        """Answer OPTIONS, in place of the automatic answer."""
        return self._add_or_decorate(path, ["OPTIONS"], endpoint, options)

    @overload
    def route(
        self,
        path: str,
        endpoint: E,
        *,
        methods: Iterable[str] = ("GET",),
        **options: Unpack[RouteOptions],
    ) -> E: ...

    @overload
    def route(
        self,
        path: str,
        endpoint: None = None,
        *,
        methods: Iterable[str] = ("GET",),
        **options: Unpack[RouteOptions],
    ) -> Callable[[E], E]: ...

    def route(
        self,
        path: str,
        endpoint: Any = None,
        *,
        methods: Iterable[str] = ("GET",),
        **options: Unpack[RouteOptions],
    ) -> Any:
        """Answer each of *methods*, which may be any tokens."""
        return self._add_or_decorate(path, methods, endpoint, options)
