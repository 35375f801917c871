"""Where a request goes: to a route, to a mount, or to neither."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpx_tw.app.route import ON_REACTOR, ON_WORKER
from httpx_tw.errors import ConfigurationError, HTTPError
from httpx_tw.hosting.mounting import MountingApp, check_prefix, mount_prefix
from tests.app.fakes import make_request


class Mounted(MountingApp):
    """With mounts that answer with their names."""

    def place(self, prefix: str, **options: Any) -> None:
        """Mount something at *prefix*."""
        settings = {"max_body": None, "timeout": None, "thread": None, **options}
        self._mount(prefix, lambda _: f"mount {prefix}", **settings)


def answer(app: MountingApp, path: str, method: str = "GET") -> Any:
    route, _ = app.find(method, path)
    try:
        return route.call(make_request(path, method, finder=app))
    except HTTPError as error:
        return error.status


def status_of(app: MountingApp, path: str, method: str = "GET") -> int:
    return int(answer(app, path, method).status)


@pytest.fixture
def app() -> Mounted:
    app = Mounted()
    app.place("/")
    app.place("/shop")
    app.place("/shop/old")
    app.place("/café")
    app.get("/health", lambda _: "route")
    app.get("/items/{number:int}", lambda _: "route")
    return app


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "mount /"),
        ("/anything/at/all/", "mount /"),
        ("//twice", "mount /"),
        ("/shop", "mount /shop"),
        ("/shop/", "mount /shop"),
        ("/shop/x", "mount /shop"),
        ("/%73hop/x", "mount /shop"),
        ("/shopping", "mount /"),
        ("/shop/old/x", "mount /shop/old"),
        ("/shop/older", "mount /shop"),
        ("/caf%C3%A9/x", "mount /café"),
        ("/caf%E9/x", "mount /"),
        ("/%FF", "mount /"),
        ("/health", "route"),
        ("/health/", "mount /"),
        ("/items/7", "route"),
        ("/items/seven", "mount /"),
    ],
)
def test_a_path_goes_to_its_route_else_to_the_longest_mount(
    app: Mounted, path: str, expected: str
) -> None:
    assert answer(app, path) == expected


@pytest.mark.parametrize("method", ["POST", "PROPFIND", "MKCALENDAR", "get", "OPTIONS"])
def test_a_mount_takes_every_method(app: Mounted, method: str) -> None:
    assert answer(app, "/shop", method) == "mount /shop"
    assert answer(app, "/health", method) == "mount /"


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/shop/../x", "GET", 404),
        ("/shop/%2e%2e/x", "GET", 404),
        ("/shop%2F..", "GET", 404),
        ("/shop/..%5Cx", "GET", 404),
        ("/%", "GET", 400),
        ("/shop/%zz", "GET", 400),
        ("/shop/%00", "GET", 400),
        ("/shop/\0", "GET", 400),
        ("host:443", "CONNECT", 400),
        ("*", "OPTIONS", 204),
    ],
)
def test_what_is_no_safe_path_goes_to_no_mount(
    app: Mounted, path: str, method: str, status: int
) -> None:
    assert status_of(app, path, method) == status


def test_without_a_mount_at_the_root_the_rest_is_as_ever() -> None:
    app = Mounted()
    app.place("/shop")
    app.get("/health", lambda _: "route")
    assert answer(app, "/shop/x") == "mount /shop"
    assert status_of(app, "/nothing") == 404
    assert status_of(app, "/health", "POST") == 405
    assert status_of(app, "/health/") == 301
    assert status_of(app, "/nothing", "BREW") == 501


def test_an_app_without_mounts_is_an_app() -> None:
    app = Mounted()
    app.get("/health", lambda _: "route")
    assert answer(app, "/health") == "route"
    assert status_of(app, "/nothing") == 404


def test_middleware_is_around_mounts_too() -> None:
    app = Mounted()
    app.place("/")

    def shout(request: Any, call_next: Any) -> Any:
        response = call_next(request)
        response.body = response.body.upper()
        return response

    app.use(shout)
    app.get("/health", lambda _: "route")
    assert answer(app, "/x").body == b"MOUNT /"
    assert answer(app, "/health").body == b"ROUTE"


def test_a_mount_may_be_added_at_any_time() -> None:
    app = Mounted()
    assert status_of(app, "/shop") == 404
    app.place("/shop")
    assert answer(app, "/shop") == "mount /shop"


def test_options_are_those_of_a_route() -> None:
    app = Mounted()
    app.place("/", max_body=5, timeout=7, thread=True)
    app.place("/inline", thread=False)
    route, _ = app.find("GET", "/x")
    assert (route.max_body, route.timeout, route.runs_on) == (5, 7, ON_WORKER)
    assert route.pattern == "/*"
    assert route.template is not None, "its body is collected"
    route, _ = app.find("GET", "/inline")
    assert route.runs_on == ON_REACTOR
    assert route.pattern == "/inline/*"


@pytest.mark.parametrize(
    "prefix", ["", "shop", "/shop/", "//", "/a//b", "/{name}", "/*", "/a/../b", "/a b"]
)
def test_prefixes_that_are_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError):
        Mounted().place(prefix)
    with pytest.raises(ConfigurationError):
        check_prefix(prefix)


def test_a_place_is_taken_once() -> None:
    app = Mounted()
    app.place("/shop")
    with pytest.raises(ConfigurationError, match="mounted at '/shop' already"):
        app.place("/shop")


def test_prefixes_that_will_do() -> None:
    for prefix in ("/", "/shop", "/shop/old", "/café"):
        check_prefix(prefix)


def test_a_prefix_in_octets() -> None:
    assert mount_prefix("/") == ""
    assert mount_prefix("/shop") == "/shop"
    assert mount_prefix("/café").encode("latin-1") == "/café".encode()


@given(st.text(max_size=30), st.sampled_from(["GET", "OPTIONS", "BREW"]))
def test_any_path_has_an_answer(path: str, method: str) -> None:
    app = Mounted()
    app.place("/shop")
    ascii_path = "/shop" + path.encode("ascii", "ignore").decode()
    assert answer(app, ascii_path, method) is not None
