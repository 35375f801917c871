"""Redirects: every status with every method, and what is left behind on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given as for_all
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.redirects import (
    REDIRECT_STATUSES,
    Redirect,
    RedirectPolicy,
    next_request,
)
from httpx_tw.client.urls import URL, parse_url
from httpx_tw.errors import ConfigurationError, RemoteProtocolError, TooManyRedirects

if TYPE_CHECKING:
    from collections.abc import Sequence

POLICY = RedirectPolicy()
HERE = parse_url("https://a.example/b/c?d")


def decide(
    status: int = 302,
    method: str = "GET",
    locations: Sequence[str] = ("/x",),
    policy: RedirectPolicy = POLICY,
    **facts: Any,
) -> Redirect | None:
    given: dict[str, Any] = {"url": HERE, "can_replay": True, "redirects": 0} | facts
    return next_request(
        policy, status=status, method=method, locations=locations, **given
    )


def redirect(*args: Any, **facts: Any) -> Redirect:
    decision = decide(*args, **facts)
    assert decision is not None
    return decision


class MethodTests(SynchronousTestCase):
    def test_every_method_after_every_status_is_as_rfc_9110_has_it(self) -> None:
        table = {
            #      GET    HEAD    POST   PUT       DELETE
            301: ("GET", "HEAD", "GET", "PUT", "DELETE"),
            302: ("GET", "HEAD", "GET", "PUT", "DELETE"),
            303: ("GET", "HEAD", "GET", "GET", "GET"),
            307: ("GET", "HEAD", "POST", "PUT", "DELETE"),
            308: ("GET", "HEAD", "POST", "PUT", "DELETE"),
        }
        for status, expected in table.items():
            methods = ("GET", "HEAD", "POST", "PUT", "DELETE")
            for method, after in zip(methods, expected, strict=True):
                found = redirect(status, method)
                self.assertEqual(found.method, after, (status, method))
                self.assertEqual(found.keeps_body, after == method)

    def test_post_stays_post_if_so_wanted_but_not_after_303(self) -> None:
        policy = RedirectPolicy(preserve_method=True)
        for status in (301, 302, 307, 308):
            self.assertEqual(redirect(status, "POST", policy=policy).method, "POST")
        self.assertEqual(redirect(303, "POST", policy=policy).method, "GET")

    def test_what_described_the_body_goes_with_it(self) -> None:
        found = redirect(302, "POST")
        for name in ("content-type", "content-length", "transfer-encoding", "expect"):
            self.assertIn(name, found.strips)
        self.assertEqual(redirect(307, "POST").strips, frozenset())


class AnswerTests(SynchronousTestCase):
    def test_no_other_status_redirects(self) -> None:
        for status in range(100, 600):
            self.assertEqual(decide(status) is not None, status in REDIRECT_STATUSES)

    def test_without_a_location_it_is_the_answer(self) -> None:
        self.assertIsNone(decide(locations=()))

    def test_who_follows_nothing_gets_the_answer(self) -> None:
        policy = RedirectPolicy.no_follow()
        self.assertIsNone(decide(policy=policy))
        # And what it would lead to does not matter.
        self.assertIsNone(decide(policy=policy, redirects=99, locations=["\x00"]))

    def test_a_body_that_cannot_be_sent_again_makes_it_the_answer(self) -> None:
        self.assertIsNone(decide(307, "POST", can_replay=False))
        self.assertIsNone(decide(302, "PUT", can_replay=False))
        self.assertIsNotNone(decide(302, "POST", can_replay=False))
        self.assertIsNotNone(decide(303, "PUT", can_replay=False))

    def test_who_stays_at_the_origin_gets_what_leads_away(self) -> None:
        policy = RedirectPolicy.strict()
        self.assertIsNotNone(decide(policy=policy))
        for elsewhere in ("//b.example/", "http://a.example/", "//a.example:444/"):
            self.assertIsNone(decide(locations=[elsewhere], policy=policy))


class OriginTests(SynchronousTestCase):
    def test_credentials_stay_with_their_origin(self) -> None:
        for elsewhere in (
            "https://b.example/",
            "//b.a.example/",
            "http://a.example/b",
            "http://a.example:443/b",
            "https://a.example:8443/",
            "https://a.example./",
        ):
            found = redirect(locations=[elsewhere])
            self.assertTrue(found.crosses_origin)
            self.assertEqual(
                found.strips,
                {"authorization", "cookie", "host", "proxy-authorization"},
            )

    def test_at_the_same_origin_nothing_is_lost(self) -> None:
        for here in ("/x", "x", "?y", "//a.example/", "https://A.EXAMPLE:443/x"):
            found = redirect(locations=[here])
            self.assertFalse(found.crosses_origin)
            self.assertEqual(found.strips, frozenset())

    def test_who_crosses_and_drops_the_body_strips_both(self) -> None:
        found = redirect(303, "POST", ["//b.example/"])
        self.assertLess({"authorization", "content-type"}, found.strips)


class LocationTests(SynchronousTestCase):
    def url(self, location: str, base: URL = HERE) -> str:
        return str(redirect(locations=[location], url=base).url)

    def test_it_is_resolved_against_the_request(self) -> None:
        self.assertEqual(self.url("x"), "https://a.example/b/x")
        self.assertEqual(self.url("../x?y"), "https://a.example/x?y")
        self.assertEqual(self.url("//b/x"), "https://b/x")
        self.assertEqual(self.url("http://b"), "http://b/")
        self.assertEqual(self.url(""), "https://a.example/b/c?d")

    def test_a_fragment_is_inherited_unless_there_is_one(self) -> None:
        base = parse_url("http://a/b#one")
        self.assertEqual(self.url("/x", base), "http://a/x#one")
        self.assertEqual(self.url("/x#two", base), "http://a/x#two")
        self.assertEqual(self.url("/x#", base), "http://a/x#")

    def test_utf_8_in_it_is_what_was_meant(self) -> None:
        wire = "/\u00e9".encode().decode("latin-1")
        self.assertEqual(self.url(wire), "https://a.example/%C3%A9")
        self.assertEqual(self.url("/\u00e9"), "https://a.example/%C3%A9")

    def test_userinfo_of_the_request_stays_behind(self) -> None:
        found = redirect(url=parse_url("http://u:p@a/"))
        self.assertIsNone(found.url.userinfo)

    def test_what_must_not_be_followed_is_an_error(self) -> None:
        for location in (
            "ftp://a/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:,x",
            "/\\evil.example",
            "http:x",
            "//[::1",
            "http://u:p@a.example/",
            "//u@a.example/",
            "/a\x00b",
        ):
            self.assertRaises(RemoteProtocolError, decide, locations=[location])

    def test_two_locations_are_one_only_if_they_agree(self) -> None:
        self.assertIsNotNone(decide(locations=["/x", "/x"]))
        self.assertRaises(RemoteProtocolError, decide, locations=["/x", "/y"])

    @for_all(st.text(st.characters(max_codepoint=255)))
    def test_any_location_is_followed_or_refused(self, location: str) -> None:
        try:
            found = redirect(locations=[location])
        except RemoteProtocolError:
            return
        self.assertEqual(found.crosses_origin, found.url.origin != HERE.origin)
        self.assertIn(found.url.scheme, ("http", "https"))


class LimitTests(SynchronousTestCase):
    def test_a_loop_ends(self) -> None:
        url, followed = HERE, 0
        while followed < 10:
            url = redirect(url=url, locations=[str(HERE)], redirects=followed).url
            followed += 1
        error = self.assertRaises(
            TooManyRedirects, decide, url=url, locations=["/x"], redirects=10
        )
        self.assertIn("10 redirects", str(error))

    def test_none_may_be_followed(self) -> None:
        policy = RedirectPolicy(max_redirects=0)
        self.assertRaises(TooManyRedirects, decide, policy=policy)

    def test_a_limit_is_not_negative(self) -> None:
        self.assertRaises(ConfigurationError, RedirectPolicy, max_redirects=-1)
