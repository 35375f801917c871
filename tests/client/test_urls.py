"""URLs: what is mended, what is refused, and what they mean to each other."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.urls import (
    URL,
    host_and_port,
    is_address,
    join_base,
    parse_base,
    parse_url,
    resolve,
    with_params,
)
from httpx_tw.errors import InvalidURL
from httpx_tw.origin import Origin

# What a request line and a Host field may hold (RFC 3986 section 2).
ON_THE_WIRE = re.compile(r"/(?:[A-Za-z0-9\-._~/:@!$&'()*+,;=?]|%[0-9A-Fa-f]{2})*")

# Texts that look like URLs, and go wrong where URLs do.
pieces = st.sampled_from(
    "http:// https:// : // / \\ @ # ? [ ] :: 127.0.0.1 0x7f.1 a.example user:pw@ %2e"
    " %2F %zz % .. . ; & = \u00e9 \u3002 \uff0f \uff11 :80 :99999 xn--n3h \t \r\n \x00"
    " * ! _ \ud800 \u2488".split(" ")
)
urlish = st.lists(pieces | st.text(max_size=3), max_size=9).map("".join)


class PartsTests(SynchronousTestCase):
    def test_a_url_is_origin_target_and_host(self) -> None:
        url = parse_url("https://Example.COM:8443/a/b?c=d#e")
        self.assertEqual(url.origin, Origin("https", "example.com", 8443))
        self.assertEqual(url.target, "/a/b?c=d")
        self.assertEqual(url.host_header, "example.com:8443")
        self.assertEqual((url.path, url.query, url.fragment), ("/a/b", "c=d", "e"))
        self.assertEqual((url.scheme, url.host, url.port), tuple_of(url.origin))
        self.assertEqual(str(url), "https://example.com:8443/a/b?c=d#e")

    def test_the_default_port_is_known_and_not_shown(self) -> None:
        for text in ("http://a", "http://a:80", "http://a:/", "HTTP://a:0080/"):
            url = parse_url(text)
            self.assertEqual(url.origin, Origin("http", "a", 80))
            self.assertEqual(url.host_header, "a")
            self.assertEqual(str(url), "http://a/")
        self.assertEqual(parse_url("https://a").port, 443)
        self.assertEqual(parse_url("https://a:80").host_header, "a:80")

    def test_no_path_is_the_root(self) -> None:
        self.assertEqual(parse_url("http://a").target, "/")
        self.assertEqual(parse_url("http://a?b").target, "/?b")
        self.assertEqual(parse_url("http://a?b/c").target, "/?b/c")
        url = parse_url("http://a#b?c@d")
        self.assertEqual((url.target, url.fragment, url.host), ("/", "b?c@d", "a"))

    def test_an_empty_query_and_fragment_are_kept(self) -> None:
        url = parse_url("http://a/?#")
        self.assertEqual((url.target, url.fragment), ("/?", ""))
        self.assertIsNone(parse_url("http://a/").fragment)

    def test_spaces_round_it_are_dropped(self) -> None:
        self.assertEqual(parse_url("  http://a/b ").target, "/b")

    def test_userinfo_is_apart_and_never_shown(self) -> None:
        url = parse_url("http://us%40you:p%3Aw:x@a/")
        self.assertEqual(url.userinfo, ("us@you", "p:w:x"))
        self.assertEqual(url.origin, Origin("http", "a", 80))
        for shown in (str(url), repr(url), url.target, url.host_header):
            self.assertNotIn("you", shown)
            self.assertNotIn("w:x", shown)
        self.assertEqual(parse_url("http://user@a/").userinfo, ("user", ""))
        self.assertEqual(parse_url("http://@a/").userinfo, ("", ""))
        self.assertIsNone(parse_url("http://a/@").userinfo)

    def test_an_error_shows_no_password(self) -> None:
        error = self.assertRaises(InvalidURL, parse_url, "htp://me:secret@a/")
        self.assertNotIn("secret", str(error))
        error = self.assertRaises(InvalidURL, parse_url, "http://me:sec\\ret@a/")
        self.assertNotIn("ret@", str(error))

    def test_addresses_are_written_one_way(self) -> None:
        for text, host, header in (
            ("http://127.0.0.1/", "127.0.0.1", "127.0.0.1"),
            ("http://[::1]/", "::1", "[::1]"),
            ("http://[0:0::1]:8080/", "::1", "[::1]:8080"),
            ("http://[2001:DB8::A]/", "2001:db8::a", "[2001:db8::a]"),
        ):
            url = parse_url(text)
            self.assertEqual((url.host, url.host_header), (host, header))
            self.assertTrue(is_address(url.host))
        for name in ("a.example", "a1", "1a", "1.a", "a.1.b."):
            self.assertFalse(is_address(parse_url(f"http://{name}/").host))

    def test_names_beyond_ascii_become_a_labels(self) -> None:
        for text, host in (
            ("http://\u00e9.example/", "xn--9ca.example"),
            ("http://B\u00dccher.example/", "xn--bcher-kva.example"),
            ("http://a\u3002example/", "a.example"),
            ("http://\uff11\uff12\uff17.0.0.1/", "127.0.0.1"),
        ):
            self.assertEqual(parse_url(text).host, host)

    def test_names_of_containers_and_absolute_names_are_taken(self) -> None:
        for host in ("my_service", "a-b", "localhost", "a.example.", "xn--9ca.example"):
            self.assertEqual(parse_url(f"http://{host}/").host, host)


class EncodingTests(SynchronousTestCase):
    def target(self, rest: str) -> str:
        return parse_url("http://a" + rest).target

    def test_what_no_url_holds_is_encoded(self) -> None:
        self.assertEqual(self.target("/a b"), "/a%20b")
        self.assertEqual(
            self.target("/\u00e9?\u00e9=\u20ac"), "/%C3%A9?%C3%A9=%E2%82%AC"
        )
        self.assertEqual(self.target('/"<>^`{|}'), "/%22%3C%3E%5E%60%7B%7C%7D")
        self.assertEqual(self.target("/[x]?a[]=1\\"), "/%5Bx%5D?a%5B%5D=1%5C")

    def test_what_is_encoded_stays_so(self) -> None:
        self.assertEqual(self.target("/%2F%20%e9?%26"), "/%2F%20%e9?%26")

    def test_a_percent_sign_that_begins_nothing_is_encoded(self) -> None:
        self.assertEqual(self.target("/100%?a=%zz&b=%4"), "/100%25?a=%25zz&b=%254")

    def test_what_means_something_is_left_alone(self) -> None:
        plain = "/;a=1,b/:@!$&'()*+~?a=b+c&d=/?:@"
        self.assertEqual(self.target(plain), plain)

    def test_dot_segments_are_resolved(self) -> None:
        for path, resolved in (
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/../../b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e", "/"),
            ("/a//../b", "/a/b"),
            ("/...", "/..."),
            ("/a/.b/..c", "/a/.b/..c"),
            ("/a?/../b", "/a?/../b"),
        ):
            self.assertEqual(self.target(path), resolved)


class RefusalTests(SynchronousTestCase):
    def test_what_is_no_url_of_http_is_refused(self) -> None:
        for text in (
            "",
            " ",
            "a",
            "/a",
            "//a/",
            "a.example/",
            "localhost:8080/a",
            "ftp://a/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http:",
            "http:/a",
            "http:a",
            "http://",
            "http:///a",
            "http://:80/",
            "http://@/",
            "https//a",
        ):
            self.assertRaises(InvalidURL, parse_url, text)
        for other in (None, b"http://a/", 1):
            self.assertRaises(InvalidURL, parse_url, other)

    def test_what_parsers_disagree_about_is_refused(self) -> None:
        for text in (
            "http://a\\b/",
            "http://a/\\b",
            "http:\\\\a/",
            "http://a\\@b/",
            "http://a@b@c/",
            "http://a:b@c:d@e/",
            "http://a]@b/",
            "http://a%2eexample/",
            "http://a b/",
            "http://a,b/",
            "http://a;b/",
            "http://a..b/",
            "http://.a/",
            "http://a.b../",
            "http://[a]/",
            "http://[::1/",
            "http://::1/",
            "http://[::1]x/",
            "http://[::1]]/",
            "http://[v1.a]/",
            "http://[fe80::1%25eth0]/",
            "http://[fe80::1%eth0]/",
            "http://%FF@a/",
        ):
            self.assertRaises(InvalidURL, parse_url, text)

    def test_numbers_in_disguise_are_refused(self) -> None:
        for host in (
            *("127.1", "127.0.1", "2130706433", "0x7f.1", "0x7f000001", "0x"),
            *("0177.0.0.1", "127.0.0.01", "1.2.3.4.5", "256.1.1.1", "a.1", "1.2.3.4."),
        ):
            self.assertRaises(InvalidURL, parse_url, f"http://{host}/")

    def test_control_characters_are_refused_everywhere(self) -> None:
        for character in "\x00\t\n\r\x0b\x1f\x7f":
            for text in (
                f"http://a/{character}",
                f"http://a/?{character}",
                f"http://a/#{character}",
                f"ht{character}tp://a/",
                f"http://a{character}/",
                f"http://a{character}b@c/",
                f"http://a/b{character}",
                f"{character}http://a/",
            ):
                self.assertRaises(InvalidURL, parse_url, text)

    def test_ports_are_ports(self) -> None:
        for port in (
            "0",
            "65536",
            "99999",
            "000080",
            "-1",
            "+80",
            "8 0",
            "a",
            "\u0663",
        ):
            self.assertRaises(InvalidURL, parse_url, f"http://a:{port}/")
        self.assertEqual(parse_url("http://a:65535/").port, 65535)

    def test_names_are_not_endless(self) -> None:
        label = "a" * 63
        self.assertEqual(parse_url(f"http://{label}.b/").host, f"{label}.b")
        self.assertRaises(InvalidURL, parse_url, f"http://{label}a.b/")
        self.assertRaises(InvalidURL, parse_url, f"http://{'a.' * 128}/")
        self.assertRaises(InvalidURL, parse_url, "http://" + "\u00e9" * 254)

    def test_what_has_no_a_label_is_refused(self) -> None:
        for host in (
            "\u2488com",
            "a\uff0fb",
            "a\uff20b",
            "\u00ad",
            "\u0378.a",
            "\ud800",
        ):
            self.assertRaises(InvalidURL, parse_url, f"http://{host}/")

    def test_a_lone_surrogate_is_refused(self) -> None:
        self.assertRaises(InvalidURL, parse_url, "http://a/\ud800")
        self.assertRaises(InvalidURL, parse_url, "http://a/?\udc80")


class PropertyTests(SynchronousTestCase):
    @given(urlish | st.text())
    @example("http://a/%zz%2f")
    def test_any_text_is_a_url_for_the_wire_or_refused(self, text: str) -> None:
        try:
            url = parse_url(text)
        except InvalidURL:
            return
        self.assertTrue(ON_THE_WIRE.fullmatch(url.target), url)
        self.assertTrue(re.fullmatch(r"[a-z0-9._\[\]:-]+", url.host_header), url)

    @given(urlish | st.text())
    def test_taking_it_apart_again_changes_nothing(self, text: str) -> None:
        try:
            url = parse_url(text)
        except InvalidURL:
            return
        again = parse_url(str(url))
        self.assertEqual(
            (again.origin, again.target, again.fragment),
            (url.origin, url.target, url.fragment),
        )

    @given(urlish.filter(str.isascii))
    def test_the_standard_library_sees_the_same_host(self, text: str) -> None:
        try:
            url = parse_url(text)
        except InvalidURL:
            return
        seen = urlsplit(text.strip(" "))
        self.assertEqual(seen.scheme, url.scheme)
        if ":" not in url.host:  # addresses of version 6 are written one way by us only
            self.assertEqual(seen.hostname, url.host)
        self.assertEqual(seen.port or url.port, url.port)

    @given(urlish | st.text())
    def test_a_reference_resolves_or_is_refused(self, text: str) -> None:
        base = parse_url("http://a.example/b/c?d")
        for join in (resolve, join_base):
            try:
                url = join(base if join is resolve else parse_base("http://a/b"), text)
            except InvalidURL:
                continue
            self.assertTrue(ON_THE_WIRE.fullmatch(url.target), url)


class ResolveTests(SynchronousTestCase):
    base = parse_url("http://user:pw@a/b/c/d;p?q#f")

    def test_references_mean_what_rfc_3986_says(self) -> None:
        # Sections 5.4.1 and 5.4.2, those that stay in http.
        for reference in (
            *("./g", "g/", "/g", "//g", "?y", "g?y", "#s", "g#s", "g?y#s", ";x", "g;x"),
            *("g;x?y#s", "", ".", "./", "..", "../", "../g", "../..", "../../", "g"),
            *("../../g", "../../../g", "/./g", "/../g", "g.", ".g", "g..", "..g"),
            *("./../g", "./g/.", "g/./h", "g/../h", "g;x=1/./y", "g?y/../x", "g#s/./x"),
        ):
            url = resolve(self.base, reference)
            expected = urljoin("http://a/b/c/d;p?q", reference)
            # An empty path is "/" (RFC 9110 section 4.2.3).
            self.assertEqual(str(url), "http://g/" if reference == "//g" else expected)

    def test_an_absolute_reference_stands_for_itself(self) -> None:
        self.assertEqual(str(resolve(self.base, "https://x:1/y")), "https://x:1/y")

    def test_userinfo_is_not_handed_down(self) -> None:
        self.assertIsNone(resolve(self.base, "/g").userinfo)
        self.assertEqual(resolve(self.base, "//u@g").userinfo, ("u", ""))

    def test_what_would_not_be_http_is_refused(self) -> None:
        for reference in ("ftp://a/", "a:b", "http:g", "\\\\g", "/\\g", "/\r\nx"):
            self.assertRaises(InvalidURL, resolve, self.base, reference)


class BaseTests(SynchronousTestCase):
    def test_a_base_ends_with_a_slash(self) -> None:
        self.assertEqual(parse_base("http://a/b").target, "/b/")
        self.assertEqual(parse_base("http://a/b/").target, "/b/")
        self.assertEqual(parse_base("http://a").target, "/")

    def test_a_base_has_neither_query_nor_fragment(self) -> None:
        for text in ("http://a/?b", "http://a/#", "http://a/b?"):
            self.assertRaises(InvalidURL, parse_base, text)

    def test_the_path_of_the_base_is_kept(self) -> None:
        base = parse_base("http://u:p@a/v1")
        for text, target in (
            ("users", "/v1/users"),
            ("/users", "/v1/users"),
            ("users/1?a=b", "/v1/users/1?a=b"),
            ("a/../b", "/v1/b"),
            ("?a=b", "/v1/?a=b"),
            ("", "/v1/"),
            ("//evil.example/", "/v1/evil.example/"),
        ):
            url = join_base(base, text)
            self.assertEqual((url.target, url.origin), (target, base.origin))
            self.assertEqual(url.userinfo, ("u", "p"))

    def test_an_absolute_url_leaves_the_base_and_its_userinfo_behind(self) -> None:
        url = join_base(parse_base("http://u:p@a/v1"), "http://b/c")
        self.assertEqual((str(url), url.userinfo), ("http://b/c", None))

    def test_no_relative_url_leads_out_of_the_base(self) -> None:
        for text in ("../admin", "a/../../b", "%2e%2e/admin", "x:y", "\\..\\b"):
            self.assertRaises(InvalidURL, join_base, parse_base("http://a/v1"), text)


class ParamsTests(SynchronousTestCase):
    def query(self, url: str, params: Any) -> str:
        return with_params(parse_url(url), params).query

    def test_params_follow_the_query_there_is(self) -> None:
        self.assertEqual(self.query("http://a/", {"b": "1"}), "b=1")
        self.assertEqual(self.query("http://a/?", {"b": "1"}), "b=1")
        self.assertEqual(self.query("http://a/?a=0", {"b": "1"}), "a=0&b=1")
        self.assertEqual(self.query("http://a/?a=0&", {"b": "1"}), "a=0&b=1")
        self.assertEqual(
            self.query("http://a/?a=0", [("a", 1), ("a", 2)]), "a=0&a=1&a=2"
        )

    def test_no_params_leave_the_url_alone(self) -> None:
        url = parse_url("http://a/?")
        nothing: list[Any] = [None, {}, [], {"a": None}]
        for params in nothing:
            self.assertIs(with_params(url, params), url)

    @given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers()))
    def test_params_are_read_back(self, params: dict[str, int]) -> None:
        url = with_params(parse_url("http://a/?x=y"), params)
        self.assertTrue(ON_THE_WIRE.fullmatch(url.target))
        self.assertEqual(
            parse_qsl(url.query, keep_blank_values=True),
            [("x", "y"), *((name, str(value)) for name, value in params.items())],
        )


class HostAndPortTests(SynchronousTestCase):
    def test_a_host_may_have_a_port(self) -> None:
        self.assertEqual(host_and_port("a", 1), ("a", 1))
        self.assertEqual(host_and_port("a:2", 1), ("a", 2))
        self.assertEqual(host_and_port("[::1]", 1), ("::1", 1))
        self.assertEqual(host_and_port("[::1]:2", 1), ("::1", 2))

    def test_anything_else_is_refused(self) -> None:
        for text in ("", ":1", "a:", "a:b:c", "[::1", "::1", "a/b", "a@b"):
            if text != "a:":
                self.assertRaises(InvalidURL, host_and_port, text, 1)


def tuple_of(origin: Origin) -> tuple[str, str, int]:
    return origin.scheme, origin.host, origin.port


class RecordTests(SynchronousTestCase):
    def test_a_url_is_a_value(self) -> None:
        self.assertEqual(parse_url("http://a"), parse_url("http://A:80/"))
        self.assertIsInstance(hash(parse_url("http://a")), int)
        self.assertRaises(AttributeError, setattr, parse_url("http://a"), "target", "/")
        self.assertEqual(URL(Origin("http", "a", 80), "/", "a"), parse_url("http://a"))
