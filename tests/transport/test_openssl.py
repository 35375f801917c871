"""OpenSSL on a socket: by pyOpenSSL's private names, and by its public ones alone."""

from __future__ import annotations

import socket
import threading
from typing import Any

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.transport import openssl
from httpx_tw.transport.openssl import Direct, Public, can_attach, is_truncation
from tests.transport.crafted_records import (
    ALERT,
    APPLICATION_DATA,
    HANDSHAKE,
    OldRecords,
    Records,
    telling_context,
)
from tests.transport.tls_pair import Pair, client_context


class Ways(SynchronousTestCase):
    """What is used of pyOpenSSL."""

    def open(self) -> Pair:
        pair = Pair()
        self.addCleanup(pair.close)
        pair.shake_hands()
        return pair

    def talk(self, pair: Pair) -> None:
        data = bytes(range(256)) * 300
        pair.peer.send(data)
        pair.transport.write(data)
        pair.run()
        self.assertEqual(pair.protocol.received, data)
        self.assertEqual(pair.peer.received, data)
        pair.transport.loseConnection()
        pair.run()
        pair.peer.say_goodbye()
        pair.run()
        self.assertEqual(len(pair.protocol.reasons), 1)

    def test_the_direct_way_is_taken_where_there_is_one(self) -> None:
        self.assertTrue(can_attach())
        pair = self.open()
        self.assertIs(type(pair.transport._records), Direct)
        self.talk(pair)

    def test_the_public_way_does_the_same(self) -> None:
        self.patch(openssl, "_IS_DIRECT", False)
        pair = self.open()
        self.assertIs(type(pair.transport._records), Public)
        self.talk(pair)

    def test_the_public_way_says_what_it_could_not_send(self) -> None:
        self.patch(openssl, "_IS_DIRECT", False)
        pair = Pair(buffer=100_000)
        self.addCleanup(pair.close)
        pair.shake_hands()
        records = pair.transport._records
        sent = records.write(b"x" * 5_000_000)
        self.assertTrue(0 < sent < 5_000_000)
        with self.assertRaises(SSL.WantWriteError):
            while True:  # over TCP there may be room again, once or twice
                records.write(b"x" * 5_000_000)

    def test_without_the_private_names_nothing_is_attached(self) -> None:
        self.assertFalse(openssl._has("SSL_set_fd", "SSL_no_such_thing"))
        self.patch(openssl, "_CAN_ATTACH", False)
        self.assertFalse(can_attach())
        self.assertFalse(can_attach(SSL.Connection(client_context())))

    def test_a_connection_of_another_make_is_not_attached(self) -> None:
        self.assertTrue(can_attach(SSL.Connection(client_context())))
        strange: Any = object()
        self.assertFalse(can_attach(strange))

    def test_a_socket_openssl_cannot_take_is_an_error(self) -> None:
        class Lib:
            SSL_MODE_AUTO_RETRY = SSL_MODE_RELEASE_BUFFERS = 0

            def SSL_clear_mode(self, *_: Any) -> int:  # noqa: N802  # OpenSSL's
                return 0

            def SSL_set_mode(self, *_: Any) -> int:  # noqa: N802  # OpenSSL's
                return 0

            def SSL_set_fd(self, *_: Any) -> int:  # noqa: N802  # OpenSSL's
                return 0

        pair = self.open()
        self.patch(openssl, "_lib", Lib())
        with self.assertRaises(MemoryError):
            openssl.attach(SSL.Connection(client_context()), pair.peer.socket)
        self.patch(openssl, "_lib", vars(SSL)["_lib"])

    def test_each_thread_has_a_buffer(self) -> None:
        found: list[Any] = [openssl._buffer_of_this_thread()[0]]
        thread = threading.Thread(
            target=lambda: found.append(openssl._buffer_of_this_thread()[0])
        )
        thread.start()
        thread.join()
        self.assertIs(found[0], openssl._buffer_of_this_thread()[0])
        self.assertIsNot(found[0], found[1])

    def test_after_the_end_openssl_has_no_socket(self) -> None:
        # The number may be another connection's by then.
        for is_direct in (True, False):
            self.patch(openssl, "_IS_DIRECT", is_direct)
            pair = self.open()
            connection, records = pair.transport.getHandle(), pair.transport._records
            number = pair.transport.fileno()
            pair.transport.abortConnection()
            pair.reactor.advance(0)
            with self.assertRaises(SSL.Error):
                connection.send(b"x")
            with self.assertRaises(SSL.Error):
                records.read()
            self.assertGreater(number, 0)


class Floods(SynchronousTestCase):
    """What a peer may send without end, and nobody above would ever hear of."""

    def open(self) -> tuple[Pair, Records]:
        secrets: dict[bytes, bytes] = {}
        pair = Pair(context=telling_context(secrets))
        self.addCleanup(pair.close)
        pair.shake_hands()
        return pair, Records(pair.peer, secrets)

    def unread(self, pair: Pair) -> int:
        sock = pair.transport.socket
        return len(sock.recv(1 << 20, socket.MSG_PEEK))

    def test_key_updates_hold_up_nobody(self) -> None:
        # Each costs us 10 µs, and OpenSSL by itself goes on as long as there are some.
        for is_direct in (True, False):
            self.patch(openssl, "_IS_DIRECT", is_direct)
            pair, records = self.open()
            flood = b"".join(records.key_update() for _ in range(300))
            pair.peer.socket.send(flood)
            pair.transport.doRead()
            self.assertGreater(self.unread(pair), len(flood) * 0.9)
            pair.peer.socket.send(records.record(APPLICATION_DATA, b"hello"))
            for _ in range(400):
                pair.reactor.turn()
            self.assertEqual(pair.protocol.received, b"hello")
            self.assertIsNone(pair.protocol.reason)

    def test_nor_do_those_that_want_an_answer(self) -> None:
        pair, records = self.open()
        count = 1000
        flood = b"".join(records.key_update(wants_answer=True) for _ in range(count))
        pair.peer.socket.send(flood)
        turns = 0
        while pair.reactor.turn():
            turns += 1
        # Nobody reads the answers: soon there is no room for more, and reading waits.
        self.assertLess(turns, count)
        self.assertGreater(self.unread(pair), 0)
        self.assertEqual(pair.reactor.getReaders(), [])
        pair.run()
        self.assertIsNone(pair.protocol.reason)

    def test_nor_do_those_who_want_to_negotiate_again(self) -> None:
        pair = Pair(context=client_context(SSL.TLS1_2_VERSION))
        self.addCleanup(pair.close)
        pair.shake_hands()
        records = OldRecords(pair.peer)
        client_hello = bytes([1, 0, 0, 0])
        flood = b"".join(records.record(HANDSHAKE, client_hello) for _ in range(200))
        pair.peer.socket.send(flood)
        pair.transport.doRead()
        self.assertGreater(self.unread(pair), len(flood) * 0.9)
        pair.peer.socket.send(records.record(APPLICATION_DATA, b"hello"))
        for _ in range(300):
            pair.reactor.turn()
        self.assertEqual(pair.protocol.received, b"hello")
        self.assertEqual(pair.protocol.handshakes, 1)

    def test_empty_records_are_an_error_soon(self) -> None:
        pair, records = self.open()
        for _ in range(100):
            pair.peer.socket.send(records.record(APPLICATION_DATA, b""))
        pair.run()
        self.assertIsInstance(pair.protocol.reason, SSL.Error)

    def test_so_are_warnings(self) -> None:
        pair, records = self.open()
        user_canceled = bytes([1, 90])
        for _ in range(100):
            pair.peer.socket.send(records.record(ALERT, user_canceled))
        pair.run()
        self.assertIsInstance(pair.protocol.reason, SSL.Error)


class Ends(SynchronousTestCase):
    """Which errors are no more than the end of the socket."""

    def test_they_are_told_apart(self) -> None:
        for error, is_one in (
            (SSL.SysCallError(-1, "Unexpected EOF"), True),
            (SSL.SysCallError(104, "ECONNRESET"), True),
            (SSL.Error([]), True),
            (SSL.Error(), True),
            (SSL.Error([("", "", "unexpected eof while reading")]), True),
            (SSL.Error([("SSL routines", "", "wrong version number")]), False),
        ):
            self.assertEqual(is_truncation(error), is_one, error)
