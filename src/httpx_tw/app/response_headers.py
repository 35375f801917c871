"""Headers of a response, without those that say where the message ends."""

from __future__ import annotations

from collections.abc import Mapping

from httpx_tw.errors import InvalidHeader, LocalProtocolError
from httpx_tw.headers import HeaderPairs, Headers, HeadersInput

__all__ = ["ResponseHeaders"]

# RFC 9112 sections 6 and 7, RFC 9110 sections 6.6.1 and 7.6.1: the server knows the
# length, the coding, the connection and the time; a second opinion is a smuggled
# response.
_SERVER_WRITES = frozenset(
    (
        b"content-length",
        b"date",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)


class ResponseHeaders(Headers):
    """Header fields an application may set.

    As :class:`~httpx_tw.headers.Headers`, but what frames the message is refused with
    :class:`~httpx_tw.errors.LocalProtocolError`. ``Connection: close`` may be set: it
    is not kept as a field but as :attr:`closes`, and the server writes it.
    """

    __slots__ = ("closes",)

    def __init__(self, fields: HeadersInput = None) -> None:
        # As Headers.__init__ does it, without the second call.
        self._pairs = []
        self._mapping = None
        self.closes = False
        """Close the connection after this response."""
        if fields is not None:
            # Not copied as Headers does it: here other names are refused.
            if isinstance(fields, Headers):
                fields = fields.raw
            items = fields.items() if isinstance(fields, Mapping) else fields
            for name, value in items:
                self.add(name, value)

    @classmethod
    def from_checked(cls, pairs: HeaderPairs) -> ResponseHeaders:
        """Take over *pairs*, which were checked; Connection is not among them."""
        headers = cls.__new__(cls)
        headers._pairs = pairs  # noqa: SLF001  # it is ours
        headers._mapping = None  # noqa: SLF001
        headers.closes = False
        return headers

    def add(self, name: str | bytes, value: str | bytes) -> None:
        """Append a field, keeping others of its name.

        :raises InvalidHeader: for a bad name or value.
        :raises LocalProtocolError: for a field that is the server's to write.
        """
        if not self._is_the_connection(name, value):
            super().add(name, value)

    def set(self, name: str | bytes, value: str | bytes) -> None:
        """Replace every field called *name* by one. Raises as :meth:`add`."""
        if not self._is_the_connection(name, value):
            super().set(name, value)

    __setitem__ = set  # noqa: A003  the method above is meant

    def remove(self, name: str | bytes) -> None:
        """Remove every field called *name*; none is fine."""
        if _lowered(name) == b"connection":
            self.closes = False
        super().remove(name)

    def _is_the_connection(self, name: str | bytes, value: str | bytes) -> bool:
        lowered = _lowered(name)
        if lowered in _SERVER_WRITES:
            raise LocalProtocolError(
                f"{lowered.decode()} is written by the server; for a stream of known"
                " length give Response.stream its content_length"
            )
        if lowered != b"connection":
            return False
        if _lowered(value) != b"close":
            raise LocalProtocolError(f"Connection can only be close, not {value!r}")
        self.closes = True
        return True


def _lowered(text: str | bytes) -> bytes:
    if isinstance(text, str):
        try:
            text = text.encode("latin-1")
        except UnicodeEncodeError:
            raise InvalidHeader(f"not a header name: {text!r}") from None
    return text.lower()
