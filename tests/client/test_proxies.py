"""Proxies: which, for whom, and who goes directly."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.proxies import NoProxy, Proxy, ProxySettings
from httpx_tw.client.urls import parse_url
from httpx_tw.errors import ConfigurationError


def matches(text: str, url: str) -> bool:
    return NoProxy(text).matches(parse_url(url).origin)


class ProxyTests(SynchronousTestCase):
    def test_a_proxy_is_scheme_host_and_port(self) -> None:
        for url, proxy in (
            ("http://Proxy.example:3128", Proxy("http", "proxy.example", 3128)),
            ("http://proxy.example/", Proxy("http", "proxy.example", 80)),
            ("proxy.example:3128", Proxy("http", "proxy.example", 3128)),
            ("HTTPS://a", Proxy("https", "a", 443)),
            ("socks5://a", Proxy("socks5", "a", 1080)),
            ("socks5h://[::1]:9050", Proxy("socks5h", "::1", 9050)),
        ):
            self.assertEqual(Proxy.from_url(url), proxy)

    def test_credentials_are_decoded_and_not_shown(self) -> None:
        proxy = Proxy.from_url("http://me:p%40ss@a:1")
        self.assertEqual((proxy.username, proxy.password), ("me", "p@ss"))
        self.assertEqual(proxy.authorization, "Basic bWU6cEBzcw==")
        self.assertEqual(str(proxy), "http://a:1")
        self.assertNotIn("p@ss", repr(proxy))
        self.assertEqual(Proxy.from_url("http://me@a").password, "")
        self.assertIsNone(Proxy.from_url("http://a").authorization)
        self.assertIsNone(Proxy.from_url("socks5h://me:p@a").authorization)
        self.assertEqual(str(Proxy.from_url("socks5://[::1]")), "socks5://[::1]:1080")

    def test_proxies_that_differ_share_nothing(self) -> None:
        urls = ["http://a", "https://a", "http://a:1", "http://u@a", "http://u:p@a"]
        self.assertEqual(len({Proxy.from_url(url) for url in urls}), 5)

    def test_who_resolves_names_is_known(self) -> None:
        self.assertTrue(Proxy.from_url("socks5h://a").resolves_names)
        self.assertFalse(Proxy.from_url("socks5://a").resolves_names)
        self.assertTrue(Proxy.from_url("http://a").resolves_names)
        self.assertTrue(Proxy.from_url("socks5://a").is_socks)
        self.assertFalse(Proxy.from_url("https://a").is_socks)

    def test_what_is_no_proxy_is_refused(self) -> None:
        for url in (
            "",
            "http://",
            "://a",
            "ftp://a",
            "socks4://a",
            "http://a/path",
            "http://a?b",
            "http://a:0",
            "http://a:b",
            "http://a b",
            "http://a\r\n",
            "http://a\\b",
            "http://u@v@a",
            "http://\u00e9%",
            "http://%ff@a",
            "http://a%3Ab:c@d",
            "http://u:%0a@a",
            "socks5://:p@a",
            "socks5://u:@a",
            "socks5://u:" + "p" * 256 + "@a",
        ):
            self.assertRaises(ConfigurationError, Proxy.from_url, url)

    def test_an_error_shows_no_password(self) -> None:
        error = self.assertRaises(ConfigurationError, Proxy.from_url, "x://u:sec@a/b")
        self.assertNotIn("sec", str(error))

    @given(st.text())
    def test_any_text_is_a_proxy_or_refused(self, url: str) -> None:
        try:
            proxy = Proxy.from_url(url)
        except ConfigurationError:
            return
        self.assertEqual(Proxy.from_url(str(proxy)).host, proxy.host)


class NoProxyTests(SynchronousTestCase):
    def test_nothing_matches_nothing_and_a_star_everything(self) -> None:
        self.assertFalse(matches("", "http://localhost/"))
        self.assertFalse(NoProxy(" , "))
        self.assertTrue(matches("a, *", "https://b:1/"))
        self.assertTrue(NoProxy("*"))

    def test_a_name_stands_for_itself_and_all_below(self) -> None:
        for text in (
            "a.example",
            ".a.example",
            "*.a.example",
            "A.Example",
            "a.example.",
        ):
            for host in ("a.example", "x.a.example", "y.x.a.example", "a.example."):
                self.assertTrue(matches(text, f"http://{host}/"), (text, host))
            for host in ("ba.example", "example", "a.example.com", "1.2.3.4"):
                self.assertFalse(matches(text, f"http://{host}/"), (text, host))

    def test_a_port_limits_it(self) -> None:
        self.assertTrue(matches("a:8080", "http://x.a:8080/"))
        self.assertFalse(matches("a:8080", "http://a/"))
        self.assertTrue(matches("a:443", "https://a/"))
        self.assertTrue(matches("127.0.0.1:80", "http://127.0.0.1/"))
        self.assertFalse(matches("127.0.0.1:80", "http://127.0.0.1:81/"))
        self.assertTrue(matches("[::1]:80", "http://[::1]/"))
        self.assertFalse(matches("[::1]:80", "https://[::1]/"))

    def test_addresses_match_however_they_are_written(self) -> None:
        self.assertTrue(matches("::1", "http://[0:0::1]/"))
        self.assertTrue(matches("0:0::1", "http://[::1]/"))
        self.assertTrue(matches("127.0.0.1", "http://127.0.0.1:8080/"))
        self.assertFalse(matches("127.0.0.1", "http://127.0.0.2/"))

    def test_networks_hold_addresses_and_no_names(self) -> None:
        self.assertTrue(matches("10.0.0.0/8", "http://10.255.0.1/"))
        self.assertTrue(matches("10.1.2.3/8", "http://10.0.0.1/"))
        self.assertFalse(matches("10.0.0.0/8", "http://11.0.0.1/"))
        self.assertFalse(matches("10.0.0.0/8", "http://a/"))
        self.assertFalse(matches("0.0.0.0/0", "http://[::1]/"))
        self.assertTrue(matches("fe80::/10", "http://[fe80::1]/"))

    def test_entries_are_separated_by_commas_or_spaces(self) -> None:
        for text in ("a,b", "a b", " a ,\tb,", "x, a,b"):
            self.assertTrue(matches(text, "http://a/") and matches(text, "http://b/"))

    def test_what_is_no_entry_is_refused(self) -> None:
        for text in ("a/b", "10.0.0.0/99", "http://a", "a:b", "[::1", "a*b", "1.2.3"):
            self.assertRaises(ConfigurationError, NoProxy, text)


class SettingsTests(SynchronousTestCase):
    def chosen(self, settings: ProxySettings, url: str) -> str | None:
        proxy = settings.proxy_for(parse_url(url).origin)
        return None if proxy is None else str(proxy)

    def test_one_proxy_is_for_everything(self) -> None:
        for given_one in ("http://p:1", Proxy("http", "p", 1), {"all": "http://p:1"}):
            settings = ProxySettings.of(given_one)
            self.assertTrue(settings)
            for url in ("http://a/", "https://a/"):
                self.assertEqual(self.chosen(settings, url), "http://p:1")

    def test_each_scheme_may_have_its_own(self) -> None:
        settings = ProxySettings.of({"http": "p:1", "https": "socks5h://p:2"})
        self.assertEqual(self.chosen(settings, "http://a/"), "http://p:1")
        self.assertEqual(self.chosen(settings, "https://a/"), "socks5h://p:2")
        settings = ProxySettings.of({"https": None, "all": "p:1"})
        self.assertIsNone(self.chosen(settings, "https://a/"))
        self.assertEqual(self.chosen(settings, "http://a/"), "http://p:1")

    def test_who_is_listed_goes_directly(self) -> None:
        settings = ProxySettings.of("p:1", no_proxy="a")
        self.assertIsNone(self.chosen(settings, "http://x.a/"))
        self.assertEqual(self.chosen(settings, "http://b/"), "http://p:1")

    def test_without_proxies_everybody_does(self) -> None:
        for settings in (ProxySettings(), ProxySettings.of(None), ProxySettings.of({})):
            self.assertFalse(settings)
            self.assertIsNone(self.chosen(settings, "http://a/"))

    def test_what_makes_no_sense_is_refused(self) -> None:
        bad: list[Any] = [{"ftp": "p:1"}, {"http": 1}, 1, {"http": ["p"]}]
        bad.append(Proxy("socks5", "p", 1, "u" * 256, "p"))
        for proxies in bad:
            self.assertRaises(ConfigurationError, ProxySettings.of, proxies)


class EnvironmentTests(SynchronousTestCase):
    def settings(self, **environment: str) -> tuple[str, str]:
        found = ProxySettings.from_environment(environment)
        return str(found.http), str(found.https)

    def test_nothing_is_nothing(self) -> None:
        self.assertFalse(ProxySettings.from_environment({}))

    def test_schemes_and_the_rest(self) -> None:
        self.assertEqual(self.settings(http_proxy="p:1"), ("http://p:1", "None"))
        self.assertEqual(self.settings(https_proxy="p:1"), ("None", "http://p:1"))
        self.assertEqual(
            self.settings(all_proxy="p:1", https_proxy="p:2"),
            ("http://p:1", "http://p:2"),
        )
        self.assertEqual(
            self.settings(all_proxy="p:1", https_proxy=""), ("http://p:1", "None")
        )

    def test_lower_case_outranks_upper_case(self) -> None:
        self.assertEqual(
            self.settings(HTTP_PROXY="p:1", HTTPS_PROXY="p:2"),
            ("http://p:1", "http://p:2"),
        )
        self.assertEqual(
            self.settings(http_proxy="p:1", HTTP_PROXY="p:2"), ("http://p:1", "None")
        )
        self.assertEqual(
            self.settings(http_proxy="", HTTP_PROXY="p:2"), ("None", "None")
        )

    def test_in_a_cgi_program_the_client_does_not_choose_the_proxy(self) -> None:
        self.assertEqual(
            self.settings(REQUEST_METHOD="GET", HTTP_PROXY="evil:1"), ("None", "None")
        )
        self.assertEqual(
            self.settings(REQUEST_METHOD="GET", http_proxy="p:1", HTTPS_PROXY="p:2"),
            ("http://p:1", "http://p:2"),
        )

    def test_exceptions_are_read(self) -> None:
        for name in ("no_proxy", "NO_PROXY"):
            found = ProxySettings.from_environment({"all_proxy": "p:1", name: "a"})
            self.assertIsNone(found.proxy_for(parse_url("http://a/").origin))
