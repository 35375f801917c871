"""The first of several addresses that can be connected to: RFC 8305."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from httpx_tw.errors import ConnectFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["ATTEMPT_DELAY", "first_of", "interleaved"]

ATTEMPT_DELAY: Final = 0.25
"""Seconds until the next address is tried beside the one before; the RFC's own."""


def interleaved(addresses: Sequence[str]) -> list[str]:
    """Return *addresses*, IPv6 and IPv4 in turn, each kind in its order (section 4).

    The kind of the first, which the resolver likes best, is first.
    """
    if len(addresses) == 1:
        return list(addresses)
    sixes = [address for address in addresses if ":" in address]
    fours = [address for address in addresses if ":" not in address]
    first, second = (sixes, fours) if ":" in addresses[0] else (fours, sixes)
    mixed: list[str] = []
    for index in range(max(len(first), len(second))):
        mixed += first[index : index + 1] + second[index : index + 1]
    return mixed


def first_of(
    addresses: Sequence[str],
    attempt: Callable[[str], Deferred[Any]],
    clock: IReactorTime,
    port: int,
) -> Deferred[Any]:
    """Return what the first *attempt* that succeeds gives; the others are cancelled.

    The next address has its turn when the one before has failed, or after a while
    without an answer, while the one before goes on.

    :param port: for the message of the error.
    :raises ConnectFailed: when all have failed; its cause is the first failure.
    """
    if len(addresses) == 1:  # the usual case, and no race
        (address,) = addresses
        return attempt(address).addErrback(_nobody_else, address, port)
    race = _Race(addresses, attempt, clock, port)
    race.start_next()
    return race.outcome


def _nobody_else(failure: Failure, address: str, port: int) -> Failure:
    if failure.check(CancelledError):
        return failure
    assert failure.value is not None
    return Failure(_all_failed([(address, failure.value)], port))


def _all_failed(
    failures: Sequence[tuple[str, BaseException]], port: int
) -> ConnectFailed:
    tried = "; ".join(f"{address} port {port}: {error}" for address, error in failures)
    error = ConnectFailed(f"no connection could be made to {tried}")
    error.__cause__ = failures[0][1]
    return error


class _Race:
    def __init__(
        self,
        addresses: Sequence[str],
        attempt: Callable[[str], Deferred[Any]],
        clock: IReactorTime,
        port: int,
    ) -> None:
        self._left = list(addresses)
        self._port = port
        self._attempt = attempt
        self._clock = clock
        self._running: list[Deferred[Any]] = []
        self._failures: list[tuple[str, BaseException]] = []
        self._next: IDelayedCall | None = None
        self._is_over = False
        self.outcome: Deferred[Any] = Deferred(lambda _: self._stop())

    def start_next(self) -> None:
        """Try the next address."""
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._next = None
        address = self._left.pop(0)
        if self._left:
            self._next = self._clock.callLater(ATTEMPT_DELAY, self.start_next)
        running = self._attempt(address)
        self._running.append(running)
        running.addCallbacks(
            self._succeeded,
            self._failed,
            callbackArgs=(running,),
            errbackArgs=(running, address),
        )

    def _succeeded(self, result: Any, running: Deferred[Any]) -> None:
        self._running.remove(running)
        self._stop()
        self.outcome.callback(result)

    def _failed(self, failure: Failure, running: Deferred[Any], address: str) -> None:
        self._running.remove(running)
        if self._is_over:
            return
        assert failure.value is not None
        self._failures.append((address, failure.value))
        if self._left:
            self.start_next()
        elif not self._running:
            self._stop()
            self.outcome.errback(Failure(_all_failed(self._failures, self._port)))

    def _stop(self) -> None:
        self._is_over = True
        if self._next is not None and self._next.active():
            self._next.cancel()
        for running in list(self._running):
            running.cancel()
