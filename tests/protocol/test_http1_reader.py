"""Tests of the parsers of heads: every rule with the status that answers it."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import HeadTooLarge, RemoteProtocolError
from httpx_tw.limits import DEFAULT_LIMITS, Limits
from httpx_tw.protocol.events import (
    CHUNKED,
    UNTIL_CLOSE,
    RequestHead,
    ResponseHead,
)
from httpx_tw.protocol.http1_reader import (
    LONGEST_KNOWN,
    MOST_KNOWN,
    RequestHeadParser,
    ResponseHeadParser,
    refuse_partial,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

HOST = b"Host: a\r\n"


def head_of(
    line: bytes = b"GET / HTTP/1.1", fields: bytes = b"", host: bytes = HOST
) -> bytes:
    return b"%b\r\n%b%b\r\n" % (line, host, fields)


class RequestCase(SynchronousTestCase):
    """What the tests of requests say."""

    parser = RequestHeadParser(DEFAULT_LIMITS)

    def parse(
        self, head: bytes, parser: RequestHeadParser | None = None
    ) -> RequestHead:
        return (parser or self.parser).parse(head)

    def refused(
        self,
        head: bytes,
        status: int = 400,
        parser: RequestHeadParser | None = None,
    ) -> RemoteProtocolError:
        try:
            request = (parser or self.parser).parse(head)
        except RemoteProtocolError as error:
            self.assertEqual(error.status, status, (head, str(error)))
            # A refusal leaves nothing behind in the parser.
            self.assertEqual(self.parse(head_of()).target, "/")
            return error
        raise self.failureException(f"{head!r} was taken for {request}")

    def fields_refused(self, fields: bytes, status: int = 400) -> None:
        self.refused(head_of(b"POST / HTTP/1.1", fields), status)


class RequestLineTests(RequestCase):
    def test_method_target_and_version_are_read(self) -> None:
        request = self.parse(head_of(b"GET /a%20b?c=d;e HTTP/1.1"))
        self.assertEqual((request.method, request.target), ("GET", "/a%20b?c=d;e"))
        self.assertTrue(request.is_http11)
        self.assertEqual(request.body_length, 0)
        self.assertFalse(request.expects_continue)
        self.assertFalse(request.upgrade)

    def test_any_token_is_a_method_and_its_case_is_kept(self) -> None:
        for method in (
            *("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"),
            *("get", "Get", "GETX", "GE", "G", "BREW", "PROPFIND", "M-SEARCH"),
            *("PRI", "SOURCE", "DESCRIBE", "PLAY", "SETUP", "FLUSH", "SET_PARAMETER"),
            *("QUERY", "!#$%&'*+-.^_`|~", "x1"),
        ):
            self.assertEqual(
                self.parse(head_of(method.encode() + b" / HTTP/1.1")).method, method
            )

    def test_unknown_method_may_have_a_body(self) -> None:
        request = self.parse(head_of(b"brew / HTTP/1.1", b"Content-Length: 5\r\n"))
        self.assertEqual((request.method, request.body_length), ("brew", 5))
        request = self.parse(
            head_of(b"PLAY / HTTP/1.1", b"Transfer-Encoding: chunked \r\n")
        )
        self.assertEqual((request.method, request.body_length), ("PLAY", CHUNKED))

    def test_what_is_no_token_is_no_method(self) -> None:
        for method in (b"", b"G(T", b"G\xe9T", b"GET:", b"\x00", b'"GET"', b"G/T"):
            self.refused(head_of(method + b" / HTTP/1.1"))

    def test_runs_of_whitespace_are_not_read_as_one(self) -> None:
        for line in (
            *(b"GET  / HTTP/1.1", b"GET /  HTTP/1.1", b"GET / HTTP/1.1 ", b" GET /"),
            *(b"GET\t/ HTTP/1.1", b"GET /\tHTTP/1.1", b"GET / a HTTP/1.1"),
            *(b"GET  HTTP/1.1", b"GET HTTP/1.1", b"GET /\x0b HTTP/1.1", b"GET"),
        ):
            self.refused(head_of(line))

    def test_version_is_known_or_answered_505(self) -> None:
        self.assertFalse(self.parse(head_of(b"GET / HTTP/1.0")).is_http11)
        for version in (b"2.0", b"0.9", b"3.0", b"9.9"):
            self.refused(head_of(b"GET / HTTP/" + version), 505)
        self.refused(b"PRI * HTTP/2.0\r\n\r\n", 505)

    def test_higher_minor_version_is_served_as_ours(self) -> None:
        # RFC 9110 section 2.5
        for minor in (b"2", b"9"):
            request = self.parse(head_of(b"GET / HTTP/1." + minor))
            self.assertTrue(request.is_http11)
            self.assertTrue(request.keep_alive)

    def test_malformed_version_is_refused(self) -> None:
        for line in (
            *(b"GET /", b"GET / http/1.1", b"GET / HTTP/1.10", b"GET / HTTP/11.1"),
            *(b"GET / HTTP/1", b"GET / HTTP 1.1", b"GET / XTTP/1.1", b"GET / HTTP/1.a"),
            *(b"GET / HTTP/-1.1", b"GET /HTTP/1.1", b"", b"/"),
        ):
            self.refused(head_of(line))

    def test_version_alone_is_no_request_line(self) -> None:
        for version in (b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.7", b"HTTP/2.0"):
            self.refused(version + b"\r\nHost: a\r\n\r\n", 400)

    def test_fault_before_the_version_comes_first(self) -> None:
        # Whoever sends it in pieces hears of the fault before there is a version.
        self.refused(b"GET /\x00 HTTP/2.0\r\nA: b\r\n\r\n", 400)
        self.refused(b"GET / HTTP/2.0\r\nA: b\nc\r\n\r\n", 400)
        self.refused(b"(GET / HTTP/2.0\r\n\r\n", 400)

    def test_control_and_high_bytes_in_a_target_are_refused(self) -> None:
        # CVE-2019-12387
        for byte in (*range(33), *range(127, 256)):
            self.refused(head_of(b"GET /%c HTTP/1.1" % byte))


class TargetTests(RequestCase):
    """RFC 9112 section 3.2."""

    def taken(self, line: bytes, target: str) -> None:
        self.assertEqual(self.parse(head_of(line + b" HTTP/1.1")).target, target)

    def test_four_forms_of_target_are_taken(self) -> None:
        self.taken(b"GET /a?b", "/a?b")
        self.taken(b"GET //a", "//a")
        self.taken(b"GET http://b.example:80/a?c", "http://b.example:80/a?c")
        self.taken(b"GET HTTPS://[::1]", "HTTPS://[::1]")
        self.taken(b"GET http://a?b/c", "http://a?b/c")
        self.taken(b"OPTIONS *", "*")
        self.taken(b"CONNECT a.example:443", "a.example:443")
        self.taken(b"CONNECT [::1]:443", "[::1]:443")

    def test_asterisk_is_for_options_alone(self) -> None:
        for method in (b"GET", b"CONNECT", b"options", b"BREW"):
            self.refused(head_of(method + b" * HTTP/1.1"))

    def test_authority_is_for_connect_alone_and_connect_takes_nothing_else(
        self,
    ) -> None:
        for target in (
            *(b"/", b"//a:1", b"a", b"a:", b":80", b"a:b", b"a@b:80", b"http://a:80"),
            *(b"a:80/", b"[::1]", b"a:800000", b"*"),
        ):
            self.refused(head_of(b"CONNECT %b HTTP/1.1" % target))
        for method in (b"GET", b"OPTIONS", b"BREW"):
            self.refused(head_of(method + b" a.example:443 HTTP/1.1"))

    def test_malformed_targets_are_refused(self) -> None:
        for target in (
            *(b"a", b"?a", b"a/b", b"http:/a", b"http:a", b"http://", b"http:///a"),
            *(b"ftp://a/", b"http://a@b/", b"http://a:b/", b"http://[::1/", b"://a"),
            *(b"http://a b", b"http://a\\b/"),
        ):
            self.refused(head_of(b"GET %b HTTP/1.1" % target))

    def test_fragments_are_refused(self) -> None:
        for target in (b"/a#b", b"/#", b"http://a/#b", b"http://a#b", b"#"):
            self.refused(head_of(b"GET %b HTTP/1.1" % target))
        self.refused(head_of(b"CONNECT a:80#b HTTP/1.1"))

    def test_path_and_query_are_told_apart(self) -> None:
        for target, path, query in (
            (b"/a?b?c", "/a", "b?c"),
            (b"/a%3F", "/a%3F", ""),
            (b"http://b.example/a?c", "/a", "c"),
            (b"http://b.example?c", "/", "c"),
        ):
            head = self.parse(head_of(b"GET %b HTTP/1.1" % target))
            self.assertEqual((head.path, head.query), (path, query))
        self.assertEqual(self.parse(head_of(b"OPTIONS * HTTP/1.1")).path, "*")
        self.assertEqual(self.parse(head_of(b"CONNECT a:80 HTTP/1.1")).path, "a:80")


class KnownHeadTests(RequestCase):
    """What is kept of heads: see RequestHeadParser.known."""

    def setUp(self) -> None:
        self.parser = RequestHeadParser(DEFAULT_LIMITS)

    def parse_twice(self, head: bytes) -> RequestHead:
        self.parse(head)
        return self.parse(head)

    def test_a_head_is_known_once_it_was_parsed_twice(self) -> None:
        head = head_of()
        self.parse(head)
        self.assertNotIn(head, self.parser.known)
        request = self.parse(head)
        self.assertIs(self.parser.known[head], request)
        self.assertNotIn(head_of(fields=b"A: b\r\n"), self.parser.known)

    def test_what_has_more_behind_it_is_not(self) -> None:
        for head in (
            head_of(b"POST / HTTP/1.1", b"Content-Length: 1\r\n"),
            head_of(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked\r\n"),
            head_of(b"GET / HTTP/1.1", b"Upgrade: a\r\nConnection: upgrade\r\n"),
            head_of(b"CONNECT a:443 HTTP/1.1"),
        ):
            self.parse_twice(head)
        self.assertEqual(self.parser.known, {})

    def test_what_is_refused_is_not(self) -> None:
        for _ in range(2):
            self.refused(head_of(host=b""), parser=self.parser)
            self.refused(head_of(b"GET /# HTTP/1.1"), parser=self.parser)
        self.assertNotIn(head_of(host=b""), self.parser.known)
        self.assertNotIn(head_of(b"GET /# HTTP/1.1"), self.parser.known)

    def test_a_stand_in_for_another_method_is_no_request_of_its_own(self) -> None:
        self.assertEqual(self.parse_twice(head_of(b"BREW / HTTP/1.1")).method, "BREW")
        for known in self.parser.known.values():
            self.assertEqual(known.method, "GET")
        self.assertEqual(self.parse(head_of()).method, "GET")

    def test_there_are_never_many_or_long_ones(self) -> None:
        for number in range(2 * MOST_KNOWN + 1):
            self.parse_twice(head_of(b"GET /%d HTTP/1.1" % number))
            self.assertLessEqual(len(self.parser.known), MOST_KNOWN)
        self.parser.known.clear()
        for size in (LONGEST_KNOWN, LONGEST_KNOWN + 1):
            longer = b"a" * (size - len(head_of()))
            self.parse_twice(head_of(b"GET /%b HTTP/1.1" % longer))
        self.assertEqual([len(head) for head in self.parser.known], [LONGEST_KNOWN])


class FieldTests(RequestCase):
    def fields(self, fields: bytes) -> list[tuple[bytes, bytes]]:
        return self.parse(head_of(fields=fields)).headers[1:]

    def test_fields_keep_their_order_and_the_case_of_their_names(self) -> None:
        self.assertEqual(
            self.fields(b"b: 1\r\nA: 2\r\nB: 3\r\n"),
            [(b"b", b"1"), (b"A", b"2"), (b"B", b"3")],
        )

    def test_whitespace_round_a_value_is_not_part_of_it(self) -> None:
        for line in (b"A:b", b"A: b", b"A:\t b", b"A: b ", b"A: b\t", b"A:b \t "):
            self.assertEqual(self.fields(line + b"\r\n"), [(b"A", b"b")], line)

    def test_value_may_be_empty(self) -> None:
        for line in (b"A:", b"A: ", b"A:\t \t"):
            self.assertEqual(
                self.fields(line + b"\r\nB: c\r\n"), [(b"A", b""), (b"B", b"c")]
            )

    def test_value_may_hold_spaces_tabs_colons_and_high_bytes(self) -> None:
        self.assertEqual(self.fields(b"A: b\t c: \xe9\r\n"), [(b"A", b"b\t c: \xe9")])

    def test_whitespace_round_the_value_of_host_is_fine(self) -> None:
        request = self.parse(head_of(host=b"Host:\ta.example:80 \t\r\n"))
        self.assertEqual(request.headers, [(b"Host", b"a.example:80")])

    def test_control_characters_are_refused_everywhere(self) -> None:
        # bare CR, bare LF and NUL among them
        for byte in {*range(32), 127} - {9}:
            for fields in (
                *(b"A: b%cc\r\n", b"A: %c\r\n", b"A%cB: c\r\n", b"A: b%c\r\n"),
                *(b"%cA: b\r\n", b"A%c: b\r\n", b"A:%cb\r\n"),
            ):
                self.fields_refused(fields % byte)

    def test_whitespace_before_a_colon_is_refused(self) -> None:
        for fields in (b"A : b\r\n", b"A\t: b\r\n", b"Content-Length : 5\r\n"):
            self.fields_refused(fields)

    def test_folded_lines_are_refused(self) -> None:
        for fields in (
            *(b"A: b\r\n c\r\n", b"A: b\r\n\tc\r\n", b"A: b\r\n \r\n", b"A:\r\n b\r\n"),
            b"Transfer-Encoding:\r\n chunked\r\n",
        ):
            self.fields_refused(fields)
        self.refused(head_of(host=b" Host: a\r\n"))

    def test_line_ends_of_half_the_characters_are_refused(self) -> None:
        for head in (
            b"GET / HTTP/1.1\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\rHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\nA: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\rA: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\n\r\n\r\n",
        ):
            self.refused(head)

    def test_line_feed_in_a_value_hides_no_content_length(self) -> None:
        self.fields_refused(b"A: b\nContent-Length: 5\r\n")

    def test_lines_without_a_name_are_refused(self) -> None:
        for fields in (
            b": b\r\n",
            b"A\r\n",
            b"A B: c\r\n",
            b"\xe9: b\r\n",
            b"@: b\r\n",
        ):
            self.fields_refused(fields)


class HostTests(RequestCase):
    """RFC 9112 section 3.2."""

    def test_one_host_is_wanted(self) -> None:
        self.refused(head_of(host=b""))
        self.refused(head_of(host=HOST + HOST))
        self.refused(head_of(host=HOST + b"host: b\r\n"))

    def test_http_1_0_may_have_none_but_not_two(self) -> None:
        self.parse(head_of(b"GET / HTTP/1.0", host=b""))
        self.refused(head_of(b"GET / HTTP/1.0", host=HOST + HOST))
        self.refused(head_of(b"GET / HTTP/1.0", host=b"Host: a b\r\n"))

    def test_empty_host_is_one(self) -> None:
        self.parse(head_of(host=b"Host:\r\n"))

    def test_host_is_a_name_or_an_address_with_or_without_a_port(self) -> None:
        for host in (b"a.example", b"127.0.0.1:80", b"[::1]", b"[::1]:80", b"a:"):
            self.parse(head_of(host=b"Host: %b\r\n" % host))

    def test_invalid_host_is_refused_each_time(self) -> None:
        for host in (
            *(b"a b", b"a/b", b"a@b", b"a:b", b"[::1", b"::1", b"a,b", b"a, b", b"a?b"),
            *(b"<script>", b"a\xe9", b"a:800000", b"http://a"),
        ):
            for _ in range(2):
                self.refused(head_of(host=b"Host: %b\r\n" % host))

    def test_memory_of_valid_hosts_is_bounded(self) -> None:
        parser = RequestHeadParser(DEFAULT_LIMITS)
        for number in range(3000):
            parser.parse(head_of(host=b"Host: a%d\r\n" % number))
        self.assertLessEqual(len(parser._valid_hosts), 1024)


class BodyTests(RequestCase):
    """How long a body is; the values themselves are tested in test_framing."""

    def length(self, fields: bytes) -> int:
        return self.parse(head_of(b"POST / HTTP/1.1", fields)).body_length

    def test_content_length_and_chunked_tell_it(self) -> None:
        for fields, length in (
            (b"", 0),
            (b"Content-Length: 0\r\n", 0),
            (b"content-length:5\r\n", 5),
            (b"Content-Length: 5 \t\r\n", 5),
            (b"Transfer-Encoding: chunked\r\n", CHUNKED),
            (b"transfer-encoding:Chunked\r\n", CHUNKED),
            (b"Transfer-Encoding:\tchunked \t\r\n", CHUNKED),
            (b"Transfer-Encoding: chunked \r\n", CHUNKED),
            (b"Content-Encoding: gzip\r\nContent-Length: 5\r\n", 5),
        ):
            self.assertEqual(self.length(fields), length, fields)

    def test_content_length_that_is_no_number_is_refused(self) -> None:
        # CVE-2022-24801
        for value in (
            *(b"", b" ", b"+5", b"-5", b"5_0", b"0x5", b"5,5", b"5, 5", b"5,6", b"a"),
            *(b"5 5", b"5.0", b"\xb2", b"9" * 19, b"18446744073709551621", b"'5'"),
        ):
            self.fields_refused(b"Content-Length: %b\r\n" % value)

    def test_second_content_length_is_refused(self) -> None:
        # CVE-2020-10108
        for first, second in product((b"0", b"5"), (b"0", b"5")):
            self.fields_refused(
                b"Content-Length: %b\r\ncontent-length: %b\r\n" % (first, second)
            )

    def test_content_length_beside_a_coding_is_refused(self) -> None:
        # CVE-2020-10109
        for coding, length in product(
            (b"chunked", b"gzip", b"identity", b"", b"chunked "), (b"0", b"5", b"x")
        ):
            lines = (
                b"Transfer-Encoding: %b\r\n" % coding,
                b"Content-Length: %b\r\n" % length,
            )
            self.fields_refused(b"".join(lines))
            self.fields_refused(b"".join(reversed(lines)))

    def test_codings_that_are_not_exactly_chunked_are_not_implemented(self) -> None:
        for value in (
            *(b"gzip", b"identity", b"gzip, chunked", b"chunked, chunked", b"xchunked"),
            *(b"chunked, gzip", b"chunked,", b", chunked", b"chunkedx", b"cow"),
        ):
            self.coding_refused(value, 501)
        for second in (b"chunked", b"identity", b"gzip"):
            self.coding_refused(b"chunked\r\nTransfer-Encoding: " + second, 501)
            self.coding_refused(second + b"\r\nTransfer-Encoding: chunked", 501)

    def test_what_is_no_coding_is_malformed(self) -> None:
        for value in (
            *(
                b"",
                b" ",
                b",",
                b"chun ked",
                b"chunked;a=b",
                b'"chunked"',
                b"chunked\xff",
            ),
            *(
                b"\x0bchunked",
                b"chunked\x00",
                b"chunked\r",
                b"chunked\n",
                b"\xa0chunked",
            ),
        ):
            self.coding_refused(value, 400)

    def coding_refused(self, value: bytes, status: int) -> None:
        field = b"Transfer-Encoding: %b\r\n" % value
        self.fields_refused(field, status)
        # An offer to switch protocols makes llhttp look less closely.
        self.fields_refused(b"Upgrade: a\r\nConnection: upgrade\r\n" + field, status)

    def test_any_coding_in_http_1_0_is_refused(self) -> None:
        for value in (b"chunked", b"gzip", b"identity", b"", b"chunked, chunked"):
            self.refused(
                head_of(b"POST / HTTP/1.0", b"Transfer-Encoding: %b\r\n" % value)
            )

    def test_continue_is_expected_only_with_a_body_and_by_http_1_1(self) -> None:
        def expects(fields: bytes, version: bytes = b"1.1") -> bool:
            line = b"POST / HTTP/" + version
            return self.parse(head_of(line, fields)).expects_continue

        expect = b"Expect: 100-Continue \r\n"
        self.assertTrue(expects(expect + b"Content-Length: 5\r\n"))
        self.assertTrue(expects(b"Transfer-Encoding: chunked\r\n" + expect))
        self.assertFalse(expects(expect + b"Content-Length: 0\r\n"))
        self.assertFalse(expects(expect))
        self.assertFalse(expects(b"Content-Length: 5\r\n"))
        self.assertFalse(expects(b"Expect: tea\r\nContent-Length: 5\r\n"))
        self.assertFalse(expects(expect + b"Content-Length: 5\r\n", b"1.0"))


class ConnectionTests(RequestCase):
    """RFC 9112 section 9.3."""

    def keeps(self, fields: bytes, version: bytes = b"1.1") -> bool:
        request = self.parse(head_of(b"GET / HTTP/" + version, fields))
        with_body = self.parse(
            head_of(b"GET / HTTP/" + version, fields + b"Content-Length: 5\r\n")
        )
        self.assertEqual(request.keep_alive, with_body.keep_alive)
        return request.keep_alive

    def test_http_1_1_goes_on_unless_told_to_close(self) -> None:
        for value in (b"keep-alive", b"", b"a, b", b"closed", b"xclose", b"close x"):
            self.assertTrue(self.keeps(b"Connection: %b\r\n" % value), value)
        self.assertTrue(self.keeps(b""))
        for value in (
            *(
                b"close",
                b"Close",
                b"keep-alive, close",
                b"a,close ,b",
                b",close",
                b"close,",
            ),
            *(b"\tclose", b"close\t"),
        ):
            self.assertFalse(self.keeps(b"Connection: %b\r\n" % value), value)
        self.assertFalse(self.keeps(b"Connection: a\r\nconnection: close\r\n"))

    def test_http_1_0_closes_unless_told_to_go_on(self) -> None:
        for value in (b"close", b"", b"keep-alivex", b"a", b"keep alive"):
            self.assertFalse(self.keeps(b"Connection: %b\r\n" % value, b"1.0"), value)
        self.assertFalse(self.keeps(b"", b"1.0"))
        for value in (b"keep-alive", b"Keep-Alive", b"a, keep-alive", b"keep-alive,"):
            self.assertTrue(self.keeps(b"Connection: %b\r\n" % value, b"1.0"), value)

    def test_close_outranks_keep_alive_in_both_versions(self) -> None:
        for version in (b"1.0", b"1.1"):
            for fields in (
                b"Connection: close, keep-alive\r\n",
                b"Connection: keep-alive, close\r\n",
                b"Connection: keep-alive\r\nConnection: close\r\n",
                b"Connection: close\r\nConnection: keep-alive\r\n",
            ):
                self.assertFalse(self.keeps(fields, version))

    def test_proxy_connection_says_nothing_to_us(self) -> None:
        # RFC 9112 appendix C.2.2
        self.assertTrue(self.keeps(b"Proxy-Connection: close\r\n"))
        self.assertFalse(self.keeps(b"Proxy-Connection: keep-alive\r\n", b"1.0"))

    def test_upgrade_is_an_offer_of_http_1_1_named_by_connection(self) -> None:
        def offers(fields: bytes, version: bytes = b"1.1") -> bool:
            return self.parse(head_of(b"GET / HTTP/" + version, fields)).upgrade

        upgrade = b"Upgrade: websocket\r\n"
        named = b"Connection: keep-alive, Upgrade\r\n"
        self.assertTrue(offers(upgrade + named))
        self.assertFalse(offers(upgrade))
        self.assertFalse(offers(named))
        self.assertFalse(offers(upgrade + named, b"1.0"))
        self.assertFalse(offers(upgrade + b"Proxy-Connection: upgrade\r\n"))

    def test_connect_is_no_offer_to_upgrade(self) -> None:
        request = self.parse(head_of(b"CONNECT a:80 HTTP/1.1"))
        self.assertFalse(request.upgrade)
        self.assertTrue(request.keep_alive)


class LimitTests(RequestCase):
    def test_request_line_at_the_limit_is_taken_and_over_it_answered_414(self) -> None:
        for limit in (100, 8190):
            parser = RequestHeadParser(Limits(max_request_line=limit))
            for line in self.lines(limit - 1, limit):
                self.parse(head_of(line), parser)
            (line,) = self.lines(limit + 1)
            error = self.refused(head_of(line), 414, parser)
            self.assertIsInstance(error, HeadTooLarge)

    def lines(self, *lengths: int) -> Iterable[bytes]:
        for length in lengths:
            yield b"GET /%b HTTP/1.1" % (b"a" * (length - 14))

    def test_default_limit_of_a_request_line_is_8190_bytes(self) -> None:
        for line in self.lines(8190):
            self.parse(head_of(line))
        for line in self.lines(8191):
            self.refused(head_of(line), 414)

    def test_header_block_at_the_limit_is_taken_and_over_it_answered_431(self) -> None:
        for limit, line_limit in product((64, 16 * 1024), (64, 100_000)):
            limits = Limits(max_header_bytes=limit, max_request_line=line_limit)
            parser = RequestHeadParser(limits)
            for size in (limit - 1, limit):
                self.parse(self.with_block(size), parser)
            for size in (limit + 1, limit + 2, limit + 5, 2 * limit):
                error = self.refused(self.with_block(size), 431, parser)
                self.assertIsInstance(error, HeadTooLarge)

    def with_block(self, size: int) -> bytes:
        """Return a head whose field lines are *size* bytes with their ends."""
        padding = size - len(HOST) - len(b"A: \r\n")
        return head_of(fields=b"A: %b\r\n" % (b"b" * padding))

    def test_header_block_may_be_limited_more_than_the_request_line(self) -> None:
        parser = RequestHeadParser(Limits(max_header_bytes=64))
        self.parse(self.with_block(64), parser)
        self.refused(self.with_block(65), 431, parser)

    def test_number_of_fields_at_the_limit_is_taken_and_over_it_answered_431(
        self,
    ) -> None:
        parser = RequestHeadParser(Limits(max_headers=3))
        self.parse(head_of(fields=b"A: b\r\n" * 2), parser)
        error = self.refused(head_of(fields=b"A: b\r\n" * 3), 431, parser)
        self.assertIsInstance(error, HeadTooLarge)

    def test_default_limit_of_fields_is_one_hundred(self) -> None:
        self.parse(head_of(fields=b"A: b\r\n" * 99))
        self.refused(head_of(fields=b"A: b\r\n" * 100), 431)

    def test_first_fault_of_an_oversize_head_is_answered(self) -> None:
        parser = RequestHeadParser(Limits(max_request_line=50, max_header_bytes=50))
        self.refused(head_of(b"GET /\x00%b HTTP/1.1" % (b"a" * 50)), 400, parser)
        self.refused(head_of(b"GET /%b\x00 HTTP/1.1" % (b"a" * 50)), 414, parser)
        self.refused(head_of(fields=b"A: \x00%b\r\n" % (b"b" * 60)), 400, parser)
        self.refused(head_of(fields=b"A: %b\x00\r\n" % (b"b" * 60)), 431, parser)


class PartialHeadTests(SynchronousTestCase):
    """What can no longer become a head is refused before all of it is there."""

    limits = Limits(max_request_line=30, max_header_bytes=30)

    def fine(self, part: bytes) -> None:
        refuse_partial(part, 0, 0, self.limits)
        refuse_partial(b"before" + part, 6, 6, self.limits)

    def refused(self, part: bytes, status: int = 400) -> None:
        for arguments in ((part, 0, 0), (b"before" + part, 6, 6)):
            error = self.assertRaises(
                RemoteProtocolError, refuse_partial, *arguments, self.limits
            )
            self.assertEqual(error.status, status, part)

    def test_beginning_of_a_head_is_fine(self) -> None:
        head = head_of(b"GET /abc HTTP/1.1", b"A: b\r\n")
        for end in range(1, len(head) - 1):
            self.fine(head[:end])

    def test_half_an_empty_line_is_fine(self) -> None:
        self.fine(b"\r")

    def test_what_begins_no_method_is_refused(self) -> None:
        # The first byte of a TLS ClientHello is 22.
        for part in (
            b"\x16\x03\x01",
            b" ",
            b"(",
            b"\xff",
            b"\n",
            b"\rG",
            b"\x00",
            b"\t",
        ):
            self.refused(part)

    def test_control_characters_and_half_line_ends_are_refused(self) -> None:
        for part in (b"GET /\x00", b"GET / HTTP/1.1\n", b"GET\rX", b"A\x7f", b"A\x1b"):
            self.refused(part)

    def test_carriage_return_that_ended_the_part_before_is_looked_at(self) -> None:
        error = self.assertRaises(
            RemoteProtocolError, refuse_partial, b"GET\rX", 0, 4, self.limits
        )
        self.assertEqual(error.status, 400)

    def test_request_line_over_its_limit_is_refused_before_its_end(self) -> None:
        self.fine(b"G" * 30)
        self.fine(b"G" * 30 + b"\r")
        self.fine(b"G" * 30 + b"\r\n")
        self.refused(b"G" * 31, 414)
        self.refused(b"G" * 31 + b"\r", 414)
        self.refused(b"G" * 31 + b"\r\n", 414)

    def test_header_block_over_its_limit_is_refused_before_its_end(self) -> None:
        line = b"G" * 30 + b"\r\n"
        self.fine(line + b"A: %b\r\n\r" % (b"b" * 25))
        self.refused(line + b"A: %b" % (b"b" * 30), 431)

    def test_first_of_two_faults_is_answered(self) -> None:
        self.refused(b"G" * 20 + b"\x00" + b"G" * 20, 400)
        self.refused(b"G" * 40 + b"\x00", 414)
        self.refused(b"G" * 30 + b"\rX", 400)
        self.refused(b"G\r\nA: %b\x00" % (b"b" * 40), 431)
        self.refused(b"G\r\nA: \x00%b" % (b"b" * 40), 400)


class ResponseTests(SynchronousTestCase):
    parser = ResponseHeadParser(DEFAULT_LIMITS)

    def parse(
        self,
        line: bytes = b"HTTP/1.1 200 OK",
        fields: bytes = b"",
        method: str = "GET",
    ) -> ResponseHead:
        return self.parser.parse(b"%b\r\n%b\r\n" % (line, fields), method)

    def refused(self, line: bytes = b"HTTP/1.1 200 OK", fields: bytes = b"") -> None:
        self.assertRaises(RemoteProtocolError, self.parse, line, fields)

    def test_status_reason_and_fields_are_read(self) -> None:
        response = self.parse(b"HTTP/1.1 404 Not \xe9 Found", b"A: b \r\nC:\r\n")
        self.assertEqual((response.status, response.reason), (404, "Not é Found"))
        self.assertEqual(response.headers, [(b"A", b"b"), (b"C", b"")])
        self.assertTrue(response.is_http11)
        self.assertFalse(response.is_interim)

    def test_what_most_clients_ask_next_is_said(self) -> None:
        for fields, says in (
            (b"", (False, False)),
            (b"Set-Cookie: a=b\r\n", (True, False)),
            (b"set-cookie: a=b\r\nCONTENT-ENCODING: gzip\r\n", (True, True)),
            (b"Xet-Cookie: a\r\nContent-Xncoding: b\r\n", (False, False)),
        ):
            response = self.parse(fields=fields)
            self.assertEqual((response.sets_cookies, response.has_coding), says)

    def test_nothing_of_one_head_shows_in_the_next(self) -> None:
        self.parse(b"HTTP/1.1 200 Fine", b"A: b\r\n")
        response = self.parse(b"HTTP/1.1 200 ")
        self.assertEqual((response.reason, response.headers), ("", []))

    def test_reason_may_be_missing(self) -> None:
        for line in (b"HTTP/1.1 200", b"HTTP/1.1 200 "):
            self.assertEqual(self.parse(line).reason, "")

    def test_reason_may_hold_a_tab(self) -> None:
        self.assertEqual(self.parse(b"HTTP/1.1 200 a\tb").reason, "a\tb")

    def test_any_status_of_three_digits_from_100_is_taken(self) -> None:
        for status in (100, 199, 200, 299, 451, 599, 999):
            self.assertEqual(self.parse(b"HTTP/1.1 %d X" % status).status, status)

    def test_malformed_status_lines_are_refused(self) -> None:
        for line in (
            *(b"HTTP/1.1 099 X", b"HTTP/1.1 000 X", b"HTTP/1.1 20 X", b"HTTP/1.1 X"),
            *(b"HTTP/1.1 2000 X", b"HTTP/1.1  200 X", b"HTTP/2.0 200 X", b"200 OK"),
            *(b"HTTP/1.2 200 X", b"HTTP/0.9 200 X", b"http/1.1 200 X", b"ICY 200 OK"),
            *(b"RTSP/1.0 200 OK", b"HTTP/1.1 +20 X", b"\nHTTP/1.1 200 X", b""),
            b"\r\nHTTP/1.1 200 X",
        ):
            self.refused(line)

    def test_control_characters_in_a_reason_are_refused(self) -> None:
        for byte in {*range(32), 127} - {9}:
            self.refused(b"HTTP/1.1 200 a%cb" % byte)

    def test_malformed_fields_are_refused(self) -> None:
        for fields in (
            *(b"A : b\r\n", b"A: b\r\n c\r\n", b": b\r\n", b"A\r\n", b"A: \x00\r\n"),
            *(b"A: b\nC: d\r\n", b"A: b\rc\r\n", b"\xe9: b\r\n"),
        ):
            self.refused(fields=fields)

    def test_contradictory_framing_is_refused(self) -> None:
        for fields in (
            b"Content-Length: 5\r\nContent-Length: 5\r\n",
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            b"Content-Length: +5\r\n",
            b"Transfer-Encoding: gzip\r\n",
            b"Transfer-Encoding: gzip, chunked\r\n",
        ):
            self.refused(fields=fields)
        self.refused(b"HTTP/1.0 200 OK", b"Transfer-Encoding: chunked\r\n")

    def test_length_of_the_body_is_told_by_the_fields(self) -> None:
        for fields, length in (
            (b"Content-Length: 5 \r\n", 5),
            (b"Transfer-Encoding: chunked \r\n", CHUNKED),
            (b"", UNTIL_CLOSE),
        ):
            self.assertEqual(self.parse(fields=fields).body_length, length)
        self.assertEqual(
            self.parse(fields=b"Content-Length: 5\r\n", method="HEAD").body_length, 0
        )

    def test_connection_may_be_used_again_by_the_rules_of_each_version(self) -> None:
        for line, value, keep_alive in (
            (b"HTTP/1.1 200 OK", b"", True),
            (b"HTTP/1.1 200 OK", b"a, close", False),
            (b"HTTP/1.0 200 OK", b"", False),
            (b"HTTP/1.0 200 OK", b"keep-alive", True),
            (b"HTTP/1.0 200 OK", b"keep-alive, close", False),
        ):
            fields = b"Connection: %b\r\nContent-Length: 0\r\n" % value
            self.assertEqual(self.parse(line, fields).keep_alive, keep_alive)

    def test_interim_responses_are_1xx_but_not_switching_protocols(self) -> None:
        self.assertTrue(self.parse(b"HTTP/1.1 100 Continue").is_interim)
        self.assertTrue(self.parse(b"HTTP/1.1 103 Early Hints").is_interim)
        switching = self.parse(
            b"HTTP/1.1 101 X", b"Upgrade: a\r\nConnection: upgrade\r\n"
        )
        self.assertFalse(switching.is_interim)
        self.assertEqual(switching.body_length, 0)

    def test_heads_over_the_limits_are_refused(self) -> None:
        limits = Limits(max_request_line=30, max_header_bytes=40, max_headers=3)
        parser = ResponseHeadParser(limits)
        line = b"HTTP/1.1 200 %b\r\n" % (b"a" * 17)
        for fine in (
            line + b"\r\n",
            line + b"A: %b\r\n\r\n" % (b"b" * 35),
            line + b"A: b\r\n" * 3 + b"\r\n",
        ):
            parser.parse(fine, "GET")
        for large in (
            b"HTTP/1.1 200 %b\r\n\r\n" % (b"a" * 18),
            line + b"A: %b\r\n\r\n" % (b"b" * 36),
            line + b"A: b\r\n" * 4 + b"\r\n",
        ):
            self.assertRaises(HeadTooLarge, parser.parse, large, "GET")
