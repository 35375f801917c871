"""A TLS transport against a peer moved by hand: data, stages, and every way to end."""

# ruff: noqa: N802  # Twisted's names

from __future__ import annotations

import contextlib  # trial would take a name "suppress" here for its own
import gc
import socket
import weakref
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
)
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    INegotiated,
    IPullProducer,
    IPushProducer,
    ISSLTransport,
)
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from httpx_tw.errors import ConfigurationError, DeadlinePassed
from httpx_tw.transport.openssl import RECORD
from httpx_tw.transport.stream import unsent_bytes, writer_for
from httpx_tw.transport.tls_stream import TLSStream
from tests.transport.tls_pair import (
    Notes,
    Pair,
    Serves,
    client_context,
)


class PairTestCase(SynchronousTestCase):
    def make(self, **options: Any) -> Pair:
        pair = Pair(**options)
        self.addCleanup(pair.close)
        self.addCleanup(self.nothing_is_left, pair)
        return pair

    def open(self, **options: Any) -> Pair:
        pair = self.make(**options)
        pair.shake_hands()
        self.assertEqual(pair.protocol.handshakes, 1)
        return pair

    def nothing_is_left(self, pair: Pair) -> None:
        pair.close()
        self.assertEqual(pair.reactor.readers + pair.reactor.writers, [])
        self.assertEqual(pair.reactor.getDelayedCalls(), [])
        self.assertEqual(len(pair.protocol.reasons), 1)


class Handshakes(PairTestCase):
    """Until it is open."""

    def test_it_says_what_was_agreed_on(self) -> None:
        pair = self.make()
        pair.peer.tls.set_alpn_protos([b"h3", b"http/1.1"])
        self.assertIsNone(pair.transport.negotiatedProtocol)
        pair.shake_hands()
        self.assertEqual(pair.transport.negotiatedProtocol, b"http/1.1")
        self.assertIsInstance(pair.transport.getHandle(), SSL.Connection)
        self.assertIsNone(pair.transport.getPeerCertificate())
        self.assertEqual(pair.peer.tls.get_protocol_version_name(), "TLSv1.3")
        for interface in (ISSLTransport, INegotiated):
            verifyObject(interface, pair.transport)

    def test_what_is_written_before_waits_for_it(self) -> None:
        pair = self.make()
        pair.transport.write(b"one ")
        pair.transport.writeSequence([b"two ", b"three"])
        self.assertEqual(unsent_bytes(pair.transport), 13)
        self.assertEqual(pair.reactor.writers, [])
        pair.shake_hands()
        self.assertEqual(pair.peer.received, b"one two three")

    def test_it_goes_on_while_the_protocol_has_paused(self) -> None:
        pair = self.make()
        pair.transport.pauseProducing()
        pair.shake_hands()
        self.assertEqual(pair.protocol.handshakes, 1)
        pair.peer.send(b"later")
        pair.run()
        self.assertEqual(pair.protocol.received, b"")
        pair.transport.resumeProducing()
        pair.run()
        self.assertEqual(pair.protocol.received, b"later")

    def test_what_is_no_tls_fails_with_the_error_of_openssl(self) -> None:
        pair = self.make()
        pair.peer.socket.send(b"GET / HTTP/1.1\r\n\r\n")
        pair.run()
        self.assertIsInstance(pair.protocol.reason, SSL.Error)
        self.assertEqual(pair.protocol.handshakes, 0)

    def test_the_peer_is_told_why_it_failed(self) -> None:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_max_proto_version(SSL.TLS1_1_VERSION)
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
        pair = self.make(context=context)
        pair.shake_hands()
        self.assertIsInstance(pair.protocol.reason, SSL.Error)
        self.assertIn("alert", str(pair.peer.error))

    def test_a_peer_that_goes_in_the_middle_is_lost(self) -> None:
        pair = self.make()
        pair.peer.socket.close()
        pair.reactor.turn()
        self.assertIsInstance(pair.protocol.reason, ConnectionLost)

    def test_one_that_takes_too_long_is_aborted(self) -> None:
        pair = self.make(handshake_timeout=7.0)
        pair.reactor.advance(6.9)
        self.assertIsNone(pair.protocol.reason)
        pair.reactor.advance(0.2)
        pair.reactor.advance(0)
        self.assertIsInstance(pair.protocol.reason, DeadlinePassed)
        self.assertIn("7 s", str(pair.protocol.reason))

    def test_without_a_timeout_it_may_take_for_ever(self) -> None:
        pair = self.make(handshake_timeout=0.0)
        self.assertEqual(pair.reactor.getDelayedCalls(), [])

    def test_to_close_with_nothing_to_say_aborts_it(self) -> None:
        pair = self.make()
        pair.transport.loseConnection()
        pair.transport.loseConnection()
        pair.reactor.advance(0)
        self.assertIsInstance(pair.protocol.reason, ConnectionAborted)

    def test_to_close_with_something_to_say_waits_for_it(self) -> None:
        pair = self.make()
        pair.transport.write(b"the last words")
        pair.transport.loseConnection()
        pair.transport.write(b" but these")
        pair.shake_hands()
        self.assertEqual(pair.peer.received, b"the last words")
        self.assertTrue(pair.peer.has_ended)

    def test_a_verification_that_fails_is_the_reason(self) -> None:
        problem = RuntimeError("not who it should be")

        class Suspicious(Serves):
            def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:  # noqa: N803  # Twisted's
                connection = super().serverConnectionForTLS(tlsProtocol)

                def look(found: SSL.Connection, where: int, _: int) -> None:
                    if where & SSL.SSL_CB_HANDSHAKE_DONE:
                        found.get_app_data().failVerification(Failure(problem))

                connection.set_info_callback(look)
                return connection

        pair = self.make(creator=Suspicious())
        pair.shake_hands()
        self.assertEqual(pair.protocol.reasons, [problem])
        self.assertEqual(pair.protocol.handshakes, 0)

    def test_a_creator_that_fails_leaves_no_socket(self) -> None:
        class Broken(Serves):
            def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:  # noqa: N803  # Twisted's
                raise RuntimeError("no certificate")

        with self.assertRaises(RuntimeError):
            Pair(creator=Broken())

    def test_tls_is_not_started_twice(self) -> None:
        pair = self.open()
        with self.assertRaises(ConfigurationError):
            pair.transport.startTLS(Serves())


class Data(PairTestCase):
    """While it is open."""

    def test_a_small_write_leaves_at_once(self) -> None:
        pair = self.open()
        write = writer_for(pair.transport)
        self.assertIs(write, TLSStream.write)
        write(pair.transport, b"hello")
        self.assertEqual((unsent_bytes(pair.transport), pair.reactor.writers), (0, []))
        pair.peer.step()
        self.assertEqual(pair.peer.received, b"hello")

    def test_nothing_is_no_record(self) -> None:
        pair = self.open()
        pair.transport.write(b"")
        pair.transport.writeSequence([])
        self.assertFalse(pair.peer.step())

    def test_only_bytes_are_written(self) -> None:
        pair = self.open()
        for wrong in ("text", bytearray(b"x"), memoryview(b"x")):
            with self.assertRaises(TypeError):
                pair.transport.write(wrong)

    def test_more_than_the_socket_takes_waits_in_order(self) -> None:
        pair = self.open(buffer=100_000)
        data = bytes(range(256)) * 8000
        pair.transport.write(data)
        pair.transport.write(b"after")
        waiting = unsent_bytes(pair.transport)
        assert waiting is not None
        self.assertTrue(0 < waiting < len(data) + 5)
        pair.run()
        self.assertEqual(pair.peer.received, data + b"after")
        self.assertEqual(pair.reactor.writers, [])

    def test_full_records_are_read_several_in_one_event(self) -> None:
        pair = self.open()
        data = b"x" * (6 * RECORD + 10)
        pair.peer.send(data)
        pair.reactor.turn()
        self.assertEqual(pair.protocol.pieces, [RECORD] * 4)
        pair.run()
        self.assertEqual(pair.protocol.received, data)

    def test_a_pause_in_the_middle_is_heeded(self) -> None:
        pair = self.open()
        protocol: Any = pair.protocol

        def pause(data: bytes) -> None:
            Notes.dataReceived(pair.protocol, data)
            pair.transport.pauseProducing()

        protocol.dataReceived = pause
        pair.peer.send(b"x" * (3 * RECORD))
        pair.run()
        self.assertEqual(pair.protocol.pieces, [RECORD])
        pair.transport.resumeProducing()
        pair.run()
        self.assertEqual(pair.protocol.pieces, [RECORD] * 2)

    def test_tls_1_2_works_and_does_not_renegotiate(self) -> None:
        pair = self.open(context=client_context(SSL.TLS1_2_VERSION))
        pair.peer.send(b"ping")
        pair.run()
        pair.transport.write(b"pong")
        pair.run()
        self.assertEqual(
            (pair.protocol.received, pair.peer.received), (b"ping", b"pong")
        )
        pair.peer.tls.renegotiate()
        with self.assertRaises(SSL.Error):
            for _ in range(100):
                with contextlib.suppress(SSL.WantReadError):
                    pair.peer.tls.do_handshake()
                pair.peer.flush()
                pair.reactor.turn()
                pair.peer._take_in()
        self.assertEqual(pair.protocol.handshakes, 1)

    def test_errors_that_others_left_in_openssl_do_no_harm(self) -> None:
        pair = self.open()
        _lib: Any = vars(SSL)["_lib"]

        def spoil() -> None:
            _lib.ERR_put_error(_lib.ERR_LIB_EVP, 0, 100, b"elsewhere", 1)

        if not hasattr(_lib, "ERR_put_error"):
            self.skipTest("no way to leave an error")
        spoil()
        pair.peer.send(b"x" * RECORD)  # a full one: the next read finds nothing
        spoil()
        pair.run()
        self.assertEqual(len(pair.protocol.received), RECORD)
        self.assertIsNone(pair.protocol.reason)

    def test_nor_do_they_change_how_it_ends(self) -> None:
        _lib: Any = vars(SSL)["_lib"]
        for end, reason in (
            (lambda pair: pair.peer.say_goodbye(), ConnectionDone),
            (lambda pair: pair.peer.socket.shutdown(socket.SHUT_WR), ConnectionLost),
            (lambda pair: pair.peer.socket.send(b"\x17\x03\x03\0\1x"), SSL.Error),
        ):
            pair = self.open()
            end(pair)
            _lib.ERR_put_error(_lib.ERR_LIB_EVP, 0, 100, b"elsewhere", 1)
            pair.run()
            self.assertIsInstance(pair.protocol.reason, reason)

    @settings(deadline=None, max_examples=30)
    @given(
        st.lists(st.binary(min_size=1, max_size=40_000), min_size=1, max_size=4),
        st.lists(st.integers(1, 9000), min_size=1, max_size=20),
        st.integers(0, 1),
    )
    def test_any_split_of_the_ciphertext_gives_the_same(
        self, messages: list[bytes], cuts: list[int], upto: int
    ) -> None:
        version = (SSL.TLS1_2_VERSION, None)[upto]
        pair = Pair(context=client_context(version))
        try:
            sizes = iter(cuts * 100_000)

            def trickle() -> None:
                data = pair.peer.outgoing()
                while data:
                    size = next(sizes)
                    pair.peer.socket.send(data[:size])
                    data = data[size:]
                    pair.reactor.turn()
                pair.peer._take_in()

            while not pair.protocol.handshakes:
                with contextlib.suppress(SSL.WantReadError):
                    pair.peer.tls.do_handshake()
                trickle()
            for message in messages:
                pair.peer.tls.sendall(message)
            pair.peer.tls.shutdown()
            trickle()
            pair.run()
            self.assertEqual(pair.protocol.received, b"".join(messages))
            self.assertIsInstance(pair.protocol.reason, ConnectionDone)
        finally:
            pair.close()


class FakeRecords:
    """Records that say what they are told."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.on_read: list[Exception] = []
        self.on_write: list[Exception] = []
        self.on_shutdown: list[Exception] = []
        self.on_handshake: list[Exception] = []

    def handshake(self) -> None:
        if self.on_handshake:
            raise self.on_handshake.pop(0)
        self.real.handshake()

    def read(self) -> Any:
        if self.on_read:
            raise self.on_read.pop(0)
        return self.real.read()

    def write(self, data: Any) -> Any:
        if self.on_write:
            raise self.on_write.pop(0)
        return self.real.write(data)

    def shutdown(self) -> Any:
        if self.on_shutdown:
            raise self.on_shutdown.pop(0)
        return self.real.shutdown()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class OtherWants(PairTestCase):
    """OpenSSL may want to write before it reads, and to read before it writes."""

    def open_faked(self, **options: Any) -> tuple[Pair, FakeRecords]:
        pair = self.open(**options)
        records = FakeRecords(pair.transport._records)
        pair.transport._records = records
        return pair, records

    def test_a_read_that_wants_to_write_is_tried_when_it_can(self) -> None:
        pair, records = self.open_faked()
        records.on_read = [SSL.WantWriteError()]
        pair.peer.send(b"hello")
        pair.reactor.turn()
        self.assertEqual((pair.reactor.readers, pair.protocol.received), ([], b""))
        pair.reactor.turn()
        self.assertEqual(pair.protocol.received, b"hello")
        self.assertEqual(len(pair.reactor.readers), 1)
        self.assertEqual(pair.reactor.writers, [])

    def test_a_write_that_wants_to_read_is_tried_when_it_can(self) -> None:
        pair, records = self.open_faked()
        records.on_write = [SSL.WantReadError(), SSL.WantReadError()]
        pair.transport.write(b"pong")
        pair.reactor.turn()
        self.assertEqual(pair.reactor.writers, [])
        pair.peer.send(b"ping")
        pair.run()
        self.assertEqual(pair.protocol.received, b"ping")
        self.assertEqual(pair.peer.received, b"pong")

    def test_that_ends_no_pause(self) -> None:
        pair, records = self.open_faked()
        pair.transport.pauseProducing()
        records.on_write = [SSL.WantReadError(), SSL.WantReadError()]
        pair.transport.write(b"pong")
        pair.reactor.turn()
        pair.peer.send(b"ping")
        pair.run()
        self.assertEqual((pair.peer.received, pair.reactor.readers), (b"pong", []))

    def test_a_handshake_that_wants_to_write_is_tried_when_it_can(self) -> None:
        pair = self.make()
        records = FakeRecords(pair.transport._records)
        pair.transport._records = records
        records.on_handshake = [SSL.WantWriteError()]
        pair.shake_hands()
        self.assertEqual((records.on_handshake, pair.protocol.handshakes), ([], 1))

    def test_what_is_queued_meanwhile_is_sent_too(self) -> None:
        pair, records = self.open_faked()
        records.on_read = [SSL.WantWriteError()]
        pair.peer.send(b"ping")
        pair.reactor.turn()
        records.on_write = [SSL.WantWriteError()]
        pair.transport.write(b"pong")
        pair.transport.pauseProducing()
        pair.run()
        self.assertEqual((pair.peer.received, pair.reactor.readers), (b"pong", []))

    def test_a_goodbye_that_does_not_fit_is_sent_later(self) -> None:
        pair, records = self.open_faked()
        records.on_shutdown = [SSL.WantWriteError(), SSL.WantWriteError()]
        pair.transport.loseConnection()
        pair.run()
        self.assertTrue(pair.peer.has_ended)
        pair.peer.say_goodbye()
        pair.run()
        self.assertIsInstance(pair.protocol.reason, ConnectionDone)

    def test_a_half_goodbye_that_does_not_fit_is_sent_later(self) -> None:
        pair, records = self.open_faked()
        records.on_shutdown = [SSL.WantWriteError()]
        pair.transport.loseWriteConnection()
        pair.run()
        self.assertTrue(pair.peer.has_ended)
        pair.peer.send(b"still heard")
        pair.run()
        self.assertEqual(pair.protocol.received, b"still heard")

    def test_a_goodbye_that_fails_is_the_end(self) -> None:
        pair, records = self.open_faked()
        records.on_shutdown = [SSL.Error([("", "", "broken")])]
        pair.transport.loseConnection()
        pair.reactor.advance(0)
        self.assertIsInstance(pair.protocol.reason, ConnectionLost)
        pair, records = self.open_faked()
        records.on_shutdown = [SSL.Error([("", "", "broken")])]
        pair.transport.loseWriteConnection()
        pair.reactor.turn()
        self.assertIsInstance(pair.protocol.reason, ConnectionLost)

    def test_a_write_that_fails_is_met_by_the_reactor(self) -> None:
        pair, records = self.open_faked()
        problem = SSL.Error([("", "", "bad length")])
        records.on_write = [problem, problem]
        pair.transport.write(b"hello")
        self.assertIsNone(pair.protocol.reason)
        pair.reactor.turn()
        self.assertEqual(pair.protocol.reasons, [problem])


@implementer(IPushProducer)
class Push:
    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


@implementer(IPullProducer)
class Pull:
    def __init__(self, transport: Any, count: int) -> None:
        self.transport, self.left = transport, count
        self.is_stopped = False

    def resumeProducing(self) -> None:
        self.left -= 1
        self.transport.write(b"x")
        if not self.left:
            self.transport.unregisterProducer()

    def stopProducing(self) -> None:
        self.is_stopped = True


class Producers(PairTestCase):
    """Who writes when there is room."""

    def test_a_pull_producer_gets_all_its_turns(self) -> None:
        pair = self.open()
        pair.transport.registerProducer(Pull(pair.transport, 200), False)
        pair.run()
        self.assertEqual(pair.peer.received, b"x" * 200)

    def test_so_does_one_that_came_before_the_handshake(self) -> None:
        pair = self.make()
        pair.transport.registerProducer(Pull(pair.transport, 5), False)
        pair.shake_hands()
        self.assertEqual(pair.peer.received, b"x" * 5)

    def test_a_push_producer_is_paused_and_resumed(self) -> None:
        pair = self.open(buffer=4096)
        producer = Push()
        pair.transport.registerProducer(producer, True)
        pair.transport.write(b"x" * 1_000_000)
        self.assertEqual(producer.told, ["pause"])
        pair.run()
        self.assertEqual(producer.told, ["pause", "resume"])
        self.assertEqual(len(pair.peer.received), 1_000_000)
        pair.transport.unregisterProducer()

    def test_the_goodbye_waits_for_the_producer(self) -> None:
        pair = self.open()
        pair.transport.registerProducer(Push(), True)
        pair.transport.loseConnection()
        pair.transport.write(b"the rest")
        pair.run()
        self.assertFalse(pair.peer.has_ended)
        pair.transport.unregisterProducer()
        pair.run()
        self.assertTrue(pair.peer.has_ended)
        self.assertEqual(pair.peer.received, b"the rest")

    def test_it_is_stopped_when_the_peer_says_goodbye(self) -> None:
        pair = self.open()
        producer = Push()
        pair.transport.registerProducer(producer, True)
        pair.peer.say_goodbye()
        pair.run()
        self.assertEqual(producer.told, ["stop"])
        self.assertIsInstance(pair.protocol.reason, ConnectionDone)

    def test_one_that_aborts_in_its_stop_is_obeyed(self) -> None:
        pair = self.open()

        class Aborts(Push):
            def stopProducing(self) -> None:
                pair.transport.abortConnection()

        pair.transport.registerProducer(Aborts(), True)
        pair.peer.say_goodbye()
        pair.run()
        self.assertIsInstance(pair.protocol.reason, ConnectionAborted)


class Endings(PairTestCase):
    """Goodbyes, and ends without."""

    def test_ours_is_sent_and_theirs_awaited(self) -> None:
        pair = self.open()
        pair.transport.write(b"bye")
        pair.transport.loseConnection()
        pair.run()
        self.assertEqual((pair.peer.received, pair.peer.has_ended), (b"bye", True))
        self.assertTrue(pair.peer.saw_fin)
        self.assertIsNone(pair.protocol.reason)
        pair.peer.say_goodbye()
        pair.run()
        self.assertIsInstance(pair.protocol.reason, ConnectionDone)

    def test_after_ours_nothing_is_delivered_or_written(self) -> None:
        pair = self.open()
        pair.transport.loseConnection()
        pair.transport.write(b"too late")
        pair.peer.send(b"x" * 100_000)
        pair.run()
        self.assertEqual((pair.protocol.received, pair.peer.received), (b"", b""))
        pair.transport.pauseProducing()
        pair.transport.resumeProducing()

    def test_theirs_is_not_awaited_for_ever(self) -> None:
        pair = self.open(close_timeout=3.0)
        pair.transport.loseConnection()
        pair.reactor.advance(2.9)
        self.assertIsNone(pair.protocol.reason)
        pair.reactor.advance(0.2)
        self.assertIsInstance(pair.protocol.reason, ConnectionLost)

    def test_or_not_at_all(self) -> None:
        pair = self.open(close_timeout=0.0)
        pair.transport.write(b"x" * 100_000)
        pair.transport.loseConnection()
        self.assertIsNone(pair.protocol.reason)
        pair.run()
        self.assertIsInstance(pair.protocol.reason, ConnectionDone)
        self.assertEqual(len(pair.peer.received), 100_000)
        self.assertTrue(pair.peer.has_ended)

    def test_theirs_is_answered_when_all_is_sent(self) -> None:
        pair = self.open(buffer=4096)
        pair.transport.write(b"x" * 500_000)
        pair.peer.say_goodbye()
        pair.reactor.turn()
        pair.transport.write(b"dropped")
        pair.run()
        self.assertEqual(len(pair.peer.received), 500_000)
        self.assertTrue(pair.peer.has_ended)
        self.assertIsInstance(pair.protocol.reason, ConnectionDone)

    def test_a_peer_that_has_ended_and_does_not_read_is_not_awaited(self) -> None:
        pair = self.open(buffer=4096)
        pair.transport.write(b"x" * 5_000_000)
        pair.peer.say_goodbye()
        pair.reactor.turn()
        self.assertIsNone(pair.protocol.reason)
        pair.reactor.advance(15)
        self.assertIsInstance(pair.protocol.reason, ConnectionLost)

    def test_data_and_goodbye_in_one_read_are_both_heard(self) -> None:
        pair = self.open()
        pair.peer.tls.sendall(b"x" * RECORD)
        pair.peer.tls.shutdown()
        pair.peer.flush()
        pair.run()
        self.assertEqual(len(pair.protocol.received), RECORD)
        self.assertIsInstance(pair.protocol.reason, ConnectionDone)

    def test_an_end_without_goodbye_is_a_loss(self) -> None:
        pair = self.open()
        pair.peer.send(b"cut off")
        pair.peer.socket.close()
        while pair.reactor.turn():
            pass
        self.assertEqual(pair.protocol.received, b"cut off")
        self.assertIsInstance(pair.protocol.reason, ConnectionLost)

    def test_so_is_one_the_reactor_sees_first(self) -> None:
        pair = self.open()
        pair.transport.readConnectionLost(Failure(ConnectionDone()))
        self.assertIsInstance(pair.protocol.reason, ConnectionLost)

    def test_so_is_one_after_our_goodbye(self) -> None:
        pair = self.open()
        pair.transport.loseConnection()
        pair.peer.socket.close()
        while pair.reactor.turn():
            pass
        self.assertIsInstance(pair.protocol.reason, ConnectionLost)

    def test_a_broken_record_is_an_error_of_openssl(self) -> None:
        pair = self.open()
        pair.peer.tls.sendall(b"hello")
        data = bytearray(pair.peer.outgoing())
        data[-1] ^= 1
        pair.peer.socket.send(data)
        pair.run()
        self.assertIsInstance(pair.protocol.reason, SSL.Error)
        self.assertIn("alert", str(pair.peer.error))

    def test_a_peer_that_is_gone_is_met_when_we_write(self) -> None:
        pair = self.open()
        pair.transport.pauseProducing()
        pair.peer.socket.close()
        pair.transport.write(b"to nobody")
        pair.transport.write(b"more")
        while pair.reactor.turn():
            pass
        self.assertIsInstance(pair.protocol.reason, ConnectionLost)

    def test_abort_is_at_once_and_not_within_the_call(self) -> None:
        pair = self.open()
        pair.transport.write(b"x" * 5_000_000)
        pair.transport.abortConnection()
        pair.transport.abortConnection()
        pair.transport.write(b"dropped")
        pair.transport.loseConnection()
        self.assertIsNone(pair.protocol.reason)
        pair.reactor.advance(0)
        self.assertIsInstance(pair.protocol.reason, ConnectionAborted)
        self.assertIsNone(pair.transport.getHandle())
        self.assertIsNone(pair.transport.getPeerCertificate())
        self.assertIsNone(pair.transport.negotiatedProtocol)

    def test_it_ends_once(self) -> None:
        pair = self.open()
        for _ in range(2):
            pair.transport.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(pair.protocol.reasons), 1)

    def test_abort_while_closing(self) -> None:
        pair = self.open()
        pair.transport.loseConnection()
        pair.transport.abortConnection()
        pair.reactor.advance(0)
        self.assertIsInstance(pair.protocol.reason, ConnectionAborted)

    def test_our_side_can_end_and_theirs_go_on(self) -> None:
        @implementer(IHalfCloseableProtocol)
        class Half(Notes):
            ended = 0

            def writeConnectionLost(self) -> None:
                self.ended += 1

            def readConnectionLost(self) -> None:
                raise AssertionError("TLS has no half-close")

        half: Any = Half()
        pair = self.open(protocol=half)
        pair.transport.write(b"413")
        pair.transport.loseWriteConnection()
        pair.run()
        self.assertEqual((pair.peer.received, pair.peer.has_ended), (b"413", True))
        self.assertEqual(half.ended, 1)
        pair.transport.write(b"dropped")
        pair.peer.send(b"the rest of the upload")
        pair.run()
        self.assertEqual(pair.protocol.received, b"the rest of the upload")
        pair.peer.say_goodbye()
        pair.run()
        self.assertIsInstance(pair.protocol.reason, ConnectionDone)

    def test_after_our_side_has_ended_closing_waits_no_more(self) -> None:
        pair = self.open()
        pair.transport.loseWriteConnection()
        pair.run()
        pair.transport.loseConnection()
        self.assertIsNone(pair.protocol.reason)
        pair.reactor.advance(0)
        self.assertIsInstance(pair.protocol.reason, ConnectionDone)

    def test_our_side_can_end_before_the_handshake(self) -> None:
        pair = self.make()
        pair.transport.loseWriteConnection()
        pair.shake_hands()
        self.assertTrue(pair.peer.has_ended)

    def test_the_peer_s_own_half_close_ends_both(self) -> None:
        pair = self.open()
        pair.peer.socket.shutdown(socket.SHUT_WR)
        pair.run()
        self.assertIsInstance(pair.protocol.reason, ConnectionLost)

    def test_nothing_of_it_waits_for_the_collector(self) -> None:
        gc.disable()
        self.addCleanup(gc.enable)
        for end in ("abortConnection", "loseConnection"):
            pair = Pair()
            if end == "loseConnection":
                pair.shake_hands()
            getattr(pair.transport, end)()
            pair.close()
            gone = weakref.ref(pair.transport)
            pair.protocol.transport = None
            del pair
            self.assertIsNone(gone(), end)


class RandomEnds(SynchronousTestCase):
    """Whatever is done in whatever order, it ends once and leaves nothing."""

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(
            st.sampled_from(
                "turn peer write big lose half abort pause resume bye cut".split()
            ),
            max_size=15,
        )
    )
    def test_any_history_ends_once(self, history: list[str]) -> None:
        pair = Pair(buffer=4096)
        number = pair.transport.fileno()
        transport, peer = pair.transport, pair.peer
        try:
            peer.tls.do_handshake()
        except SSL.WantReadError:
            peer.flush()
        deeds: dict[str, Any] = {
            "turn": pair.reactor.turn,
            "write": lambda: transport.write(b"x"),
            "big": lambda: transport.write(b"x" * 300_000),
            "lose": transport.loseConnection,
            "half": transport.loseWriteConnection,
            "abort": transport.abortConnection,
            "pause": transport.pauseProducing,
            "resume": transport.resumeProducing,
        }
        is_cut = False
        for deed in history:
            if not transport.connected:
                break
            if deed in deeds:
                deeds[deed]()
            elif deed == "cut":
                peer.socket.close()
                is_cut = True
            elif not is_cut and deed == "peer":
                peer.step()
            elif not is_cut:
                with contextlib.suppress(SSL.Error):
                    peer.say_goodbye()
        for _ in range(4):
            pair.reactor.turn()
        pair.close()
        self.assertEqual(len(pair.protocol.reasons), 1)
        self.assertEqual(pair.reactor.readers + pair.reactor.writers, [])
        self.assertEqual(pair.reactor.getDelayedCalls(), [])
        self.assertFalse(hasattr(transport, "socket"))
        self.assertGreaterEqual(number, 0)
