"""A route: one endpoint, where it stands, and what it is allowed."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from httpx_tw.errors import ConfigurationError, InvalidHeader
from httpx_tw.headers import checked_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from httpx_tw.app.patterns import Pattern
    from httpx_tw.app.request import Request
    from httpx_tw.app.router import Router

__all__ = [
    "ANYWHERE",
    "ON_REACTOR",
    "ON_WORKER",
    "STANDARD_METHODS",
    "Endpoint",
    "Route",
    "checked_methods",
    "is_async",
]

Endpoint: TypeAlias = "Callable[[Request], Any]"
"""Takes the request; returns what to_response takes, or something to await for it."""

STANDARD_METHODS = frozenset(
    ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
)
"""RFC 9110 section 9.1 and RFC 5789: refused with 405 where others get 501."""

# Where an endpoint runs, ordered: from one of these on, a server hands over.
ON_REACTOR: Final = 0
"""On the reactor thread, whatever the server does."""
ANYWHERE: Final = 1
"""On a worker thread if the server's threading is enabled."""
ON_WORKER: Final = 2
"""On a worker thread, on any server."""


def is_async(function: Callable[..., Any]) -> bool:
    """Tell whether *function* is ``async def``, so that it needs a reactor.

    Asynchronous generators count, and objects whose ``__call__`` is one, and what says
    that it returns a Deferred. Without that annotation, a plain function that returns
    one cannot be told from one that does not.
    """
    called = getattr(function, "__call__", function)  # noqa: B004  we want the method
    return any(
        inspect.iscoroutinefunction(f)
        or inspect.isasyncgenfunction(f)
        or _returns_deferred(f)
        for f in (function, called)
    )


def _returns_deferred(function: Callable[..., Any]) -> bool:
    # Looked at as it stands: to evaluate it could fail, or import what is for types.
    annotation = getattr(function, "__annotations__", {}).get("return")
    text = annotation if isinstance(annotation, str) else repr(annotation)
    return re.search(r"\bDeferred\b", text) is not None


def checked_methods(methods: Iterable[str]) -> frozenset[str]:
    """Return *methods* as a set.

    :raises ConfigurationError: for none, for what is no token, and for a standard
        method not in capitals, since methods are case-sensitive.
    """
    if isinstance(methods, str):
        raise ConfigurationError(f"methods must be a list, not {methods!r}")
    checked = frozenset(methods)
    for method in checked:
        try:
            checked_name(method)
        except InvalidHeader:
            raise ConfigurationError(f"not a method: {method!r}") from None
        if method.upper() in STANDARD_METHODS and method not in STANDARD_METHODS:
            raise ConfigurationError(f"method {method!r} must be {method.upper()!r}")
    if not checked:
        raise ConfigurationError("a route needs at least one method")
    return checked


@dataclass(slots=True, eq=False)
class Route:
    """One registered endpoint, or one of the router's own answers (404, 405, …)."""

    router: Router
    """Whose route it is; gives ``url_for``."""

    template: Pattern | None
    """The pattern, read. None for the router's own answers."""

    methods: frozenset[str]
    """As registered: HEAD that comes with GET is not named."""

    endpoint: Endpoint
    """The application's function, as it was given."""

    name: str | None = None
    """For ``url_for``. None: it cannot be asked for."""

    max_body: int | None = None
    """Largest body in bytes. 0: no limit. None: the server's."""

    timeout: float | None = None
    """Seconds until the response must begin. 0: no deadline. None: the server's."""

    thread: bool | None = None
    """True: on a worker thread. False: on the reactor thread. None: a plain endpoint
    as the server does it, an ``async def`` on the reactor thread."""

    pattern: str = field(init=False)
    """As it was written; "" for the router's own answers. Good for grouping metrics."""

    names: tuple[str, ...] = field(init=False)
    """The parameters' names, in order."""

    spans: bool = field(init=False)
    """See Pattern.spans."""

    streams: bool = field(init=False)
    """The endpoint is ``async def``: give it a RequestBody, not the whole body."""

    is_async: bool = field(init=False)
    """The endpoint or a middleware is ``async def``: must run on the reactor thread."""

    runs_on: int = field(init=False)
    """ON_REACTOR, ANYWHERE or ON_WORKER, for ``call``."""

    call: Callable[[Request], Any] = field(init=False)
    """The endpoint with its middleware around it; the endpoint itself without any."""

    def __post_init__(self) -> None:
        if not callable(self.endpoint):
            raise ConfigurationError(f"{self.endpoint!r} cannot be called")
        for option in ("max_body", "timeout"):
            value = getattr(self, option)
            if value is not None and not value >= 0:
                raise ConfigurationError(f"{option} must not be negative, got {value}")
        self.pattern = "" if self.template is None else self.template.text
        self.names = () if self.template is None else self.template.names
        self.spans = self.template is not None and self.template.spans
        self.streams = is_async(self.endpoint)
        if self.streams and self.thread:
            raise ConfigurationError(
                f"thread=True: {self.endpoint!r} is async, and needs the reactor thread"
            )
        self.is_async = self.streams
        self.call = self.endpoint
        self.runs_on = self.place(has_layers=False)

    def place(self, *, has_layers: bool) -> int:
        """Return where ``call`` is to run, for ``runs_on``."""
        if self.is_async or self.thread is False:
            return ON_REACTOR
        if self.template is None and not has_layers:
            return ON_REACTOR  # the router's own answers block nobody
        return ON_WORKER if self.thread else ANYWHERE
