"""CONNECT: what is asked, and every answer a proxy may give."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.tunnels import ConnectHandshake
from httpx_tw.errors import ConnectFailed, ProxyAuthenticationRequired, ProxyError
from httpx_tw.limits import Limits


def handshake(*answers: bytes, limits: Limits | None = None) -> ConnectHandshake:
    asked = ConnectHandshake("a.example", 443, limits=limits or Limits())
    asked.start()
    for answer in answers:
        assert asked.receive(answer) == b""
    return asked


class RequestTests(SynchronousTestCase):
    def test_it_names_the_server_twice(self) -> None:
        self.assertEqual(
            ConnectHandshake("a.example", 443).start(),
            b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
        )
        self.assertTrue(
            ConnectHandshake("::1", 80).start().startswith(b"CONNECT [::1]:80 HTTP/1.1")
        )

    def test_credentials_and_fields_are_for_the_proxy(self) -> None:
        request = ConnectHandshake(
            "a", 1, authorization="Basic eA==", headers=[(b"User-Agent", b"x")]
        ).start()
        self.assertIn(b"\r\nUser-Agent: x\r\n", request)
        self.assertIn(b"\r\nProxy-Authorization: Basic eA==\r\n", request)


class AnswerTests(SynchronousTestCase):
    def test_any_2xx_opens_the_tunnel(self) -> None:
        for status in (b"200 Connection established", b"200", b"204 x", b"299 "):
            asked = handshake(b"HTTP/1.1 %b\r\n\r\n" % status)
            self.assertTrue(asked.is_done)
            self.assertEqual(asked.leftover, b"")
        self.assertTrue(handshake(b"HTTP/1.0 200 OK\r\n\r\n").is_done)

    def test_what_follows_is_the_servers(self) -> None:
        asked = handshake(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n220 hello")
        self.assertEqual(asked.leftover, b"220 hello")

    def test_interim_responses_are_passed_over(self) -> None:
        interim = b"HTTP/1.1 102 Processing\r\n\r\n"
        self.assertTrue(handshake(interim * 8 + b"HTTP/1.1 200 OK\r\n\r\n").is_done)
        self.assertRaises(ProxyError, handshake, interim * 9)

    def test_407_wants_credentials(self) -> None:
        self.assertRaises(
            ProxyAuthenticationRequired,
            handshake,
            b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\n\r\n",
        )

    def test_any_other_status_is_a_refusal_that_is_told(self) -> None:
        for status in (b"301 x", b"403 Forbidden", b"502 Bad Gateway"):
            error = self.assertRaises(
                ProxyError,
                handshake,
                b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status,
            )
            self.assertIn(status.decode(), str(error))
            self.assertIn("a.example:443", str(error))
            self.assertTrue(issubclass(ProxyError, ConnectFailed))

    def test_what_is_no_http_is_refused_at_once(self) -> None:
        for answer in (
            b"\x05\x00",
            b"SSH-2.0-x\r\n",
            b"HTTP/1.1 101 Switch\r\n\r\n",
            b"HTTP/1.1 200 OK\n\n",
            b"HTTP/1.1 200 OK\r\nbad field\r\n\r\n",
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.1 200 O\x00K\r\n\r\n",
        ):
            self.assertRaises(ProxyError, handshake, answer)

    def test_an_endless_head_is_refused_at_the_limit(self) -> None:
        limits = Limits(max_header_bytes=1000)
        asked = handshake(b"HTTP/1.1 200 OK\r\n", limits=limits)
        with self.assertRaises(ProxyError):
            for _ in range(1100):
                asked.receive(b"A: b\r\n")
        whole = b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1100 + b"\r\n"
        self.assertRaises(ProxyError, handshake, whole, limits=limits)

    @given(st.data())
    def test_it_does_not_matter_how_it_was_split(self, data: st.DataObject) -> None:
        wire = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nVia: x\r\n\r\nrest"
        cut = data.draw(st.integers(0, len(wire) - 5))
        asked = handshake(wire[:cut], wire[cut:])
        self.assertTrue(asked.is_done)
        self.assertEqual(asked.leftover, b"rest")

    def test_byte_by_byte(self) -> None:
        wire = b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n"
        asked = handshake(*[bytes([byte]) for byte in wire])
        self.assertTrue(asked.is_done)

    @given(st.binary())
    def test_any_bytes_are_an_answer_or_refused(self, data: bytes) -> None:
        for wire in (data, b"HTTP/1.1 200 " + data + b"\r\n\r\n"):
            try:
                handshake(wire)
            except ProxyError:
                continue
