"""SIGHUP, heeded for a while."""

from __future__ import annotations

import os
import signal
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from httpx_tw.service.hangup import Hangup

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(os.name != "posix", reason="it is a signal of POSIX")


class Reactor:
    """Calls what it is given, at once."""

    def callFromThread(self, function: Callable[[], object]) -> None:  # noqa: N802  # Twisted's
        function()


def made() -> tuple[Hangup, list[str]]:
    told: list[str] = []
    return Hangup(Reactor(), lambda: told.append("hangup")), told


def test_it_calls_while_it_is_heeded_and_gives_the_signal_back() -> None:
    before = signal.getsignal(signal.SIGHUP)
    hangup, told = made()
    hangup.ignore()
    hangup.heed()
    hangup.heed()
    os.kill(os.getpid(), signal.SIGHUP)
    assert told == ["hangup"]
    hangup.ignore()
    assert signal.getsignal(signal.SIGHUP) is before


def test_on_another_thread_it_is_never_called() -> None:
    before = signal.getsignal(signal.SIGHUP)
    hangup, _ = made()
    thread = Thread(target=hangup.heed)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGHUP) is before
    hangup.ignore()


def test_a_signal_nobody_can_name_is_given_back_as_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[Any] = []

    def take(number: int, what: Any) -> None:
        taken.append(what)

    monkeypatch.setattr(signal, "signal", take)
    hangup, _ = made()
    hangup.heed()
    hangup.ignore()
    assert taken[1] is signal.SIG_DFL
