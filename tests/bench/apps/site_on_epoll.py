"""A twisted.web Site on the stock epoll reactor: as it comes, or without access log.

Arguments of the program that calls ``serve``: PORT IDLE_SECONDS stock|quiet, and for
TLS the files CERTIFICATE KEY.
"""

import sys
from pathlib import Path

from twisted.internet import epollreactor

epollreactor.install()

from twisted.internet import reactor  # noqa: E402, TID251
from twisted.web.resource import IResource  # noqa: E402
from twisted.web.server import Site  # noqa: E402


class QuietSite(Site):
    """Formats no access-log line: Site has no option for that."""

    def log(self, request: object) -> None:
        pass


def serve(root: IResource) -> None:
    port, idle_seconds, kind, *files = sys.argv[1:]
    factory = QuietSite if kind == "quiet" else Site
    site = factory(root, timeout=float(idle_seconds))
    options = {"backlog": 1024, "interface": "127.0.0.1"}
    if files:
        from twisted.internet.ssl import PrivateCertificate

        pem = b"".join(Path(file).read_bytes() for file in files)
        certificate = PrivateCertificate.loadPEM(pem)
        reactor.listenSSL(int(port), site, certificate.options(), **options)
    else:
        reactor.listenTCP(int(port), site, **options)
    reactor.run()
