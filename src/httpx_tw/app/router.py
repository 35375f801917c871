"""The router: from a method and a raw path to a route and its parameters.

Patterns live in a tree with one level per segment. At each level the literal is tried
first, then parameters (uuid, int, float, str), then a path; where a more literal branch
dead-ends the next is tried. Every node stands at one depth and is visited at most once
for a path, so there is no path that makes matching explode, and recursion is no deeper
than the longest pattern. Paths without parameters are in a dictionary besides: most
requests end there.

Several patterns may fit one path. The first that has the method wins; only when none
has it the answer is 405, and Allow names the methods of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias
from urllib.parse import unquote

from httpx_tw.app.answers import Refuse, answer, raise_refusal
from httpx_tw.app.patterns import CONVERTERS, Converter, Parse, Pattern
from httpx_tw.app.percent import decoded_path, encoded_reference, has_dot_segment
from httpx_tw.app.route import STANDARD_METHODS, Endpoint, Route, checked_methods
from httpx_tw.errors import ConfigurationError, NoSuchRoute

__all__ = ["Found", "Router"]

Found: TypeAlias = tuple[Route, Mapping[str, Any]]
"""A route and the parameters of the path."""

_Leaf: TypeAlias = dict[str, Route]  # by method, HEAD of a GET included

_RANKS = {converter.parse: converter.rank for converter in CONVERTERS.values()}

_MOST_KEPT = 512
"""Paths of files: finding one takes 3 µs, finding it again 0.4."""

_LONGEST_KEPT = 256
"""Characters; with the above 128 KiB, which is all that whoever asks for everything
gets."""

NO_PARAMS: Mapping[str, Any] = MappingProxyType({})


class _Node:
    __slots__ = ("children", "leaf", "literals", "rest")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.children: list[tuple[Parse, _Node]] = []  # by rank of the converter
        self.rest: _Leaf | None = None
        self.leaf: _Leaf | None = None

    def child(self, converter: Converter) -> _Node:
        for parse, node in self.children:
            if parse is converter.parse:
                return node
        node = _Node()
        self.children.append((converter.parse, node))
        self.children.sort(key=lambda child: _RANKS[child[0]])
        return node


class Router:
    """Finds the route for a request, and the URL for a route.

    *refuse* makes the pages of 400, 404, 405 and 501; by default it raises the
    :class:`~httpx_tw.errors.HTTPError`. *prepare* is called with each route the router
    makes itself before it is first used. Routes may be added at any time, on the
    thread that also asks.
    """

    __slots__ = (
        "_answers",
        "_known",
        "_named",
        "_prepare",
        "_recent",
        "_refuse",
        "_root",
        "_static",
    )

    def __init__(
        self,
        refuse: Refuse = raise_refusal,
        prepare: Callable[[Route], None] | None = None,
    ) -> None:
        self._refuse = refuse
        self._prepare = prepare
        self._static: dict[str, dict[str, Found]] = {}
        self._recent: dict[str, dict[str, Found]] = {}
        self._root = _Node()
        self._named: dict[str, tuple[Pattern, Route]] = {}
        self._known = set(STANDARD_METHODS)
        self._answers: dict[tuple[int, str], Found] = {}

    # Registering.

    def add(
        self,
        pattern: str,
        methods: Iterable[str],
        endpoint: Endpoint,
        **options: Any,
    ) -> Route:
        """Register *endpoint*; *options* are Route's name, max_body, timeout, thread.

        :raises ConfigurationError: for a bad pattern, method or option, and when the
            place or the name is taken.
        """
        template = Pattern.parse(pattern)
        route = Route(self, template, checked_methods(methods), endpoint, **options)
        if route.name in self._named:
            raise ConfigurationError(f"two routes are named {route.name!r}")
        leaf = self._leaf_for(template)
        for method in route.methods:
            taken = leaf.get(method)
            if taken is not None and method in taken.methods:
                raise ConfigurationError(
                    f"{method} {pattern} is taken by {taken.pattern}"
                )
        self._place(route, leaf)
        if route.name is not None:
            self._named[route.name] = (template, route)
        if template.is_static:
            self._static[pattern] = {m: (r, NO_PARAMS) for m, r in leaf.items()}
        self._known.update(route.methods)
        self.forget_answers()
        return route

    @staticmethod
    def _place(route: Route, leaf: _Leaf) -> None:
        leaf.update(dict.fromkeys(route.methods, route))
        if "GET" in route.methods:
            leaf.setdefault("HEAD", route)  # RFC 9110 section 9.3.2

    def _leaf_for(self, template: Pattern) -> _Leaf:
        node = self._root
        for segment in template.segments:
            if isinstance(segment, str):
                node = node.literals.setdefault(segment, _Node())
            elif segment.converter.spans:
                if node.rest is None:
                    node.rest = {}
                return node.rest
            else:
                node = node.child(segment.converter)
        if node.leaf is None:
            node.leaf = {}
        return node.leaf

    def forget_answers(self) -> None:
        """Make 404, 405 and the like anew when next asked: what is around changed."""
        self._answers.clear()
        self._recent.clear()

    # Asking.

    def find(self, method: str, path: str) -> Found:
        """Return the route for *method* on the raw *path*, and its parameters.

        *path* is percent-encoded and without query, or "*". It never raises: what is
        not there, not allowed or not a path is a route as well, that answers so.

        - 501 for a method that is neither standard nor used by any route;
        - 400 for what is no path, for bad percent-encoding, and for NUL;
        - 404, also wherever a decoded segment is "." or "..": they are not resolved;
        - 405 with Allow; 204 with Allow to OPTIONS, unless there is a route for it;
        - 301 (GET, HEAD) or 308 (others, which must keep their method: RFC 9110
          section 15.4.2) when only the path with or without its last "/" has a route.
        """
        by_method = self._static.get(path)
        if by_method is not None:
            found = by_method.get(method)
            if found is not None:
                return found
        by_method = self._recent.get(path)
        if by_method is not None:
            found = by_method.get(method)
            if found is not None:
                return found
        return self._search(method, path)

    def _search(self, method: str, path: str) -> Found:  # noqa: PLR0911  one each
        if method not in self._known:
            return self._answer(501)
        if path[:1] != "/":
            if path == "*" and method == "OPTIONS":  # RFC 9110 section 9.3.7
                return self._answer(204, _allow([self._served()]))
            return self._answer(400)
        # A call less for what most paths are.
        decoded = decoded_path(path) if "%" in path or "\0" in path else path
        if decoded is None:
            return self._answer(400)
        # What has neither has no dot segment: most names of files.
        if ("/." in decoded or "\\" in decoded) and has_dot_segment(decoded):
            return self._answer(404)
        # Split first, decode then: %2F is data, never a separator.
        segments = path[1:].split("/")
        if decoded is not path:
            segments = [unquote(s) if "%" in s else s for s in segments]
        values: list[Any] = []
        others: list[_Leaf] = []
        route = _match(self._root, segments, 0, method, values, others)
        if route is not None:
            params = dict(zip(route.names, values))  # noqa: B905  0.1 µs
            return (
                self._kept(method, path, route, params)
                if route.spans
                else (route, params)
            )
        if others:
            return self._answer(204 if method == "OPTIONS" else 405, _allow(others))
        return self._redirect(method, path, segments) or self._answer(404)

    def _kept(
        self, method: str, path: str, route: Route, params: dict[str, Any]
    ) -> Found:
        """Return what was found, and keep it: the same files come again and again."""
        found = route, MappingProxyType(params)
        if len(path) <= _LONGEST_KEPT:
            if len(self._recent) >= _MOST_KEPT:
                self._recent.clear()
            self._recent.setdefault(path, {})[method] = found
        return found

    def _redirect(self, method: str, path: str, segments: list[str]) -> Found | None:
        # A Location of "//host" or "/\host" would lead to another host.
        if path == "/" or path.startswith(("//", "/\\")):
            return None
        if segments[-1]:
            path, segments = path + "/", [*segments, ""]
        else:
            path, segments = path[:-1], segments[:-1]
        others: list[_Leaf] = []
        route = _match(self._root, segments, 0, method, [], others)
        if route is None and not (others and method == "OPTIONS"):
            return None
        try:
            location = encoded_reference(path)
        except ValueError:
            return None
        status = 301 if method in ("GET", "HEAD") else 308
        return self._answer(status)[0], {"location": location}

    def _answer(self, status: int, allow: str = "") -> Found:
        # There are no more values of Allow than sets of methods the routes have.
        found = self._answers.get((status, allow))
        if found is None:
            endpoint = answer(status, allow, self._refuse)
            route = Route(self, None, frozenset(), endpoint)
            if self._prepare is not None:
                self._prepare(route)
            found = self._answers[status, allow] = (route, NO_PARAMS)
        return found

    def _served(self) -> set[str]:
        served: set[str] = set()
        nodes = [self._root]
        while nodes:
            node = nodes.pop()
            served.update(node.leaf or (), node.rest or ())
            nodes.extend(node.literals.values())
            nodes.extend(child for _, child in node.children)
        return served

    # Reversing.

    def url_for(self, name: str, /, **params: Any) -> str:
        """Return the path of the route called *name*, percent-encoded.

        :raises NoSuchRoute: when no route has that name, or *params* do not fit it.
        """
        named = self._named.get(name)
        if named is None:
            raise NoSuchRoute(f"no route is named {name!r}")
        return named[0].fill(params)


def _match(
    node: _Node,
    segments: list[str],
    index: int,
    method: str,
    values: list[Any],
    others: list[_Leaf],
) -> Route | None:
    """Return the first route below *node* that fits the segments from *index* on.

    Its parameters are appended to *values*, and to *others* each leaf that fits but
    has not the method.
    """
    count = len(segments)
    while index < count:
        segment = segments[index]
        literal = node.literals.get(segment)
        children = node.children
        if node.rest is None:
            # Only one way on, the usual case: no need to come back.
            if not children:
                if literal is None:
                    return None
                node = literal
                index += 1
                continue
            if literal is None and len(children) == 1:
                parse, node = children[0]
                value = parse(segment)
                if value is None:
                    return None
                values.append(value)
                index += 1
                continue
        return _match_any(node, segments, index, method, values, others)
    return _take(node.leaf, method, others)


def _match_any(
    node: _Node,
    segments: list[str],
    index: int,
    method: str,
    values: list[Any],
    others: list[_Leaf],
) -> Route | None:
    mark = len(values)
    segment = segments[index]
    literal = node.literals.get(segment)
    if literal is not None:
        route = _match(literal, segments, index + 1, method, values, others)
        if route is not None:
            return route
        del values[mark:]
    for parse, child in node.children:
        value = parse(segment)
        if value is not None:
            values.append(value)
            route = _match(child, segments, index + 1, method, values, others)
            if route is not None:
                return route
            del values[mark:]
    # A path is never empty and never absolute: its first segment is there.
    if node.rest is None or not segment or segment[0] in "/\\":
        return None
    values.append("/".join(segments[index:]))
    return _take(node.rest, method, others)


def _take(leaf: _Leaf | None, method: str, others: list[_Leaf]) -> Route | None:
    if leaf is None:
        return None
    route = leaf.get(method)
    if route is None:
        others.append(leaf)
    return route


def _allow(leaves: Iterable[Iterable[str]]) -> str:
    return ", ".join(sorted({"OPTIONS"}.union(*leaves)))
