"""The application: registering, groups, pages for errors, and hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.app.app import App
from httpx_tw.app.response import Response
from httpx_tw.errors import (
    BodyTooLarge,
    ConfigurationError,
    HTTPError,
    NoSuchRoute,
    RemoteProtocolError,
)
from tests.app.fakes import make_request

if TYPE_CHECKING:
    from httpx_tw.app.request import Request


class Oops(Exception):
    """Something nobody expected."""


def hello(request: Request) -> str:
    return "hello"


class RegisteringTests(SynchronousTestCase):
    def test_every_verb_can_be_called_and_can_decorate(self) -> None:
        for verb in ("get", "post", "put", "delete", "patch", "head", "options"):
            app = App()
            register = getattr(app, verb)
            self.assertIs(register("/a", hello), hello)
            self.assertIs(register("/b", name="b")(hello), hello)
            for path in ("/a", "/b"):
                route, _ = app.find(verb.upper(), path)
                self.assertIs(route.endpoint, hello)
                self.assertEqual(route.methods, {verb.upper()})
            self.assertEqual(app.url_for("b"), "/b")

    def test_a_route_may_have_any_methods(self) -> None:
        app = App()
        app.route("/a", hello, methods=["GET", "BREW"])
        self.assertIs(app.route("/b")(hello), hello)
        self.assertEqual(app.find("BREW", "/a")[0].methods, {"GET", "BREW"})
        self.assertEqual(app.find("GET", "/b")[0].methods, {"GET"})

    def test_options_reach_the_route(self) -> None:
        app = App()
        app.post("/a", hello, name="a", max_body=0, timeout=1.5)
        route, _ = app.find("POST", "/a")
        self.assertEqual((route.name, route.max_body, route.timeout), ("a", 0, 1.5))

    def test_unknown_options_are_refused(self) -> None:
        with self.assertRaises(TypeError):
            App().get("/a", hello, colour="red")  # type: ignore[call-overload]

    def test_routes_may_be_added_while_running(self) -> None:
        app = App()
        self.assertEqual(app.find("GET", "/a")[0].pattern, "")
        app.get("/a", hello)
        self.assertEqual(app.find("GET", "/a")[0].pattern, "/a")

    def test_urls_of_unknown_routes_are_refused(self) -> None:
        with self.assertRaises(NoSuchRoute):
            App().url_for("nobody")

    def test_without_middleware_the_endpoint_is_called_directly(self) -> None:
        app = App()
        app.get("/a", hello)
        self.assertIs(app.find("GET", "/a")[0].call, hello)


class GroupTests(SynchronousTestCase):
    def test_a_prefix_stands_before_every_path(self) -> None:
        app = App()
        users = app.group("/api").group("/users/{id:int}")
        users.get("", hello, name="user")
        users.get("/posts", hello)
        users.post("/", hello)
        self.assertEqual(app.find("GET", "/api/users/7")[1], {"id": 7})
        self.assertEqual(app.find("GET", "/api/users/7/posts")[1], {"id": 7})
        self.assertEqual(app.find("POST", "/api/users/7/")[1], {"id": 7})
        self.assertEqual(app.url_for("user", id=1), "/api/users/1")

    def test_prefixes_that_cannot_be_meant_are_refused(self) -> None:
        app = App()
        for prefix in ("", "/", "api", "/api/", "/{a", "/x/{p:path}/y"):
            with self.assertRaises(ConfigurationError, msg=prefix):
                app.group(prefix)
        with self.assertRaises(ConfigurationError):
            app.group("/api").get("users", hello)


class PageTests(SynchronousTestCase):
    def answer(self, app: App, target: str, method: str = "GET") -> Response:
        """Do as the server does."""
        request = make_request(target, method, finder=app)
        try:
            result = request.route.call(request)
        except Exception:  # noqa: BLE001  as the server
            result = app.error_response(request, Failure())
        if not isinstance(result, Response | Deferred):
            result = Deferred.fromCoroutine(result)
        if isinstance(result, Deferred):
            result = self.successResultOf(result)
        assert isinstance(result, Response)
        return result

    def test_pages_are_small_and_quote_nothing(self) -> None:
        app = App()
        app.get("/a", hello)
        for method, target, status, body in (
            ("GET", "/<script>", 404, b"Not Found"),
            ("PUT", "/a", 405, b"Method Not Allowed"),
            ("GET", "/%zz", 400, b"Bad Request"),
            ("BREW", "/a", 501, b"Not Implemented"),
        ):
            response = self.answer(app, target, method)
            self.assertEqual((response.status, response.body), (status, body))
            self.assertEqual(
                response.headers["content-type"], "text/plain; charset=utf-8"
            )
        self.assertEqual(
            self.answer(app, "/a", "PUT").headers["allow"], "GET, HEAD, OPTIONS"
        )

    def test_not_found_and_not_allowed_have_pages_of_their_own(self) -> None:
        app = App()
        app.get("/a", hello)

        @app.not_found
        def nothing(request: Request) -> str:
            return "nothing at all"

        @app.method_not_allowed
        async def not_so(request: Request) -> dict[str, str]:
            return {"error": "not so"}

        response = self.answer(app, "/none")
        self.assertEqual((response.status, response.body), (404, b"nothing at all"))
        response = self.answer(app, "/a", "PUT")
        self.assertEqual((response.status, response.body), (405, b'{"error":"not so"}'))
        self.assertEqual(response.headers["allow"], "GET, HEAD, OPTIONS")
        self.assertTrue(app.find("GET", "/none")[0].is_async)

    def test_an_error_raised_by_an_endpoint_has_the_same_page(self) -> None:
        app = App()

        @app.get("/a")
        def refuse(request: Request) -> None:
            raise HTTPError(404, "no such user", (("X-A", "1"), ("X-A", "2")))

        response = self.answer(app, "/a")
        self.assertEqual((response.status, response.body), (404, b"no such user"))
        self.assertEqual(response.headers.get_all("x-a"), ["1", "2"])
        page = app.error_page(
            404, lambda _, error: Response.html(f"<p>{error.message}")
        )
        self.assertTrue(callable(page))
        response = self.answer(app, "/a")
        self.assertEqual((response.status, response.body), (404, b"<p>no such user"))
        self.assertEqual(response.headers.get_all("x-a"), ["1", "2"])

    def test_a_page_may_choose_another_status_and_header(self) -> None:
        app = App()

        @app.error_page(405)
        def moved(request: Request, error: HTTPError) -> Response:
            return Response("gone", 410, {"Allow": "NONE"})

        app.get("/a", hello)
        response = self.answer(app, "/a", "PUT")
        self.assertEqual((response.status, response.headers["allow"]), (410, "NONE"))

    def test_a_page_of_nothing_keeps_the_status(self) -> None:
        app = App()
        app.error_page(404, lambda _request, _error: None)
        response = self.answer(app, "/none")
        self.assertEqual((response.status, response.body), (404, b""))

    def test_pages_are_for_errors(self) -> None:
        for status in (200, 302, 399, 600):
            with self.assertRaises(ConfigurationError):
                App().error_page(status, lambda _request, _error: "")
        with self.assertRaises(ConfigurationError):
            App().error_page(404, "page")  # type: ignore[call-overload]  # the point


class FailureTests(SynchronousTestCase):
    def fail_with(self, app: App, error: Exception, *, has_request: bool = True) -> Any:
        request = make_request("/a%0Ab?secret") if has_request else None
        result = app.error_response(request, Failure(error))
        if not isinstance(result, Response):
            result = self.successResultOf(Deferred.fromCoroutine(result))  # type: ignore[arg-type]
        return result.status, result.body

    def test_the_peers_faults_are_answered_by_their_status(self) -> None:
        for error, status in (
            (BodyTooLarge("11 bytes, limit 10"), 413),
            (RemoteProtocolError("<b>"), 400),
        ):
            answered, body = self.fail_with(App(), error)
            self.assertEqual(answered, status)
            self.assertNotIn(b"<b>", body)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_an_unknown_status_has_a_page_too(self) -> None:
        self.assertEqual(self.fail_with(App(), HTTPError(499)), (499, b"Error"))

    def test_the_unexpected_is_logged_and_answered_without_detail(self) -> None:
        app = App()
        heard: list[Any] = []
        app.on_error(lambda request, failure: heard.append((request, failure.value)))
        error = Oops("secret")
        self.assertEqual(self.fail_with(app, error), (500, b"Internal Server Error"))
        self.assertEqual([f.value for f in self.flushLoggedErrors(Oops)], [error])
        self.assertEqual(heard[0][0].target, "/a%0Ab?secret")
        self.assertIs(heard[0][1], error)

    def test_a_failure_before_there_was_a_request_is_answered(self) -> None:
        app = App()
        app.error_page(500, lambda request, _: request.path)
        answer = self.fail_with(app, Oops(), has_request=False)
        self.assertEqual(answer, (500, b"Internal Server Error"))
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)

    def test_an_error_that_cannot_be_sent_is_unexpected(self) -> None:
        for error in (HTTPError(99), HTTPError(400, headers=(("X", "a\r\nb"),))):
            self.assertEqual(self.fail_with(App(), error)[0], 500)
        self.assertEqual(len(self.flushLoggedErrors()), 2)

    def test_a_hook_that_fails_is_logged_and_the_next_is_called(self) -> None:
        app = App()
        heard: list[str] = []

        @app.on_error
        def bad(request: Request | None, failure: Failure) -> None:
            raise ValueError("hook")

        @app.on_error
        async def bad_later(request: Request | None, failure: Failure) -> None:
            raise ValueError("hook")

        @app.on_error
        async def good(request: Request | None, failure: Failure) -> None:
            heard.append("good")

        self.assertEqual(self.fail_with(app, Oops())[0], 500)
        self.assertEqual(heard, ["good"])
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)
        with self.assertRaises(ConfigurationError):
            app.on_error(None)  # type: ignore[type-var]  # the point

    def test_a_page_that_fails_ends_in_a_plain_500(self) -> None:
        def bad(request: Request, error: HTTPError) -> str:
            raise Oops("page")

        async def bad_later(request: Request, error: HTTPError) -> str:
            raise Oops("page")

        for page in (bad, bad_later):
            app = App()
            app.error_page(404, page)
            answer = self.fail_with(app, HTTPError(404))
            self.assertEqual(answer, (500, b"Internal Server Error"))
            self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)

    def test_a_page_for_500_sees_no_detail_and_may_wait(self) -> None:
        app = App()
        seen: list[Any] = []

        @app.error_page(500)
        async def sorry(request: Request, error: HTTPError) -> str:
            seen.append((error.status, error.message))
            return "sorry"

        self.assertEqual(self.fail_with(app, Oops("secret")), (500, b"sorry"))
        self.assertEqual(seen, [(500, None)])
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)
