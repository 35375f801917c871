"""The reactor over io_uring: Twisted's tests, refusals, and what the ring does."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from twisted.internet.interfaces import IReactorDaemonize
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from httpx_tw.reactors import io_uring
from httpx_tw.reactors.epoll import EpollReactor
from httpx_tw.reactors.io_uring import UringReactor
from httpx_tw.reactors.ring_calls import RingRefused
from tests.reactors import made as reactors
from tests.reactors.installing import check_that_it_installs, python
from tests.reactors.ring_here import REFUSAL
from tests.reactors.twisted_suite import outcome_beside_stock

if TYPE_CHECKING:
    from collections.abc import Callable

needs_a_ring = pytest.mark.skipif(bool(REFUSAL), reason=REFUSAL)


@needs_a_ring
def test_it_fails_no_test_of_twisted_that_the_stock_reactor_passes() -> None:
    # Twisted has no reactor over io_uring: what epoll's passes is the measure.
    ours = outcome_beside_stock(
        "EPollReactor",
        "httpx_tw.reactors.io_uring.UringReactor",
        "twisted.internet.epollreactor.EPollReactor",
    )
    assert ours.ran >= 290, "Twisted's tests were not found"
    assert ours.skipped <= 1


@needs_a_ring
def test_it_can_be_installed_once() -> None:
    check_that_it_installs("io_uring")


# A kernel without: seccomp is what containers refuse it by. This filter answers
# io_uring_setup with an errno, and lets everything else through.
_REFUSED = """
import ctypes, struct, sys
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ERRNO, ALLOW, IO_URING_SETUP = 0x00050000, 0x7FFF0000, 425
steps = [(LOAD, 0, 0, 0), (EQUAL, 0, 1, IO_URING_SETUP),
         (RETURN, 0, 0, ERRNO | int(sys.argv[1])), (RETURN, 0, 0, ALLOW)]
program = b"".join(struct.pack("HBBI", *step) for step in steps)
held = ctypes.create_string_buffer(program)
filter = ctypes.create_string_buffer(
    struct.pack("HxxxxxxP", len(steps), ctypes.addressof(held)))
libc = ctypes.CDLL(None, use_errno=True)
long = ctypes.c_ulong
none = [long(0)] * 3
assert not libc.prctl(PR_SET_NO_NEW_PRIVS, long(1), *none)
assert not libc.prctl(PR_SET_SECCOMP, long(SECCOMP_MODE_FILTER), filter, *none[1:])
sys.argv[:] = ["twistd", "-n", "--pidfile=", "--reactor=httpx-uring", "httpx-tw",
               "--port", "0", "--app", "asked:app"]
open("asked.py", "w").write(
    "from httpx_tw import App\\n"
    "from twisted.internet import reactor\\n"
    "app = App()\\n"
    "reactor.callLater(0.1, reactor.stop)\\n")
from twisted.scripts.twistd import run
run()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's seccomp")
@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EINVAL])
def test_a_container_that_forbids_it_gets_one_line_and_epoll(
    number: int, tmp_path: Any
) -> None:
    done = python("-c", _REFUSED, str(number), cwd=tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    lines = [line for line in said.splitlines() if "io_uring" in line]
    assert len(lines) == 1, said
    assert lines[0].endswith(
        f"{RingRefused(number)}: httpx-epoll in place of httpx-uring"
    )
    assert "reactor httpx-epoll" in said
    assert "Traceback" not in said


class Refusals(SynchronousTestCase):
    def test_where_it_is_refused_epoll_is_installed(self) -> None:
        refused = mock.Mock(side_effect=RingRefused(errno.EPERM))
        with (
            mock.patch.object(io_uring, "UringReactor", refused),
            mock.patch.object(
                io_uring, "EpollReactor", mock.Mock(return_value="epoll")
            ),
            mock.patch.object(io_uring, "installReactor") as install,
        ):
            io_uring.install()
        install.assert_called_once_with("epoll")

    def test_any_other_failure_is_raised(self) -> None:
        broken = mock.Mock(side_effect=OSError(errno.EIO, "broken"))
        with (
            mock.patch.object(io_uring, "UringReactor", broken),
            self.assertRaises(OSError),
        ):
            io_uring.install()


class Echo(Protocol):
    """Says what it hears; one word is too much for it."""

    def dataReceived(self, data: bytes) -> None:
        if data == b"boom":
            raise ZeroDivisionError
        assert self.transport is not None
        self.transport.write(data)


class UringReactorTests(SynchronousTestCase):
    if REFUSAL:
        skip = REFUSAL

    def setUp(self) -> None:
        self.reactor: Any = reactors.made(self, UringReactor)

    def spin(self, until: Callable[[], Any]) -> None:
        for _ in range(2000):
            if until():
                return
            self.reactor.iterate(0.01)
        self.fail("it did not happen")

    def test_it_is_not_the_default(self) -> None:
        from httpx_tw.server import reactor_choice

        names = [name for _, name in reactor_choice._BEST_FIRST]
        assert "httpx-uring" not in names
        assert type(self.reactor) is not EpollReactor

    def test_it_becomes_a_daemon(self) -> None:
        verifyObject(IReactorDaemonize, self.reactor)
        port = self.listening()
        self.reactor.iterate(0)
        self.reactor.beforeDaemonize()
        child = os.fork()
        if not child:
            status = 1
            try:
                self.reactor.afterDaemonize()
                self.check_that_it_serves(port)
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        assert status == 0
        self.reactor.afterDaemonize()
        self.check_that_it_serves(port)
        self.end(port)

    def listening(self) -> Any:
        from httpx_tw.transport.listener import AcceptGate, ListeningReactor

        gate = AcceptGate(0, lambda: None)
        reactor = ListeningReactor(self.reactor, gate, 128)
        port: Any = reactor.listenTCP(
            0, Factory.forProtocol(Echo), interface="127.0.0.1"
        )
        return port

    def end(self, port: Any) -> None:
        done: list[object] = []
        port.stopListening().addBoth(done.append)
        self.spin(lambda: done)

    def connected(self, port: Any) -> Any:
        import socket

        client = socket.create_connection(("127.0.0.1", port.getHost().port))
        client.setblocking(False)
        self.addCleanup(client.close)
        return client

    def heard(self, client: Any) -> bytes:
        found: list[bytes] = []

        def look() -> bool:
            try:
                found.append(client.recv(65536))
            except BlockingIOError:
                return False
            return True

        self.spin(look)
        return found[0]

    def check_that_it_serves(self, port: Any) -> None:
        client = self.connected(port)
        client.send(b"hello")
        assert self.heard(client) == b"hello"
        client.close()

    def test_what_a_protocol_raises_ends_its_connection_alone(self) -> None:
        port = self.listening()
        good, bad = self.connected(port), self.connected(port)
        bad.send(b"boom")
        assert self.heard(bad) == b""
        good.send(b"hello")
        assert self.heard(good) == b"hello"
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1
        good.close()
        self.end(port)

    def test_who_is_received_for_counts_as_a_reader(self) -> None:
        port = self.listening()
        client = self.connected(port)
        client.send(b"hello")
        self.heard(client)
        readers = [
            each for each in self.reactor.getReaders() if hasattr(each, "completed")
        ]
        assert len(readers) == 2
        assert set(self.reactor.removeAll()) == set(readers)
        assert not self.reactor.completions.wanting
        client.send(b"more")
        self.reactor.iterate(0.01)
        with self.assertRaises(BlockingIOError):
            client.recv(10)
        for each in readers:
            each.startReading()
        assert self.heard(client) == b"more"
        client.close()
        self.end(port)

    def test_an_iteration_in_an_iteration_keeps_the_order(self) -> None:
        port = self.listening()
        said: list[bytes] = []
        reactor = self.reactor

        class Nested(Protocol):
            def dataReceived(self, data: bytes) -> None:
                said.append(data)
                if len(said) == 1:
                    reactor.iterate(0)
                    reactor.iterate(0)
                    said.append(b"outer")

        port.factory.protocol = Nested
        clients = [self.connected(port) for _ in range(3)]
        self.spin(lambda: len(reactor.completions.wanting) == 4)
        reactor.iterate(0)
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
        self.spin(lambda: len(said) == 4)
        assert sorted(said[:3]) == [b"0", b"1", b"2"]
        assert said[3] == b"outer"
        for client in clients:
            client.close()
        self.end(port)

    def test_the_end_of_the_loop_disconnects_all_and_lets_go(self) -> None:
        port = self.listening()
        client = self.connected(port)

        def say_and_stop() -> None:
            (stream,) = self.reactor.completions.wanting - {port}
            stream.write(b"last words")
            self.reactor.stop()

        self.reactor.callLater(0.05, say_and_stop)
        reactors.run(self.reactor)
        client.setblocking(True)
        client.settimeout(10)
        assert client.recv(10) == b"last words"
        assert client.recv(10) == b""
        assert not self.reactor.completions.wanting
