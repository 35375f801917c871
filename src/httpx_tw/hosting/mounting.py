"""An App with applications of another kind below some of its paths."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from httpx_tw.app.app import App
from httpx_tw.app.patterns import Pattern
from httpx_tw.app.percent import decoded_octets, has_dot_segment
from httpx_tw.app.route import Route
from httpx_tw.errors import ConfigurationError

if TYPE_CHECKING:
    from httpx_tw.app.route import Endpoint
    from httpx_tw.app.router import Found

__all__ = ["MountingApp", "check_prefix", "mount_prefix"]


class MountingApp(App):
    """An App that gives what none of its routes takes to what is mounted in it.

    A mount takes every method, known or not, and every path below its prefix, UTF-8 or
    not; the longest prefix wins. Routes go first, and only where neither a route nor a
    mount fits is the answer a 404 (or a 405, or a redirect to the slash). Paths with a
    segment "." or "..", encoded or not, are 404 here too, and a bad percent-encoding or
    a NUL is 400: no mount sees them.

    Middleware of the App is around its mounts as it is around its routes.
    """

    __slots__ = ("_everything", "_mounts")

    def __init__(self) -> None:
        super().__init__()
        # The longest prefix first; as mount_prefix gives it.
        self._mounts: list[tuple[str, Found]] = []
        # The mount of everything, if there is nothing else to find.
        self._everything: Found | None = None

    def find(self, method: str, raw_path: str) -> Found:
        """See App.find."""
        if self._is_stale:
            self._compose()
        path = _octets_of(raw_path)
        if self._everything is not None and path is not None:
            return self._everything
        if len(self._registered) > len(self._mounts):
            found = self._router.find(method, raw_path)
            if found[0].template is not None:
                return found
        if path is not None:
            for prefix, found in self._mounts:
                if path.startswith(prefix) and path[len(prefix) :][:1] in ("", "/"):
                    return found
        return self._router.find(method, raw_path)

    def _compose(self) -> None:
        super()._compose()
        is_alone = len(self._registered) == len(self._mounts) == 1
        self._everything = None
        if is_alone and self._mounts[0][0] == "":
            self._everything = self._mounts[0][1]

    def _mount(
        self,
        prefix: str,
        endpoint: Endpoint,
        *,
        max_body: int | None,
        timeout: float | None,
        thread: bool | None,
    ) -> None:
        route = Route(
            self._router,
            _pattern_below(prefix),
            frozenset(),
            endpoint,
            max_body=max_body,
            timeout=timeout,
            thread=thread,
        )
        path = mount_prefix(prefix)
        if any(path == taken for taken, _ in self._mounts):
            raise ConfigurationError(f"something is mounted at {prefix!r} already")
        self._mounts.append((path, (route, MappingProxyType({}))))
        self._mounts.sort(key=lambda mount: len(mount[0]), reverse=True)
        self._registered.append((route, None, []))
        self._is_stale = True


def mount_prefix(prefix: str) -> str:
    """Return *prefix* in octets, one character each; "" for "/"."""
    return prefix.removesuffix("/").encode().decode("latin-1")


def check_prefix(prefix: str) -> None:
    """Check that something can be mounted at *prefix*.

    :raises ConfigurationError: unless it is "/", or a path that begins with a slash,
        does not end with one, and has neither parameters nor "." and "..".
    """
    _pattern_below(prefix)


def _pattern_below(prefix: str) -> Pattern:
    if prefix[:1] != "/" or (prefix[-1:] == "/" and prefix != "/"):
        raise ConfigurationError(
            f"a mount begins with / and does not end with it, unlike {prefix!r}"
        )
    pattern = Pattern.parse(f"{prefix.removesuffix('/')}/*")
    if pattern.names != ("*",):
        raise ConfigurationError(f"a mount has no parameters, unlike {prefix!r}")
    return pattern


def _octets_of(raw_path: str) -> str | None:
    """Return the path in octets, one character each; None: no mount may see it."""
    if raw_path[:1] != "/":
        return None
    if "%" not in raw_path and "." not in raw_path and "\0" not in raw_path:
        return raw_path
    octets = decoded_octets(raw_path)
    if octets is None:
        return None
    path = octets.decode("latin-1")
    return None if has_dot_segment(path) else path
