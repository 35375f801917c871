"""A pool in a forked child is a stopped and empty one.

Threads do not survive a fork; calls that are queued in the child would wait for ever,
and run a second time in the parent. Locks may have been held by threads that are gone.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["empty_in_children"]


class _Emptied(Protocol):
    def empty(self) -> None: ...


_started: WeakSet[_Emptied] = WeakSet()
_is_registered: list[bool] = []  # there is no way to take it back; so, once


def empty_in_children(pool: _Emptied) -> None:
    """See to it that *pool* is emptied in each child this process forks."""
    _started.add(pool)
    if not _is_registered and hasattr(os, "register_at_fork"):
        _is_registered.append(True)
        os.register_at_fork(after_in_child=_empty_all)


def _empty_all() -> None:
    for pool in list(_started):
        pool.empty()
