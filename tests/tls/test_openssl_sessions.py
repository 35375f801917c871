"""The private names of pyOpenSSL that are used, and what is done without them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from OpenSSL import SSL

from httpx_tw.tls import openssl_sessions
from httpx_tw.tls.contexts import ClientContexts, TLSPolicy
from httpx_tw.tls.openssl_sessions import copy_session, find, offer_session, was_resumed
from tests.tls.handshakes import Pair, connect, server_context
from tests.tls.issuing import authority

if TYPE_CHECKING:
    from pathlib import Path


def fresh() -> SSL.Connection:
    return SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))


def test_this_pyopenssl_has_what_is_needed() -> None:
    assert openssl_sessions.AVAILABLE


@pytest.mark.parametrize(
    "module",
    [
        SimpleNamespace(),
        SimpleNamespace(_lib=object(), _ffi=object()),
        SimpleNamespace(_lib=SSL._lib),  # type: ignore[attr-defined]  # private
    ],
)
def test_one_that_has_not_is_not_used(module: object) -> None:
    assert find(module) is None


def test_a_connection_of_another_kind_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(SSL.Connection, "_reverse_mapping")
    assert find(SSL) is None


def test_without_it_there_is_nothing_to_copy_and_nothing_is_offered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openssl_sessions, "AVAILABLE", False)
    connection = fresh()
    assert copy_session(connection) is None
    assert not offer_session(connection, b"session")
    assert not was_resumed(connection)


def test_before_the_handshake_there_is_no_session() -> None:
    assert copy_session(fresh()) is None


def test_one_that_is_absurdly_large_is_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = TLSPolicy(verify=authority().write_certificate(tmp_path / "ca.pem"))
    server = server_context(authority().issue("localhost"))
    pair = connect(ClientContexts(), server, policy)
    monkeypatch.setattr(openssl_sessions, "_MAX_SIZE", 100)
    assert copy_session(pair.client) is None


@pytest.mark.parametrize("junk", [b"", b"junk", b"\x30\x03\x02\x01\x01"])
def test_junk_is_not_offered_and_spoils_nothing(junk: bytes, tmp_path: Path) -> None:
    connection = fresh()
    assert not offer_session(connection, junk)
    pair = Pair(connection, server_context(authority().issue("localhost")))
    pair.shake_hands()  # an error left in OpenSSL's queue would show here
    assert not was_resumed(connection)


def test_a_session_that_openssl_refuses_is_not_offered(
    tmp_path: Path,
) -> None:
    policy = TLSPolicy(verify=authority().write_certificate(tmp_path / "ca.pem"))
    server = server_context(authority().issue("localhost"), "1.3")
    der = copy_session(connect(ClientContexts(), server, policy).client)
    assert der is not None
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    connection = SSL.Connection(context)
    offer_session(connection, der)
    Pair(connection, server).shake_hands()
    assert not was_resumed(connection)
