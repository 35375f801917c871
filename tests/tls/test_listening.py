"""Endpoints with TLS, and looking at the files now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import succeed
from twisted.internet.interfaces import (
    IOpenSSLServerConnectionCreator,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from httpx_tw.tls.listening import CertificateWatch, TLSServerEndpoint

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class Endpoint:
    """Notes what it is given to listen with."""

    def __init__(self) -> None:
        self.factories: list[Any] = []

    def listen(self, factory: Any) -> Deferred[str]:
        self.factories.append(factory)
        return succeed("port")


@implementer(IOpenSSLServerConnectionCreator)
class Creator:
    """Makes no connections."""

    def serverConnectionForTLS(self, tlsProtocol: Any) -> Any:  # noqa: N802, N803  # Twisted's
        raise NotImplementedError


class Certificates:
    """Counts how often they are looked at."""

    def __init__(self) -> None:
        self.looks = 0
        self.problem: Exception | None = None

    def reload(self) -> bool:
        self.looks += 1
        if self.problem:
            raise self.problem
        return False


class TLSServerEndpointTests(SynchronousTestCase):
    def test_it_is_an_endpoint(self) -> None:
        made = TLSServerEndpoint(Endpoint(), Creator(), Clock())
        self.assertTrue(verifyObject(IStreamServerEndpoint, made))

    def test_it_listens_with_twisteds_wrapper_as_it_is(self) -> None:
        endpoint = Endpoint()
        factory: Any = Factory()
        port = self.successResultOf(
            TLSServerEndpoint(endpoint, Creator(), Clock()).listen(factory)
        )
        self.assertEqual(port, "port")
        (wrapped,) = endpoint.factories
        self.assertIs(type(wrapped), TLSMemoryBIOFactory)
        self.assertIs(wrapped.wrappedFactory, factory)


class CertificateWatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.certificates = Certificates()
        watched: Any = self.certificates
        self.watch = CertificateWatch(self.clock, watched, interval=10)

    def test_it_looks_each_interval_until_it_is_stopped(self) -> None:
        self.watch.start()
        self.assertEqual(self.certificates.looks, 0)
        self.clock.pump([10] * 3)
        self.assertEqual(self.certificates.looks, 3)
        self.watch.stop()
        self.watch.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_problem_does_not_end_it(self) -> None:
        self.watch.start()
        self.certificates.problem = ZeroDivisionError()
        self.clock.pump([10] * 2)
        self.assertEqual(self.certificates.looks, 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.watch.stop()
