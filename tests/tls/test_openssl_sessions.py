"""The private names of pyOpenSSL that are used, and what is done without them."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from OpenSSL import SSL

from httpx_tw.tls import openssl_sessions
from httpx_tw.tls.contexts import ClientContexts, TLSPolicy
from httpx_tw.tls.openssl_sessions import (
    copy_session,
    find,
    info_watcher,
    offer_session,
    still_has,
    was_resumed,
)
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


def test_one_that_openssl_takes_apart_but_does_not_take_is_not_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = TLSPolicy(verify=authority().write_certificate(tmp_path / "ca.pem"))
    server = server_context(authority().issue("localhost"))
    der = copy_session(connect(ClientContexts(), server, policy).client)
    assert der is not None
    library = openssl_sessions._lib
    names = ("d2i_SSL_SESSION", "SSL_SESSION_free", "ERR_clear_error")
    refusing = SimpleNamespace(**{name: getattr(library, name) for name in names})
    refusing.SSL_set_session = lambda *_: 0
    monkeypatch.setattr(openssl_sessions, "_lib", refusing)
    assert not offer_session(fresh(), der)
    del refusing.ERR_clear_error
    assert not offer_session(fresh(), der)


def test_a_session_of_another_version_is_not_resumed(
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


def hello_of(connection: SSL.Connection) -> tuple[list[int], list[int]]:
    """Return the groups that a ClientHello names, and those it has keys for."""
    connection.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    hello = connection.bio_read(65536)
    at = 5 + 4 + 2 + 32
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 1 + hello[at] + 2
    found: dict[int, bytes] = {}
    while at < len(hello):
        kind, size = struct.unpack_from("!HH", hello, at)
        found[kind] = hello[at + 6 : at + 4 + size]
        at += 4 + size
    named = [number for (number,) in struct.iter_unpack("!H", found[10])]
    shares, keys = found[51], []
    while shares:
        number, size = struct.unpack_from("!HH", shares)
        keys.append(number)
        shares = shares[4 + size :]
    return named, keys


class TestGroups:
    """The key that a server wanted once is the one that is sent."""

    def der(self, tmp_path: Path) -> bytes:
        policy = TLSPolicy(verify=authority().write_certificate(tmp_path / "ca.pem"))
        server = server_context(authority().issue("localhost"))
        der = copy_session(connect(ClientContexts(), server, policy).client)
        assert der is not None
        return der

    def test_one_key_is_sent_and_no_group_that_openssl_would_not_name(
        self, tmp_path: Path
    ) -> None:
        der = self.der(tmp_path)
        default, two = hello_of(fresh())
        assert len(two) == 2
        for group in (0x11EC, 0x1D, 0x17, 0x1E, 0x18, 0x19):
            connection = fresh()
            assert offer_session(connection, der, group)
            named, keys = hello_of(connection)
            assert keys == [group]
            assert set(named) <= set(default)
            assert named == [each for each in default if each in named], "the order"

    @pytest.mark.parametrize("group", [0, 0x100, 0x29, 12345])
    def test_what_is_not_known_is_left_to_openssl(
        self, tmp_path: Path, group: int
    ) -> None:
        connection = fresh()
        assert offer_session(connection, self.der(tmp_path), group)
        assert hello_of(connection) == hello_of(fresh())

    def test_an_openssl_without_stars_sends_what_it_would(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        der = self.der(tmp_path)
        monkeypatch.setattr(openssl_sessions, "_set_groups", lambda *_: 0)
        assert offer_session(fresh(), der, 0x1D)
        monkeypatch.setattr(openssl_sessions, "_set_groups", None)
        assert offer_session(fresh(), der, 0x1D)

    def test_a_server_that_has_changed_its_mind_asks_for_another(
        self, tmp_path: Path
    ) -> None:
        policy = TLSPolicy(verify=authority().write_certificate(tmp_path / "ca.pem"))
        server = server_context(authority().issue("localhost"))
        contexts = ClientContexts()
        assert not connect(contexts, server, policy).is_resumed
        # Of this server, from now on, nothing but P-256.
        creator = contexts.creator_for("localhost", 443, policy)
        pair = Pair(creator.clientConnectionForTLS(None), server)
        SSL._lib.SSL_set1_curves_list(pair.server._ssl, b"secp256r1")  # type: ignore[attr-defined]  # private
        pair.shake_hands()
        assert pair.say() == b"hello"
        assert pair.is_resumed
        again = creator.clientConnectionForTLS(None)
        assert hello_of(again)[1] == [0x17]


def test_a_resumed_session_is_the_one_offered_until_there_is_a_new_ticket(
    tmp_path: Path,
) -> None:
    policy = TLSPolicy(verify=authority().write_certificate(tmp_path / "ca.pem"))
    server = server_context(authority().issue("localhost"), "1.2")
    der = copy_session(connect(ClientContexts(), server, policy).client)
    assert der is not None
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    connection = SSL.Connection(context)
    offered = offer_session(connection, der)
    Pair(connection, server).shake_hands()
    assert was_resumed(connection)
    assert still_has(connection, offered)
    assert copy_session(connection) == der
    other = SSL.Connection(context)
    Pair(other, server).shake_hands()
    assert not still_has(other, offered)


def test_what_happens_is_told_with_or_without_the_short_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[SSL.Connection, int, int]] = []
    watchers = [info_watcher(lambda *event: told.append(event))]
    monkeypatch.setattr(openssl_sessions, "_lib", SimpleNamespace())
    watchers.append(info_watcher(lambda *event: told.append(event)))
    for watch in watchers:
        connection = fresh()
        watch(connection)
        Pair(connection, server_context(authority().issue("localhost"))).shake_hands()
        assert {found for found, _, _ in told} == {connection}
        assert any(where == SSL.SSL_CB_HANDSHAKE_DONE for _, where, _ in told)
        told.clear()
