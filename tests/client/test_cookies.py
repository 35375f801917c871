"""The cookie jar: who may set what, and who gets it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.cookies import MAX_HEADER, Cookie, CookieJar
from httpx_tw.client.public_suffixes import is_public_suffix_by_rule
from httpx_tw.client.urls import parse_url
from httpx_tw.errors import ConfigurationError, InvalidHeader

NOW = 1_800_000_000.0


class JarTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.jar = CookieJar(rejects_suffixes=is_public_suffix_by_rule)

    def receive(self, url: str, *fields: str, now: float = NOW) -> None:
        self.jar.receive(parse_url(url), fields, now)

    def sent(self, url: str, now: float = NOW, **extra: str) -> str | None:
        return self.jar.header_for(parse_url(url), now, extra or None)

    def assert_ignored(self, url: str, field: str) -> None:
        before = self.jar.to_dicts()
        self.receive(url, field)
        self.assertEqual(self.jar.to_dicts(), before, field)


class ScopeTests(JarTestCase):
    def test_a_cookie_goes_back_to_its_host_and_no_other(self) -> None:
        self.receive("http://a.example/", "a=b")
        self.assertEqual(self.sent("http://a.example/"), "a=b")
        self.assertEqual(self.sent("https://a.example:8443/x"), "a=b")
        for other in ("http://b.example/", "http://x.a.example/", "http://example/"):
            self.assertIsNone(self.sent(other))

    def test_with_a_domain_it_goes_to_all_hosts_below(self) -> None:
        self.receive("http://x.a.example/", "a=b; Domain=a.example")
        for host in ("a.example", "x.a.example", "y.a.example", "z.y.a.example"):
            self.assertEqual(self.sent(f"http://{host}/"), "a=b")
        for host in ("ba.example", "example", "a.example.b.example"):
            self.assertIsNone(self.sent(f"http://{host}/"))

    def test_nobody_sets_cookies_for_others(self) -> None:
        for domain in (
            *("b.example", "x.a.example.evil.example", "example", "com", "..", "a"),
            *("y.x.a.example", "\xe9.example", "le", ".example"),
        ):
            self.assert_ignored("http://x.a.example/", f"a=b; Domain={domain}")

    def test_nobody_sets_cookies_for_a_registry(self) -> None:
        self.assert_ignored("http://a.co.uk/", "a=b; Domain=co.uk")
        self.receive("http://co.uk/", "a=b; Domain=co.uk")
        self.assertEqual(self.sent("http://co.uk/"), "a=b")
        self.assertIsNone(self.sent("http://a.co.uk/"))
        self.receive("http://localhost/", "a=b; Domain=localhost")
        self.assertEqual(self.sent("http://localhost/"), "a=b")
        self.assertIsNone(self.sent("http://a.localhost/"))

    def test_what_is_no_cookie_is_passed_over(self) -> None:
        self.receive("http://a/", "nothing", "=x", "a=b\r", "c=d")
        self.assertEqual(self.sent("http://a/"), "c=d")

    def test_an_address_is_no_domain(self) -> None:
        self.assert_ignored("http://127.0.0.1/", "a=b; Domain=0.0.1")
        self.assert_ignored("http://[::1]/", "a=b; Domain=1")
        self.receive("http://127.0.0.1/", "a=b; Domain=127.0.0.1")
        self.receive("http://[::1]/", "c=d; Domain=::1")
        self.assertEqual(self.sent("http://127.0.0.1/"), "a=b")
        self.assertEqual(self.sent("http://[0::1]/"), "c=d")
        self.assertTrue(all(cookie.host_only for cookie in self.jar))

    def test_a_path_covers_what_is_below(self) -> None:
        self.receive("http://a/", "a=b; Path=/x")
        for path in ("/x", "/x/", "/x/y", "/x?q"):
            self.assertEqual(self.sent(f"http://a{path}"), "a=b")
        for path in ("/", "/xy", "/X", "/y/x", "/?/x"):
            self.assertIsNone(self.sent(f"http://a{path}"))
        self.receive("http://a/", "a=b; Path=/y/")
        self.assertEqual(self.sent("http://a/y/z"), "a=b")
        self.assertIsNone(self.sent("http://a/y"))

    def test_without_a_path_it_is_the_directory(self) -> None:
        for path, default in (
            *(("/", "/"), ("/x", "/"), ("/x/", "/x"), ("/x/y", "/x")),
            *(("/x/y/z?q/r", "/x/y"),),
        ):
            self.jar.clear()
            self.receive(f"http://a{path}", "a=b")
            self.assertEqual([cookie.path for cookie in self.jar], [default])
            self.receive(f"http://a{path}", "a=b; Path=x")
            self.assertEqual([cookie.path for cookie in self.jar], [default])


class SecureTests(JarTestCase):
    def test_a_secure_cookie_is_sent_over_https_only(self) -> None:
        self.receive("https://a/", "a=b; Secure")
        self.assertEqual(self.sent("https://a/"), "a=b")
        self.assertIsNone(self.sent("http://a/"))

    def test_http_cannot_set_one(self) -> None:
        self.assert_ignored("http://a/", "a=b; Secure")

    def test_http_cannot_replace_or_hide_one(self) -> None:
        self.receive("https://x.a.example/", "a=b; Secure; Domain=a.example; Path=/x")
        for url, field in (
            ("http://x.a.example/", "a=evil; Domain=a.example; Path=/x"),
            ("http://x.a.example/", "a=evil; Path=/x"),
            ("http://x.a.example/", "a=evil; Path=/x/y"),
            ("http://y.x.a.example/", "a=evil; Path=/x"),
            ("http://x.a.example/", "a=; Max-Age=0; Domain=a.example; Path=/x"),
        ):
            self.assert_ignored(url, field)
        self.receive("http://x.a.example/", "a=other; Path=/", "c=d; Path=/x")
        self.assertEqual(self.sent("https://x.a.example/x"), "a=b; c=d; a=other")

    def test_https_can(self) -> None:
        self.receive("https://a/", "a=b; Secure", "a=c; Secure")
        self.assertEqual(self.sent("https://a/"), "a=c")
        self.receive("https://a/", "a=d")
        self.assertEqual(self.sent("http://a/"), "a=d")

    def test_names_keep_their_promise(self) -> None:
        for name, attributes in (
            ("__Secure-a", ""),
            ("__secure-a", "; Path=/"),
            ("__Host-a", "; Path=/"),
            ("__Host-a", "; Secure"),
            ("__Host-a", "; Secure; Path=/x"),
            ("__Host-a", "; Secure; Path=/; Domain=a.example"),
            ("__HOST-a", "; Secure; Path=/; Domain=a.example"),
        ):
            self.assert_ignored("https://x.a.example/", f"{name}=b{attributes}")
        self.assert_ignored("http://a/", "__Host-a=b; Secure; Path=/")
        self.receive(
            "https://a/x/", "__Secure-a=b; Secure", "__Host-a=b; Secure; Path=/"
        )
        self.assertEqual(self.sent("https://a/x/"), "__Secure-a=b; __Host-a=b")


class TimeTests(JarTestCase):
    def test_a_cookie_is_sent_until_it_expires(self) -> None:
        self.receive("http://a/", "a=b; Max-Age=60")
        self.assertEqual(self.sent("http://a/", NOW + 59.9), "a=b")
        self.assertIsNone(self.sent("http://a/", NOW + 60))

    def test_a_server_deletes_what_it_set(self) -> None:
        self.receive("http://a/", "a=b", "c=d; Path=/x")
        self.receive("http://a/", "a=; Max-Age=0", "c=; Max-Age=0", "e=; Max-Age=-1")
        self.assertEqual([cookie.name for cookie in self.jar], ["c"])
        self.receive("http://a/", "c=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/x")
        self.assertEqual(len(self.jar), 0)

    def test_what_is_over_can_be_taken_out(self) -> None:
        self.receive("http://a/", "a=1; Max-Age=10", "b=1; Max-Age=20", "c=1")
        self.assertEqual(self.jar.remove_expired(NOW + 10), 1)
        self.assertEqual([cookie.name for cookie in self.jar], ["b", "c"])
        self.assertEqual(self.jar.remove_session(), 1)
        self.assertEqual([cookie.name for cookie in self.jar], ["b"])


class OrderTests(JarTestCase):
    def test_longer_paths_come_first_then_earlier_cookies(self) -> None:
        self.receive(
            "http://x.a.example/x/y",
            *("a=1; Path=/", "b=2; Path=/x", "c=3; Path=/x; Domain=a.example"),
            *("d=4; Path=/x/y", "a=5; Path=/; Domain=a.example"),
        )
        expected = "d=4; b=2; c=3; a=1; a=5"
        self.assertEqual(self.sent("http://x.a.example/x/y"), expected)

    def test_a_cookie_set_again_keeps_its_place(self) -> None:
        self.receive("http://a/", "a=1", "b=2")
        self.receive("http://a/", "a=3")
        self.assertEqual(self.sent("http://a/"), "a=3; b=2")

    def test_extra_cookies_stand_in_for_the_jars(self) -> None:
        self.receive("http://a/", "a=1", "b=2")
        self.assertEqual(self.sent("http://a/", b="3", c="4"), "b=3; c=4; a=1")
        self.assertEqual(self.sent("http://b/", c="4"), "c=4")

    def test_extra_cookies_are_checked(self) -> None:
        bad: tuple[dict[str, str], ...] = (
            *({"": "x"}, {"a;": "x"}, {"a=": "x"}, {"a": "x;y"}, {"a": "x\r\ny"}),
            *({"a\n": "x"}, {"a b": "x"}, {"a": " x"}, {"a": "\u20ac"}),
        )
        for extra in bad:
            self.assertRaises(
                InvalidHeader, self.jar.header_for, parse_url("http://a/"), NOW, extra
            )

    def test_a_header_is_never_too_large_for_a_server(self) -> None:
        for index in range(10):
            self.receive("http://a/", f"c{index}=" + "x" * 2000)
        sent = self.sent("http://a/") or ""
        self.assertEqual(sent.count("; "), 3)
        self.assertLessEqual(len(sent), MAX_HEADER)
        self.assertTrue(sent.startswith("c0="))


class LimitTests(SynchronousTestCase):
    url = parse_url("https://a/")

    def test_of_one_domain_those_not_secure_go_first_by_use(self) -> None:
        jar = CookieJar(max_per_domain=3)
        jar.receive(self.url, ["a=1; Secure", "b=1; Path=/b", "c=1; Path=/c"], NOW)
        jar.header_for(parse_url("https://a/b"), NOW)
        jar.receive(self.url, ["d=1"], NOW)
        self.assertEqual([cookie.name for cookie in jar], ["a", "b", "d"])
        jar.receive(self.url, ["e=1; Secure", "f=1; Secure", "g=1; Secure"], NOW)
        self.assertEqual([cookie.name for cookie in jar], ["e", "f", "g"])

    def test_what_is_over_goes_before_anything_else(self) -> None:
        jar = CookieJar(max_per_domain=2)
        jar.receive(self.url, ["a=1", "b=1; Max-Age=10"], NOW)
        jar.receive(self.url, ["c=1"], NOW + 10)
        self.assertEqual([cookie.name for cookie in jar], ["a", "c"])
        jar = CookieJar(max_cookies=2)
        jar.receive(self.url, ["a=1", "b=1; Max-Age=10"], NOW)
        jar.receive(parse_url("http://b/"), ["c=1"], NOW + 10)
        self.assertEqual([cookie.name for cookie in jar], ["a", "c"])

    def test_in_all_those_go_that_were_not_sent_for_longest(self) -> None:
        jar = CookieJar(max_cookies=20)
        urls = [parse_url(f"http://h{index}.example/") for index in range(21)]
        for url in urls[:20]:
            jar.receive(url, ["a=1"], NOW)
        jar.header_for(urls[0], NOW)
        jar.receive(urls[20], ["a=1"], NOW)
        self.assertEqual(len(jar), 18)  # a tenth less than may be
        self.assertIsNotNone(jar.header_for(urls[0], NOW))
        for url in urls[1:4]:
            self.assertIsNone(jar.header_for(url, NOW))

    def test_a_jar_that_keeps_nothing_is_refused(self) -> None:
        self.assertRaises(ConfigurationError, CookieJar, max_cookies=0)
        self.assertRaises(ConfigurationError, CookieJar, max_per_domain=0)


class PeopleTests(JarTestCase):
    def test_a_cookie_can_be_put_in(self) -> None:
        self.jar.set("a", "1", domain="A.Example")
        self.jar.set("b", "2", domain=".example.org", host_only=False, path="/x")
        self.jar.set("c", "3", domain="::1")
        self.assertEqual(self.sent("http://a.example/"), "a=1")
        self.assertEqual(self.sent("http://www.example.org/x"), "b=2")
        self.assertEqual(self.sent("http://[::1]/"), "c=3")

    def test_what_is_no_cookie_is_refused(self) -> None:
        refused: tuple[tuple[type[Exception], dict[str, Any]], ...] = (
            (InvalidHeader, {"name": ""}),
            (InvalidHeader, {"name": "a;b"}),
            (InvalidHeader, {"value": "a;b"}),
            (InvalidHeader, {"value": "a\nb"}),
            (ConfigurationError, {"domain": ""}),
            (ConfigurationError, {"domain": "a b"}),
            (ConfigurationError, {"domain": "a:80:80"}),
            (ConfigurationError, {"path": "x"}),
            (ConfigurationError, {"path": "/;"}),
            (ConfigurationError, {"expires": "tomorrow"}),
            (ConfigurationError, {"secure": 1}),
            (ConfigurationError, {"same_site": "Lax"}),
        )
        for error, attributes in refused:
            arguments = {"name": "a", "value": "1", "domain": "a"} | attributes
            self.assertRaises(error, self.jar.set, **arguments)
        self.assertRaises(ConfigurationError, self.jar.load_dicts, [{"name": "a"}])
        self.assertEqual(len(self.jar), 0)

    def test_cookies_are_found_by_name_and_domain(self) -> None:
        self.receive("http://a/", "a=1")
        self.receive("http://b/", "a=2")
        self.assertEqual(self.jar.get("a"), "1")
        self.assertEqual(self.jar.get("a", domain="b"), "2")
        self.assertIsNone(self.jar.get("a", domain="c"))
        self.assertEqual(self.jar.get("x", "default"), "default")
        self.assertIn("a", self.jar)
        self.assertNotIn("x", self.jar)

    def test_cookies_are_taken_out(self) -> None:
        for host in "ab":
            self.receive(f"http://{host}/", "a=1", "a=2; Path=/x", "b=3")
        self.assertEqual(self.jar.delete("a", domain="a", path="/x"), 1)
        self.assertEqual(self.jar.delete("a", domain="a"), 1)
        self.assertEqual(self.jar.delete("a"), 2)
        self.assertEqual(self.jar.delete("a"), 0)
        self.jar.clear("a")
        self.assertEqual([cookie.domain for cookie in self.jar], ["b"])
        self.jar.clear()
        self.assertFalse(self.jar)

    def test_a_jar_survives_as_json(self) -> None:
        self.receive(
            "https://a.example/x/", "a=1; Secure; HttpOnly; Max-Age=60", "b=\xe9"
        )
        self.receive("https://x.a.example/", "c=2; Domain=a.example")
        other = CookieJar()
        other.load_dicts(json.loads(json.dumps(self.jar.to_dicts())))
        self.assertEqual(list(other), list(self.jar))
        url = parse_url("https://a.example/x/")
        self.assertEqual(other.header_for(url, NOW), self.jar.header_for(url, NOW))

    def test_a_repr_shows_no_value(self) -> None:
        self.receive("http://a/", "a=secret")
        self.assertEqual(repr(self.jar), "<CookieJar of 1 for 1 domains>")

    def test_a_cookie_cannot_be_changed_behind_the_jars_back(self) -> None:
        self.receive("http://a/", "a=1")
        (cookie,) = self.jar
        self.assertRaises(AttributeError, setattr, cookie, "domain", "b")
        self.assertEqual(cookie, Cookie(name="a", value="1", domain="a"))


class PropertyTests(SynchronousTestCase):
    hosts = st.sampled_from(["a.example", "x.a.example", "b.example", "1.2.3.4"])
    words = st.sampled_from(["a", "b", "__Host-a", "__Secure-b"])
    attributes = st.lists(
        st.sampled_from(
            [
                *("Secure", "Path=/", "Path=/x", "Domain=a.example", "Max-Age=0"),
                *("Max-Age=5", "Domain=b.example", "Domain=example", "HttpOnly"),
            ]
        )
    ).map(lambda them: "".join("; " + attribute for attribute in them))
    steps = st.lists(
        st.tuples(st.sampled_from(["http", "https"]), hosts, words, attributes)
    )

    @given(steps)
    def test_counts_agree_and_limits_hold_whatever_comes(self, steps: Any) -> None:
        jar = CookieJar(max_cookies=6, max_per_domain=3)
        for now, (scheme, host, name, attributes) in enumerate(steps):
            jar.receive(
                parse_url(f"{scheme}://{host}/"), [f"{name}=1{attributes}"], float(now)
            )
            cookies = list(jar)
            self.assertEqual(len(jar), len(cookies))
            self.assertLessEqual(len(cookies), 6)
            for cookie in cookies:
                self.assertLessEqual(
                    sum(other.domain == cookie.domain for other in cookies), 3
                )
        jar.clear()
        self.assertEqual((len(jar), list(jar)), (0, []))

    @given(steps)
    def test_what_is_sent_was_set_for_that_host(self, steps: Any) -> None:
        jar = CookieJar()
        for index, (scheme, host, name, attributes) in enumerate(steps):
            url = parse_url(f"{scheme}://{host}/")
            jar.receive(url, [f"{name}={index}{attributes}"], 0)
        for host in ("a.example", "x.a.example", "b.example", "1.2.3.4"):
            for scheme in ("http", "https"):
                header = jar.header_for(parse_url(f"{scheme}://{host}/x"), 0)
                for pair in (header or "").split("; ") if header else []:
                    _, host_then, name, attributes = steps[int(pair.partition("=")[2])]
                    self.assertTrue(
                        host_then == host
                        or (
                            "Domain=a.example" in attributes
                            and host.endswith("a.example")
                            and host_then.endswith("a.example")
                        )
                    )
                    if "Secure" in attributes or name.startswith("__"):
                        self.assertEqual(scheme, "https")
