"""A twisted.web Site on the stock epoll reactor: as it comes, or without access log.

Arguments of the program that calls ``serve``: PORT IDLE_SECONDS stock|quiet.
"""

import sys

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
    port, idle_seconds, kind = sys.argv[1:]
    factory = QuietSite if kind == "quiet" else Site
    site = factory(root, timeout=float(idle_seconds))
    reactor.listenTCP(int(port), site, backlog=1024, interface="127.0.0.1")
    reactor.run()
