"""When the phases of a request were over, and how long each took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from httpx_tw.client.exchange import Exchange
from httpx_tw.observe.moments import DIAL_PHASES, PHASES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from httpx_tw.client.outgoing import OutgoingRequest
    from httpx_tw.client.response import ClientResponse

__all__ = ["DialTimes", "TimedExchange", "Timing"]

_log = Logger()


@dataclass(slots=True)
class DialTimes:
    """When the phases of making a connection were over, in the reactor's seconds.

    None: it had no such phase.
    """

    started: float
    resolved: float | None = None
    connected: float | None = None
    tunneled: float | None = None
    secured: float | None = None


class Timing:
    """When the phases of one exchange were over. A redirect is an exchange of its own.

    Each is in seconds from the time the request was made. None: not yet, or there is no
    such phase: see
    :data:`~httpx_tw.observe.moments.PHASES`.
    """

    __slots__ = (
        "connected",
        "dialed",
        "ended",
        "resolved",
        "secured",
        "sent",
        "started",
        "tunneled",
    )

    def __init__(self) -> None:
        self.dialed: float | None = None
        """A slot was free, and the connection was begun. None: it was open already."""
        self.resolved: float | None = None
        self.connected: float | None = None
        self.tunneled: float | None = None
        self.secured: float | None = None
        self.sent: float | None = None
        self.started: float | None = None
        self.ended: float | None = None

    def passed(self) -> Iterator[tuple[str, float]]:
        """Yield the phases that are over, in order, each with its moment."""
        for phase in PHASES:
            moment = getattr(self, phase)
            if moment is not None:
                yield phase, moment

    def durations(self) -> dict[str, float]:
        """Return how long each phase took that is over, in seconds.

        Before the first there may have been a wait for a free connection, which is
        ``waited``. They add up to the last moment.
        """
        last = 0.0
        found: dict[str, float] = {}
        if self.dialed is not None:
            found["waited"] = last = self.dialed
        for phase, moment in self.passed():
            # What came of a dial for somebody else may be older than the request.
            found[phase] = max(0.0, moment - last)
            last = max(last, moment)
        return found

    def __repr__(self) -> str:
        passed = ", ".join(f"{phase}={moment:.6f}" for phase, moment in self.passed())
        return f"<Timing {passed}>"


class TimedExchange(Exchange):
    """An exchange that notes when its phases are over, and tells who asked.

    :param hooks: what to call at each phase, with the request and seconds.
    """

    def __init__(
        self,
        *exchange: Any,
        hooks: Mapping[str, Sequence[Callable[..., object]]],
    ) -> None:
        super().__init__(*exchange)
        self.timing = Timing()
        self._begun: float | None = None
        self._hooks = hooks
        self._link: Any = None

    @property
    def connection(self) -> Any:
        """See Exchange; being given one is a moment too."""
        return self._link

    @connection.setter
    def connection(self, connection: Any) -> None:
        self._link = connection
        if connection is None:
            return
        if connection.requests == 0:
            self._is_dialed(connection.facts.dialing)
        request = self.request
        if request.content is None or not (
            request.content.data is None
            or request.expects_continue
            or self.upload_progress is not None
        ):
            # One write, which is next; what takes longer says so when it is sent.
            self.request_sent()

    def begin(self, now: float) -> None:
        """Count from *now*."""
        self._begun = now

    def request_sent(self) -> None:
        """See Exchange."""
        self._pass("sent")

    def response_started(self) -> None:
        """See Exchange."""
        if self.timing.sent is None:
            # Answered before all was sent: there will be no more of it.
            self._pass("sent")
        self._pass("started")

    def response_ended(self) -> None:
        """See Exchange."""
        self._pass("ended")

    def answered(self, response: ClientResponse) -> None:
        """See Exchange."""
        if self.timing.started is None:
            # Head and body in one read: both are there.
            self.response_started()
            self.response_ended()
        response.timing = self.timing
        super().answered(response)

    def _is_dialed(self, times: DialTimes | None) -> None:
        if times is None:  # by a dialer that takes none
            return
        self.timing.dialed = max(0.0, times.started - self._start)
        for phase in DIAL_PHASES:
            moment = getattr(times, phase)
            if moment is not None:
                self._note(phase, max(0.0, moment - self._start))

    def _pass(self, phase: str) -> None:
        if getattr(self.timing, phase) is None:
            self._note(phase, self.owner.pool.seconds() - self._start)

    @property
    def _start(self) -> float:
        return self.started if self._begun is None else self._begun

    def _note(self, phase: str, moment: float) -> None:
        setattr(self.timing, phase, moment)
        for hook in self._hooks.get(phase, ()):
            _call(hook, self.request, moment)


def _call(hook: Callable[..., object], request: OutgoingRequest, moment: float) -> None:
    # The connection is in the middle of something: no hook may stop it there.
    try:
        hook(request, moment)
    except Exception:  # noqa: BLE001  # whatever it is, it is the hook's
        _log.failure("a hook of a phase has failed")
