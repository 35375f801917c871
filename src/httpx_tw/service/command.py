"""The console script: ``httpx-tw module:app --port 8080``, in the foreground."""

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

    :param arguments: None: those of the process.
    """
    options = Options()  # type: ignore[no-untyped-call]  # Twisted has no types for it
    try:
        options.parseOptions(arguments)
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
