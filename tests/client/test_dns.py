"""Addresses of names: asked once, kept for a while, and not asked for at all."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client.dns import MAX_NAMES, TIME_TO_LIVE, AddressCache
from httpx_tw.errors import NameNotResolved


class Resolver:
    """A reactor's resolver, answered by hand."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, str]] = []

    def resolveHostName(self, receiver: Any, name: str) -> None:  # noqa: N802  # Twisted's name
        self.asked.append((receiver, name))

    def answer(self, *addresses: str) -> None:
        receiver, _ = self.asked.pop(0)
        receiver.resolutionBegan(None)
        for address in addresses:
            kind = IPv6Address if ":" in address else IPv4Address
            receiver.addressResolved(kind("TCP", address, 0))
        receiver.addressResolved(UNIXAddress("/no/host"))
        receiver.resolutionComplete()


class Reactor(Clock):
    """A clock with a resolver."""

    def __init__(self) -> None:
        super().__init__()
        self.nameResolver = Resolver()


class CacheTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.resolver = self.reactor.nameResolver
        self.cache = AddressCache(self.reactor)

    def test_address_is_its_own(self) -> None:
        for address in ("127.0.0.1", "::1"):
            found = self.successResultOf(self.cache.addresses_of(address))
            self.assertEqual(found, [address])
        self.assertEqual(self.resolver.asked, [])

    def test_name_is_asked_for_once_for_all(self) -> None:
        waiting = [self.cache.addresses_of("a.example") for _ in range(3)]
        self.assertEqual(len(self.resolver.asked), 1)
        self.resolver.answer("192.0.2.1", "2001:db8::1", "192.0.2.1")
        for deferred in waiting:
            self.assertEqual(
                self.successResultOf(deferred), ["192.0.2.1", "2001:db8::1"]
            )

    def test_answer_is_kept_for_a_while(self) -> None:
        first = self.cache.addresses_of("a.example")
        self.resolver.answer("192.0.2.1")
        self.successResultOf(first).append("not in the cache")
        self.reactor.advance(TIME_TO_LIVE - 0.1)
        self.assertEqual(
            self.successResultOf(self.cache.addresses_of("a.example")), ["192.0.2.1"]
        )
        self.reactor.advance(0.2)
        again = self.cache.addresses_of("a.example")
        self.resolver.answer("192.0.2.2")
        self.assertEqual(self.successResultOf(again), ["192.0.2.2"])

    def test_failure_is_told_and_not_kept(self) -> None:
        for _ in range(2):
            deferred = self.cache.addresses_of("a.example")
            self.resolver.answer()
            self.failureResultOf(deferred, NameNotResolved)

    def test_cancelling_disturbs_nobody_else(self) -> None:
        first = self.cache.addresses_of("a.example")
        second = self.cache.addresses_of("a.example")
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.resolver.answer("192.0.2.1")
        self.assertEqual(self.successResultOf(second), ["192.0.2.1"])

    def test_answer_nobody_waits_for_is_kept_all_the_same(self) -> None:
        first = self.cache.addresses_of("a.example")
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.resolver.answer("192.0.2.1")
        self.successResultOf(self.cache.addresses_of("a.example"))

    def test_cache_can_be_cleared(self) -> None:
        self.cache.addresses_of("a.example")
        self.resolver.answer("192.0.2.1")
        self.cache.clear()
        self.cache.addresses_of("a.example")
        self.assertEqual(len(self.resolver.asked), 1)

    def test_cache_does_not_grow_for_ever(self) -> None:
        for number in range(MAX_NAMES + 10):
            self.cache.addresses_of(f"{number}.example")
            self.resolver.answer("192.0.2.1")
        self.assertEqual(len(self.cache._found), MAX_NAMES)
        self.successResultOf(self.cache.addresses_of(f"{MAX_NAMES}.example"))
