"""Who may have which of a limited number of connections: decisions, nothing is touched.

A connection that is open or being dialled takes a slot: of its own key (scheme, host,
port, and whatever else must be equal), and of the whole. Whoever asks gets an idle one,
or has one dialled, or waits. Whoever waits is fulfilled by what comes first, a
connection that is given back or one that was dialled, in the order of asking:

    ask ──► take       an idle connection of the key, the one used last
        ──► Dial       there is a slot, or an idle connection of another key has one
        ──► (nothing)  wait: for a slot, or for a dial that nobody needs any more

A dial that comes too late for the one it was for serves the next who waits, or becomes
idle. A dial that fails fails the one it was for; the others get dials of their own.
What is to be closed keeps its slot until it is: the limits are about sockets.

Everything is O(1), however many wait or are idle.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Protocol,
    TypeAlias,
    TypeVar,
)

from httpx_tw.client.pool_facts import DropReason, PoolKey, PoolStatistics
from httpx_tw.errors import PoolExhausted, PoolExhaustedForHost

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from httpx_tw.client.pool_facts import PoolConfig

__all__ = [
    "Abandon",
    "Close",
    "Dial",
    "Order",
    "Refuse",
    "Slots",
    "Use",
]


class _Place:
    """The slots of one key."""

    __slots__ = ("count", "dialing", "idle", "key", "spare", "undialed", "waiters")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.count = 0  # open or being dialled
        self.dialing = 0
        self.idle: dict[Any, None] = {}  # the one used last is last
        # In the order of asking. OrderedDict, for taking from the front of a plain one
        # again and again is quadratic.
        self.waiters: OrderedDict[Any, int] = OrderedDict()  # each with its ticket
        self.undialed: OrderedDict[Any, None] = OrderedDict()  # those without a dial
        self.spare: dict[Dial, None] = {}  # dials that are for nobody any more

    @property
    def is_unused(self) -> bool:
        return not (self.count or self.waiters)


class Pooled(Protocol):
    """What the slots keep on a connection; they alone set all but ``requests``."""

    place: Any
    idle_since: float
    is_dropped: bool
    """It is to be closed, and may be used for nothing any more."""
    requests: int
    """How many were sent on it."""


class Waiter(Protocol):
    """What the slots keep on whoever asks; they alone set ``dial``."""

    dial: Dial | None

    @property
    def key(self) -> Hashable:
        """What kind of connection it asks for."""


C = TypeVar("C", bound=Pooled)
W = TypeVar("W", bound=Waiter)


class Dial:
    """Order: make a connection. Report to ``dialed`` or ``dial_failed``."""

    __slots__ = ("place", "waiter")

    def __init__(self, place: _Place, waiter: Any) -> None:
        self.place = place
        self.waiter: Any = waiter
        """Whom a failure fails; None: nobody any more."""

    @property
    def key(self) -> Any:
        """Where to."""
        return self.place.key


@dataclass(slots=True, eq=False)
class Use(Generic[C, W]):
    """Order: give *connection* to *waiter*."""

    waiter: W
    connection: C


@dataclass(slots=True, eq=False)
class Close(Generic[C]):
    """Order: close *connection*. Report to ``remove`` when it is closed."""

    connection: C
    reason: DropReason


@dataclass(slots=True, eq=False)
class Refuse(Generic[W]):
    """Order: tell *waiter* why the dial that was for it has failed."""

    waiter: W


@dataclass(slots=True, eq=False)
class Abandon:
    """Order: stop *dial*, which nobody needs; its slot is free already."""

    dial: Dial


Order: TypeAlias = Dial | Use[C, W] | Close[C] | Refuse[W] | Abandon

_NOTHING: Final[list[Any]] = []  # what most releases answer; never added to


class Slots(Generic[C, W]):
    """The slots of one pool. One thread; times are in seconds, and passed in."""

    def __init__(self, config: PoolConfig) -> None:
        self.config = config
        self._idle_timeout = config.idle_timeout_ms / 1000
        self._max_requests = config.max_requests_per_connection or float("inf")
        self._places: dict[Hashable, _Place] = {}
        # The one unused for longest is first.
        self._idle: OrderedDict[C, _Place] = OrderedDict()
        # Keys of which somebody could dial if the whole had a slot, by how long they
        # have waited: the ticket of the last one who got there, or of the first.
        self._hungry: OrderedDict[_Place, int] = OrderedDict()
        self._total = 0
        self._dialing = 0
        self._closing = 0
        self._waiting = 0
        self._tickets = 0
        self._dialed = 0
        self._dials_failed = 0
        self._reused = 0
        self._dropped: Counter[DropReason] = Counter()

    # Asking

    def take(self, key: Hashable) -> C | None:
        """Return the idle connection of *key* that was used last; None: ask."""
        place = self._places.get(key)
        if place is None or not place.idle:
            return None
        connection: C = place.idle.popitem()[0]
        del self._idle[connection]
        self._reused += 1
        return connection

    def ask(self, waiter: W, *, may_wait: bool = True) -> list[Order[C, W]]:
        """Let *waiter* have the next connection of its key; ``take`` gave it none.

        :param may_wait: False: refuse when there is no slot for it.
        :raises PoolExhaustedForHost: its key has no slot left.
        :raises PoolExhausted: there is none left at all.
        """
        place = self._places.get(waiter.key)
        if place is None:
            place = self._places[waiter.key] = _Place(waiter.key)
        if not may_wait:
            self._refuse_if_full(place)
        self._tickets += 1
        self._waiting += 1
        place.waiters[waiter] = self._tickets
        if place.spare:
            dial, _ = place.spare.popitem()
            dial.waiter, waiter.dial = waiter, dial
            return _NOTHING
        waiter.dial = None
        place.undialed[waiter] = None
        return self._dial_what_can_be(place)

    def _refuse_if_full(self, place: _Place) -> None:
        config = self.config
        if place.spare:
            return
        if place.count >= config.max_per_host:
            raise PoolExhaustedForHost(
                f"all {config.max_per_host} connections to this host are in use"
            )
        if self._total >= config.max_connections and not self._can_evict:
            self._forget_if_unused(place)
            raise PoolExhausted(f"all {config.max_connections} connections are in use")

    def forget(self, waiter: W) -> list[Order[C, W]]:
        """Leave *waiter* out: it was cancelled, or has waited long enough."""
        place = self._places.get(waiter.key)
        if place is None or place.waiters.pop(waiter, None) is None:
            return _NOTHING
        self._waiting -= 1
        dial, waiter.dial = waiter.dial, None
        if dial is None:
            del place.undialed[waiter]
            self._settle(place)
            self._forget_if_unused(place)
            return _NOTHING
        if place.undialed:
            self._pass_on(dial)
            self._settle(place)
            return _NOTHING
        dial.waiter = None
        self._dialing -= 1
        place.dialing -= 1
        return [Abandon(dial), *self._slot_freed(place)]

    # Dials

    def dialed(self, dial: Dial, connection: C, now: float) -> list[Order[C, W]]:
        """Take *connection*, which *dial* has made."""
        place = dial.place
        self._dialed += 1
        self._dial_is_over(dial)
        connection.place = place
        connection.idle_since = now
        connection.is_dropped = False
        waiter = dial.waiter
        if waiter is not None:
            # It is served like any: whoever asked first comes first.
            waiter.dial = None
            place.undialed[waiter] = None
            place.undialed.move_to_end(waiter, last=False)
        return self._give(place, connection, now)

    def dial_failed(self, dial: Dial) -> list[Order[C, W]]:
        """Free the slot of *dial*, which has failed, and refuse the one it was for."""
        place = dial.place
        self._dials_failed += 1
        self._dial_is_over(dial)
        waiter = dial.waiter
        orders: list[Order[C, W]] = []
        if waiter is not None:
            del place.waiters[waiter]
            self._waiting -= 1
            waiter.dial = None
            orders.append(Refuse(waiter))
        return [*orders, *self._slot_freed(place)]

    def _dial_is_over(self, dial: Dial) -> None:
        self._dialing -= 1
        dial.place.dialing -= 1
        dial.place.spare.pop(dial, None)

    # Connections in use, and after it

    def release(self, connection: C, now: float) -> list[Order[C, W]]:
        """Take back *connection*, which is in order and can be used again."""
        place: _Place = connection.place
        if connection.requests >= self._max_requests:
            return self.drop(connection, DropReason.WORN_OUT)
        if place.waiters or self._hungry or not self._idle_timeout:
            return self._give(place, connection, now)
        connection.idle_since = now
        place.idle[connection] = None
        self._idle[connection] = place
        return _NOTHING

    def drop(self, connection: C, reason: DropReason) -> list[Order[C, W]]:
        """Have *connection*, idle or in use, closed."""
        self._leave(connection, reason)
        connection.is_dropped = True
        self._closing += 1
        return [Close(connection, reason)]

    def remove(self, connection: C, reason: DropReason) -> list[Order[C, W]]:
        """Free the slot of *connection*, which is closed.

        :param reason: why, unless it was dropped before.
        """
        if connection.is_dropped:
            self._closing -= 1
        else:
            self._leave(connection, reason)
        return self._slot_freed(connection.place)

    def _leave(self, connection: C, reason: DropReason) -> None:
        self._dropped[reason] += 1
        place = self._idle.pop(connection, None)
        if place is not None:
            del place.idle[connection]

    def expire(self, now: float) -> list[Order[C, W]]:
        """Close what has been idle for too long."""
        orders: list[Order[C, W]] = []
        while self._idle:
            connection = next(iter(self._idle))
            if now - connection.idle_since < self._idle_timeout:
                break
            orders += self.drop(connection, DropReason.IDLE_TOO_LONG)
        return orders

    def close_idle(self, reason: DropReason) -> list[Order[C, W]]:
        """Close all that are idle."""
        orders: list[Order[C, W]] = []
        while self._idle:
            orders += self.drop(next(iter(self._idle)), reason)
        return orders

    # What is there

    @property
    def is_empty(self) -> bool:
        """Nothing open, nothing being dialled, nobody waiting."""
        return not (self._total or self._waiting)

    def waiting(self) -> Iterable[W]:
        """Return whoever waits, of each key in the order of asking."""
        return [w for place in self._places.values() for w in place.waiters]

    @property
    def requests(self) -> int:
        """How many have had a connection, or none because its dial failed."""
        return self._dialed + self._reused + self._dials_failed

    def host_count(self, host: str, port: int) -> int:
        """Return how many slots are taken by connections to *host* and *port*."""
        return sum(
            place.count
            for key, place in self._places.items()
            if isinstance(key, PoolKey) and (key.host, key.port) == (host, port)
        )

    def statistics(self) -> PoolStatistics:
        """Return the figures."""
        idle = len(self._idle)
        return PoolStatistics(
            total=self._total,
            active=self._total - self._dialing - self._closing - idle,
            idle=idle,
            dialing=self._dialing,
            closing=self._closing,
            waiting=self._waiting,
            max_connections=self.config.max_connections,
            max_per_host=self.config.max_per_host,
            dialed=self._dialed,
            dials_failed=self._dials_failed,
            reused=self._reused,
            dropped=dict(self._dropped),
        )

    # Ours

    def _give(self, place: _Place, connection: C, now: float) -> list[Order[C, W]]:
        """Give *connection* to who has waited longest, or make it idle."""
        waiters = place.waiters
        if self._hungry and not self._closing:
            longest = next(iter(self._hungry.values()))
            if not waiters:
                return self.drop(connection, DropReason.EVICTED)
            if longest < next(iter(waiters.values())):
                # Else a host that is always busy keeps all others out for ever.
                return self.drop(connection, DropReason.YIELDED)
        if not waiters:
            if not self._idle_timeout:
                return self.drop(connection, DropReason.IDLE_TOO_LONG)
            connection.idle_since = now
            place.idle[connection] = None
            self._idle[connection] = place
            return _NOTHING
        waiter, _ = waiters.popitem(last=False)
        self._waiting -= 1
        if connection.requests:
            self._reused += 1
        dial, waiter.dial = waiter.dial, None
        if dial is None:
            del place.undialed[waiter]
        else:
            self._pass_on(dial)
        self._settle(place)
        return [Use(waiter, connection)]

    @staticmethod
    def _pass_on(dial: Dial) -> None:
        """Let *dial* be for the first who has none, or for nobody."""
        place = dial.place
        if place.undialed:
            heir, _ = place.undialed.popitem(last=False)
            dial.waiter, heir.dial = heir, dial
        else:
            dial.waiter = None
            place.spare[dial] = None

    def _slot_freed(self, place: _Place) -> list[Order[C, W]]:
        place.count -= 1
        self._total -= 1
        orders = self._dial_what_can_be(place)
        self._forget_if_unused(place)
        return orders

    def _dial_what_can_be(self, place: _Place) -> list[Order[C, W]]:
        """Begin the dials there are slots for, after *place* has changed."""
        self._settle(place)
        orders: list[Order[C, W]] = []
        while self._hungry:
            if self._total >= self.config.max_connections:
                if self._can_evict:
                    longest_idle = next(iter(self._idle))
                    orders += self.drop(longest_idle, DropReason.EVICTED)
                break
            next_place, _ = self._hungry.popitem(last=False)
            orders.append(self._begin_dial(next_place))
            self._settle(next_place)
        return orders

    @property
    def _can_evict(self) -> bool:
        # One at a time: the slot of another that is being closed may do.
        return bool(self._idle) and not self._closing

    def _begin_dial(self, place: _Place) -> Dial:
        waiter, _ = place.undialed.popitem(last=False)
        dial = Dial(place, waiter)
        waiter.dial = dial
        place.count += 1
        place.dialing += 1
        self._total += 1
        self._dialing += 1
        return dial

    def _settle(self, place: _Place) -> None:
        """Have *place* among the hungry exactly if it could use a slot."""
        if place.undialed and place.count < self.config.max_per_host:
            if place not in self._hungry:
                # Newest last: who was served a moment ago comes behind the others.
                self._hungry[place] = self._tickets
        else:
            self._hungry.pop(place, None)

    def _forget_if_unused(self, place: _Place) -> None:
        if place.is_unused:
            self._places.pop(place.key, None)
