"""An origin: scheme, host and port, which say who is asked (RFC 9110 section 4.3.1)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_PORTS", "Origin"]

DEFAULT_PORTS = {"http": 80, "https": 443}
"""What a URL without a port means."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who answers for a URL. Two URLs with equal origins may share a connection.

    It takes its parts as they are: lower case, the host of an IPv6 address without
    brackets, of an international name in its ASCII form. Parsing is the business of
    :mod:`httpx_tw.client.urls`.
    """

    scheme: str
    """``http`` or ``https``."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        """The host, and the port unless it is the scheme's own: a Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.port == DEFAULT_PORTS.get(self.scheme):
            return host
        return f"{host}:{self.port}"

    @property
    def is_secure(self) -> bool:
        """Whether it is asked over TLS."""
        return self.scheme == "https"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"
