"""Stopping without cutting anybody off: no new connections, then an end to the old."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from twisted.internet.interfaces import IListeningPort

    from httpx_tw.server.factory import HTTPFactory

__all__ = ["drain", "second_signal_calls"]

_log = Logger()


async def drain(
    factory: HTTPFactory, ports: Iterable[IListeningPort], reactor: Any, timeout: float
) -> None:
    """Stop *ports*, and return when every connection of *factory* has ended.

    Requests in flight have *timeout* seconds (0: none), then they are aborted. A second
    SIGTERM or SIGINT meanwhile aborts them at once.
    """
    factory.gate.remove_ports()
    stopped = [maybeDeferred(port.stopListening) for port in ports]
    finished = factory.drain()
    if not finished.called:
        if timeout:
            await _with_deadline(factory, finished, reactor, timeout)
        else:
            factory.abort()
            await finished
    for deferred in stopped:
        await deferred


async def _with_deadline(
    factory: HTTPFactory, finished: Deferred[None], reactor: Any, timeout: float
) -> None:
    open_connections = factory.statistics().connections_open
    _log.info(
        "draining {count} connections, {timeout} s at most",
        count=open_connections,
        timeout=timeout,
    )
    call = reactor.callLater(timeout, factory.abort)
    with second_signal_calls(lambda: reactor.callFromThread(factory.abort)):
        await finished
    if call.active():
        call.cancel()


# Signals belong to the process, and several servers may be draining: who waits for one,
# and what was there before the first.
_waiting: list[Callable[[], None]] = []
_before: dict[int, Any] = {}


@contextmanager
def second_signal_calls(at_once: Callable[[], None]) -> Iterator[None]:
    """Within this context SIGTERM and SIGINT call *at_once*.

    Twisted's own handlers ask a reactor that is stopping already to stop, which it
    answers with an error. Does nothing off the main thread, where no signal arrives.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if not _waiting:
        for number in (signal.SIGTERM, signal.SIGINT):
            _before[number] = signal.signal(number, _tell_all)
    _waiting.append(at_once)
    try:
        yield
    finally:
        _waiting.remove(at_once)
        if not _waiting:
            for signum, handler in _before.items():
                # None: it was set by other code than Python's, and cannot be set again.
                signal.signal(signum, signal.SIG_DFL if handler is None else handler)
            _before.clear()


def _tell_all(*_: object) -> None:
    for at_once in _waiting:
        at_once()
