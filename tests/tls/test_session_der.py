"""Sessions as OpenSSL writes them, and as nobody does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpx_tw.tls.contexts import ClientContexts, TLSPolicy
from httpx_tw.tls.openssl_sessions import copy_session
from httpx_tw.tls.session_der import read_session
from tests.tls.handshakes import connect, server_context
from tests.tls.issuing import Issued, authority

if TYPE_CHECKING:
    from pathlib import Path


def element(tag: int, content: bytes) -> bytes:
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    octets = len(content).to_bytes(1 if len(content) < 0x100 else 2, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def number(tag: int, value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return element(tag, element(2, content)) if tag != 2 else element(2, content)


def session(
    version: int = 0x0304,
    session_id: bytes = b"id",
    *,
    certificate: bytes = b"",
    **more: int,
) -> bytes:
    """Write a session by hand; *more*: created, timeout, hint, ticket."""
    fields = [
        number(2, 1),
        element(2, version.to_bytes(2, "big")),
        element(4, b"\x13\x01"),
        element(4, session_id),
        element(4, b"secret"),
        number(0xA1, more.get("created", 1000)),
    ]
    if "timeout" in more:
        fields.append(number(0xA2, more["timeout"]))
    if certificate:
        fields.append(element(0xA3, certificate))
    if "hint" in more:
        fields.append(number(0xA9, more["hint"]))
    if more.get("ticket", 1):
        fields.append(element(0xAA, element(4, b"t" * 200)))
    return element(0x30, b"".join(fields))


def lifetime(der: bytes) -> float | None:
    found = read_session(der)
    return None if found is None else found.lifetime


def test_the_lifetime_is_the_shortest_of_what_is_said() -> None:
    assert lifetime(session(timeout=7200, hint=300)) == 300
    assert lifetime(session(timeout=60, hint=300)) == 60
    assert lifetime(session(hint=10**9)) == 7 * 24 * 3600


def test_no_hint_means_at_once_in_tls_1_3_and_nothing_in_1_2() -> None:
    assert lifetime(session(timeout=7200)) == 0
    assert lifetime(session(0x0303, timeout=7200)) == 7200


def test_what_has_neither_ticket_nor_id_does_not_resume() -> None:
    assert read_session(session(0x0303, b"", ticket=0)) is None
    assert read_session(session(0x0303, b"id", ticket=0, timeout=1)) is not None
    assert read_session(session(0x0304, b"id", ticket=0, hint=1)) is None


@pytest.mark.parametrize("size", [1, 100, 300, 3000])
def test_the_certificate_is_taken_out_and_nothing_else(size: int) -> None:
    whole = session(hint=300, certificate=b"c" * size)
    found = read_session(whole)
    assert found is not None
    assert found.certificate == b"c" * size
    assert found.der == session(hint=300)
    again = read_session(found.der)
    assert again is not None
    assert again.certificate is None
    assert again.der == found.der


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_real_one_is_read(tmp_path: Path, version: str, kind: str) -> None:
    issued: Issued = authority().issue("localhost", kind=kind)
    policy = TLSPolicy(verify=authority().write_certificate(tmp_path / "ca.pem"))
    pair = connect(ClientContexts(), server_context(issued, version), policy)
    der = copy_session(pair.client)
    assert der is not None
    found = read_session(der)
    assert found is not None
    assert found.is_tls_1_3 == (version == "1.3")
    assert abs(found.created_at - time.time()) < 60
    assert found.lifetime == 7200
    assert len(found.der) < len(der)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_session_or_none(data: bytes) -> None:
    read_session(data)
    read_session(element(0x30, data))


@given(st.data())
def test_a_damaged_session_is_one_or_none(data: st.DataObject) -> None:
    whole = bytearray(session(hint=300, certificate=b"certificate"))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    read_session(bytes(whole))
    read_session(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


def test_something_else_is_none() -> None:
    assert read_session(b"") is None
    assert read_session(element(0x31, b"")) is None
    assert read_session(session() + session()) is None


def test_the_group_is_read_where_it_is_said() -> None:
    without = session(hint=300)
    found = read_session(without)
    assert found is not None
    assert found.group == 0
    inner = without[3:] + number(0xB3, 0x11EC)
    found = read_session(element(0x30, inner))
    assert found is not None
    assert found.group == 0x11EC
