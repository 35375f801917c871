"""What waits here and in the kernel."""

from __future__ import annotations

import socket
import sys
from typing import Any

from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.testing.memory import MemoryTransport
from httpx_tw.transport import undelivered as module
from httpx_tw.transport.stream_server import StreamServer
from httpx_tw.transport.undelivered import undelivered_bytes
from tests.transport.test_stream import StillReactor


class Wrapped:
    """A transport over another, as TLS is."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport


class Undelivered(SynchronousTestCase):
    def setUp(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self.peer = socket.create_connection(listening.getsockname())
        self.ours, _ = listening.accept()
        for each in (listening, self.peer, self.ours):
            self.addCleanup(each.close)
        self.ours.setblocking(False)
        self.transport: Any = StreamServer(
            self.ours, Protocol(), ("192.0.2.1", 1), None, 0, StillReactor()
        )

    def fill(self) -> int:
        """Send until the kernel takes no more; return how much it took."""
        count = 0
        try:
            while True:
                count += self.ours.send(bytes(65536))
        except BlockingIOError:
            return count

    def test_the_kernels_share_counts_until_it_is_acknowledged(self) -> None:
        if sys.platform != "linux":
            self.skipTest("only Linux tells")
        sent = self.fill()
        self.transport.write(b"12345")
        waiting = undelivered_bytes(self.transport)
        assert waiting is not None
        self.assertTrue(5 < waiting <= sent + 5)
        self.assertEqual(undelivered_bytes(Wrapped(self.transport)), waiting)
        self.peer.recv(1 << 20)
        self.peer.recv(1 << 20)
        less = undelivered_bytes(self.transport)
        assert less is not None
        self.assertLess(less, waiting)

    def test_elsewhere_what_the_kernel_has_is_delivered(self) -> None:
        self.patch(module, "_OUTPUT_QUEUE", None)
        self.fill()
        self.assertEqual(undelivered_bytes(self.transport), 0)
        self.transport.write(b"12345")
        self.assertEqual(undelivered_bytes(self.transport), 5)

    def test_a_socket_that_is_closed_has_nothing(self) -> None:
        self.ours.close()
        self.assertEqual(undelivered_bytes(self.transport), 0)

    def test_a_transport_without_a_socket_has_its_buffer(self) -> None:
        transport = MemoryTransport(Protocol())
        transport.write(b"123")
        self.assertEqual(undelivered_bytes(transport), 3)

    def test_of_others_nobody_knows(self) -> None:
        self.assertIsNone(undelivered_bytes(object()))
