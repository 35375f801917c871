"""Fixtures for pytest: a client in memory, and a server on a free port.

In a ``conftest.py``::

    pytest_plugins = ["httpx_tw.testing.plugin"]

Importing this installs no reactor.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from httpx_tw.app.app import App
    from httpx_tw.server.server import Server
    from httpx_tw.testing.clients import TestClient

__all__ = ["httpx_tw_client", "httpx_tw_server"]


@pytest.fixture
def httpx_tw_client() -> Iterator[Callable[..., TestClient]]:
    """Make clients in memory.

    ``client = httpx_tw_client(app)``

    Options are those of TestClient. They are closed when the test is over.
    """
    # Where fixtures are only listed, nothing of Twisted's is imported.
    from httpx_tw.testing.clients import TestClient

    made: list[TestClient] = []

    def make(app: App, **options: Any) -> TestClient:
        made.append(TestClient(app, **options))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def httpx_tw_server(request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """Serve apps on free ports.

    ``url = httpx_tw_server(app)``

    For tests that let the reactor run while they wait (pytest-twisted's
    ``inlineCallbacks``, ``ensureDeferred`` and ``blockon``): a client that blocks would
    wait for ever.
    Options are those of Server. What is served is drained and stopped when the test is
    over.
    """
    from httpx_tw.limits import Timeouts
    from httpx_tw.server.server import Server

    reactor = _reactor_of_pytest_twisted(request.config)
    servers: list[Server] = []

    def serve(app: App, **options: Any) -> str:
        options.setdefault("timeouts", Timeouts(drain=1.0))
        server = Server(app, port=0, **options)
        problems: list[Any] = []
        server.start(reactor).addErrback(problems.append)
        if problems:
            problems[0].raiseException()
        servers.append(server)
        address = server.addresses[0]
        return f"http://{address.host}:{address.port}"

    yield serve
    for server in servers:
        sys.modules["pytest_twisted"].blockon(server.stop())


def _reactor_of_pytest_twisted(config: pytest.Config) -> Any:
    plugins = [plugin for _, plugin in config.pluginmanager.list_name_plugin()]
    if sys.modules.get("pytest_twisted") not in plugins:
        pytest.fail(
            "httpx_tw_server needs pytest-twisted, which runs the reactor during "
            "tests: install it (pip install pytest-twisted) and do not switch it off",
            pytrace=False,
        )
    return sys.modules["twisted.internet.reactor"]
