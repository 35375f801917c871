"""The reactor in the background: when it runs, and when it is gone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from httpx_tw.client import background
from httpx_tw.client.background import acquire, errands_on, prepare, release
from httpx_tw.errors import ClientClosed
from tests.client.test_errands import Reactor
from tests.client.threaded_server import served


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("httpx_tw")]


class BackgroundTests(SynchronousTestCase):
    def test_there_is_one_for_all_and_it_ends_with_its_last_user(self) -> None:
        first, second = acquire(), acquire()
        self.assertIs(first, second)
        self.assertEqual(len(threads()), 1)
        release(first)
        self.assertEqual(first.call(lambda: "works"), "works")
        release(second)
        self.assertEqual(threads(), [])
        self.assertRaises(ClientClosed, first.call, lambda: "works")

    def test_it_can_be_had_again(self) -> None:
        for _ in range(3):
            errands = acquire()
            self.assertEqual(
                errands.call(lambda: threading.current_thread().daemon), True
            )
            release(errands)

    def test_it_is_never_installed(self) -> None:
        errands = acquire()
        self.addCleanup(release, errands)
        self.assertIsNot(errands.reactor, sys.modules.get("twisted.internet.reactor"))

    def test_a_reactor_that_runs_is_used(self) -> None:
        running = Reactor()
        self.patch(background, "_running_reactor", lambda: running)
        errands = acquire()
        self.assertIs(errands.reactor, running)
        self.assertEqual(threads(), [])
        release(errands)

    def test_what_is_needed_can_be_imported_before(self) -> None:
        prepare()
        self.assertEqual(threads(), [])

    def test_ours_are_preferred_and_twisteds_do(self) -> None:
        self.assertIn("httpx_tw", type(self.made()).__module__)
        self.patch(background, "_PLUGIN", "twisted.plugins.absent")
        self.assertIn("twisted", type(self.made()).__module__)
        self.patch(background, "_OURS_BEST_FIRST", ())
        self.assertIn("twisted", type(self.made()).__module__)

    def test_a_child_closes_its_copies_and_has_none(self) -> None:
        errands = acquire()
        here, there = socket.socketpair()
        self.addCleanup(there.close)
        errands.call(errands.reactor.addReader, Reader(here))
        parents = background._process.background
        assert parents is not None
        background._process.empty()
        self.assertIsNone(background._process.background)
        self.assertEqual(here.fileno(), -1)
        parents.stop()

    def made(self) -> object:
        reactor = background._make_reactor()
        self.addCleanup(background._give_back, reactor)
        return reactor

    def test_a_reactor_of_somebody_else_is_left_alone(self) -> None:
        reactor = Reactor()
        errands = errands_on(reactor)
        reactor.turn()
        self.assertEqual(len(reactor.triggers), 1)
        release(errands)
        reactor.turn()
        self.assertEqual(len(reactor.triggers), 0)


@implementer(IReadDescriptor)
class Reader:
    """Has a socket, as a connection has."""

    def __init__(self, ours: socket.socket) -> None:
        self.socket = ours

    def fileno(self) -> int:
        return self.socket.fileno()

    def doRead(self) -> None:
        """Nothing is ever sent."""

    def connectionLost(self, reason: Any) -> None:
        """It was closed already."""

    def logPrefix(self) -> str:
        return "Reader"


SCRIPT = """
import os, sys, threading, warnings
from httpx_tw.client.blocking import BlockingClient

url = sys.argv[1]
client = BlockingClient()
assert client.get(url).body == b"hello"
assert "twisted.internet.reactor" not in sys.modules
assert threading.active_count() == 2

def fetch():
    # Connections and thread are the parent's: the child makes its own.
    assert client.get(url).body == b"hello"
    assert client.stats().dialed == 1
    client.close()

child = os.fork()
if child == 0:
    try:
        fetch()
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        os._exit(1)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert client.get(url).body == b"hello"
assert client.stats().dialed == 1
print("the end, without closing anything")
"""


FORKS_AMID_THREADS = """
import os, signal, sys, threading
from httpx_tw.client.blocking import BlockingClient

url, client, stopping = sys.argv[1], BlockingClient(), threading.Event()

def ask():
    while not stopping.is_set():
        assert client.get(url).body == b"hello"

threads = [threading.Thread(target=ask) for _ in range(6)]
for thread in threads:
    thread.start()
failed = 0
for _ in range(15):  # the first of them while the first request is being made
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        ok = client.get(url).body == b"hello"
        client.close()
        os._exit(not ok)
    failed += os.waitpid(child, 0)[1] != 0
stopping.set()
for thread in threads:
    thread.join()
print(failed, "failed")
"""

ALLOWED = ("-W", "ignore:This process:DeprecationWarning:__main__")


class ProcessTests(SynchronousTestCase):
    def test_children_of_a_program_with_threads_begin_anew(self) -> None:
        server = served(self)
        for _ in range(3):
            done = subprocess.run(
                # From 3.12 on Python warns of what is tried here.
                [sys.executable, *ALLOWED, "-c", FORKS_AMID_THREADS, server.url],
                check=False,
                capture_output=True,
                text=True,
                timeout=40,
            )
            self.assertEqual((done.stderr, done.stdout), ("", "0 failed\n"))

    def test_a_program_that_never_heard_of_twisted_forks_and_ends(self) -> None:
        server = served(self)
        if not hasattr(os, "fork"):
            self.skipTest("no fork here")
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", SCRIPT, server.url],
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
        )
        self.assertEqual((done.stderr, done.returncode), ("", 0))
        self.assertIn("the end", done.stdout)
