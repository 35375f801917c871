"""``httpx-tw get``: from its words to its exit status, on a reactor of its own."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from httpx_tw.errors import ConfigurationError, HTTPXError
from httpx_tw.server.reactor_choice import reactor_of_this_process
from httpx_tw.service.complaints import complain
from httpx_tw.service.get.exits import (
    INTERRUPTED,
    MISTAKE,
    UNREADABLE,
    UNWRITABLE,
    exit_status,
    hint_for,
)
from httpx_tw.service.get.options import parse

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

__all__ = ["main", "status_of"]


def main(arguments: Sequence[str]) -> int:
    """Do what the words behind ``httpx-tw get`` ask for; return the exit status.

    Whatever goes wrong is one line on standard error.
    """
    try:
        options = parse(arguments)
    except ConfigurationError as error:
        complain(error)
        return MISTAKE
    except OSError as error:
        complain(f"cannot read what is to be sent: {error}")
        return UNREADABLE
    # Imported late: --help and mistakes need no client.
    from httpx_tw.service.get.fetching import Fetch

    reactor = reactor_of_this_process()
    return _run(status_of(Fetch(options, reactor).run()), reactor)


async def status_of(fetching: Coroutine[Any, Any, int]) -> int:
    """Return the status that *fetching* returns, or its error leads to."""
    try:
        return await fetching
    except CancelledError:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has gone, as head does: said by the status alone. Python would
        # complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNWRITABLE
    except OSError as error:
        complain(f"the body cannot be written: {error}")
        return UNWRITABLE
    except HTTPXError as error:
        hint = hint_for(error)
        complain(f"{error} ({hint})" if hint else error)
        return exit_status(error)


def _run(fetching: Coroutine[Any, Any, int], reactor: Any) -> int:
    """Run the reactor until *fetching* is over; Ctrl-C cancels it."""
    outcome: list[Any] = []
    running = Deferred.fromCoroutine(fetching)
    running.addBoth(outcome.append)
    if not outcome:
        is_stopping = False

        def interrupted() -> Deferred[Any]:
            nonlocal is_stopping
            is_stopping = True
            running.cancel()
            return running

        def over(_: object) -> None:
            if not is_stopping:
                reactor.stop()

        reactor.addSystemEventTrigger("before", "shutdown", interrupted)
        running.addBoth(over)
        reactor.run()
    (status,) = outcome
    if isinstance(status, Failure):  # a mistake of ours: with its traceback
        status.raiseException()
    return int(status)
