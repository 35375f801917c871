"""The router: precedence, decoding, its own answers, and URLs built back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.app.patterns import Parameter, Pattern
from httpx_tw.app.percent import decoded_path, has_dot_segment
from httpx_tw.app.response import Response
from httpx_tw.app.router import Router
from httpx_tw.errors import ConfigurationError, HTTPError, NoSuchRoute
from tests.app.fakes import make_request

if TYPE_CHECKING:
    from httpx_tw.app.request import Request

UUID_TEXT = "12345678-1234-5678-1234-567812345678"


def endpoint(request: Request) -> str:
    return request.route.pattern


def router_of(*patterns: str) -> Router:
    router = Router()
    for pattern in patterns:
        router.add(pattern, ["GET"], endpoint)
    return router


def outcome(router: Router, method: str, target: str) -> Any:
    """What the route found does: its result, or the error it refuses with."""
    request = make_request(target, method, finder=router)
    try:
        return request.route.call(request)
    except HTTPError as error:
        return error


def status(router: Router, method: str, target: str) -> int:
    result = outcome(router, method, target)
    return 200 if isinstance(result, str) else int(result.status)


class PrecedenceTests(SynchronousTestCase):
    def test_a_literal_goes_before_a_parameter_and_that_before_a_path(self) -> None:
        router = router_of("/{rest:path}", "/users/{id}", "/users/me")
        for path, pattern in (
            ("/users/me", "/users/me"),
            ("/users/you", "/users/{id}"),
            ("/users/a/b", "/{rest:path}"),
        ):
            self.assertEqual(router.find("GET", path)[0].pattern, pattern)

    def test_a_literal_that_dead_ends_gives_way_to_a_parameter(self) -> None:
        router = router_of("/a/b/c", "/{x}/b/d", "/a/{y}/e", "/{z:path}")
        self.assertEqual(router.find("GET", "/a/b/d")[1], {"x": "a"})
        self.assertEqual(router.find("GET", "/a/b/e")[1], {"y": "b"})
        self.assertEqual(router.find("GET", "/a/b/f")[1], {"z": "a/b/f"})

    def test_narrow_converters_go_first(self) -> None:
        router = router_of("/{s}", "/{f:float}", "/{i:int}", "/{u:uuid}")
        for segment, value in (
            ("12", 12),
            ("1.5", 1.5),
            (UUID_TEXT, UUID(UUID_TEXT)),
            ("x", "x"),
            ("-1", "-1"),
            ("1" * 19, "1" * 19),
        ):
            self.assertEqual(
                list(router.find("GET", "/" + segment)[1].values()), [value]
            )

    def test_zero_is_a_value_like_any_other(self) -> None:
        self.assertEqual(router_of("/{n:int}").find("GET", "/0")[1], {"n": 0})

    def test_digits_of_other_scripts_are_no_numbers(self) -> None:
        self.assertEqual(status(router_of("/{n:int}"), "GET", "/" + quote("٣")), 404)

    def test_a_parameter_is_never_empty(self) -> None:
        router = router_of("/a/{x}", "/b/{y:path}", "/c/*")
        for path in ("/a/", "/b/", "/c/"):
            self.assertEqual(status(router, "GET", path), 404)

    def test_a_star_takes_the_rest(self) -> None:
        self.assertEqual(router_of("/c/*").find("GET", "/c/d/e/")[1], {"*": "d/e/"})

    def test_the_method_may_be_served_by_a_less_literal_pattern(self) -> None:
        router = router_of("/users/me")
        router.add("/users/{id}", ["PUT"], endpoint)
        self.assertEqual(router.find("PUT", "/users/me")[1], {"id": "me"})
        refused = outcome(router, "POST", "/users/me")
        self.assertEqual(refused.headers, (("Allow", "GET, HEAD, OPTIONS, PUT"),))

    def test_two_methods_may_name_one_parameter_differently(self) -> None:
        router = Router()
        router.add("/{a}", ["GET"], endpoint)
        router.add("/{b}", ["PUT"], endpoint)
        self.assertEqual(router.find("GET", "/x")[1], {"a": "x"})
        self.assertEqual(router.find("PUT", "/x")[1], {"b": "x"})


class DecodingTests(SynchronousTestCase):
    def test_an_encoded_slash_separates_nothing(self) -> None:
        router = router_of("/hello", "/x/hello", "/{a}/{b}")
        self.assertEqual(status(router, "GET", "/x%2F../hello"), 404)
        self.assertEqual(status(router, "GET", "/%2Fhello"), 404)
        self.assertEqual(status(router, "GET", "/x%2Fhello"), 404)
        self.assertEqual(router.find("GET", "/a%2Fb/c")[1], {"a": "a/b", "b": "c"})

    def test_encoded_letters_are_the_letters(self) -> None:
        router = router_of("/hello", "/café")
        self.assertEqual(router.find("GET", "/%68ello")[0].pattern, "/hello")
        self.assertEqual(router.find("GET", "/caf%C3%A9")[0].pattern, "/café")

    def test_what_cannot_be_decoded_is_a_bad_request(self) -> None:
        router = router_of("/{p:path}")
        for path in (
            "/%",
            "/%2",
            "/%zz",
            "/%u0041",
            "/%ff",
            "/%C0%AF",
            "/a%00",
            "/a\0",
        ):
            self.assertEqual(status(router, "GET", path), 400, path)

    def test_what_is_no_path_is_a_bad_request(self) -> None:
        router = router_of("/{p:path}")
        for path in ("", "*", "hello", "example.com:80"):
            self.assertEqual(status(router, "GET", path), 400, path)

    def test_dot_segments_match_nothing(self) -> None:
        router = router_of("/{p:path}", "/{a}/{b}", "/hello")
        for path in (
            "/../hello",
            "/./hello",
            "/%2e%2e/hello",
            "/..%2f..%2fetc",
            "/..\\..\\etc",
            "/..%5C..",
            "/a/..",
            "/x/.",
        ):
            self.assertEqual(status(router, "GET", path), 404, path)
        self.assertEqual(status(router, "GET", "/.hidden/a..b"), 200)

    def test_a_path_value_is_never_absolute(self) -> None:
        router = router_of("/{p:path}")
        for path in ("//etc/passwd", "/%2Fetc", "/%5Cetc", "/\\etc"):
            self.assertEqual(status(router, "GET", path), 404, path)


class AnswerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.router = router_of("/hello", "/users/{id:int}")
        self.router.add("/hello", ["POST"], endpoint)

    def test_head_comes_with_get(self) -> None:
        get, head = (self.router.find(m, "/hello")[0] for m in ("GET", "HEAD"))
        self.assertIs(get, head)

    def test_head_may_have_its_own_route_in_any_order(self) -> None:
        for first, second in (("GET", "HEAD"), ("HEAD", "GET")):
            router = Router()
            router.add("/x", [first], endpoint)
            router.add("/x", [second], endpoint)
            self.assertEqual(router.find("HEAD", "/x")[0].methods, {"HEAD"})

    def test_a_standard_method_the_path_has_not_is_405_with_allow(self) -> None:
        refused = outcome(self.router, "PUT", "/hello")
        self.assertEqual(refused.status, 405)
        self.assertEqual(refused.headers, (("Allow", "GET, HEAD, OPTIONS, POST"),))

    def test_a_method_nobody_knows_is_501_wherever(self) -> None:
        for path in ("/hello", "/none", "*"):
            self.assertEqual(status(self.router, "BREW", path), 501)
        self.assertEqual(status(self.router, "get", "/hello"), 501)

    def test_a_method_of_the_application_is_known(self) -> None:
        self.router.add("/coffee", ["BREW"], endpoint)
        self.assertEqual(status(self.router, "BREW", "/coffee"), 200)
        self.assertEqual(status(self.router, "BREW", "/hello"), 405)

    def test_options_is_answered_with_allow(self) -> None:
        for path, allow in (
            ("/hello", "GET, HEAD, OPTIONS, POST"),
            ("/users/1", "GET, HEAD, OPTIONS"),
            ("*", "GET, HEAD, OPTIONS, POST"),
        ):
            response = outcome(self.router, "OPTIONS", path)
            self.assertIsInstance(response, Response)
            self.assertEqual(response.status, 204)
            self.assertEqual(response.headers["allow"], allow)
        self.assertEqual(status(self.router, "OPTIONS", "/none"), 404)

    def test_options_may_have_its_own_route(self) -> None:
        self.router.add("/hello", ["OPTIONS"], lambda _: "mine")
        self.assertEqual(outcome(self.router, "OPTIONS", "/hello"), "mine")

    def test_answers_are_made_once(self) -> None:
        first, second = (self.router.find("GET", path) for path in ("/a", "/b"))
        self.assertIs(first, second)


class SlashTests(SynchronousTestCase):
    def location(self, router: Router, method: str, target: str) -> tuple[int, str]:
        response = outcome(router, method, target)
        return response.status, response.headers["location"]

    def test_the_missing_slash_is_added_and_the_query_kept(self) -> None:
        router = router_of("/a/", "/{id:int}/x/")
        self.assertEqual(self.location(router, "GET", "/a?x=1&y"), (301, "/a/?x=1&y"))
        self.assertEqual(self.location(router, "HEAD", "/7/x"), (301, "/7/x/"))

    def test_the_extra_slash_is_taken_away(self) -> None:
        self.assertEqual(
            self.location(router_of("/a/b"), "GET", "/a/b/"), (301, "/a/b")
        )

    def test_other_methods_keep_their_method(self) -> None:
        router = Router()
        router.add("/a", ["POST"], endpoint)
        self.assertEqual(self.location(router, "POST", "/a/"), (308, "/a"))
        self.assertEqual(self.location(router, "OPTIONS", "/a/"), (308, "/a"))
        self.assertEqual(status(router, "GET", "/a/"), 404)

    def test_it_does_not_happen_when_both_are_there_or_none(self) -> None:
        router = router_of("/a", "/a/")
        self.assertEqual(outcome(router, "GET", "/a/"), "/a/")
        self.assertEqual(status(router, "GET", "/b/"), 404)
        self.assertEqual(status(router, "GET", "/"), 404)

    def test_what_no_location_can_carry_is_not_found(self) -> None:
        self.assertEqual(status(router_of("/{a}/"), "GET", "/\ud800"), 404)

    def test_no_path_leads_to_another_host(self) -> None:
        router = router_of("/{a}/", "/{a}", "/{a}/{b}", "/{a}/{b}/c/")
        for path in ("//evil.example/", "//evil.example", "/\\evil.example/x/", "///"):
            result = outcome(router, "GET", path)
            if isinstance(result, Response):
                location = result.headers["location"]
                self.assertNotRegex(location, r"^[/\\][/\\]|^[^/]")


class RegistrationTests(SynchronousTestCase):
    def test_patterns_that_cannot_be_meant_are_refused(self) -> None:
        for pattern in (
            "",
            "a",
            "/a//b",
            "/{a",
            "/a}",
            "/x{a}",
            "/{a}.json",
            "/{}",
            "/{a b}",
            "/{a:nope}",
            "/{a}/{a}",
            "/{a:path}/b",
            "/*/b",
            "/a*",
            "/a%20b",
            "/a b",
            "/a?b",
            "/a#b",
            "/../a",
        ):
            with self.assertRaises(ConfigurationError, msg=pattern):
                router_of(pattern)

    def test_a_place_can_be_taken_once(self) -> None:
        for first, second in (("/a", "/a"), ("/{a}", "/{b}"), ("/{a:path}", "/*")):
            with self.assertRaisesRegex(ConfigurationError, "is taken by"):
                router_of(first, second)

    def test_a_refused_registration_changes_nothing(self) -> None:
        router = router_of("/a")
        with self.assertRaises(ConfigurationError):
            router.add("/a", ["PUT", "GET"], endpoint)
        self.assertEqual(status(router, "PUT", "/a"), 405)

    def test_methods_are_tokens_in_capitals(self) -> None:
        for methods in ("GET", [], ["get"], ["G T"], [""]):
            with self.assertRaises(ConfigurationError, msg=repr(methods)):
                Router().add("/", methods, endpoint)

    def test_options_out_of_range_are_refused(self) -> None:
        for options in ({"max_body": -1}, {"timeout": -0.1}, {"timeout": float("nan")}):
            with self.assertRaises(ConfigurationError):
                Router().add("/", ["GET"], endpoint, **options)
        with self.assertRaises(ConfigurationError):
            Router().add("/", ["GET"], None)  # type: ignore[arg-type]  # the point

    def test_more_than_sixteen_parameters_are_fine(self) -> None:
        pattern = "".join(f"/{{p{n}}}" for n in range(20))
        router = router_of(pattern)
        self.assertEqual(len(router.find("GET", "/x" * 20)[1]), 20)

    def test_a_route_added_later_replaces_the_refusal(self) -> None:
        router = router_of("/a")
        self.assertEqual(status(router, "PUT", "/a"), 405)
        router.add("/a", ["PUT"], endpoint)
        self.assertEqual(status(router, "PUT", "/a"), 200)
        self.assertEqual(
            outcome(router, "POST", "/a").headers,
            (("Allow", "GET, HEAD, OPTIONS, PUT"),),
        )

    def test_a_coroutine_function_streams_and_a_function_does_not(self) -> None:
        async def waits(request: Request) -> str:
            return "x"

        class Callable:
            async def __call__(self, request: Request) -> str:
                return "x"

        router = Router()
        self.assertTrue(router.add("/a", ["GET"], waits).streams)
        self.assertTrue(router.add("/b", ["GET"], Callable()).streams)
        self.assertFalse(router.add("/c", ["GET"], endpoint).streams)

    def test_without_middleware_the_call_is_the_endpoint(self) -> None:
        self.assertIs(Router().add("/a", ["GET"], endpoint).call, endpoint)


class ReversingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.router = Router()
        self.router.add("/caf\u00e9/{name}/{n:int}", ["GET"], endpoint, name="one")
        self.router.add("/files/{name:path}", ["GET"], endpoint, name="two")

    def test_parameters_are_percent_encoded(self) -> None:
        path = self.router.url_for("one", name="a/b ?é", n=5)
        self.assertEqual(path, "/caf%C3%A9/a%2Fb%20%3F%C3%A9/5")
        self.assertEqual(self.router.url_for("two", name="a b/c"), "/files/a%20b/c")

    def test_what_would_not_match_is_refused(self) -> None:
        for name, params in (
            ("none", {}),
            ("one", {"name": "x"}),
            ("one", {"name": "x", "n": 1, "m": 2}),
            ("one", {"name": "", "n": 1}),
            ("one", {"name": "..", "n": 1}),
            ("one", {"name": "\0", "n": 1}),
            ("one", {"name": "\ud800", "n": 1}),
            ("one", {"name": None, "n": 1}),
            ("one", {"name": True, "n": 1}),
            ("one", {"name": "x", "n": -1}),
            ("one", {"name": "x", "n": "1x"}),
            ("two", {"name": "/etc"}),
            ("two", {"name": "a/../b"}),
        ):
            with self.assertRaises(NoSuchRoute, msg=repr((name, params))):
                self.router.url_for(name, **params)

    def test_a_name_can_be_given_once(self) -> None:
        with self.assertRaises(ConfigurationError):
            self.router.add("/other", ["GET"], endpoint, name="one")


# The second opinion: every pattern tried in order of precedence, as an expression.

SHAPES = {
    "uuid": r"([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})",
    "int": r"([0-9]{1,18})",
    "float": r"([0-9]{1,18}(?:\.[0-9]{1,18})?)",
    "str": r"([^/]+)",
    "path": r"([^/\\].*)",
}
SLASH = "\ue000"  # stands for an encoded slash while segments are joined


def oracle(patterns: list[str], path: str) -> tuple[str, list[str]] | str | None:
    """Return pattern and texts of the parameters, None, or "bad"."""
    decoded = decoded_path(path)
    if decoded is None:
        return "bad"
    if has_dot_segment(decoded):
        return None
    pieces = [decoded_path(piece) or "" for piece in path.split("/")]
    joined = "/".join(piece.replace("/", SLASH) for piece in pieces)
    for pattern in sorted(map(Pattern.parse, patterns), key=precedence):
        expression = "".join(
            "/" + (re.escape(s) if isinstance(s, str) else SHAPES[s.converter.name])
            for s in pattern.segments
        )
        match = re.fullmatch(expression, joined, re.DOTALL)
        if match and not any(
            isinstance(s, Parameter) and s.converter.spans for s in pattern.segments
        ):
            return pattern.text, [text.replace(SLASH, "/") for text in match.groups()]
        if match and match.groups()[-1][0] != SLASH:
            return pattern.text, [text.replace(SLASH, "/") for text in match.groups()]
    return None


def precedence(pattern: Pattern) -> list[int]:
    return [-1 if isinstance(s, str) else s.converter.rank for s in pattern.segments]


pattern_segments = st.sampled_from(
    ["a", "b", "é", "1", "{x}", "{x:int}", "{x:float}", "{x:uuid}"]
)
pattern_ends = st.sampled_from(["", "", "/", "/{rest:path}", "/*"])


@st.composite
def pattern_texts(draw: st.DrawFn) -> str:
    segments = draw(st.lists(pattern_segments, max_size=3))
    named = [
        s.replace("x", f"x{n}", 1) if "{" in s else s for n, s in enumerate(segments)
    ]
    text = "".join("/" + s for s in named) + draw(pattern_ends)
    return text or "/"


WORDS = f"a b c 1 2.5 . .. x\\y \\ % %61 %C3%A9 %2e a%2Fb %2F %00 %0A {UUID_TEXT}"
path_segments = st.sampled_from(["", *WORDS.split()])
paths = st.one_of(
    st.lists(path_segments, min_size=1, max_size=4).map(lambda s: "/" + "/".join(s)),
    st.text(max_size=12).map(lambda text: "/" + quote(text)),
)


class PropertyTests(SynchronousTestCase):
    @given(st.lists(pattern_texts(), min_size=1, max_size=8), paths)
    def test_any_path_finds_what_the_oracle_finds(
        self, texts: list[str], path: str
    ) -> None:
        router = Router()
        taken: list[str] = []
        for text in texts:
            try:
                router.add(text, ["GET"], endpoint)
            except ConfigurationError:
                continue
            taken.append(text)
        expected = oracle(taken, path)
        route, params = router.find("GET", path)
        if expected == "bad":
            self.assertEqual(status(router, "GET", path), 400)
        elif expected is None:
            self.assertEqual(route.pattern, "")
            self.assertIn(status(router, "GET", path), (404, 301))
        else:
            self.assertEqual(route.pattern, expected[0])
            values = Pattern.parse(route.pattern)
            for name, text in zip(values.names, expected[1], strict=True):
                segment = next(
                    s
                    for s in values.segments
                    if isinstance(s, Parameter) and s.name == name
                )
                self.assertEqual(params[name], segment.converter.parse(text))

    @given(st.text(max_size=20), st.text(max_size=20))
    def test_nothing_that_is_asked_raises(self, method: str, path: str) -> None:
        router = router_of("/a/", "/{b}", "/c/{d:path}")
        for asked in (method, "GET", "POST", "OPTIONS"):
            route, _ = router.find(asked, path)
            self.assertTrue(callable(route.call))

    @given(paths, st.text(max_size=5))
    def test_a_redirect_stays_on_this_host(self, path: str, query: str) -> None:
        router = router_of("/{a}/", "/{a}/{b}", "/a/b/c/")
        result = outcome(router, "GET", f"{path}?{quote(query)}")
        if isinstance(result, Response):
            location = result.headers["location"]
            self.assertTrue(location.startswith("/"))
            self.assertNotIn(location[1:2], ("/", "\\"))

    @given(
        st.text(),
        st.integers(-1, 10**17),
        st.floats(0, 1e6).map(lambda number: round(number, 3)),
        st.uuids(),
        st.text(),
    )
    def test_what_url_for_builds_is_found_again(
        self, s: str, i: int, f: float, u: UUID, p: str
    ) -> None:
        router = Router()
        router.add(
            "/é/{s}/{i:int}/{f:float}/{u:uuid}/{p:path}", ["GET"], endpoint, name="n"
        )
        given_params = {"s": s, "i": i, "f": f, "u": u, "p": p}
        try:
            path = router.url_for("n", **given_params)
        except NoSuchRoute:
            return
        route, params = router.find("GET", path)
        self.assertEqual(route.name, "n")
        self.assertEqual(params, given_params)
