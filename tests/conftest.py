"""Every test leaves no descriptor, thread or delayed call behind."""

from __future__ import annotations

import gc
import sys
import threading
import unittest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_twisted
from twisted.internet.task import deferLater

if TYPE_CHECKING:
    from collections.abc import Iterator

DESCRIPTORS = Path("/proc/self/fd")
THREADS_OF_THE_REACTOR = "PoolThread-twisted.internet.reactor"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put trial's test cases first.

    They run the reactor and stop it again, each for itself; pytest-twisted starts it
    at its first test and keeps it running, and trial cannot start it a second time.
    """
    items.sort(key=lambda item: not _is_test_case(item))


def pytest_collection_finish() -> None:
    """Set aside what was imported: looking for cycles is slow among so much."""
    gc.collect()
    gc.freeze()


def _is_test_case(item: pytest.Item) -> bool:
    cls = getattr(item, "cls", None)
    return cls is not None and issubclass(cls, unittest.TestCase)


@pytest.fixture(autouse=True)
def own_directory(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run trial's test cases in a new directory, as trial does: not in the sources."""
    if _is_test_case(request.node):
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    before = held_resources()
    yield
    left = held_resources() - before
    if left:
        gc.collect()  # a cycle of ours may hold it; that is not a leak
        _wait_for_threads()
        _turn_the_reactor()
        left = held_resources() - before
    assert not left, "left behind: " + ", ".join(sorted(left))


def held_resources() -> set[str]:
    """Name everything that a test could forget to give back."""
    return {*_descriptors(), *_threads(), *_delayed_calls()}


def _descriptors() -> Iterator[str]:
    if sys.platform != "linux":  # Wine shows the directory, to programs of Windows'
        return  # threads and delayed calls are still checked
    to_keep = {*_descriptors_of_wakers(), *_descriptors_in_reserve()}
    for entry in list(DESCRIPTORS.iterdir()):
        try:
            target = entry.readlink()
        except FileNotFoundError:
            continue  # the descriptor of this very listing
        if int(entry.name) not in to_keep:
            yield f"descriptor {entry.name} ({target})"


def _descriptors_of_wakers() -> Iterator[int]:
    """Yield both ends of what the reactor makes the first time it runs."""
    for waker in getattr(_reactor(), "_internalReaders", ()):
        for end in (getattr(waker, "i", None), getattr(waker, "o", None)):
            if end is not None:
                yield end if isinstance(end, int) else end.fileno()


def _descriptors_in_reserve() -> Iterator[int]:
    """Yield what Twisted keeps for the day it runs out, since its first port."""
    reserve = getattr(sys.modules.get("twisted.internet.tcp"), "_reservedFD", None)
    held = getattr(reserve, "_fileDescriptor", None)
    if held is not None:
        yield held.fileno()


def _threads() -> Iterator[str]:
    for thread in threading.enumerate():
        # The reactor's own pool grows when a name is resolved, and stays.
        if not thread.name.startswith(THREADS_OF_THE_REACTOR):
            yield f"thread {thread.name} ({thread.ident})"


def _delayed_calls() -> Iterator[str]:
    reactor = _reactor()
    if reactor is not None:
        for call in reactor.getDelayedCalls():
            yield f"delayed call of {call.func} ({id(call)})"


def _reactor() -> Any:
    """Return the reactor if one is installed; never install it by asking."""
    return sys.modules.get("twisted.internet.reactor")


def _wait_for_threads() -> None:
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(1)


def _turn_the_reactor() -> None:
    """Let what was closed in the last step of a test be closed."""
    if getattr(_reactor(), "running", False):  # by pytest-twisted
        for _ in range(3):
            pytest_twisted.blockon(deferLater(_reactor(), 0, lambda: None))
