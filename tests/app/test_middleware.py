"""The onion of middleware, and the one that names requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.app.app import App
from httpx_tw.app.middleware import compose, request_id
from httpx_tw.app.response import Response
from httpx_tw.app.upgrade import SwitchProtocols
from httpx_tw.errors import ConfigurationError, HTTPError, InvalidHeader
from tests.app.fakes import make_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.app.request import Request


def note(name: str) -> Callable[..., Any]:
    """Return a plain middleware that leaves its name on the way in and out."""

    def layer(request: Request, call_next: Any) -> Any:
        request.state.setdefault("in", []).append(name)

        def out(response: Response) -> Response:
            response.headers.add("X-Out", name)
            return response

        answer = call_next(request)
        return answer.addCallback(out) if isinstance(answer, Deferred) else out(answer)

    return layer


def note_async(name: str) -> Callable[..., Any]:
    """Return the same as ``async def``."""

    async def layer(request: Request, call_next: Any) -> Response:
        request.state.setdefault("in", []).append(name)
        response: Response = await call_next(request)
        response.headers.add("X-Out", name)
        return response

    return layer


async def slow(request: Request) -> dict[str, int]:
    await request.state["gate"]
    return {"a": 1}


def deferred(request: Request) -> Deferred[str]:
    waiting: Deferred[Any] = request.state["gate"]
    return waiting.addCallback(lambda _: "x")


class Waiting:
    """Something else that can be awaited."""

    def __await__(self) -> Any:
        yield from ()
        return "x"


class OnionTests(SynchronousTestCase):
    def outcome(self, endpoint: Any, *layers: Any) -> Any:
        """Call the onion, let its gate open, and return request and response."""
        request = make_request()
        gate: Deferred[None] = Deferred()
        request.state["gate"] = gate
        result = compose(endpoint, layers)(request)
        if hasattr(result, "send"):
            result = Deferred.fromCoroutine(result)
        if isinstance(result, Deferred):
            gate.callback(None)
            result = self.successResultOf(result)
        return request, result

    def test_without_layers_it_is_the_endpoint(self) -> None:
        self.assertIs(compose(slow, []), slow)

    def test_the_first_layer_is_outermost_in_every_mixture(self) -> None:
        for endpoint in (lambda _: "x", slow, deferred, lambda _: Waiting()):
            for first in (note, note_async):
                for second in (note, note_async):
                    request, response = self.outcome(endpoint, first("1"), second("2"))
                    self.assertEqual(request.state["in"], ["1", "2"])
                    self.assertEqual(response.headers.get_all("x-out"), ["2", "1"])
                    self.assertEqual(response.status, 200)

    def test_all_plain_stays_plain(self) -> None:
        result = compose(lambda _: "x", [note("1"), note("2")])(make_request())
        self.assertIsInstance(result, Response)

    def test_a_layer_need_not_go_on(self) -> None:
        _, result = self.outcome(slow, lambda _request, _call_next: "stop")
        self.assertEqual(result, "stop")

    def test_what_is_raised_inside_comes_out_of_call_next(self) -> None:
        async def refuse_slowly(request: Request) -> None:
            await request.state["gate"]
            raise HTTPError(418)

        def refuse(request: Request) -> None:
            raise HTTPError(418)

        async def recover(request: Request, call_next: Any) -> Any:
            try:
                return await call_next(request)
            except HTTPError as error:
                return f"caught {error.status}"

        def recover_plainly(request: Request, call_next: Any) -> Any:
            try:
                answer = call_next(request)
            except HTTPError as error:
                return f"caught {error.status}"
            return answer.addErrback(lambda f: f"caught {f.value.status}")

        for endpoint in (refuse, refuse_slowly):
            for layer in (recover, recover_plainly):
                self.assertEqual(self.outcome(endpoint, layer)[1], "caught 418")

    def test_a_result_that_is_none_raises_through_call_next(self) -> None:
        with self.assertRaises(TypeError):
            compose(lambda _: 5, [note("1")])(make_request())

    def test_a_switch_of_protocols_passes_unchanged(self) -> None:
        switch = SwitchProtocols("websocket", Protocol())

        async def awaited(request: Request) -> SwitchProtocols:
            return switch

        def passing(request: Request, call_next: Any) -> Any:
            return call_next(request)

        async def passing_async(request: Request, call_next: Any) -> Any:
            return await call_next(request)

        for endpoint in (lambda _: switch, awaited):
            for layer in (passing, passing_async, request_id()):
                self.assertIs(self.outcome(endpoint, layer)[1], switch)


class CompositionTests(SynchronousTestCase):
    def test_application_group_and_route_surround_each_other(self) -> None:
        app = App()
        app.use(note("app"))
        outer = app.group("/o", middleware=[note("outer")])
        inner = outer.group("/i")
        inner.get("/x", lambda _: "x", middleware=[note("route")])
        inner.use(note("inner"))  # after the route, and around it all the same
        request = make_request("/o/i/x", finder=app)
        request.route.call(request)
        self.assertEqual(request.state["in"], ["app", "outer", "inner", "route"])

    def test_the_routers_own_answers_are_inside_the_applications(self) -> None:
        app = App()
        app.use(note("app"))
        app.get("/x", lambda _: "x")
        for method, target, status in (
            ("GET", "/none", 404),
            ("PUT", "/x", 405),
            ("OPTIONS", "/x", 204),
            ("GET", "/x/", 301),
            ("BREW", "/x", 501),
            ("GET", "/%", 400),
        ):
            request = make_request(target, method, finder=app)
            response = request.route.call(request)
            self.assertEqual(response.status, status)
            self.assertEqual(response.headers["x-out"], "app")

    def test_what_is_used_later_is_composed_for_the_next_request(self) -> None:
        app = App()
        group = app.group("/g")
        group.get("/x", lambda _: "x")
        for use, names in ((app.use, ["a"]), (group.use, ["a", "g"])):
            use(note(names[-1]))
            request = make_request("/g/x", finder=app)
            request.route.call(request)
            self.assertEqual(request.state["in"], names)
        self.assertEqual(
            make_request("/", finder=app).route.call(make_request()).status, 404
        )

    def test_async_middleware_makes_a_route_async_but_does_not_stream(self) -> None:
        app = App()
        app.get("/plain", lambda _: "x", middleware=[note("1")])
        app.get("/async", lambda _: "x", middleware=[note_async("1")])
        plain, waits = (app.find("GET", path)[0] for path in ("/plain", "/async"))
        self.assertEqual((plain.is_async, plain.streams), (False, False))
        self.assertEqual((waits.is_async, waits.streams), (True, False))

    def test_what_cannot_be_called_is_no_middleware(self) -> None:
        app = App()
        for register in (
            lambda: app.use(None),  # type: ignore[type-var]  # the point
            lambda: app.group("/g", middleware=["x"]),  # type: ignore[list-item]
            lambda: app.get("/", lambda _: "", middleware=[1]),  # type: ignore[list-item]
        ):
            with self.assertRaises(ConfigurationError):
                register()


class RequestIdTests(SynchronousTestCase):
    def named(self, sent: str | None, **options: Any) -> tuple[str, str]:
        headers = {} if sent is None else {"X-Request-Id": sent}
        request = make_request(headers=headers)
        response = compose(lambda _: "x", [request_id(**options)])(request)
        return request.state["request_id"], response.headers["x-request-id"]

    def test_a_good_name_is_kept(self) -> None:
        self.assertEqual(self.named("abc-1:2/3"), ("abc-1:2/3", "abc-1:2/3"))

    def test_every_other_name_is_replaced(self) -> None:
        for sent in (None, "", "a b", "<b>", "x" * 129, "é", "a,b"):
            state, header = self.named(sent)
            self.assertRegex(state, "^[0-9a-f]{32}$")
            self.assertEqual(state, header)

    def test_names_can_be_all_our_own(self) -> None:
        self.assertNotEqual(self.named("abc", accept=False)[0], "abc")

    def test_a_slow_answer_is_marked_too(self) -> None:
        request = make_request(headers={"X-Request-Id": "abc"})
        gate: Deferred[None] = Deferred()
        request.state["gate"] = gate
        answer = compose(slow, [request_id()])(request)
        gate.callback(None)
        response = self.successResultOf(answer)
        self.assertEqual(response.headers["x-request-id"], "abc")

    def test_the_header_must_be_one(self) -> None:
        with self.assertRaises(InvalidHeader):
            request_id("X Y")
