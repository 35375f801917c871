"""A reactor for programs that run none: in a thread, started when it is first needed.

It is not installed: whoever wants to install and run one later still can. There is one
for the whole process, and it ends with it. Where a reactor is running already, that one
is used.
"""

from __future__ import annotations

import atexit
import importlib
import select
import sys
from threading import Event, Lock, Thread
from typing import Any, Final

from twisted.internet.error import ConnectionDone
from twisted.internet.selectreactor import SelectReactor
from twisted.python import threadable
from twisted.python.failure import Failure

from httpx_tw.client.errands import Errands
from httpx_tw.workers.forks import empty_in_children

__all__ = ["acquire", "errands_on", "prepare", "release"]

# By what our plugin calls them: the client and the reactors do not know each other.
_PLUGIN: Final = "twisted.plugins.httpx_tw_plugin"
_OURS_BEST_FIRST: Final = (
    ("epoll", "httpx_tw_epoll"),
    ("kqueue", "httpx_tw_kqueue"),
    ("poll", "httpx_tw_poll"),
)

_STOP_TIMEOUT: Final = 2.0
"""Seconds that the end of the process waits for connections to be closed."""


class _Process:
    """What this process has; a forked child begins anew."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.background: _Background | None = None

    def empty(self) -> None:
        """In a child: the thread is gone, and whoever held the lock may be."""
        background, self.background = self.background, None
        self.lock = Lock()
        if background is not None:
            background.let_go()


def acquire() -> Errands:
    """Return the way to the reactor that runs; start one if none does.

    Any thread but a reactor's. Give it back with :func:`release`.
    """
    running = _running_reactor()
    if running is not None:
        return errands_on(running)
    # First: another thread may fork while this one holds the lock.
    empty_in_children(_process)
    with _process.lock:
        if _process.background is None:
            _process.background = _Background()
        _process.background.users += 1
        return _process.background.errands


def errands_on(reactor: Any) -> Errands:
    """Return the way to *reactor*, which is run by somebody else."""
    known: int | None = threadable.ioThread  # None: no reactor ran yet
    errands = Errands(reactor, known or 0)
    errands.bring(errands.watch)
    return errands


def release(errands: Errands) -> None:
    """Give back what acquire returned. The background stops with its last user."""
    with _process.lock:
        background = _process.background
        if background is None or background.errands is not errands:
            errands.bring(errands.unwatch)
            return
        background.users -= 1
        if background.users:
            return
        _process.background = None
    background.stop()


class _Background:
    """A reactor, and the thread it runs in."""

    def __init__(self) -> None:
        self.users = 0
        self._reactor = _make_reactor()
        is_running = Event()
        self._reactor.callWhenRunning(is_running.set)
        self._thread = Thread(
            target=self._reactor.run,
            kwargs={"installSignalHandlers": False},
            name="httpx_tw client reactor",
            daemon=True,  # the process need not wait for it
        )
        self._thread.start()
        is_running.wait()
        self.errands = Errands(self._reactor, self._thread.ident or 0)
        self.errands.call(self.errands.watch)
        atexit.register(self.stop)

    def stop(self) -> None:
        """Stop it: whoever waits gets ClientClosed."""
        atexit.unregister(self.stop)
        self._reactor.callFromThread(self._reactor.stop)
        self._thread.join(_STOP_TIMEOUT)
        if not self._thread.is_alive():
            _give_back(self._reactor)

    def let_go(self) -> None:
        """In a child: close its copies of the sockets, and do nothing else to them.

        Else a connection that the parent closes would stay open here.
        """
        atexit.unregister(self.stop)
        for selectable in self._reactor.getReaders() + self._reactor.getWriters():
            held = getattr(selectable, "socket", None)
            if held is not None:
                held.close()


def _running_reactor() -> Any:
    reactor = sys.modules.get("twisted.internet.reactor")
    return reactor if getattr(reactor, "running", False) else None


def prepare() -> None:
    """Import what acquire needs.

    Not in acquire, which any thread calls: another may fork meanwhile, and what is
    being imported then is locked in the child for ever.
    """
    if _running_reactor() is None:
        _reactor_class()


def _make_reactor() -> Any:
    return _reactor_class()()


def _reactor_class() -> Any:
    """Return the best of ours for the platform, else Twisted's simplest reactor."""
    for interface, name in _OURS_BEST_FIRST:
        if hasattr(select, interface):
            try:
                plugin = getattr(importlib.import_module(_PLUGIN), name)
            except ImportError:  # httpx_tw was copied without its plugins
                break
            module = importlib.import_module(plugin.moduleName)
            (reactor,) = [n for n in module.__all__ if n.endswith("Reactor")]
            return getattr(module, reactor)
    return SelectReactor


def _give_back(reactor: Any) -> None:
    """Close what a reactor that ran keeps open, for the next time it never has."""
    for selectable in reactor.removeAll():
        selectable.connectionLost(Failure(ConnectionDone()))
    for internal in list(reactor._internalReaders):  # noqa: SLF001  # its waker: there is no method for that
        reactor._internalReaders.discard(internal)  # noqa: SLF001
        internal.connectionLost(Failure(ConnectionDone()))
    poller = getattr(reactor, "_poller", None)
    if poller is not None:
        poller.close()


_process = _Process()
