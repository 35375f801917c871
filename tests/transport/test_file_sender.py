"""sendfile over stock transports: in order, in chunks, and what goes wrong."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from httpx_tw.errors import LocalProtocolError
from httpx_tw.testing.memory import MemoryTransport
from httpx_tw.transport import file_sender as module
from httpx_tw.transport.file_sender import (
    CHUNK,
    can_send_files,
    resume_when_writable,
    send_file,
)
from httpx_tw.transport.stream_server import StreamServer
from tests.transport.test_stream import StillReactor

CONTENT = os.urandom(3 * CHUNK)


@implementer(IPushProducer)
class Producer:
    """Notes when it is resumed."""

    def __init__(self) -> None:
        self.resumed = 0

    def pauseProducing(self) -> None:
        pass

    def resumeProducing(self) -> None:
        self.resumed += 1

    def stopProducing(self) -> None:
        pass


class Sending(SynchronousTestCase):
    """Over a pair of connected sockets."""

    def setUp(self) -> None:
        if not hasattr(os, "sendfile"):
            self.skipTest("this platform has no sendfile")
        self.ours, self.peer = socket.socketpair()
        self.addCleanup(self.peer.close)
        self.addCleanup(self.ours.close)
        self.ours.setblocking(False)
        self.peer.setblocking(False)
        self.reactor = StillReactor()
        self.transport: Any = StreamServer(
            self.ours, Protocol(), ("192.0.2.1", 1), None, 0, self.reactor
        )
        self.producer = Producer()
        self.transport.registerProducer(self.producer, True)
        self.fd, path = tempfile.mkstemp()
        self.addCleanup(os.close, self.fd)
        self.addCleanup(os.unlink, path)
        os.write(self.fd, CONTENT)

    def read(self) -> bytes:
        data = b""
        while True:
            try:
                piece = self.peer.recv(1 << 20)
            except BlockingIOError:
                return data
            if not piece:
                return data
            data += piece

    def fail_with(self, number: int) -> None:
        def failing(*_: Any) -> int:
            raise OSError(number, os.strerror(number))

        self.patch(module, "_sendfile", failing)

    def test_bytes_of_the_file_are_sent_and_counted(self) -> None:
        self.assertTrue(can_send_files(self.transport))
        self.assertEqual(send_file(self.transport, self.fd, 5, 10), 10)
        self.assertEqual(self.read(), CONTENT[5:15])

    def test_a_head_goes_in_front(self) -> None:
        self.assertEqual(send_file(self.transport, self.fd, 0, 10, b"head:"), 10)
        self.assertEqual(self.read(), b"head:" + CONTENT[:10])
        count = 100_000  # no packet holds that
        sent = send_file(self.transport, self.fd, 0, count, b"head:")
        assert sent is not None
        self.assertEqual(self.read(), b"head:" + CONTENT[:sent])

    def test_a_call_sends_a_chunk_at_most(self) -> None:
        asked: list[int] = []

        def noting(_: int, __: int, ___: int, count: int) -> int:
            asked.append(count)
            return count

        self.patch(module, "_sendfile", noting)
        self.assertEqual(send_file(self.transport, self.fd, 0, 10 * CHUNK), CHUNK)
        self.assertEqual(asked, [CHUNK])

    def test_it_goes_on_when_the_socket_takes_more(self) -> None:
        received, offset = b"", 0
        while offset < len(CONTENT):
            sent = send_file(self.transport, self.fd, offset, len(CONTENT) - offset)
            assert sent is not None
            offset += sent
            received += self.read() if not sent else b""
        self.assertEqual(received + self.read(), CONTENT)

    def test_what_the_transport_holds_goes_first(self) -> None:
        self.transport.write(b"before")
        self.assertEqual(send_file(self.transport, self.fd, 0, 10), 0)
        self.assertEqual(send_file(self.transport, self.fd, 0, 10, b"head"), 0)
        self.transport.doWrite()
        self.assertEqual(self.read(), b"beforehead")
        self.assertEqual(send_file(self.transport, self.fd, 0, 10), 10)

    def test_a_head_that_does_not_go_is_queued(self) -> None:
        while send_file(self.transport, self.fd, 0, CHUNK):
            pass
        self.assertEqual(send_file(self.transport, self.fd, 0, 10, b"head"), 0)
        self.assertEqual(self.reactor.writers, [self.transport])
        self.read()
        self.transport.doWrite()
        self.assertEqual(self.read(), b"head")

    def test_a_file_that_ends_early_is_an_error(self) -> None:
        self.assertRaises(
            LocalProtocolError, send_file, self.transport, self.fd, len(CONTENT), 1
        )

    def test_a_broken_connection_is_met_by_the_reactor(self) -> None:
        self.peer.close()
        self.assertEqual(send_file(self.transport, self.fd, 0, 10, b"head"), 0)
        for number in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
            self.fail_with(number)
            self.transport._tempDataBuffer.clear()
            self.transport._tempDataLen = 0
            self.assertEqual(send_file(self.transport, self.fd, 0, 10), 0)
        resume_when_writable(self.transport)
        self.assertIsNotNone(self.transport.doWrite())

    def test_interrupted_or_full_it_is_tried_again(self) -> None:
        for number in (errno.EAGAIN, errno.EINTR):
            self.fail_with(number)
            self.assertEqual(send_file(self.transport, self.fd, 0, 10), 0)

    def test_what_cannot_be_sent_so_is_to_be_read(self) -> None:
        for number in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            self.fail_with(number)
            self.assertIsNone(send_file(self.transport, self.fd, 0, 10))

    def test_a_disk_that_fails_is_an_error(self) -> None:
        self.fail_with(errno.EIO)
        self.assertRaises(OSError, send_file, self.transport, self.fd, 0, 10)

    def test_the_producer_is_resumed_when_there_is_room(self) -> None:
        resume_when_writable(self.transport)
        self.assertEqual(self.reactor.writers, [self.transport])
        self.assertEqual(self.producer.resumed, 0)
        self.transport.doWrite()
        self.assertEqual(self.producer.resumed, 1)
        self.assertEqual(self.reactor.writers, [])

    def test_a_connection_that_is_lost_or_encrypted_sends_nothing(self) -> None:
        self.transport.TLS = True
        self.assertEqual(send_file(self.transport, self.fd, 0, 10), 0)
        self.assertFalse(can_send_files(self.transport))
        self.transport.TLS = False
        self.transport.connected = 0
        self.assertEqual(send_file(self.transport, self.fd, 0, 10), 0)
        self.assertEqual(self.read(), b"")

    def test_other_transports_cannot(self) -> None:
        self.assertFalse(can_send_files(MemoryTransport(Protocol())))
        self.patch(module, "_sendfile", None)
        self.assertFalse(can_send_files(self.transport))
