"""The service that twistd starts and stops: it listens, says where, and drains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from twisted.application.service import Service
from twisted.internet.defer import gatherResults
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from httpx_tw.errors import ConfigurationError
from httpx_tw.server.reactor_choice import name_of
from httpx_tw.service.addresses import cannot_listen, endpoint_from, url_of
from httpx_tw.service.hangup import Hangup
from httpx_tw.service.quantities import format_duration, format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from httpx_tw.limits import Limits, Timeouts
    from httpx_tw.observe.access_log import AccessLog
    from httpx_tw.server.server import Server

__all__ = ["HTTPService"]

_log = Logger()


def _raise(error: ConfigurationError) -> NoReturn:
    raise error


class HTTPService(Service):
    """A Server as a service: give it a parent, or start and stop it by itself.

    It binds in ``privilegedStartService`` where that is called (twistd does so before
    it sheds privileges) and else in ``startService``. ``stopService`` returns a
    Deferred that fires when the requests in flight have ended.

    :param server: not running yet.
    :param listen: endpoint strings, and ``fd:N``.
    :param what: names the application in the log.
    :param handlers: says in the log where they run.
    :param access_log: closed when the service has stopped; the server has it too.
    :param redirect: a server that sends clients on to *server*, and its endpoint; it
        starts and stops along. None: none.
    :param on_failure: called with the ConfigurationError when it cannot listen; by
        default that is raised.
    """

    def __init__(  # noqa: PLR0913  # all but three are keywords with defaults
        self,
        reactor: Any,
        server: Server,
        listen: Sequence[str],
        *,
        what: str = "an application",
        handlers: str = "handlers run on the reactor thread",
        access_log: AccessLog | None = None,
        redirect: tuple[Server, str] | None = None,
        on_failure: Callable[[ConfigurationError], NoReturn] = _raise,
    ) -> None:
        self.server = server
        self._reactor = reactor
        self._listen_on = tuple(listen)
        self._what = what
        self._handlers = handlers
        self._access_log = access_log
        self._redirect = redirect
        self._hangup = Hangup(reactor, self._look_for_certificates)
        self.on_failure = on_failure
        """Called with what went wrong; must not return."""
        self.has_failed = False
        """A plugin's endpoint, which took its time, has failed; the reactor stops."""
        self._is_bound = False

    @property
    def urls(self) -> list[str]:
        """Where it listens, as clients would say it; empty when it does not."""
        is_secure = self.server.certificates is not None
        return [
            url_of(address, description, is_secure=is_secure)
            for address, description in zip(
                self.server.addresses, self._listen_on, strict=False
            )
        ]

    def privilegedStartService(self) -> None:
        """Bind. See IService."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]  # Twisted has no types for it
        self._bind()

    def startService(self) -> None:
        """Bind, if that has not been done, and say so in the log. See IService."""
        super().startService()  # type: ignore[no-untyped-call]  # as above
        if self._is_bound:
            self._announce()
        else:
            self._bind()

    def stopService(self) -> Deferred[None]:
        """Stop listening, drain, and fire. See IService."""
        super().stopService()  # type: ignore[no-untyped-call]  # as above
        self._is_bound = False
        self._hangup.ignore()
        servers = [self.server, *([self._redirect[0]] if self._redirect else [])]
        stopping = gatherResults([server.stop() for server in servers])
        return stopping.addBoth(self._stopped)

    def _stopped(self, result: Failure | list[None]) -> Failure | None:
        if self._access_log is not None:
            self._access_log.close()
        return None if isinstance(result, list) else result

    def _bind(self) -> None:
        if self.server.is_running:
            return
        try:
            starting = self._start()
        except ConfigurationError as error:
            self.on_failure(error)
        problems: list[Failure] = []
        starting.addCallbacks(self._bound, problems.append)
        if problems:
            self.on_failure(self._in_words(problems[0]))
        # Twisted's own endpoints have listened by now, those of plugins may not.
        starting.addCallback(lambda _: self._failed_late(problems))

    def _start(self) -> Deferred[int]:
        endpoints = [
            endpoint_from(self._reactor, description)
            if description.startswith("fd:")
            else description
            for description in self._listen_on
        ]
        starting = self.server.start(self._reactor, endpoints)
        if self._redirect is not None:
            starting.addCallback(self._start_redirect, *self._redirect)
        return starting

    def _start_redirect(
        self, port: int, server: Server, description: str
    ) -> Deferred[int]:
        starting = server.start(self._reactor, [description])
        starting.addErrback(self._redirect_failed)
        return starting.addCallback(lambda _: port)

    def _redirect_failed(self, failure: Failure) -> Failure:
        self.server.stop()
        return failure

    def _look_for_certificates(self) -> None:
        if self.server.serves_tls:
            _log.info("looking for new TLS certificates")
            self.server.reload_certificates()

    def _bound(self, _: int) -> None:
        self._is_bound = True
        if self.server.serves_tls:
            self._hangup.heed()
        if self.running:
            self._announce()

    def _failed_late(self, problems: list[Failure]) -> None:
        for failure in problems:
            self.has_failed = True
            _log.error("cannot start: {reason}", reason=self._in_words(failure))
            self._reactor.stop()

    def _in_words(self, failure: Failure) -> ConfigurationError:
        error: Any = failure.value
        description = self._listen_on[0]
        is_one_of_several = len(self._listen_on) > 1 or self._redirect is not None
        if is_one_of_several and isinstance(error, CannotListenError):
            description = f"{error.interface or 'port'} {error.port}"
        return cannot_listen(error, description)

    def _announce(self) -> None:
        server = self.server
        for url in self.urls:
            _log.info("serving {what} on {url}", what=self._what, url=url)
        if self._redirect is not None:
            redirecting, description = self._redirect
            for address in redirecting.addresses:
                url = url_of(address, description)
                _log.info("sending clients of {url} on to HTTPS", url=url)
        _log.info(
            "reactor {reactor}; {handlers}",
            reactor=name_of(self._reactor),
            handlers=self._handlers,
        )
        _log.info("limits: {limits}", limits=_summary_of_limits(server.limits))
        _log.info(
            "timeouts: {timeouts}", timeouts=_summary_of_timeouts(server.timeouts)
        )


def _summary_of_limits(limits: Limits) -> str:
    return ", ".join(
        (
            f"connections {limits.max_connections or 'off'}",
            f"body {format_size(limits.max_body) if limits.max_body else 'off'}",
            f"header block {format_size(limits.max_header_bytes)}",
            f"requests per connection {limits.max_requests_per_connection or 'off'}",
        )
    )


def _summary_of_timeouts(timeouts: Timeouts) -> str:
    names = ("head", "body_idle", "response_idle", "keep_alive", "handler", "drain")
    return ", ".join(
        f"{name.replace('_', '-')} {_or_off(getattr(timeouts, name))}" for name in names
    )


def _or_off(seconds: float) -> str:
    return format_duration(seconds) if seconds else "off"
