"""Decisions about slots: each rule by an example, all of them by random histories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.pool_facts import DropReason, PoolConfig, PoolKey, Via
from httpx_tw.client.proxies import Proxy
from httpx_tw.client.slots import Abandon, Close, Dial, Refuse, Slots, Use
from httpx_tw.errors import ConfigurationError, PoolExhausted, PoolExhaustedForHost

VIA = Via(Proxy("http", "p", 80), is_tunnel=True)
A, B, C = (PoolKey("http", name, 80) for name in "abc")


class Connection:
    """A connection as the slots see it."""

    def __init__(self) -> None:
        self.place: Any = None
        self.idle_since = 0.0
        self.requests = 0
        self.is_dropped = False
        self.is_open = True


class Asker:
    """Somebody who asks for a connection."""

    def __init__(self, key: PoolKey, number: int = 0) -> None:
        self.key = key
        self.number = number
        self.dial: Dial | None = None
        self.connection: Connection | None = None
        self.is_refused = False

    def __repr__(self) -> str:
        return f"<{self.key.host}{self.number}>"


class World:
    """Carries orders out, and remembers what is open and what is being dialled."""

    def __init__(self, **config: int) -> None:
        self.config = PoolConfig(**config)
        self.slots: Slots[Connection, Asker] = Slots(self.config)
        self.now = 0.0
        self.open: list[Connection] = []
        self.dials: list[Dial] = []
        self.closing: list[Connection] = []
        self.closed: list[DropReason] = []
        self.asked = 0

    def obey(self, orders: list[Any]) -> None:
        for order in orders:
            match order:
                case Use(waiter, connection):
                    assert waiter.connection is None
                    assert connection.is_open
                    waiter.connection = connection
                    connection.requests += 1
                case Dial():
                    self.dials.append(order)
                case Close(connection, reason):
                    assert connection.is_open
                    connection.is_open = False
                    self.open.remove(connection)
                    self.closing.append(connection)
                    self.closed.append(reason)
                case Refuse(waiter):
                    assert waiter.connection is None
                    waiter.is_refused = True
                case Abandon(dial):
                    self.dials.remove(dial)

    def ask(self, key: PoolKey = A, *, may_wait: bool = True) -> Asker:
        self.asked += 1
        asker = Asker(key, self.asked)
        connection = self.slots.take(key)
        if connection is not None:
            assert connection.is_open
            asker.connection = connection
            connection.requests += 1
        else:
            self.obey(self.slots.ask(asker, may_wait=may_wait))
        return asker

    def connect(self, dial: Dial | None = None) -> Connection:
        dial = self.dials.pop(0) if dial is None else dial
        if dial in self.dials:
            self.dials.remove(dial)
        connection = Connection()
        self.open.append(connection)
        self.obey(self.slots.dialed(dial, connection, self.now))
        return connection

    def fail(self, dial: Dial | None = None) -> None:
        dial = self.dials.pop(0) if dial is None else dial
        if dial in self.dials:
            self.dials.remove(dial)
        self.obey(self.slots.dial_failed(dial))

    def give_back(self, asker: Asker) -> None:
        connection, asker.connection = asker.connection, None
        assert connection is not None
        self.obey(self.slots.release(connection, self.now))

    def close(self) -> None:
        """Let what is being closed be closed."""
        while self.closing:
            self.obey(self.slots.remove(self.closing.pop(0), DropReason.FAILED))

    def die(self, connection: Connection) -> None:
        connection.is_open = False
        self.open.remove(connection)
        self.obey(self.slots.remove(connection, DropReason.PEER_CLOSED))

    def served(self, key: PoolKey = A) -> Asker:
        """Ask, and connect what is dialled for it."""
        asker = self.ask(key)
        if asker.connection is None:
            self.connect()
        assert asker.connection is not None
        return asker


class ConfigTests(SynchronousTestCase):
    def test_defaults_are_those_of_the_contract(self) -> None:
        config = PoolConfig()
        self.assertEqual(
            (
                config.max_connections,
                config.max_per_host,
                config.idle_timeout_ms,
                config.max_requests_per_connection,
            ),
            (100, 10, 60_000, 1000),
        )

    def test_senseless_values_are_refused(self) -> None:
        for name, value in (
            ("max_connections", 0),
            ("max_per_host", 0),
            ("max_connections", -1),
            ("idle_timeout_ms", -1),
            ("idle_timeout_ms", 0.5),
            ("max_requests_per_connection", -1),
        ):
            with self.assertRaises(ConfigurationError):
                replace(PoolConfig(), **{name: value})  # type: ignore[arg-type]  # so

    def test_zero_is_a_value_where_it_has_a_meaning(self) -> None:
        PoolConfig(idle_timeout_ms=0, max_requests_per_connection=0)


class AskingTests(SynchronousTestCase):
    def test_first_to_ask_gets_a_dial(self) -> None:
        world = World()
        asker = world.ask()
        self.assertEqual([dial.key for dial in world.dials], [A])
        connection = world.connect()
        self.assertIs(asker.connection, connection)

    def test_connection_used_last_is_used_again(self) -> None:
        world = World()
        first, second = world.served(), world.served()
        used_last = second.connection
        world.give_back(first)
        world.give_back(second)
        self.assertIs(world.ask().connection, used_last)

    def test_connection_of_another_key_is_not_used(self) -> None:
        world = World()
        world.give_back(world.served())
        for key in (
            B,
            replace(A, scheme="https"),
            replace(A, port=81),
            replace(A, via=VIA),
            replace(A, tls="t"),
            replace(A, local_address="127.0.0.2"),
            replace(A, uds="/s"),
        ):
            self.assertIsNone(world.slots.take(key))

    def test_over_the_hosts_limit_one_waits(self) -> None:
        world = World(max_per_host=1)
        first = world.served()
        second = world.ask()
        self.assertEqual(world.dials, [])
        self.assertIsNone(second.connection)
        connection = first.connection
        world.give_back(first)
        self.assertIs(second.connection, connection)

    def test_who_does_not_want_to_wait_is_told_so_at_once(self) -> None:
        world = World(max_per_host=1, max_connections=2)
        world.served(A)
        with self.assertRaises(PoolExhaustedForHost):
            world.ask(A, may_wait=False)
        world.served(B)
        with self.assertRaises(PoolExhausted) as caught:
            world.ask(C, may_wait=False)
        self.assertNotIsInstance(caught.exception, PoolExhaustedForHost)
        self.assertEqual(world.slots.statistics().waiting, 0)

    def test_who_does_not_want_to_wait_takes_what_there_is(self) -> None:
        world = World(max_per_host=1, max_connections=1)
        self.assertIsNotNone(world.served(A).connection)
        world = World(max_per_host=1, max_connections=1)
        world.give_back(world.served(A))
        world.ask(B, may_wait=False)
        self.assertEqual(world.closed, [DropReason.EVICTED])
        world.close()
        self.assertEqual([dial.key for dial in world.dials], [B])

    def test_all_who_wait_are_served_in_the_order_of_asking(self) -> None:
        world = World(max_per_host=2)
        askers = [world.ask() for _ in range(20)]
        world.connect()
        world.connect()
        order: list[Asker] = []
        while len(order) < 20:
            for asker in askers:
                if asker.connection is not None and asker not in order:
                    order.append(asker)
                    world.give_back(asker)
        self.assertEqual(order, askers)

    def test_connection_given_back_serves_who_has_a_dial_going(self) -> None:
        world = World()
        first = world.served()
        second = world.ask()
        self.assertEqual(len(world.dials), 1)
        world.give_back(first)
        self.assertIsNotNone(second.connection)
        late = world.connect()  # for nobody any more
        self.assertEqual(world.slots.statistics().idle, 1)
        self.assertIs(world.ask().connection, late)

    def test_dial_for_nobody_is_for_the_next_who_asks(self) -> None:
        world = World()
        first = world.served()
        world.ask()
        world.give_back(first)
        third = world.ask()
        self.assertEqual(len(world.dials), 1)
        world.fail()
        self.assertTrue(third.is_refused)

    def test_failed_dial_fails_the_one_it_was_for_and_others_get_their_own(
        self,
    ) -> None:
        world = World(max_per_host=1)
        first, second = world.ask(), world.ask()
        world.fail()
        self.assertTrue(first.is_refused)
        self.assertFalse(second.is_refused)
        self.assertEqual(len(world.dials), 1)
        self.assertIs(world.connect(), second.connection)

    def test_failed_dial_for_nobody_fails_nobody(self) -> None:
        world = World(max_per_host=2)
        first = world.served()
        world.ask()
        world.give_back(first)
        world.fail()
        self.assertEqual(world.slots.statistics().total, 1)
        self.assertEqual(world.slots.statistics().dials_failed, 1)

    def test_later_dial_that_comes_first_serves_who_asked_first(self) -> None:
        world = World()
        first, second = world.ask(), world.ask()
        connection = world.connect(world.dials[1])
        self.assertIs(first.connection, connection)
        self.assertIsNone(second.connection)
        # The dial that is left is for the one that is left.
        world.fail()
        self.assertTrue(second.is_refused)


class ForgettingTests(SynchronousTestCase):
    def test_who_waits_for_a_slot_leaves_the_queue(self) -> None:
        world = World(max_per_host=1)
        first = world.served()
        second, third = world.ask(), world.ask()
        world.obey(world.slots.forget(second))
        world.give_back(first)
        self.assertIsNone(second.connection)
        self.assertIsNotNone(third.connection)

    def test_dial_nobody_needs_is_abandoned(self) -> None:
        world = World()
        asker = world.ask()
        world.obey(world.slots.forget(asker))
        self.assertEqual(world.dials, [])
        self.assertTrue(world.slots.is_empty)

    def test_dial_somebody_needs_goes_on(self) -> None:
        world = World(max_per_host=1)
        first, second = world.ask(), world.ask()
        world.obey(world.slots.forget(first))
        self.assertEqual(len(world.dials), 1)
        self.assertIs(world.connect(), second.connection)

    def test_forgetting_whoever_does_not_wait_changes_nothing(self) -> None:
        world = World()
        asker = world.served()
        world.obey(world.slots.forget(asker))
        self.assertEqual(world.slots.statistics().active, 1)
        world.obey(world.slots.forget(Asker(B)))

    def test_who_waits_for_the_whole_leaves_no_trace(self) -> None:
        world = World(max_connections=1)
        first = world.served(A)
        second = world.ask(B)
        world.obey(world.slots.forget(second))
        world.give_back(first)
        self.assertEqual(world.closed, [])
        self.assertEqual(world.slots.statistics().idle, 1)


class WholeTests(SynchronousTestCase):
    def test_least_recently_used_makes_room(self) -> None:
        world = World(max_connections=2)
        a, b = world.served(A), world.served(B)
        oldest = a.connection
        world.give_back(a)
        world.give_back(b)
        world.ask(C)
        self.assertEqual(world.closed, [DropReason.EVICTED])
        assert oldest is not None
        self.assertFalse(oldest.is_open)

    def test_slot_goes_to_whoever_has_waited_longest(self) -> None:
        world = World(max_connections=1)
        first = world.served(A)
        b, c = world.ask(B), world.ask(C)
        world.give_back(first)
        self.assertEqual(world.closed, [DropReason.EVICTED])
        world.close()
        world.connect()
        self.assertIsNotNone(b.connection)
        world.give_back(b)
        world.close()
        world.connect()
        self.assertIsNotNone(c.connection)

    def test_busy_host_does_not_keep_another_out(self) -> None:
        world = World(max_connections=2, max_per_host=2)
        first = world.served(A)
        world.served(A)
        b = world.ask(B)
        a = world.ask(A)
        world.give_back(first)
        self.assertEqual(world.closed, [DropReason.YIELDED])
        world.close()
        world.connect()
        self.assertIsNotNone(b.connection)
        world.give_back(b)
        world.close()
        world.connect()
        self.assertIsNotNone(a.connection)

    def test_dead_connection_makes_room(self) -> None:
        world = World(max_connections=1)
        first = world.served(A)
        b = world.ask(B)
        assert first.connection is not None
        world.die(first.connection)
        self.assertIs(world.connect(), b.connection)


class KeepingTests(SynchronousTestCase):
    def test_worn_out_connection_is_not_kept(self) -> None:
        world = World(max_requests_per_connection=2)
        world.give_back(world.served())
        world.give_back(world.ask())
        self.assertEqual(world.closed, [DropReason.WORN_OUT])
        world.close()
        self.assertTrue(world.slots.is_empty)

    def test_connection_being_closed_keeps_its_slot_until_it_is(self) -> None:
        world = World(max_requests_per_connection=1, max_per_host=1)
        first = world.served()
        second = world.ask()
        world.give_back(first)
        self.assertEqual(world.dials, [])
        self.assertEqual(world.slots.statistics().closing, 1)
        self.assertEqual(world.slots.statistics().active, 0)
        world.close()
        world.connect()
        self.assertIsNotNone(second.connection)

    def test_idle_connections_expire_in_time(self) -> None:
        world = World(idle_timeout_ms=1000)
        first, second = world.served(), world.served()
        world.give_back(first)
        world.now = 0.6
        world.give_back(second)
        world.obey(world.slots.expire(0.9))
        self.assertEqual(world.closed, [])
        world.obey(world.slots.expire(1.0))
        self.assertEqual(world.closed, [DropReason.IDLE_TOO_LONG])
        world.obey(world.slots.expire(1.6))
        world.close()
        self.assertTrue(world.slots.is_empty)

    def test_zero_keeps_none_but_hands_on(self) -> None:
        world = World(idle_timeout_ms=0, max_per_host=1)
        first = world.served()
        second = world.ask()
        world.give_back(first)
        self.assertIsNotNone(second.connection)
        world.give_back(second)
        self.assertEqual(world.closed, [DropReason.IDLE_TOO_LONG])

    def test_idle_connection_that_dies_is_gone(self) -> None:
        world = World()
        asker = world.served()
        connection = asker.connection
        world.give_back(asker)
        assert connection is not None
        world.die(connection)
        self.assertTrue(world.slots.is_empty)
        self.assertIsNone(world.slots.take(A))

    def test_all_idle_can_be_closed(self) -> None:
        world = World()
        askers = [world.served(), world.served(B), world.served()]
        world.give_back(askers[0])
        world.give_back(askers[1])
        world.obey(world.slots.close_idle(DropReason.POOL_CLOSED))
        self.assertEqual(world.closed, [DropReason.POOL_CLOSED] * 2)
        self.assertEqual(world.slots.statistics().active, 1)


class StatisticsTests(SynchronousTestCase):
    def test_figures_are_exact(self) -> None:
        world = World(max_per_host=3, max_connections=4)
        first = world.served()
        world.served()
        world.give_back(first)
        world.ask()
        world.ask()
        world.ask()
        figures = world.slots.statistics()
        self.assertEqual(
            (figures.total, figures.active, figures.idle, figures.dialing),
            (3, 2, 0, 1),
        )
        self.assertEqual((figures.waiting, figures.dialed, figures.reused), (2, 2, 1))
        self.assertEqual((figures.max_per_host, figures.max_connections), (3, 4))
        world.fail()
        self.assertEqual(world.slots.statistics().dials_failed, 1)
        self.assertEqual(figures.dropped, {})
        for waiting in world.slots.waiting():
            self.assertEqual(waiting.key, A)

    def test_connections_of_a_host_are_counted_over_its_keys(self) -> None:
        world = World()
        world.served(A)
        world.served(replace(A, via=VIA))
        world.served(B)
        self.assertEqual(world.slots.host_count("a", 80), 2)
        self.assertEqual(world.slots.host_count("a", 81), 0)


class Histories(RuleBasedStateMachine):
    """Any history of asks, dials, failures, releases, deaths, cancels and time."""

    @initialize(
        whole=st.integers(1, 5),
        host=st.integers(1, 4),
        wear=st.sampled_from([0, 1, 3]),
        keep=st.sampled_from([0, 1000]),
    )
    def begin(self, whole: int, host: int, wear: int, keep: int) -> None:
        self.world = World(
            max_connections=whole,
            max_per_host=host,
            max_requests_per_connection=wear,
            idle_timeout_ms=keep,
        )
        self.askers: list[Asker] = []

    def waiting(self) -> list[Asker]:
        return [a for a in self.askers if a.connection is None and not a.is_refused]

    def using(self) -> list[Asker]:
        return [a for a in self.askers if a.connection is not None]

    @rule(key=st.sampled_from([A, B, C]), may_wait=st.booleans())
    def ask(self, key: PoolKey, may_wait: bool) -> None:
        try:
            self.askers.append(self.world.ask(key, may_wait=may_wait))
        except PoolExhausted:
            assert not may_wait

    @precondition(lambda self: self.world.dials)
    @rule(data=st.data())
    def connect(self, data: st.DataObject) -> None:
        self.world.connect(data.draw(st.sampled_from(self.world.dials)))

    @precondition(lambda self: self.world.dials)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        self.world.fail(data.draw(st.sampled_from(self.world.dials)))
        self.askers = [a for a in self.askers if not a.is_refused]

    @precondition(lambda self: self.using())
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        asker = data.draw(st.sampled_from(self.using()))
        self.askers.remove(asker)
        self.world.give_back(asker)

    @precondition(lambda self: self.waiting())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        asker = data.draw(st.sampled_from(self.waiting()))
        self.askers.remove(asker)
        self.world.obey(self.world.slots.forget(asker))

    @precondition(lambda self: self.world.open)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        connection = data.draw(st.sampled_from(self.world.open))
        self.askers = [a for a in self.askers if a.connection is not connection]
        self.world.die(connection)

    @precondition(lambda self: self.world.closing)
    @rule()
    def close(self) -> None:
        world = self.world
        world.obey(world.slots.remove(world.closing.pop(0), DropReason.FAILED))

    @rule(seconds=st.floats(0, 2))
    def wait(self, seconds: float) -> None:
        self.world.now += seconds
        self.world.obey(self.world.slots.expire(self.world.now))

    @invariant()
    def limits_hold(self) -> None:
        world = getattr(self, "world", None)
        if world is None:
            return
        taken = len(world.open) + len(world.dials) + len(world.closing)
        assert taken <= world.config.max_connections
        for key in (A, B, C):
            count = world.slots.host_count(key.host, key.port)
            assert count <= world.config.max_per_host
            open_or_closing = world.open + world.closing
            assert count == sum(c.place.key == key for c in open_or_closing) + sum(
                d.key == key for d in world.dials
            )

    @invariant()
    def figures_are_exact(self) -> None:
        world = getattr(self, "world", None)
        if world is None:
            return
        figures = world.slots.statistics()
        assert figures.closing == len(world.closing)
        assert figures.dialing == len(world.dials)
        assert figures.active == len(self.using())
        assert figures.waiting == len(self.waiting())
        assert set(world.slots.waiting()) == set(self.waiting())

    @invariant()
    def nobody_waits_for_what_there_is(self) -> None:
        world = getattr(self, "world", None)
        if world is None:
            return
        figures = world.slots.statistics()
        for asker in self.waiting():
            host = world.slots.host_count(asker.key.host, asker.key.port)
            assert (
                asker.dial in world.dials
                or host == world.config.max_per_host
                or (
                    figures.total == world.config.max_connections
                    and (figures.closing or not figures.idle)
                )
            )
            if asker.dial is not None:
                assert asker.dial.waiter is asker

    @invariant()
    def each_key_is_served_in_the_order_of_asking(self) -> None:
        # Whoever waits asked later than everybody of its key who has been served, but
        # for those who found a connection idle: then nobody of its key waited.
        world = getattr(self, "world", None)
        if world is None:
            return
        for key in (A, B, C):
            numbers = [a.number for a in world.slots.waiting() if a.key == key]
            assert numbers == sorted(numbers)
            using = [a.number for a in self.using() if a.key == key]
            assert not numbers or not using or max(using) < min(numbers)

    def teardown(self) -> None:
        world = getattr(self, "world", None)
        if world is None:
            return
        while self.waiting():
            asker = self.waiting()[0]
            self.askers.remove(asker)
            world.obey(world.slots.forget(asker))
        for asker in self.using():
            world.give_back(asker)
        while world.dials:
            world.fail()
        world.obey(world.slots.close_idle(DropReason.POOL_CLOSED))
        world.close()
        assert world.slots.is_empty
        assert not world.open
        assert not world.slots._places
        assert not world.slots._hungry


HistoriesTests = Histories.TestCase
