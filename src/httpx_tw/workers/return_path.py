"""The way back to the reactor thread: results and calls, in order, in batches."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.workers.tasks import Task

__all__ = ["ReturnPath"]

_TOKEN: Final = 0


class ReturnPath:
    """What any thread brings is dealt with on the reactor thread, as it was brought.

    The reactor is woken once a batch. Who brings something takes the token and rings;
    who finds none need not ring, for somebody has, and the token is put back *before*
    what was brought is dealt with: the other way round, what comes in between would
    wait for the next to ring. While the reactor thread is in the middle of its batch
    and will look at the end of it, it holds the token itself.

    The token is a key of a dictionary, whose ``pop`` is indivisible with the GIL and
    without, and fails without the cost of an exception. (A flag that is looked at
    first would save 0.02 us, and lose a wake-up where stores may overtake each other.)

    :param ring: wakes the reactor thread, from any: it then calls ``answer``.
    :param deliver: what is called with each task brought.
    """

    _log = Logger()

    def __init__(
        self,
        ring: Callable[[], object],
        deliver: Callable[[Task], object],
    ) -> None:
        self.ring = ring
        self._deliver = deliver
        self.brought: deque[Task | tuple[Callable[..., object], tuple[Any, ...]]]
        self.brought = deque()
        self.token: dict[int, bool] = {_TOKEN: True}
        self._is_held = False

    def bring(
        self, entry: Task | tuple[Callable[..., object], tuple[Any, ...]]
    ) -> None:
        """Bring a task that ran, or a function and its arguments. From any thread."""
        self.brought.append(entry)
        if self.token.pop(_TOKEN, False):
            self.ring()

    def tell(self) -> None:
        """Ring, if something was put in ``brought`` for which nobody has rung."""
        if self.brought and self.token.pop(_TOKEN, False):
            self.ring()

    # On the reactor thread

    def renew(self) -> None:
        """Begin again, on another reactor: what rang on the last may stay unheard."""
        self._is_held = False
        self.answer()

    def hold(self) -> None:
        """Say that ``release`` will come soon: nobody need ring until then.

        Once is enough, and twice must not forget the first: a pool may be stopped and
        started again while its results are told, and a log observer that hears of a
        thread that does not start may submit a call.
        """
        self._is_held = self.token.pop(_TOKEN, self._is_held)

    def release(self) -> None:
        """Deal with what was brought so far."""
        if self._is_held:
            self._is_held = False
            self.token[_TOKEN] = True
        self.take_in()

    def answer(self) -> None:
        """Deal with what was brought: the bell rang."""
        self.token[_TOKEN] = True
        self.take_in()

    def take_in(self) -> None:
        """Deal with what has been brought.

        Not with what is brought meanwhile: a thread that brings and brings would keep
        the reactor from its other work. It has rung.
        """
        brought, deliver = self.brought, self._deliver
        for _ in range(len(brought)):
            try:
                entry = brought.popleft()
            except IndexError:
                return  # one of them led back here
            if isinstance(entry, tuple):
                self._call(*entry)
            else:
                deliver(entry)

    def _call(
        self, function: Callable[..., object], arguments: tuple[Any, ...]
    ) -> None:
        try:
            function(*arguments)
        except Exception:  # noqa: BLE001  # one call's error is not the next one's
            self._log.failure("{function} was posted, and failed", function=function)
