"""Fields behind the body of a response (RFC 9110 section 6.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from httpx_tw.errors import LocalProtocolError
from httpx_tw.headers import checked_name, checked_value

if TYPE_CHECKING:
    from httpx_tw.headers import HeaderPairs

__all__ = ["Trailers", "trailer_field", "trailer_lines"]

Trailers: TypeAlias = Mapping[str, Callable[[], str]]
"""By name, what to call for the value when the body has been sent."""

# RFC 9110 section 6.5.1: what frames, routes, authenticates or says how to read the
# content comes too late behind it, and who merged it into the head would be deceived.
_ONLY_IN_FRONT: Final = frozenset(
    """age authorization cache-control connection content-encoding content-length
    content-range content-type cookie date expires host keep-alive location
    proxy-authenticate proxy-authorization proxy-connection range retry-after set-cookie
    te trailer transfer-encoding upgrade vary warning www-authenticate""".split()
)


def trailer_field(trailers: Trailers) -> tuple[bytes, bytes]:
    """Return the Trailer field that announces *trailers*.

    :raises InvalidHeader: for what is no name.
    :raises LocalProtocolError: for a field that must stand in front of the body.
    """
    for name in trailers:
        if name.lower() in _ONLY_IN_FRONT:
            raise LocalProtocolError(f"{name} cannot stand behind the body")
    return b"trailer", b", ".join([checked_name(name) for name in trailers])


def trailer_lines(trailers: Trailers | None) -> HeaderPairs:
    """Ask for the values; raises what they raise, and InvalidHeader for bad ones."""
    if not trailers:
        return []
    return [(checked_name(n), checked_value(value())) for n, value in trailers.items()]
