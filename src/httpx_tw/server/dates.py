"""The header lines that every response carries, made once a second."""

from __future__ import annotations

from email.utils import formatdate

from httpx_tw.headers import checked_value

__all__ = ["FixedFields"]


class FixedFields:
    """Date (RFC 9110 section 6.6.1), Server and what belongs to TLS, ready to send.

    :param server: the Server field's value; "" for none.
    :param hsts: max-age of Strict-Transport-Security (RFC 6797), in seconds; 0 for no
        such field.

    :raises InvalidHeader: when it must not be sent.
    """

    __slots__ = (
        "_second",
        "_steady",
        "binary_head",
        "json_head",
        "lines",
        "ok_head",
        "text_head",
    )

    def __init__(self, server: str, hsts: int = 0) -> None:
        self._steady = b"server: %b\r\n" % checked_value(server) if server else b""
        if hsts:
            self._steady += b"strict-transport-security: max-age=%d\r\n" % hsts
        self._second = -1
        self.lines = b""
        """Whole header lines with their CRLF."""
        self.ok_head = b""
        """The beginning of a 200: its status line, and these."""
        self.text_head = b""
        """A 200 of plain text up to the digits of its Content-Length: how the answer
        begins when a handler returns a str."""
        self.json_head = b""
        """The same for JSON, when it returns a dict or a list."""
        self.binary_head = b""
        """The same for bytes, of which nothing is known."""

    def refresh(self, wall_clock_seconds: float) -> None:
        """Bring the Date up to *wall_clock_seconds* since the epoch."""
        second = int(wall_clock_seconds)
        if second != self._second:
            self._second = second
            date = formatdate(second, usegmt=True).encode("ascii")
            self.lines = b"date: %b\r\n%b" % (date, self._steady)
            self.ok_head = b"HTTP/1.1 200 OK\r\n" + self.lines
            self.json_head = self._head_of(b"application/json")
            self.text_head = self._head_of(b"text/plain; charset=utf-8")
            self.binary_head = self._head_of(b"application/octet-stream")

    def _head_of(self, kind: bytes) -> bytes:
        return b"%bcontent-type: %b\r\ncontent-length: " % (self.ok_head, kind)
