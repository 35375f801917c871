"""The service binds, says where, drains, and says why it cannot."""

from __future__ import annotations

import errno
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from twisted.application.service import IService, MultiService
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from zope.interface.verify import verifyObject

from httpx_tw.errors import ConfigurationError
from httpx_tw.limits import Limits, Timeouts
from httpx_tw.server.server import Server
from httpx_tw.service.serving import HTTPService

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ANY_PORT = "tcp:0:interface=127.0.0.1"


class FakeServer:
    """A server whose endpoints take their time."""

    limits = Limits(max_connections=0, max_body=0)
    timeouts = Timeouts(handler=0)
    certificates = None
    serves_tls = False

    def __init__(self) -> None:
        self.starting: Deferred[int] | None = None
        self.addresses: list[IPv4Address] = []

    @property
    def is_running(self) -> bool:
        """Whether it was started."""
        return self.starting is not None

    def start(self, reactor: object, endpoints: Sequence[object]) -> Deferred[int]:
        """See Server.start."""
        self.starting = Deferred()
        return self.starting

    def listens(self) -> None:
        """Let the endpoints listen."""
        assert self.starting is not None
        self.addresses.append(IPv4Address("TCP", "127.0.0.1", 80))
        self.starting.callback(80)


class Stage:
    """A service, its reactor, and what it logged."""

    def __init__(self, *listen: str, server: Any = None, **options: Any) -> None:
        self.reactor = MemoryReactorClock()
        self.server = Server() if server is None else server
        self.service = HTTPService(
            self.reactor, self.server, listen or (ANY_PORT,), **options
        )

    def stop(self) -> None:
        """Stop it and let the sockets close."""
        stopped = self.service.stopService()
        self.reactor.advance(0)
        assert stopped.called


@contextmanager
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    with capturedLogs() as events:
        yield lines
    lines.extend(formatEvent(event) for event in events)


def test_it_is_a_service() -> None:
    assert verifyObject(IService, Stage().service)


def test_it_binds_before_privileges_are_shed_and_speaks_after() -> None:
    stage = Stage(what="shop:app")
    with log() as before:
        stage.service.privilegedStartService()
    assert not any("serving" in line for line in before)
    (url,) = stage.service.urls
    with log() as after:
        stage.service.startService()
    stage.stop()
    assert after == [
        f"serving shop:app on {url}",
        "reactor MemoryReactorClock; handlers run on the reactor thread",
        "limits: connections 1000, body 10M, header block 16K, "
        "requests per connection off",
        "timeouts: head 10s, body-idle 30s, response-idle 30s, keep-alive 60s, "
        "handler 30s, drain 30s",
    ]


def test_it_binds_when_nobody_sheds_privileges() -> None:
    stage = Stage(ANY_PORT, r"tcp6:0:interface=\:\:1")
    with log() as lines:
        stage.service.startService()
    assert [url.rpartition(":")[0] for url in stage.service.urls] == [
        "http://127.0.0.1",
        "http://[::1]",
    ]
    assert sum("serving" in line for line in lines) == 2
    stage.stop()
    assert stage.service.urls == []


def test_it_can_be_started_again() -> None:
    stage = Stage()
    for _ in range(2):
        stage.service.startService()
        assert stage.service.urls
        stage.stop()


def test_it_lives_in_a_multi_service() -> None:
    stage = Stage()
    parent = MultiService()
    stage.service.setServiceParent(parent)
    parent.privilegedStartService()
    parent.startService()
    assert stage.server.is_running
    parent.stopService()
    stage.reactor.advance(0)
    assert not stage.server.is_running


def test_the_access_log_is_closed_last() -> None:
    closed = []

    class FakeLog:
        def close(self) -> None:
            closed.append(stage.server.is_running)

    stage = Stage(access_log=FakeLog())
    stage.service.startService()
    stage.stop()
    assert closed == [False]


def test_it_says_which_address_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        endpoint = f"tcp:{port}:interface=127.0.0.1"
        for listen, name in (
            ((endpoint,), endpoint),
            ((ANY_PORT, endpoint), f"127.0.0.1 {port}"),
        ):
            stage = Stage(*listen)
            with pytest.raises(ConfigurationError) as caught:
                stage.service.privilegedStartService()
            stage.reactor.advance(0)
            assert str(caught.value) == (
                f"cannot listen on {name}: Address already in use"
            )


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("pigeon:1", "bad endpoint 'pigeon:1'"),
        ("fd:9999", "descriptor 9999 is no socket"),
        ("fd:x", "bad endpoint 'fd:x'"),
    ],
)
def test_endpoints_that_make_no_sense(endpoint: str, reason: str) -> None:
    stage = Stage(endpoint)
    with pytest.raises(ConfigurationError, match=reason):
        stage.service.startService()


def test_who_asked_to_is_told() -> None:
    class Ended(Exception):
        pass

    def end(error: ConfigurationError) -> None:
        raise Ended(str(error))

    with pytest.raises(Ended, match="pigeon"):
        Stage("pigeon:1", on_failure=end).service.startService()


@pytest.mark.parametrize("is_bound", [False, True])
def test_an_inherited_socket(*, is_bound: bool) -> None:
    with socket.socket() as inherited:
        if is_bound:
            inherited.bind(("127.0.0.1", 0))
            inherited.listen()
        stage = Stage(f"fd:{inherited.fileno()}")
        stage.service.startService()
        port = inherited.getsockname()[1]
        assert stage.service.urls[0].endswith(f":{port}")
        stage.stop()


# Endpoints of plugins may take their time.


def test_it_speaks_when_a_slow_endpoint_listens() -> None:
    server = FakeServer()
    stage = Stage("onion:80", server=server)
    with log() as before:
        stage.service.startService()
        stage.service.startService()
    assert before == []
    with log() as after:
        server.listens()
    assert after[0] == "serving an application on http://127.0.0.1:80"
    assert after[2].startswith("limits: connections off, body off")
    assert "handler off" in after[3]


def test_it_does_not_speak_before_it_is_started() -> None:
    server = FakeServer()
    stage = Stage("onion:80", server=server)
    stage.service.privilegedStartService()
    with log() as lines:
        server.listens()
    assert lines == []


def test_a_slow_endpoint_that_fails_stops_the_reactor() -> None:
    server = FakeServer()
    stage = Stage("onion:80", server=server)
    stage.service.startService()
    assert server.starting is not None
    unreachable = OSError(errno.ENETUNREACH, "Network is unreachable")
    with log() as lines:
        server.starting.errback(CannotListenError("", 80, unreachable))
    assert lines == ["cannot start: cannot listen on onion:80: Network is unreachable"]
    assert stage.service.has_failed
    assert stage.reactor.hasStopped
