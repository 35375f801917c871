"""Names to addresses, by the reactor's resolver, remembered for a short time."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IResolutionReceiver
from zope.interface import implementer

from httpx_tw.errors import NameNotResolved

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IHostResolution

__all__ = ["AddressCache"]

TIME_TO_LIVE: Final = 10.0
"""Seconds. The resolver tells no TTL; long enough for a burst of dials, and short
enough for whoever moves a name. As aiohttp."""

MAX_NAMES: Final = 1000


class AddressCache:
    """Looks names up, each once at a time, and remembers what was found.

    Failures are not remembered. Reactor thread only; a look-up never blocks it.

    :param reactor: provides IReactorPluggableNameResolver and IReactorTime.
    """

    def __init__(self, reactor: Any, time_to_live: float = TIME_TO_LIVE) -> None:
        self._reactor = reactor
        self._time_to_live = time_to_live
        self._found: OrderedDict[str, tuple[float, list[str]]] = OrderedDict()
        self._asked: dict[str, _Question] = {}

    def addresses_of(self, host: str) -> Deferred[list[str]]:
        """Return the addresses of *host*, the best first: at least one.

        An address is its own. Cancelling it does not disturb others who ask the same.

        :raises NameNotResolved: it has none, or nobody could be asked.
        """
        known = self.at_hand(host)
        if known is not None:
            return succeed(known)
        question = self._asked.get(host)
        is_new = question is None
        if question is None:
            question = self._asked[host] = _Question(self, host)
        answer = question.wait()
        if is_new:
            self._reactor.nameResolver.resolveHostName(question, host)
        return answer

    def at_hand(self, host: str) -> list[str] | None:
        """Return what addresses_of would at once; None: it has to ask first."""
        if isIPAddress(host) or isIPv6Address(host):
            return [host]
        kept = self._found.get(host)
        if kept is not None and self._reactor.seconds() < kept[0]:
            return list(kept[1])
        return None

    def clear(self) -> None:
        """Forget what was found."""
        self._found.clear()

    def answered(self, question: _Question) -> None:
        """Keep what the resolver has found, and tell who asked."""
        host, addresses = question.host, question.addresses
        del self._asked[host]
        if addresses:
            expires = self._reactor.seconds() + self._time_to_live
            self._found[host] = (expires, addresses)
            self._found.move_to_end(host)
            if len(self._found) > MAX_NAMES:
                self._found.popitem(last=False)
        waiting, question.waiting = question.waiting, []
        for deferred in waiting:
            if addresses:
                deferred.callback(list(addresses))
            else:
                deferred.errback(NameNotResolved(f"no address for {host}"))


@implementer(IResolutionReceiver)
class _Question:
    """One look-up, and who waits for it."""

    def __init__(self, cache: AddressCache, host: str) -> None:
        self._cache = cache
        self.host = host
        self.addresses: list[str] = []
        self.waiting: list[Deferred[list[str]]] = []

    def wait(self) -> Deferred[list[str]]:
        """Return the answer to come."""
        deferred: Deferred[list[str]] = Deferred(self.waiting.remove)
        self.waiting.append(deferred)
        return deferred

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:  # noqa: N802, N803  # Twisted's names
        """See IResolutionReceiver."""

    def addressResolved(self, address: IAddress) -> None:  # noqa: N802  # Twisted's name
        """See IResolutionReceiver."""
        host = getattr(address, "host", None)
        if host is not None and host not in self.addresses:
            self.addresses.append(host)

    def resolutionComplete(self) -> None:  # noqa: N802  # Twisted's name
        """See IResolutionReceiver."""
        self._cache.answered(self)
