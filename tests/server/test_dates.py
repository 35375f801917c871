"""The header lines that every response carries."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.errors import InvalidHeader
from httpx_tw.server.dates import FixedFields


class Fields(SynchronousTestCase):
    """See the module."""

    def test_the_date_is_as_rfc_9110_has_it(self) -> None:
        fields = FixedFields("")
        fields.refresh(784111777)
        self.assertEqual(fields.lines, b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n")

    def test_the_server_has_a_name_or_none(self) -> None:
        fields = FixedFields("me/1")
        fields.refresh(0)
        self.assertTrue(fields.lines.endswith(b"GMT\r\nserver: me/1\r\n"))

    def test_a_name_that_would_end_the_line_is_refused(self) -> None:
        with self.assertRaises(InvalidHeader):
            FixedFields("me\r\nSet-Cookie: x")

    def test_strict_transport_security_is_sent_if_wished(self) -> None:
        fields = FixedFields("", 300)
        fields.refresh(0)
        self.assertIn(b"\r\nstrict-transport-security: max-age=300\r\n", fields.lines)

    def test_it_is_made_once_a_second(self) -> None:
        fields = FixedFields("me")
        fields.refresh(1.1)
        lines = fields.lines
        fields.refresh(1.9)
        self.assertIs(fields.lines, lines)
        fields.refresh(2.0)
        self.assertNotEqual(fields.lines, lines)

    def test_heads_of_what_handlers_return_have_the_same_fields(self) -> None:
        fields = FixedFields("me")
        fields.refresh(0)
        for head, kind in (
            (fields.text_head, b"text/plain; charset=utf-8"),
            (fields.json_head, b"application/json"),
            (fields.binary_head, b"application/octet-stream"),
        ):
            self.assertEqual(
                head,
                b"HTTP/1.1 200 OK\r\n"
                + fields.lines
                + b"content-type: "
                + kind
                + b"\r\ncontent-length: ",
            )
