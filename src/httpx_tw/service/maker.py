"""What twistd asks for: the options, and a service made of them."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from httpx_tw.app.app import App
from httpx_tw.app.https_redirect import https_redirect
from httpx_tw.errors import ConfigurationError
from httpx_tw.observe.access_log import AccessLog
from httpx_tw.server.server import Server
from httpx_tw.service.complaints import complain, give_up
from httpx_tw.service.configuration import DEFAULT_ACCESS_LOG, Configuration
from httpx_tw.service.descriptors import resolve_max_connections
from httpx_tw.service.loading import load_application, load_wsgi_application
from httpx_tw.service.options import Options
from httpx_tw.service.preflight import check_addresses
from httpx_tw.service.serving import HTTPService
from httpx_tw.service.welcome import Welcome
from httpx_tw.tls.certificates import ServerCertificates

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = ["Options", "makeService", "make_service"]


def makeService(options: Options, reactor: Any = None) -> HTTPService:
    """Return the service that *options*, which have been parsed, describe.

    twistd and twist call it; in a ``.tac`` file call it yourself. The application is
    imported here: before twistd becomes a daemon and before it sheds privileges.

    :param reactor: None: the one that runs this process.
    :raises ConfigurationError: when something makes no sense; under twistd and twist
        the process ends with one line and status 1 instead.
    """
    if reactor is None:
        from twisted.internet import reactor  # noqa: TID251  # twistd passes none
    runner: Mapping[str, Any] | None = options.parent
    configuration = options.configuration
    if runner is None:
        return make_service(configuration, reactor)
    try:
        configuration = replace(
            configuration,
            access_log=_access_log_for(
                configuration.access_log, is_daemon=_will_be_daemon(runner)
            ),
        )
        check_addresses(reactor, configuration.addresses)
        service = make_service(configuration, reactor)
    except ConfigurationError as error:
        complain(error)
        raise SystemExit(1) from error
    service.on_failure = partial(give_up, runner=runner)
    return service


def make_service(configuration: Configuration, reactor: Any) -> HTTPService:
    """Return a service that is not running; start it, or give it a parent.

    The limit of open files is raised here (see ``--max-connections``), the application
    imported, certificates and keys read, and the access log opened.

    :raises ConfigurationError: when one of them fails.
    """
    name = configuration.app or configuration.wsgi
    app = _load_app(configuration)
    _add_files(configuration, app)
    # Keys are read before privileges are shed.
    tls = None if configuration.tls is None else ServerCertificates(configuration.tls)
    access_log = _open_access_log(configuration.access_log)
    max_connections = resolve_max_connections(configuration.max_connections, reactor)
    server = Server(
        app,
        limits=replace(configuration.limits, max_connections=max_connections),
        timeouts=configuration.timeouts,
        access_log=access_log,
        server_name=configuration.server_name,
        tls=tls,
    )
    configuration.threads.apply_to(server)
    service = HTTPService(
        reactor,
        server,
        configuration.listen,
        what=name or ("files" if configuration.static else "the welcome application"),
        handlers=str(configuration.threads),
        access_log=access_log,
        redirect=_redirect(configuration, server),
    )
    if name is None and not configuration.static:
        Welcome(
            statistics=server.statistics,
            workers=lambda: server.worker_stats,
            urls=lambda: service.urls,
            reactor_name=type(reactor).__name__,
        ).add_to(app)
    return service


def _redirect(
    configuration: Configuration, server: Server
) -> tuple[Server, str] | None:
    if configuration.https_redirect is None:
        return None

    def port() -> int:
        # Where the very first endpoint is; a Unix socket has none, what is before it
        # has the usual one.
        return getattr(server.addresses[0], "port", 443) if server.addresses else 443

    redirecting = Server(
        https_redirect(port),
        limits=server.limits,
        timeouts=configuration.timeouts,
        access_log=None,
        server_name=configuration.server_name,
    )
    return redirecting, configuration.https_redirect


def _load_app(configuration: Configuration) -> App:
    where: Any = {"factory": configuration.factory, "app_dir": configuration.app_dir}
    if configuration.app is not None:
        return load_application(configuration.app, **where)
    if configuration.wsgi is not None:
        mount = configuration.wsgi_mount
        return load_wsgi_application(configuration.wsgi, mount=mount, **where)
    return App()


def _add_files(configuration: Configuration, app: App) -> None:
    for prefix, directory in configuration.static:
        try:
            app.static(prefix, directory)
        except ConfigurationError as error:
            raise ConfigurationError(f"--static: {error}") from error


def _will_be_daemon(runner: Mapping[str, Any]) -> bool:
    # twist and twistd on Windows never become one; twistd does unless it is told.
    return hasattr(os, "fork") and not runner.get("nodaemon", True)


def _access_log_for(path: str | None, *, is_daemon: bool) -> str | None:
    if not is_daemon:
        return path
    if path == "-":
        raise ConfigurationError(
            "--access-log: a daemon has no standard output; name a file"
        )
    return DEFAULT_ACCESS_LOG if path == "" else path


def _open_access_log(path: str | None) -> AccessLog | None:
    if path is None:
        return None
    if path in ("", "-"):
        return AccessLog()
    # Absolute: twistd may change the working directory later.
    where = os.path.abspath(path)  # noqa: PTH100  # Path.absolute keeps "..", which -d would resolve anew
    try:
        return AccessLog(where)
    except OSError as error:
        raise ConfigurationError(
            f"--access-log: cannot write to {path}: {error.strerror}"
        ) from error
