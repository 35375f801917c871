"""The reactor of a process: the one that was asked for, else the best there is."""

from __future__ import annotations

import select
import sys
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from twisted.application.reactors import NoSuchReactor

from httpx_tw.server import reactor_choice
from httpx_tw.server.reactor_choice import (
    install_best_reactor,
    name_of,
    reactor_of_this_process,
)
from tests.reactors.installing import python

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = [
    f"httpx-{interface}"
    for interface in ("epoll", "kqueue", "poll")
    if hasattr(select, interface)
]
BEST = OURS[0] if OURS else "select"


@pytest.fixture
def nothing_installed() -> Iterator[mock.Mock]:
    """Hide the reactor of the tests; note what would be installed."""
    with (
        mock.patch.dict(sys.modules),
        mock.patch.object(reactor_choice, "installReactor") as install,
    ):
        sys.modules.pop("twisted.internet.reactor", None)
        yield install


def test_one_that_is_installed_stays() -> None:
    installed = mock.Mock()
    with (
        mock.patch.dict(sys.modules, {"twisted.internet.reactor": installed}),
        mock.patch.object(reactor_choice, "installReactor") as install,
    ):
        assert reactor_of_this_process() is installed
    assert not install.called


@pytest.mark.parametrize(
    ("has", "name"),
    [
        (["epoll", "poll", "select"], "httpx-epoll"),
        (["kqueue", "poll", "select"], "httpx-kqueue"),
        (["poll", "select"], "httpx-poll"),
    ],
)
def test_the_best_is_installed(
    nothing_installed: mock.Mock, has: list[str], name: str
) -> None:
    with mock.patch.object(reactor_choice, "select", mock.Mock(spec=has)):
        install_best_reactor()
    nothing_installed.assert_called_once_with(name)


def test_windows_keeps_what_twisted_chooses(nothing_installed: mock.Mock) -> None:
    with mock.patch.object(reactor_choice, "select", mock.Mock(spec=["select"])):
        install_best_reactor()
    assert not nothing_installed.called


def test_without_our_plugins_twisted_chooses(nothing_installed: mock.Mock) -> None:
    nothing_installed.side_effect = NoSuchReactor("httpx-epoll")
    install_best_reactor()


def test_it_is_called_by_the_name_that_twistd_knows() -> None:
    def reactor_from(module: str) -> object:
        return type("SomeReactor", (), {"__module__": module})()

    for module, name in (
        ("httpx_tw.reactors.epoll", "httpx-epoll"),
        ("httpx_tw.reactors.kqueue", "httpx-kqueue"),
        ("httpx_tw.reactors.poll", "httpx-poll"),
        ("httpx_tw.reactors.io_uring", "httpx-uring"),
        ("twisted.internet.pollreactor", "poll"),
        ("twisted.internet.asyncioreactor", "asyncio"),
        ("somewhere.else", "SomeReactor"),
    ):
        assert name_of(reactor_from(module)) == name


LISTEN = """
import sys
if len(sys.argv) > 1:
    from twisted.application.reactors import installReactor
    installReactor(sys.argv[1])
from httpx_tw import {server}
from httpx_tw.server.reactor_choice import name_of
assert "twisted.internet.reactor" not in sys.modules or len(sys.argv) > 1

class Server({server}):
    def start(self, reactor, endpoints=()):
        print(name_of(reactor))
        reactor.callLater(0, reactor.stop)
        return super().start(reactor, endpoints)

Server(port=0).listen()
"""


@pytest.mark.parametrize("server", ["Server", "EventServer"])
@pytest.mark.parametrize(("argument", "expected"), [("", BEST), ("select", "select")])
def test_listen_runs_it(server: str, argument: str, expected: str) -> None:
    done = python("-c", LISTEN.format(server=server), *filter(None, [argument]))
    assert (done.returncode, done.stdout) == (0, f"{expected}\n"), done.stderr
    assert "Traceback" not in done.stderr
