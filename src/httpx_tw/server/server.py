"""The server as a program meets it: routes, listen, start and stop."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.logger import Logger

from httpx_tw.app.app import App
from httpx_tw.app.route import ANYWHERE, ON_WORKER
from httpx_tw.errors import ConfigurationError
from httpx_tw.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, Timeouts
from httpx_tw.server.draining import drain
from httpx_tw.server.factory import HTTPFactory
from httpx_tw.server.reactor_choice import reactor_of_this_process
from httpx_tw.server.threads import Overload, Threads
from httpx_tw.tls.certificates import ServerCertificates, ServerTLS
from httpx_tw.tls.endpoint_strings import read_tls_endpoint, says_tls
from httpx_tw.tls.listening import CertificateWatch, TLSServerEndpoint
from httpx_tw.transport.listener import ListeningReactor, check_endpoint_kind
from httpx_tw.workers.pool import WorkerPool, WorkerPoolConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint

    from httpx_tw.observe.access_log import AccessLog
    from httpx_tw.observe.stats import ServerStats
    from httpx_tw.workers.statistics import WorkerPoolStats

__all__ = ["Server", "tcp_endpoint"]

_log = Logger()

DEFAULT_WORKERS: Final = WorkerPoolConfig()

_LAST_WORDS: Final = 1.0
"""Seconds that calls nobody waits for any more have on stop, to end by themselves."""


def tcp_endpoint(host: str, port: int) -> str:
    """Return the endpoint string for *host* (an address; "" for all IPv4) and *port*.

    :raises ConfigurationError: when *port* is not 0 to 65535.
    """
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"port must be 0 to 65535, got {port}")
    kind = "tcp6" if ":" in host else "tcp"
    interface = host.replace("\\", r"\\").replace(":", r"\:")
    return f"{kind}:{port}:interface={interface}" if host else f"{kind}:{port}"


class Server:
    """An HTTP server over an App.

    As a program of its own::

        server = Server()
        server.get("/hello", lambda request: "Hello, World!")
        server.listen()

    or inside a reactor that runs already: ``port = await server.start(reactor)``, and
    later ``await server.stop()``. One object serves once at a time; after ``stop`` it
    can be started again.

    :param app: None: a new App; the server's own ``get``, ``post`` and so on fill it.
    :param host: address to bind, for ``listen`` and ``start`` without endpoints.
    :param port: 0: any free port.
    :param access_log: None: no access log.
    :param server_name: value of the Server field; "" for none.
    :param tcp_keepalive: have the kernel probe connections that are silent for hours
        (SO_KEEPALIVE), for TCP endpoints given as strings.
    :param tls: serve HTTPS, on all endpoints. New certificates are taken into use when
        the files change. None: HTTP, but for endpoints that say ``ssl:`` or ``tls:``.

    Use it on the reactor thread.
    """

    certificates: ServerCertificates | None = None
    """Those of *tls*, since ``start``. None: *tls* is None."""

    def __init__(  # noqa: PLR0913  # all but one are keywords with defaults
        self,
        app: App | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        limits: Limits = DEFAULT_LIMITS,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        access_log: AccessLog | None = None,
        server_name: str = "httpx-tw",
        tcp_keepalive: bool = False,
        tls: ServerTLS | ServerCertificates | None = None,
    ) -> None:
        self.app = app = App() if app is None else app
        self.host = host
        self.port = port
        self.limits = limits
        self.timeouts = timeouts
        self._access_log = access_log
        self._server_name = server_name
        self._tcp_keepalive = tcp_keepalive
        self._tls = tls
        # What is read again: of *tls*, and of endpoint strings.
        self._certificates: list[ServerCertificates] = []
        self._certificate_watches: list[CertificateWatch] = []
        self._factory: HTTPFactory | None = None  # the latest; its figures stay
        self._is_running = False
        self._is_draining = False
        self._waiting: list[Deferred[None]] = []  # for the end of the draining
        # The pool for plain endpoints, and what it is made of; None: not enabled.
        self._threading: tuple[WorkerPoolConfig | WorkerPool, Overload] | None = None
        self._threads: Threads | None = None
        self._leaving: list[Threads] = []  # being stopped: others are in their place
        self._ports: list[IListeningPort] = []
        self._reactor: Any = None
        self.get = app.get
        self.post = app.post
        self.put = app.put
        self.delete = app.delete
        self.patch = app.patch
        self.head = app.head
        self.options = app.options
        self.route = app.route
        self.group = app.group
        self.use = app.use

    # Worker threads

    def enable_threading(
        self,
        workers: WorkerPoolConfig | WorkerPool = DEFAULT_WORKERS,
        *,
        overload: Overload | str = Overload.REJECT,
    ) -> None:
        """Have worker threads call the plain (``def``) endpoints from now on.

        ``async def`` ones, and routes with ``thread=False``, stay on the reactor
        thread. Without this only routes with ``thread=True`` run on workers, of a pool
        with the default configuration.

        :param workers: the configuration of a pool that starts and stops with the
            server; or a pool of yours, started, which the server leaves running.
        :param overload: what a request gets when the queue is full: "reject", "wait" or
            "shed-oldest". See Overload.

        May be called while the server runs, and again to change it.

        :raises ConfigurationError: for an unknown *overload*.
        """
        try:
            policy = Overload(overload)
        except ValueError:
            known = ", ".join(each.value for each in Overload)
            raise ConfigurationError(
                f"overload must be one of {known}, got {overload!r}"
            ) from None
        self._threading = workers, policy
        if self._is_running:
            self._use_threads()

    def disable_threading(self) -> None:
        """Have the reactor thread call the plain endpoints from now on.

        What workers have taken on they finish.
        """
        self._threading = None
        if self._is_running:
            self._use_threads()

    @property
    def is_threading_enabled(self) -> bool:
        """Whether plain endpoints run on worker threads."""
        return self._threading is not None

    @property
    def worker_stats(self) -> WorkerPoolStats | None:
        """The figures of the worker pool of this run, or the last; None: no run yet."""
        return None if self._threads is None else self._threads.pool.stats

    def _use_threads(self) -> None:
        if self._threads is not None:
            self._leave_threads(self._threads)
        workers, overload = self._threading or (DEFAULT_WORKERS, Overload.REJECT)
        timeout = self.timeouts.handler
        if isinstance(workers, WorkerPoolConfig):
            # The pool knows of no route's own timeout, nor that a response which has
            # begun may take its time: the connections keep it.
            timeouts = timeout, workers.request_timeout_ms / 1000
            timeout = min(filter(None, timeouts), default=0)
            workers = WorkerPool(replace(workers, request_timeout_ms=0))
        takes_from = ANYWHERE if self.is_threading_enabled else ON_WORKER
        threads = Threads(self._reactor, workers, overload, takes_from, timeout=timeout)
        if self.is_threading_enabled:
            threads.start()
        self._threads = threads
        assert self._factory is not None
        self._factory.use_threads(threads)

    def _leave_threads(self, threads: Threads) -> None:
        """Let *threads* finish what they have taken on, which has deadlines."""
        self._leaving.append(threads)
        left = threads.stop(self.timeouts.drain or DEFAULT_TIMEOUTS.drain)
        left.addCallback(lambda _: self._leaving.remove(threads))

    def listen(self, port: int | None = None, host: str | None = None) -> None:
        """Bind, then run the reactor until it is stopped (SIGINT, SIGTERM).

        Requests in flight at the end are drained. *port* and *host*: None for those the
        server was made with. The reactor is the one that is installed; if none is, the
        best of ours for the platform.

        :raises CannotListenError: when the address cannot be bound.
        """
        if port is not None:
            self.port = port
        if host is not None:
            self.host = host
        # The one place that takes the reactor which runs this process: a program that
        # calls listen() has none of its own.
        reactor = reactor_of_this_process()
        problems: list[Any] = []
        starting = self.start(reactor)
        starting.addErrback(problems.append)
        if problems:
            problems[0].raiseException()
        reactor.addSystemEventTrigger("before", "shutdown", self.stop)
        reactor.run()

    def start(
        self,
        reactor: Any,
        endpoints: Sequence[str | IStreamServerEndpoint] = (),
    ) -> Deferred[int]:
        """Listen, and return a Deferred of the first port's number (0: it has none).

        :param endpoints: endpoint strings (see twisted.internet.endpoints) or objects;
            none: the server's own host and port.

        It fails with CannotListenError when an address cannot be bound (nothing is left
        listening then), and raises ConfigurationError for an endpoint string that makes
        no sense, for certificates that cannot be used, or when the server is running.
        """
        if self._is_running or self._is_draining:
            raise ConfigurationError("the server is running already")
        for endpoint in endpoints:
            if isinstance(endpoint, str):
                check_endpoint_kind(reactor, endpoint)
        self.certificates = _certificates_of(self._tls)
        factory = HTTPFactory(
            self.app,
            reactor,
            limits=self.limits,
            timeouts=self.timeouts,
            access_log=self._access_log,
            server_name=self._server_name,
            hsts=int(self.certificates.options.hsts) if self.certificates else 0,
        )
        listening = ListeningReactor(
            reactor,
            factory.gate,
            self.limits.backlog,
            keep_alive=self._tcp_keepalive,
        )
        self._certificates = [] if self.certificates is None else [self.certificates]
        ready = [
            self._ready(listening, endpoint)
            for endpoint in endpoints or (tcp_endpoint(self.host, self.port),)
        ]
        self._factory = factory
        self._reactor = reactor
        self._is_running = True
        self._threads = None
        self._use_threads()
        self._watch_certificates()
        return Deferred.fromCoroutine(self._listen_on(ready, factory))

    def _ready(
        self, reactor: ListeningReactor, given: str | IStreamServerEndpoint
    ) -> IStreamServerEndpoint:
        """Return the endpoint that *given* is or describes, with the TLS it has."""
        own = read_tls_endpoint(given) if isinstance(given, str) else None
        if own is not None:
            tls, given = own
            certificates = ServerCertificates(tls)
            self._certificates.append(certificates)
        elif self.certificates is None or says_tls(given):
            return _endpoint(reactor, given)
        else:
            certificates = self.certificates
        made: IStreamServerEndpoint = TLSServerEndpoint(
            _endpoint(reactor, given), certificates, reactor
        )
        return made

    def _watch_certificates(self) -> None:
        self._certificate_watches = [
            CertificateWatch(self._reactor, each) for each in self._certificates
        ]
        for watch in self._certificate_watches:
            watch.start()

    @property
    def serves_tls(self) -> bool:
        """Whether there are certificates that :meth:`reload_certificates` would read.

        Those of *tls*, and of endpoint strings that say ``ssl:`` or ``tls:``.
        """
        return bool(self._certificates)

    def reload_certificates(self) -> None:
        """Read the files of all certificates now, even where they look as before.

        What cannot be used is logged, and the old stays: see ServerCertificates.reload.
        """
        for each in self._certificates:
            each.reload(looks_may_deceive=True)

    async def _listen_on(
        self, endpoints: list[IStreamServerEndpoint], factory: HTTPFactory
    ) -> int:
        try:
            for endpoint in endpoints:
                port = await endpoint.listen(factory)
                self._ports.append(port)
                factory.gate.add_port(port)
        except BaseException:
            # Not awaited: it ends in the reactor's next turn, and who starts before
            # the reactor runs wants to hear of the failure now.
            self.stop()
            raise
        return int(getattr(self._ports[0].getHost(), "port", 0))

    def stop(self) -> Deferred[None]:
        """Stop listening, drain, and return a Deferred that fires when all is over.

        Stopping a server that is not running is fine; so is stopping one that is being
        stopped: both Deferreds fire when it is over. Cancelling one changes nothing.
        """
        stopped: Deferred[None] = Deferred()
        self._waiting.append(stopped)
        if self._is_running:
            self._is_running = False
            for watch in self._certificate_watches:
                watch.stop()
            Deferred.fromCoroutine(self._drain())
        elif not self._is_draining:
            self._stopped()
        return stopped

    async def _drain(self) -> None:
        ports, self._ports = self._ports, []
        assert self._factory is not None
        self._is_draining = True
        try:
            await drain(self._factory, ports, self._reactor, self.timeouts.drain)
            await self._stop_threads()
        except Exception:  # noqa: BLE001  # whoever waits is told that it is over
            _log.failure("the server could not be stopped in good order")
        self._is_draining = False
        self._stopped()

    async def _stop_threads(self) -> None:
        # The requests are over. What runs yet was given up, and most of it notices: a
        # stream where it writes the next piece.
        patience = min(_LAST_WORDS, self.timeouts.drain)
        threads = [*self._leaving, *([self._threads] if self._threads else [])]
        for stopping in [each.stop(patience) for each in threads]:
            await stopping

    def _stopped(self) -> None:
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            if not deferred.called:
                deferred.callback(None)

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._is_running

    @property
    def addresses(self) -> list[Any]:
        """The addresses listened on (IAddress), in the order of the endpoints."""
        return [port.getHost() for port in self._ports]

    def statistics(self) -> ServerStats:
        """Return the figures of this moment, or after ``stop`` the last ones.

        :raises ConfigurationError: when the server was never started.
        """
        if self._factory is None:
            raise ConfigurationError("the server was never started")
        return self._factory.statistics()


def _certificates_of(
    tls: ServerTLS | ServerCertificates | None,
) -> ServerCertificates | None:
    return ServerCertificates(tls) if isinstance(tls, ServerTLS) else tls


def _endpoint(
    reactor: ListeningReactor, endpoint: str | IStreamServerEndpoint
) -> IStreamServerEndpoint:
    if not isinstance(endpoint, str):
        return reactor.taken_over(endpoint)
    try:
        made: IStreamServerEndpoint = serverFromString(reactor, endpoint)
    except (ValueError, TypeError, KeyError, LookupError) as error:
        raise ConfigurationError(f"bad endpoint {endpoint!r}: {error}") from error
    return made
