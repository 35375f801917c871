"""A group of routes: one prefix, and middleware around them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from httpx_tw.app.middleware.onion import Middleware, checked_middleware
from httpx_tw.app.patterns import Pattern
from httpx_tw.app.verbs import RouteOptions, Verbs
from httpx_tw.errors import ConfigurationError

if TYPE_CHECKING:
    from httpx_tw.app.route import Endpoint

__all__ = ["Group"]

E = TypeVar("E", bound=Callable[..., Any])

_AddTo: TypeAlias = (
    "Callable[[Group | None, str, Iterable[str], Endpoint, RouteOptions], None]"
)
_Owner: TypeAlias = "tuple[_AddTo, Callable[[], None]]"
"""How the application registers a route, and how it is told that middleware changed."""


class Group(Verbs):
    """Routes below one prefix. Made by App.group and :meth:`group`.

    ``group.get("")`` is the prefix itself, ``group.get("/")`` the prefix with a slash.
    The middleware of outer groups is outside that of inner ones, and both are around
    routes registered before it as well.
    """

    __slots__ = ("_layers", "_outer", "_owner", "prefix")

    def __init__(
        self,
        owner: _Owner,
        outer: Group | None,
        prefix: str,
        middleware: Iterable[Middleware],
    ) -> None:
        if not prefix.startswith("/") or prefix.endswith("/"):
            raise ConfigurationError(
                f"a prefix begins with / and does not end with it: {prefix!r}"
            )
        self.prefix: str = prefix if outer is None else outer.prefix + prefix
        """What the paths of all its routes begin with, outer groups included."""
        Pattern.parse(self.prefix)  # better refused here than at the first route
        self._owner = owner
        self._outer = outer
        self._layers = checked_middleware(middleware)

    def group(self, prefix: str, middleware: Iterable[Middleware] = ()) -> Group:
        """Return a group inside this one."""
        return Group(self._owner, self, prefix, middleware)

    def use(self, middleware: E) -> E:
        """Put *middleware* inside what is there, around the group; also a decorator."""
        self._layers.extend(checked_middleware([middleware]))
        _, mark_stale = self._owner
        mark_stale()
        return middleware

    def layers(self) -> list[Middleware]:
        """Return the middleware of this group and the outer ones, outermost first."""
        outer = [] if self._outer is None else self._outer.layers()
        return [*outer, *self._layers]

    def _add(
        self,
        path: str,
        methods: Iterable[str],
        endpoint: Endpoint,
        options: RouteOptions,
    ) -> None:
        if path and not path.startswith("/"):
            raise ConfigurationError(f"{path!r} must be empty or begin with /")
        add_to, _ = self._owner
        add_to(self, self.prefix + path, methods, endpoint, options)
