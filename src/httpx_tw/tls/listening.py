"""Listening with TLS: an endpoint around another, and a look at the files meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IListeningPort, IProtocolFactory

    from httpx_tw.tls.certificates import ServerCertificates

__all__ = ["RELOAD_INTERVAL", "CertificateWatch", "TLSServerEndpoint"]

_log = Logger()

RELOAD_INTERVAL: Final = 10.0
"""Seconds between two looks at the files: four stat calls, 10 µs."""


@implementer(IStreamServerEndpoint)
class TLSServerEndpoint:
    """Listens where *endpoint* does, with TLS.

    :param creator: an IOpenSSLServerConnectionCreator, such as ServerCertificates.
    :param clock: IReactorTime, for Twisted's own TLS.
    """

    def __init__(self, endpoint: Any, creator: Any, clock: Any) -> None:
        self._endpoint = endpoint
        self._creator = creator
        self._clock = clock

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:  # noqa: N803  # Twisted's name
        """See IStreamServerEndpoint.listen."""
        # Not a subclass: the direct transport takes this very class's place.
        factory = TLSMemoryBIOFactory(
            self._creator, False, protocolFactory, clock=self._clock
        )
        listening: Deferred[IListeningPort] = self._endpoint.listen(factory)
        return listening


class CertificateWatch:
    """Has certificates reloaded soon after their files have changed.

    :param clock: IReactorTime.
    :param interval: seconds between two looks.
    """

    def __init__(
        self,
        clock: Any,
        certificates: ServerCertificates,
        interval: float = RELOAD_INTERVAL,
    ) -> None:
        self._certificates = certificates
        self._interval = interval
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def start(self) -> None:
        """Look from now on; it ends with :meth:`stop`."""
        self._looking.start(self._interval, now=False)

    def stop(self) -> None:
        """Look no more; not looking is fine."""
        if self._looking.running:
            self._looking.stop()

    def _look(self) -> None:
        try:
            self._certificates.reload()
        except Exception:  # noqa: BLE001  # the next look may find what it can read
            _log.failure("while looking for new TLS certificates")
