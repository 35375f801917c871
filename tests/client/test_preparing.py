"""From what callers say to requests; most of it is seen in test_client.py."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.authentication import BasicAuth
from httpx_tw.client.content import as_content
from httpx_tw.client.cookies import CookieJar
from httpx_tw.client.preparing import Draft, RequestMaker, Route, content_from
from httpx_tw.client.proxies import Proxy, ProxySettings
from httpx_tw.client.redirects import Redirect
from httpx_tw.client.urls import parse_url
from httpx_tw.tls.contexts import TLSPolicy

PLAIN, SECURE = parse_url("http://a.example/x"), parse_url("https://a.example/x")


class RouteTests(SynchronousTestCase):
    def route(self, proxy: str | None = None, **options: Any) -> Route:
        settings = ProxySettings.of(proxy, "direct.example")
        return Route(tls=TLSPolicy(), proxies=settings, **options)

    def test_key_has_all_that_must_be_equal(self) -> None:
        key = self.route(local_address="127.0.0.2").key_for(SECURE)
        self.assertEqual((key.scheme, key.host, key.port), ("https", "a.example", 443))
        self.assertEqual((key.tls, key.via), (TLSPolicy(), None))
        self.assertEqual(key.local_address, "127.0.0.2")
        self.assertIsNone(self.route().key_for(PLAIN).tls)
        self.assertEqual(self.route(uds="/s").key_for(PLAIN).uds, "/s")

    def test_proxy_that_is_given_requests_is_who_is_connected_to(self) -> None:
        key = self.route("http://proxy.example:3128").key_for(PLAIN)
        assert key.via is not None
        self.assertFalse(key.via.is_tunnel)
        self.assertEqual((key.host, key.port), ("proxy.example", 3128))

    def test_proxy_that_makes_a_tunnel_is_a_part_of_the_key(self) -> None:
        for proxy, url in (
            ("http://proxy.example", SECURE),
            ("socks5h://proxy.example", PLAIN),
        ):
            key = self.route(proxy).key_for(url)
            assert key.via is not None
            self.assertTrue(key.via.is_tunnel)
            self.assertEqual(key.host, "a.example")
            self.assertNotEqual(key, self.route().key_for(url))

    def test_some_hosts_need_no_proxy(self) -> None:
        route = self.route("http://proxy.example")
        self.assertIsNone(route.key_for(parse_url("http://direct.example/")).via)

    def test_secure_proxy_is_offered_no_protocols(self) -> None:
        key = self.route("https://proxy.example").key_for(SECURE)
        assert key.via is not None
        self.assertEqual(key.via.tls, TLSPolicy(alpn=()))
        self.assertEqual(key.tls, TLSPolicy())
        other = Route(tls="theirs", proxies=ProxySettings.of("https://p.example"))
        via = other.key_for(SECURE).via
        assert via is not None
        self.assertEqual(via.tls, "theirs")
        self.assertEqual(via.proxy, Proxy("https", "p.example", 443))


class DraftTests(SynchronousTestCase):
    def draft(self) -> Draft:
        return Draft(
            "POST",
            PLAIN,
            [(b"Cookie", b"a=b"), (b"X-A", b"b"), (b"content-type", b"c")],
            as_content(b"abc"),
            {"d": "e"},
            BasicAuth("me", "secret"),
        )

    def test_redirect_strips_what_it_must(self) -> None:
        draft = self.draft()
        draft.redirect(
            Redirect(
                "GET",
                SECURE,
                keeps_body=False,
                crosses_origin=True,
                strips=frozenset({"cookie", "content-type"}),
            )
        )
        self.assertEqual(draft.fields, [(b"X-A", b"b")])
        self.assertEqual(draft.given, {b"x-a"})
        self.assertEqual((draft.method, draft.url), ("GET", SECURE))
        self.assertEqual((draft.content, draft.cookies, draft.auth), (None,) * 3)

    def test_redirect_within_an_origin_keeps_the_rest(self) -> None:
        draft = self.draft()
        draft.redirect(
            Redirect(
                "POST",
                PLAIN,
                keeps_body=True,
                crosses_origin=False,
                strips=frozenset(),
            )
        )
        self.assertIsNotNone(draft.content)
        self.assertIsNotNone(draft.auth)
        self.assertEqual(len(draft.fields), 3)

    def test_auth_is_told_of_the_body_if_it_is_at_hand(self) -> None:
        draft = self.draft()
        self.assertEqual(draft.auth_request.body, b"abc")
        draft.content = as_content(iter([b"a"]))
        self.assertIsNone(draft.auth_request.body)
        draft.content = None
        self.assertEqual(draft.auth_request.body, b"")


class MakerTests(SynchronousTestCase):
    def test_own_fields_stand_in_for_the_defaults(self) -> None:
        maker = RequestMaker(
            Route(tls=None),
            base_url=None,
            params=None,
            headers={"accept": "text/html"},
            defaults=[(b"Accept", b"*/*"), (b"X-D", b"d")],
            jar=CookieJar(),
        )
        draft = maker.draft(
            "GET",
            PLAIN,
            headers=None,
            content=None,
            cookies=None,
            auth=None,
            limit=0,
        )
        made = maker.finish(draft, 0.0)
        self.assertEqual(
            made.headers,
            [(b"Host", b"a.example"), (b"accept", b"text/html"), (b"X-D", b"d")],
        )

    def test_nothing_is_no_content(self) -> None:
        found = content_from(content=None, data=None, json=None, files=None)
        self.assertIsNone(found)

    def test_false_and_empty_are_contents(self) -> None:
        contents: list[dict[str, Any]] = [
            {"json": False},
            {"content": b""},
            {"data": {}},
        ]
        for options in contents:
            given: dict[str, Any] = {
                "content": None, "data": None, "json": None, "files": None, **options
            }  # fmt: skip
            self.assertIsNotNone(content_from(**given))
