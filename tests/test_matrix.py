"""The matrix repeats what depends on the reactor, and nothing is lost in between."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from unittest import mock

import pytest

from tests import no_reactor
from tests.matrix import NONE, REACTORS, arguments_on
from tests.reactor_users import BY_TWISTED, ROOT, modules_in, uses_the_reactor


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_every_module_is_run_without_a_reactor_or_on_each() -> None:
    everything = {str(module) for module in modules_in(Path("tests"))}
    without = set(arguments_on(NONE, []))
    for reactor in REACTORS:
        on_it = set(arguments_on(reactor, []))
        assert not on_it & without
        assert on_it | without == everything


@pytest.mark.parametrize(
    ("module", "uses"),
    [
        ("tests/server/test_real_sockets.py", True),  # by way of tests/server/live.py
        ("tests/client/test_parallel.py", True),  # trial runs the reactor for it
        ("tests/server/test_tls.py", True),  # Twisted asks for the clock
        ("tests/server/test_connection.py", False),
        ("tests/reactors/test_epoll.py", False),  # it makes its own
    ],
)
def test_who_uses_the_reactor_is_known(module: str, uses: bool) -> None:
    assert uses_the_reactor(Path(module)) is uses


def test_the_table_is_current() -> None:
    assert all(Path(module).is_file() for module in BY_TWISTED)


def test_a_part_of_it_may_be_asked_for() -> None:
    one = "tests/server/test_real_sockets.py::Conversations"
    assert arguments_on("poll", ["-x", one]) == ["-x", one]
    assert arguments_on(NONE, ["-x", one]) == []
    assert arguments_on("poll", ["tests/protocol"]) == []
    assert "tests/server/test_dates.py" in arguments_on(NONE, ["tests/server"])
    assert "tests/app/test_app.py" not in arguments_on(NONE, ["tests/server"])


def test_no_reactor_can_be_had_where_there_is_none() -> None:
    with mock.patch.dict(sys.modules):
        no_reactor.pytest_configure()
        with pytest.raises(ImportError):
            importlib.import_module("twisted.internet.reactor")
