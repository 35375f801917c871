"""A stream that is received and sent for: as stock ones are, whatever the batch."""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from zope.interface import implementer

from httpx_tw.transport.completion_stream import CompletionServer
from httpx_tw.transport.file_sender import (
    can_send_files,
    resume_when_writable,
    send_file,
)
from httpx_tw.transport.stream import can_half_close, unsent_bytes, writer_for
from tests.reactors.descriptors import descriptors
from tests.reactors.uring_case import Heard, UringCase
from tests.transport.tls_pair import Serves

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = bytes(range(256)) * 65_536  # 16 MiB: more than two sockets take


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Heard):
    def __init__(self) -> None:
        super().__init__()
        self.ends: list[str] = []

    def readConnectionLost(self) -> None:
        self.ends.append("read")

    def writeConnectionLost(self) -> None:
        self.ends.append("write")


class Producer:
    def __init__(self, transport: Any, pieces: list[bytes]) -> None:
        self.transport = transport
        self.pieces = pieces
        self.turns: list[str] = []

    def pauseProducing(self) -> None:
        self.turns.append("pause")

    def stopProducing(self) -> None:
        self.turns.append("stop")

    def resumeProducing(self) -> None:
        self.turns.append("resume")
        if self.pieces:
            self.transport.write(self.pieces.pop(0))
        else:
            self.transport.unregisterProducer()
            self.transport.loseConnection()


class Receiving(UringCase):
    def test_it_is_what_a_port_of_ours_makes_on_this_reactor(self) -> None:
        protocol, _ = self.connected()
        assert type(protocol.transport) is CompletionServer
        assert can_half_close(protocol.transport)

    def test_what_comes_is_delivered(self) -> None:
        protocol, client = self.connected()
        for word in (b"one", b"two"):
            client.send(word)
            self.spin(lambda: protocol.heard.endswith(word))  # noqa: B023  # in this turn
        assert protocol.pieces == [b"one", b"two"]

    def test_much_comes_in_few_pieces_and_in_order(self) -> None:
        protocol, client = self.connected()
        sent = 0

        def all_is_there() -> bool:
            nonlocal sent
            with contextlib.suppress(BlockingIOError):
                while sent < len(LARGE):
                    sent += client.send(LARGE[sent : sent + 65536])
            return len(protocol.heard) == len(LARGE)

        self.spin(all_is_there)
        assert protocol.heard == LARGE
        assert len(protocol.pieces) < len(LARGE) / 8192, "several buffers are one piece"

    def test_nothing_is_delivered_while_it_is_paused(self) -> None:
        protocol, client = self.connected()
        protocol.transport.pauseProducing()
        client.send(b"before the kernel knows")
        self.rest()
        client.send(b", and after")
        self.rest()
        assert protocol.pieces == []
        protocol.transport.resumeProducing()
        self.spin(lambda: protocol.heard == b"before the kernel knows, and after")

    def test_what_is_paused_leaves_bytes_in_the_kernel(self) -> None:
        protocol, client = self.connected()
        protocol.transport.pauseProducing()
        self.rest()
        sent = 0
        for _ in range(20):
            with contextlib.suppress(BlockingIOError):
                while True:
                    sent += client.send(bytes(65536))
            self.rest()
        assert protocol.transport._held == ()
        protocol.transport.resumeProducing()
        self.spin(lambda: len(protocol.heard) == sent)

    def test_pausing_and_resuming_in_one_batch_asks_the_kernel_for_nothing(
        self,
    ) -> None:
        protocol, client = self.connected()
        for _ in range(3):
            protocol.transport.pauseProducing()
            protocol.transport.resumeProducing()
        self.reactor.completions.flush()
        assert self.reactor.completions.ring.unsubmitted == 0
        client.send(b"x")
        self.spin(lambda: protocol.heard == b"x")

    def test_a_pause_by_what_was_delivered_holds_the_rest(self) -> None:
        class PausesItself(Heard):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                self.transport.pauseProducing()  # type: ignore[union-attr]  # connected

        protocol, client = self.connected(PausesItself)
        client.send(b"1")
        self.spin(lambda: protocol.pieces)
        client.send(b"2")
        client.close()
        self.rest()
        assert protocol.pieces == [b"1"]
        protocol.transport.resumeProducing()
        self.spin(lambda: len(protocol.pieces) == 2)
        self.assertIsNone(protocol.reason)
        protocol.transport.resumeProducing()
        self.spin(lambda: protocol.reason)
        self.assertIsInstance(protocol.reason.value, ConnectionDone)

    def test_what_was_held_comes_before_what_follows_and_the_end_last(self) -> None:
        protocol, client = self.connected()
        stream = protocol.transport
        stream.pauseProducing()
        for result in (b"held", b" too", 0):
            stream.completed(result)
        assert protocol.pieces == []
        stream.resumeProducing()
        self.spin(lambda: protocol.reason)
        assert protocol.heard.startswith(b"held too")
        del client

    def test_the_end_of_the_peer_ends_it(self) -> None:
        protocol, client = self.connected()
        client.send(b"last words")
        client.close()
        self.spin(lambda: protocol.reason)
        assert protocol.heard == b"last words"
        protocol.reason.trap(ConnectionDone)

    def test_a_reset_ends_it_as_lost(self) -> None:
        protocol, client = self.connected()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        self.spin(lambda: protocol.reason)
        protocol.reason.trap(ConnectionLost)

    def test_who_can_half_close_goes_on_writing(self) -> None:
        protocol, client = self.connected(HalfCloseable)
        client.shutdown(socket.SHUT_WR)
        self.spin(lambda: protocol.ends)
        assert protocol.ends == ["read"]
        protocol.transport.write(b"answer")
        assert self.read(client, 6) == b"answer"
        protocol.transport.loseConnection()
        assert self.read(client, 1) == b""
        self.spin(lambda: protocol.reason)

    def test_nothing_is_delivered_after_the_end(self) -> None:
        class Aborts(Heard):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                self.transport.abortConnection()  # type: ignore[union-attr]  # connected

        protocol, client = self.connected(Aborts)
        for _ in range(3):
            client.send(bytes(8192))
        self.spin(lambda: protocol.reason)
        self.rest()
        assert len(protocol.pieces) == 1
        protocol.reason.trap(ConnectionAborted)


class Sending(UringCase):
    def in_a_batch(self) -> None:
        """Let others have something to send as well."""
        other, _ = self.connected()
        other.transport.startWriting()

    def test_a_write_that_is_alone_goes_at_once(self) -> None:
        protocol, client = self.connected()
        protocol.transport.write(b"alone")
        assert client.recv(10) == b"alone"

    def test_small_writes_of_a_batch_leave_together(self) -> None:
        protocol, client = self.connected()
        self.in_a_batch()
        for word in (b"one ", b"two ", b"three"):
            protocol.transport.write(word)
        with self.assertRaises(BlockingIOError):
            client.recv(100)
        self.reactor.iterate(0)
        assert client.recv(100) == b"one two three"
        assert unsent_bytes(protocol.transport) == 0

    def test_a_connection_of_ours_writes_by_it(self) -> None:
        protocol, client = self.connected()
        writer_for(protocol.transport)(protocol.transport, b"hello")
        assert self.read(client, 5) == b"hello"

    def test_a_large_write_goes_at_once(self) -> None:
        protocol, client = self.connected()
        protocol.transport.write(bytes(10_000))
        assert len(client.recv(1 << 20)) == 10_000

    def test_what_the_socket_does_not_take_follows(self) -> None:
        for piece in (LARGE, LARGE[:8000], LARGE[:1000]):
            protocol, client = self.connected()
            count = len(LARGE) // len(piece)
            for _ in range(count):
                self.reactor.completions.senders.append(protocol.transport)
                protocol.transport.write(piece)
                self.reactor.iterate(0)
            assert self.read(client, len(piece) * count) == piece * count
            self.spin(lambda: unsent_bytes(protocol.transport) == 0)  # noqa: B023  # in this turn
            assert self.reactor.getWriters() == []

    def test_order_is_that_of_the_calls_small_or_large(self) -> None:
        protocol, client = self.connected()
        self.in_a_batch()
        protocol.transport.write(b"a" * 10)
        protocol.transport.write(b"b" * 20_000)
        protocol.transport.writeSequence([b"c", b"d" * 9000])
        assert (
            self.read(client, 29_011) == b"a" * 10 + b"b" * 20_000 + b"c" + b"d" * 9000
        )

    def test_closing_waits_for_what_is_unsent(self) -> None:
        for content in (b"small", LARGE):
            protocol, client = self.connected()
            protocol.transport.write(content)
            protocol.transport.loseConnection()
            assert self.read(client, len(content) + 1) == content
            self.spin(lambda: protocol.reason)  # noqa: B023  # in this turn
            protocol.reason.trap(ConnectionDone)

    def test_its_own_side_can_be_ended_alone(self) -> None:
        protocol, client = self.connected(HalfCloseable)
        protocol.transport.write(b"said")
        protocol.transport.loseWriteConnection()
        assert self.read(client, 5) == b"said"
        self.spin(lambda: protocol.ends)
        protocol.transport.write(b"nobody hears this")
        client.send(b"heard")
        self.spin(lambda: protocol.heard == b"heard")
        client.close()
        self.spin(lambda: "read" in protocol.ends)
        protocol.transport.loseConnection()
        self.spin(lambda: protocol.reason)

    def test_an_abort_is_a_reset_and_drops_what_is_unsent(self) -> None:
        protocol, client = self.connected()
        self.in_a_batch()
        protocol.transport.write(b"never sent")
        protocol.transport.abortConnection()
        self.spin(lambda: protocol.reason)
        with self.assertRaises(ConnectionResetError):
            client.recv(100)
        protocol.reason.trap(ConnectionAborted)

    def test_a_peer_that_is_gone_is_met_in_its_turn(self) -> None:
        protocol, client = self.connected()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        protocol.transport.pauseProducing()
        self.rest()
        client.close()
        for content in (b"small", bytes(10_000)):
            protocol.transport.write(content)
            assert protocol.reason is None, "write never calls back"
        self.spin(lambda: protocol.reason)

    def test_a_push_producer_is_paused_and_resumed(self) -> None:
        protocol, client = self.connected()
        producer = Producer(protocol.transport, [])
        protocol.transport.registerProducer(producer, True)
        protocol.transport.write(LARGE)
        assert producer.turns == ["pause"]
        producer.pieces.append(b"the end")
        assert self.read(client, len(LARGE) + 7) == LARGE + b"the end"
        assert producer.turns == ["pause", "resume"]
        protocol.transport.unregisterProducer()

    def test_a_pull_producer_has_its_turns(self) -> None:
        protocol, client = self.connected()
        pieces = [b"x" * size for size in (1, 10_000, 200_000, 3)]
        whole = b"".join(pieces)
        producer = Producer(protocol.transport, pieces)
        protocol.transport.registerProducer(producer, False)
        assert self.read(client, len(whole) + 1) == whole
        assert producer.turns == ["resume"] * 5
        self.spin(lambda: protocol.reason)

    def test_only_bytes_are_written(self) -> None:
        protocol, _ = self.connected()
        for wrong in ("text", None, 7):
            with self.assertRaises(TypeError):
                protocol.transport.write(wrong)
        protocol.transport.write(b"")
        assert self.reactor.getWriters() == []

    def test_nothing_is_sent_after_the_end(self) -> None:
        protocol, client = self.connected()
        transport = protocol.transport
        transport.abortConnection()
        self.spin(lambda: protocol.reason)
        transport.write(b"late")
        transport.write(bytes(10_000))
        self.rest()
        with self.assertRaises(ConnectionResetError):
            client.recv(10)

    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from(["write", "turn", "pause", "resume", "drain"]),
                st.sampled_from([1, 100, 8191, 8192, 8193, 70_000, 500_000]),
            ),
            max_size=30,
        )
    )
    @settings(max_examples=25)
    def test_any_order_of_calls_keeps_the_bytes_in_theirs(
        self, steps: list[tuple[str, int]]
    ) -> None:
        protocol, client = self.connected()
        written, sent, got = bytearray(), bytearray(), bytearray()
        for number, (what, size) in enumerate(steps):
            piece = bytes([number]) * size
            if what == "write":
                if number % 3:
                    self.reactor.completions.senders.append(protocol.transport)
                protocol.transport.write(piece)
                written += piece
                with contextlib.suppress(BlockingIOError):
                    sent += piece[: client.send(piece)]
            elif what == "turn":
                self.reactor.iterate(0)
            elif what == "pause":
                protocol.transport.pauseProducing()
            elif what == "resume":
                protocol.transport.resumeProducing()
            else:
                with contextlib.suppress(BlockingIOError):
                    got += client.recv(size)
        got += self.read(client, len(written) - len(got))
        assert got == written
        protocol.transport.resumeProducing()
        self.spin(lambda: len(protocol.heard) == len(sent))
        assert protocol.heard == sent
        client.close()
        self.spin(lambda: protocol.reason)


class StartTLS(UringCase):
    def test_it_speaks_twisteds_tls_from_then_on(self) -> None:
        class Starts(Heard):
            def dataReceived(self, data: bytes) -> None:
                transport: Any = self.transport
                if data == b"STARTTLS":
                    transport.write(b"go")
                    transport.startTLS(Serves())
                else:
                    super().dataReceived(data)
                    # Less would wait for a timer of the installed reactor.
                    transport.write(b"answer " * 10_000)

        protocol, client = self.connected(Starts)
        client.send(b"STARTTLS")
        assert self.read(client, 2) == b"go"
        assert not can_send_files(protocol.transport)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        secure = context.wrap_socket(client, do_handshake_on_connect=False)
        self.addCleanup(secure.close)
        self.spin(lambda: self.is_done(secure.do_handshake))
        secure.send(b"question")
        answer = bytearray()

        def is_answered() -> bool:
            self.is_done(lambda: answer.extend(secure.recv(65536)))
            return len(answer) == 70_000

        self.spin(is_answered)
        assert protocol.heard == b"question"
        protocol.transport.loseConnection()
        self.spin(lambda: self.is_done(secure.unwrap))
        self.spin(lambda: protocol.reason)
        assert protocol.reason.check(ConnectionDone)

    @staticmethod
    def is_done(function: Callable[[], object]) -> bool:
        try:
            function()
        except ssl.SSLWantReadError:
            return False
        return True


class Files(UringCase):
    def setUp(self) -> None:
        super().setUp()
        file = tempfile.TemporaryFile()  # noqa: SIM115  # closed when the test is over
        self.addCleanup(file.close)
        file.write(LARGE)
        file.flush()
        self.fd = file.fileno()

    def test_a_file_follows_its_head(self) -> None:
        protocol, client = self.connected()
        assert can_send_files(protocol.transport)
        assert send_file(protocol.transport, self.fd, 0, 1000, b"head ") == 1000
        assert self.read(client, 1005) == b"head " + LARGE[:1000]

    def test_it_waits_behind_what_is_to_be_sent(self) -> None:
        protocol, client = self.connected()
        self.reactor.completions.senders.append(protocol.transport)  # not alone
        protocol.transport.write(b"first ")
        assert send_file(protocol.transport, self.fd, 0, 1000, b"head ") == 0
        self.spin(lambda: unsent_bytes(protocol.transport) == 0)
        assert send_file(protocol.transport, self.fd, 0, 1000) == 1000
        assert self.read(client, 1011) == b"first head " + LARGE[:1000]

    def test_where_there_is_no_room_the_producer_is_resumed_when_there_is(self) -> None:
        protocol, client = self.connected()
        offset = 0

        class Sends(Producer):
            def resumeProducing(self) -> None:
                self.turns.append("resume")
                send()

        producer = Sends(protocol.transport, [])
        protocol.transport.registerProducer(producer, True)

        def send() -> None:
            nonlocal offset
            while offset < len(LARGE):
                count = len(LARGE) - offset
                sent = send_file(protocol.transport, self.fd, offset, count)
                assert sent is not None
                if not sent:
                    resume_when_writable(protocol.transport)
                    return
                offset += sent

        send()
        waits = self.reactor.statistics().waits
        self.rest()
        assert self.reactor.statistics().waits - waits < 20, "it does not spin"
        assert self.read(client, len(LARGE)) == LARGE
        assert producer.turns
        protocol.transport.unregisterProducer()


class Ends(UringCase):
    def test_a_connection_leaves_nothing(self) -> None:
        ends: list[Callable[[Any, Any], None]] = [
            lambda _, client: client.close(),
            lambda stream, _: stream.loseConnection(),
            lambda stream, _: stream.abortConnection(),
        ]
        port = self.listening()
        self.rest()
        before = descriptors()
        for end in ends:
            client = self.dial(port)
            self.protocols.clear()
            self.spin(lambda: self.protocols)
            (protocol,) = self.protocols
            end(protocol.transport, client)
            self.spin(lambda: protocol.reason)  # noqa: B023  # in this turn
            client.close()
            self.rest()
            assert descriptors() == before
            assert self.reactor.completions.wanting == {port}
            assert len(self.reactor.completions._owners) == 1

    def test_a_close_is_heard_before_the_next_iteration(self) -> None:
        # What receives would have the socket open until then.
        protocol, client = self.connected()
        protocol.transport.connectionLost(_aborted())
        with self.assertRaises(ConnectionResetError):
            client.recv(10)


def _aborted() -> Any:
    from twisted.python.failure import Failure

    return Failure(ConnectionAborted())
