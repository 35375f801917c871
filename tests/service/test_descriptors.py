"""As many connections as there may be descriptors, less a reserve."""

from __future__ import annotations

from typing import Any

import pytest

from httpx_tw.service import descriptors
from httpx_tw.service.descriptors import (
    connections_for,
    raise_descriptor_limit,
    resolve_max_connections,
)


class FakeResource:
    """Limits of open files that can be set."""

    RLIMIT_NOFILE = 7
    RLIM_INFINITY = -1

    def __init__(self, soft: int, hard: int, *, refuses: bool = False) -> None:
        self.limits = (soft, hard)
        self._refuses = refuses

    def getrlimit(self, which: int) -> tuple[int, int]:
        """Like the real one."""
        assert which == self.RLIMIT_NOFILE
        return self.limits

    def setrlimit(self, which: int, limits: tuple[int, int]) -> None:
        """Like the real one."""
        assert which == self.RLIMIT_NOFILE
        if self._refuses:
            raise ValueError("not allowed to raise maximum limit")
        self.limits = limits


class SelectReactor:
    """Its name is what counts."""


def having(monkeypatch: pytest.MonkeyPatch, fake: Any) -> Any:
    monkeypatch.setattr(descriptors, "resource", fake)
    return fake


@pytest.mark.parametrize(
    ("soft", "hard", "now"),
    [
        (1024, 4096, 4096),
        (4096, 4096, 4096),
        (1024, -1, 1 << 20),
        (1024, 1 << 30, 1 << 20),
        (1 << 21, 1 << 30, 1 << 21),
        (-1, -1, 1 << 20),
    ],
)
def test_the_soft_limit_is_raised_within_reason(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, now: int
) -> None:
    fake = having(monkeypatch, FakeResource(soft, hard))
    assert raise_descriptor_limit() == now
    assert fake.limits[1] == hard


def test_a_limit_that_may_not_be_raised_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    having(monkeypatch, FakeResource(256, 4096, refuses=True))
    assert raise_descriptor_limit() == 256


def test_an_eighth_is_kept_back() -> None:
    assert connections_for(256) == 224
    assert connections_for(1024) == 896
    assert connections_for(1 << 20) == (1 << 20) - 1024
    assert connections_for(1) == 1


def test_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    having(monkeypatch, FakeResource(1024, 20000))
    assert resolve_max_connections(None, object()) == 20000 - 1024


def test_select_cannot_watch_more(monkeypatch: pytest.MonkeyPatch) -> None:
    having(monkeypatch, FakeResource(1024, 20000))
    assert resolve_max_connections(None, SelectReactor()) == 896
    having(monkeypatch, None)
    assert resolve_max_connections(None, SelectReactor()) == 896


@pytest.mark.parametrize("wanted", [0, 5, 50_000])
def test_a_number_is_taken_as_it_is(
    monkeypatch: pytest.MonkeyPatch, wanted: int
) -> None:
    fake = having(monkeypatch, FakeResource(1024, 20000))
    assert resolve_max_connections(wanted, object()) == wanted
    assert fake.limits == (20000, 20000)


def test_where_there_is_no_such_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    having(monkeypatch, None)
    assert resolve_max_connections(None, object()) == 10_000
    assert resolve_max_connections(7, object()) == 7
