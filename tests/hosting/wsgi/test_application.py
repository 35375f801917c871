"""WSGI applications in an App: mounted, called, and held to PEP 3333."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import pytest
from twisted.logger import capturedLogs, formatEvent

from httpx_tw.app.route import ON_WORKER
from httpx_tw.errors import ConfigurationError, LocalProtocolError
from httpx_tw.hosting.wsgi import WSGIApp
from tests.hosting.wsgi.fakes import call, make_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import StartResponse


def hello(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode("latin-1")]


def body_of(app: WSGIApp, target: str) -> bytes:
    return call(None, target, app=app).body


def test_an_application_gets_everything() -> None:
    app = WSGIApp(hello)
    assert body_of(app, "/") == b"|/"
    assert body_of(app, "/caf%C3%A9") == b"|/caf\xc3\xa9"
    assert body_of(app, "/%ff") == b"|/\xff"


def test_it_may_be_mounted_below_a_path() -> None:
    app = WSGIApp(hello, mount="/shop")
    assert body_of(app, "/shop") == b"/shop|"
    assert body_of(app, "/shop/") == b"/shop|/"
    assert body_of(app, "/shop/a%20b?c") == b"/shop|/a b"
    app.mount("/caf\xe9", hello)
    assert body_of(app, "/caf%C3%A9/x") == b"/caf\xc3\xa9|/x"


def test_there_may_be_several_and_routes_beside_them() -> None:
    app = WSGIApp()
    app.mount("/", hello)
    app.mount("/blog", hello)
    app.get("/health", lambda _: "well")
    assert body_of(app, "/x") == b"|/x"
    assert body_of(app, "/blog/x") == b"/blog|/x"
    route, _ = app.find("GET", "/health")
    assert route.call(make_request()) == "well"


def test_it_runs_on_a_worker_with_limits_of_its_own() -> None:
    app = WSGIApp(hello, max_body=7, timeout=3)
    route, _ = app.find("POST", "/x")
    assert route.runs_on == ON_WORKER
    assert (route.max_body, route.timeout) == (7, 3)


def test_options_show_in_the_environ() -> None:
    seen = {}

    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        seen.update(environ)
        return hello(environ, start_response)

    call(application, app=WSGIApp(application, url_scheme="https", multiprocess=True))
    assert seen["wsgi.url_scheme"] == "https"
    assert seen["wsgi.multiprocess"] is True
    assert seen["wsgi.multithread"] is True


async def an_asgi_application(scope: Any, receive: Any, send: Any) -> None:
    """Be none of ours."""


@pytest.mark.parametrize(
    ("application", "options", "complaint"),
    [
        ("hello", {}, "'hello' cannot be called"),
        (an_asgi_application, {}, "is it ASGI"),
        (lambda: hello, {}, "cannot be called with environ and start_response"),
        (hello, {"url_scheme": "ftp"}, "url_scheme is http or https, not 'ftp'"),
        (hello, {"max_body": -1}, "max_body must not be negative"),
        (hello, {"mount": "/a/"}, "a mount begins with /"),
    ],
)
def test_what_cannot_be_mounted(application: Any, options: Any, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        WSGIApp(application, **options)


def test_what_does_not_tell_its_parameters_may_be_one() -> None:
    with pytest.raises(ValueError, match="no signature"):
        inspect.signature(type)
    without: Any = type
    assert WSGIApp(without).find("GET", "/")[0].pattern == "/*"


def test_what_an_application_raises_is_for_the_server_to_answer() -> None:
    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        raise LookupError("no stock")

    with pytest.raises(LookupError, match="no stock"):
        call(application)


def test_the_error_log_is_complete_when_the_call_is_over() -> None:
    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        environ["wsgi.errors"].write("unended")
        return hello(environ, start_response)

    with capturedLogs() as events:
        call(application)
    assert [formatEvent(event) for event in events] == ["unended"]


def writes(environ: dict[str, Any], start_response: StartResponse) -> Any:
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"hel")
    return [b"lo"]


def reads(environ: dict[str, Any], start_response: StartResponse) -> Any:
    body = environ["wsgi.input"]
    environ["wsgi.errors"].writelines(["a ", "line\n"])
    environ["wsgi.errors"].flush()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.readline(), *body.readlines(), body.read(9)]


def generates(
    environ: dict[str, Any], start_response: StartResponse
) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"hel"
    yield b"lo"


@pytest.mark.parametrize("application", [hello, writes, reads, generates])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_the_validator_of_the_standard_library_has_no_complaint(
    application: Any, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app = WSGIApp(validator(application), mount="/shop")
    body = b"hel\nlo" if method == "POST" else b""
    with capturedLogs():
        answer = call(None, "/shop/a?b=c", method, app=app, body=body)
    assert answer.status == 200
    assert answer.error is None
    assert capsys.readouterr().err == ""


def test_an_application_that_breaks_the_rules_is_told_which() -> None:
    def application(environ: dict[str, Any], start_response: StartResponse) -> Any:
        start_response("200 OK", [("Transfer-Encoding", "chunked")])
        return [b"hello"]

    with pytest.raises(LocalProtocolError, match="Transfer-Encoding"):
        call(application)
