"""A poller over a ring: what epoll says is ready, and what the ring has completed.

Readiness stays epoll's business, whose descriptor is watched by the ring. A poll
request of the ring for each descriptor (POLL_ADD) would hold the file open: one that
somebody closes would not be closed until the request is cancelled, and its peer would
hear nothing. It would also be a request for each event, since one that goes on by
itself reports changes, and a poller reports states. See docs/decisions/io-uring.md.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from httpx_tw.reactors.completions import Completions
from httpx_tw.reactors.poller import EpollPoller
from httpx_tw.reactors.ring import Ring

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

__all__ = ["UringPoller"]


class UringPoller(EpollPoller):
    """See Poller; and ``completions``, whose results are in ``completed``.

    :raises RingRefused: when the kernel gives no ring.
    """

    def __init__(self, make_ring: Callable[[], Ring] = Ring) -> None:
        self.completions = Completions(make_ring())
        try:
            super().__init__()
        except BaseException:
            self.completions.close()
            raise
        self._is_watched = False

    @property
    def completed(self) -> deque[tuple[Any, Any]]:
        """Who is to be told what, in this order: ``owner.completed(result)``."""
        return self.completions.completed

    def _poll(self, timeout: float | None) -> list[tuple[int, int]]:
        completions = self.completions
        if completions.flush() or self._always_ready or completions.completed:
            timeout = 0.0
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if not self._is_watched:
                self._is_watched = True
                completions.watch(self._epoll.fileno())
            completions.ring.enter(1, timeout)
            is_ready = completions.collect()
            if is_ready:
                self._is_watched = False
                return super()._poll(0.0)
            if completions.completed or (
                deadline is not None and ((timeout := deadline - time.monotonic()) <= 0)
            ):
                return list(self._always_ready.items())

    def _close(self) -> None:
        self.completions.close()
        super()._close()
