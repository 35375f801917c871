"""Endpoint strings in, URLs out."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactor

from httpx_tw.errors import ConfigurationError
from httpx_tw.service.addresses import (
    InheritedSocketEndpoint,
    cannot_listen,
    endpoint_from,
    stream_socket_family,
    url_of,
)


def test_twisted_endpoints_are_twisteds_own() -> None:
    assert isinstance(endpoint_from(MemoryReactor(), "tcp:80"), TCP4ServerEndpoint)


def test_a_descriptor_is_ours() -> None:
    endpoint = endpoint_from(MemoryReactor(), "fd:3")
    assert isinstance(endpoint, InheritedSocketEndpoint)
    assert endpoint.descriptor == 3


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ("pigeon:1", "there is no endpoint type 'pigeon'"),
        ("tcp", "wrong arguments for 'tcp'"),
        ("tcp:80:wings=2", "wrong arguments for 'tcp'"),
        ("tcp:x", "invalid literal for int() with base 10: 'x'"),
        ("fd:x", "expected a whole number, got 'x'"),
        ("systemd:domain=INET:index=9", "systemd passed on no such socket"),
        ("systemd:domain=INET:name=x", "systemd passed on no such socket"),
        ("ssl:1:privateKey=/nowhere/k", "No such file or directory: /nowhere/k"),
    ],
)
def test_endpoints_that_make_no_sense(description: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        endpoint_from(MemoryReactor(), description)
    assert str(caught.value) == f"bad endpoint {description!r}: {reason}"


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
def test_the_family_of_a_socket(family: socket.AddressFamily) -> None:
    with socket.socket(family) as inherited:
        assert stream_socket_family(inherited.fileno()) is family
        assert inherited.fileno() >= 0  # it was only looked at


def test_what_is_no_stream_socket() -> None:
    with (
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        pytest.raises(ConfigurationError, match="is no stream socket"),
    ):
        stream_socket_family(datagrams.fileno())
    descriptor = os.open(os.devnull, os.O_RDONLY)
    try:
        with pytest.raises(ConfigurationError, match="is no socket: Socket operation"):
            stream_socket_family(descriptor)
    finally:
        os.close(descriptor)
    with pytest.raises(ConfigurationError, match="is no socket: Bad file descriptor"):
        stream_socket_family(descriptor)


IN_USE = OSError(errno.EADDRINUSE, "Address already in use")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CannotListenError("", 80, IN_USE), "Address already in use"),
        (CannotListenError(None, "x", "Cannot acquire lock"), "Cannot acquire lock"),
        (RuntimeError("the tower is down"), "the tower is down"),
    ],
)
def test_why_it_cannot_listen(error: Exception, reason: str) -> None:
    assert str(cannot_listen(error, "x:1")) == f"cannot listen on x:1: {reason}"


def test_what_is_said_already_is_not_said_again() -> None:
    error = ConfigurationError("descriptor 3 is no socket")
    assert cannot_listen(error, "fd:3") is error


@pytest.mark.parametrize(
    ("address", "description", "url"),
    [
        (IPv4Address("TCP", "127.0.0.1", 80), "tcp:80", "http://127.0.0.1:80"),
        (IPv4Address("TCP", "0.0.0.0", 8), "ssl:8", "https://0.0.0.0:8"),
        (IPv6Address("TCP", "::1", 80), "tcp6:80", "http://[::1]:80"),
        (UNIXAddress("/run/a b"), "unix:/run/a b", "http+unix:/run/a%20b"),
        (UNIXAddress(b"\0web"), "unix:", "http+unix:@web"),
        (UNIXAddress(None), "fd:3", "http+unix:"),
        ("elsewhere", "pigeon:1", "http on elsewhere"),
    ],
)
def test_urls(address: Any, description: str, url: str) -> None:
    assert url_of(address, description) == url
