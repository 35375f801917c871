"""The console script: ``httpx-tw module:app --port 8080``, or ``httpx-tw get URL``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.python.usage import UsageError

from httpx_tw.errors import ConfigurationError
from httpx_tw.server.reactor_choice import reactor_of_this_process
from httpx_tw.service.complaints import complain
from httpx_tw.service.maker import Options, make_service
from httpx_tw.service.preflight import check_addresses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from httpx_tw.service.serving import HTTPService

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit status.

    The log goes to standard error. There is no pid file. 0 after a signal, when
    everything has been drained; 1, after one line on standard error, when it could not
    start.

    With ``get`` for its first word it sends a request instead: see
    :mod:`httpx_tw.service.get`. (An application of a module of that name: ``get:app``.)

    :param arguments: None: those of the process.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] == "get":
        # Imported late: a server needs no client.
        from httpx_tw.service.get.command import main as get

        return get(words[1:])
    options = Options()  # type: ignore[no-untyped-call]  # Twisted has no types for it
    try:
        options.parseOptions(words)
        reactor = reactor_of_this_process()
        check_addresses(reactor, options.configuration.addresses)
        service = make_service(options.configuration, reactor)
        globalLogBeginner.beginLoggingTo(
            [textFileLogObserver(sys.stderr)],
            redirectStandardIO=False,  # what the application prints stays where it is
        )
        service.privilegedStartService()
    except (UsageError, ConfigurationError) as error:
        complain(error)
        return 1
    return _run(service, reactor)


def _run(service: HTTPService, reactor: Any) -> int:
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()
    return int(service.has_failed)
