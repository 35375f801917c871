"""A port that is accepted for: batches, a limit, and what waits when it closes."""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.protocol import Factory

from httpx_tw.transport.completion_port import CompletionPort
from httpx_tw.transport.listener import ACCEPT_BATCH, AcceptGate
from tests.reactors.descriptors import descriptors
from tests.reactors.uring_case import Heard, UringCase


class CompletionPortTests(UringCase):
    def test_a_burst_is_accepted_whole_and_served_in_turns(self) -> None:
        port = self.listening()
        assert type(port) is CompletionPort
        self.rest()
        clients = [self.dial(port) for _ in range(3 * ACCEPT_BATCH)]
        most = before = 0
        for _ in range(100):
            self.reactor.iterate(0.001)
            most = max(most, len(self.protocols) - before)
            before = len(self.protocols)
        assert len(self.protocols) == len(clients)
        assert 0 < most <= ACCEPT_BATCH
        peers = {each.transport.getPeer().port for each in self.protocols}
        assert peers == {client.getsockname()[1] for client in clients}
        assert self.protocols[0].transport.getTcpNoDelay()

    def test_who_is_over_the_limit_waits_until_somebody_goes(self) -> None:
        class Counts(Heard):
            def connectionMade(counted) -> None:  # noqa: N805  # self is the test
                self.gate.connection_opened()

            def connectionLost(counted, reason: Any = None) -> None:  # noqa: N805
                super().connectionLost(reason)
                self.gate.connection_closed()

        self.gate = AcceptGate(2, lambda: None)
        port = self.listening(Counts)
        self.gate.add_port(port)
        self.addCleanup(self.gate.remove_ports)
        clients = [self.dial(port) for _ in range(5)]
        for served in (2, 3, 4, 5):
            self.spin(lambda: len(self.protocols) == served)  # noqa: B023  # in this turn
            self.rest()
            assert len(self.protocols) == served
            assert self.gate.connections == 2
            self.protocols[served - 1].transport.abortConnection()
        for client in clients:
            client.close()

    def test_closing_resets_who_waits_and_frees_the_address_at_once(self) -> None:
        before = descriptors()
        port = self.listening()
        self.rest()
        port.stopReading()
        client = self.dial(port)
        self.rest()
        host = port.getHost()
        done: list[object] = []
        port.stopListening().addBoth(done.append)
        self.spin(lambda: done)
        with socket.socket() as other:
            other.bind((host.host, host.port))
            other.listen()
        with self.assertRaises((ConnectionResetError, BlockingIOError)):
            if client.recv(10) == b"":
                raise ConnectionResetError
        client.close()
        self.rest()
        assert descriptors() == before

    def test_what_was_accepted_ahead_is_closed_with_the_port(self) -> None:
        port = self.listening()
        self.rest()
        client = self.dial(port)
        self.reactor.doIteration(0)  # accepted; it would be served in the next
        assert port._waiting
        port.stopReading()
        done: list[object] = []
        port.stopListening().addBoth(done.append)
        self.spin(lambda: done)
        assert self.read(client, 1) == b""
        assert self.protocols == []

    def test_running_out_of_descriptors_closes_the_gate(self) -> None:
        told: list[str] = []
        self.gate = AcceptGate(0, lambda: told.append("told"))
        port = self.listening()
        self.gate.add_port(port)
        self.addCleanup(self.gate.remove_ports)
        self.stopped(port)
        port.completed(-errno.EMFILE)
        assert told == ["told"]
        assert not self.gate.is_open
        client = self.dial(port)
        self.rest()
        self.gate.retry()
        self.spin(lambda: self.protocols)
        assert self.gate.times_exhausted == 1
        client.close()

    def stopped(self, port: Any) -> None:
        """Have accepting end, as the kernel does it in a failure."""
        self.rest()
        self.reactor.completions.forget(port._going, at_once=True)

    def test_a_failure_of_one_connection_ends_nothing(self) -> None:
        port = self.listening()
        self.stopped(port)
        port.completed(-errno.ECONNABORTED)
        self.dial(port)
        self.spin(lambda: self.protocols)

    def test_a_broken_socket_is_raised(self) -> None:
        port = self.listening()
        self.stopped(port)
        with self.assertRaises(OSError) as caught:
            port.completed(-errno.EBADF)
        assert caught.exception.errno == errno.EBADF

    def test_one_that_was_reset_before_its_turn_is_passed_over(self) -> None:
        before = descriptors()
        port = self.listening()
        fd = socket.socket().detach()  # never connected: it has no peer
        port.serve(fd)
        assert self.protocols == []
        self.end(port)
        assert descriptors() == before

    def test_who_is_not_wanted_is_closed(self) -> None:
        class Nobody(Factory):
            def buildProtocol(self, addr: Any) -> None:
                return None

        port = self.listening()
        port.factory = Nobody()
        client = self.dial(port)
        assert self.read(client, 1) == b""

    def test_one_that_cannot_be_served_harms_nobody(self) -> None:
        class Broken(Heard):
            def connectionMade(self) -> None:
                raise ZeroDivisionError

        port = self.listening(Broken)
        client = self.dial(port)
        self.spin(lambda: self.protocols)
        with self.assertRaises(ConnectionResetError):
            self.read(client, 1)
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1

    def test_it_stops_and_starts_again(self) -> None:
        port = self.listening()
        for turn in range(1, 4):
            port.stopReading()
            port.stopReading()
            self.rest()
            self.dial(port)
            self.rest()
            assert len(self.protocols) == turn - 1
            port.startReading()
            port.startReading()
            self.spin(lambda: len(self.protocols) == turn)  # noqa: B023  # in this turn
        port.startWriting()
        port.stopWriting()
        assert self.reactor.getWriters() == []
