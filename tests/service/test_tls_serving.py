"""The service with TLS, its redirect, and new certificates on SIGHUP."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent

from httpx_tw.errors import ConfigurationError
from httpx_tw.service.configuration import Configuration, configuration_from
from httpx_tw.service.maker import make_service
from tests.tls.issuing import authority

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from httpx_tw.service.serving import HTTPService


class Reactor(MemoryReactorClock):
    """Does at once what it is asked for from elsewhere."""

    def callFromThread(self, function: Callable[[], object]) -> None:  # noqa: N802  # Twisted's
        function()


@pytest.fixture
def certfile(tmp_path: Path) -> str:
    return authority().issue("localhost").write(tmp_path / "localhost.pem")


def running(configuration: Configuration) -> tuple[HTTPService, Callable[[], None]]:
    """Return a service that runs, and what stops it."""
    reactor = Reactor()
    service = make_service(configuration, reactor)
    service.startService()

    def stop() -> None:
        stopped = service.stopService()
        reactor.advance(0)
        assert stopped.called
        assert reactor.getDelayedCalls() == []

    return service, stop


def configured(certfile: str, **more: Any) -> Configuration:
    given = {"ssl-certfile": certfile, "port": 0, "no-access-log": True}
    return configuration_from({**given, **more})


def test_the_url_says_https(certfile: str) -> None:
    service, stop = running(configured(certfile))
    assert service.urls[0].startswith("https://127.0.0.1:")
    stop()
    assert service.urls == []


def test_what_cannot_be_used_is_told_before_anything_is_started(tmp_path: Path) -> None:
    path = tmp_path / "none.pem"
    with pytest.raises(ConfigurationError, match="cannot read"):
        make_service(configured(str(path)), MemoryReactorClock())


def test_the_redirect_starts_and_stops_along(certfile: str) -> None:
    with capturedLogs() as events:
        _, stop = running(configured(certfile, **{"https-redirect": 0}))
    lines = [formatEvent(event) for event in events]
    (line,) = (line for line in lines if line.endswith("on to HTTPS"))
    assert line.startswith("sending clients of http://127.0.0.1:")
    port = int(line.split(" on to")[0].rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port)).close()
    stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_when_the_redirect_cannot_listen_nothing_is_left_listening(
    certfile: str,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        reactor = Reactor()
        service = make_service(
            configured(certfile, **{"https-redirect": port}), reactor
        )
        with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1 {port}: .*in use"):
            service.startService()
        reactor.advance(0)
    assert not service.server.is_running
    assert service.server.addresses == []
    reactor.advance(0)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_sighup_has_the_files_read_again(certfile: str, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGHUP)
    service, stop = running(configured(certfile))
    assert service.server.certificates is not None
    authority().issue("localhost").write(tmp_path / "localhost.pem")
    with capturedLogs() as events:
        os.kill(os.getpid(), signal.SIGHUP)
    lines = [formatEvent(event) for event in events]
    assert lines[0] == "looking for new TLS certificates"
    assert lines[-1] == "the TLS certificates were replaced"
    stop()
    assert signal.getsignal(signal.SIGHUP) is before


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_without_tls_sighup_is_left_alone() -> None:
    before = signal.getsignal(signal.SIGHUP)
    service, stop = running(configuration_from({"port": 0, "no-access-log": True}))
    assert signal.getsignal(signal.SIGHUP) is before
    service._look_for_certificates()
    stop()
