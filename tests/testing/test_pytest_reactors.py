"""pytest-twisted runs tests on any reactor, asked by the name twistd knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.nested_pytest import NESTED_PYTEST
from tests.reactors.installing import python
from tests.server.test_reactor_choice import BEST

if TYPE_CHECKING:
    from pathlib import Path

_TEST = """
import pytest_twisted
from twisted.internet.task import deferLater

@pytest_twisted.ensureDeferred
async def test_which():
    from twisted.internet import reactor
    await deferLater(reactor, 0.01)
    print("on", type(reactor).__module__)
"""

_EARLY = ("-p", "httpx_tw.testing.pytest_reactors")


def run(place: Path, *arguments: str) -> tuple[int, str]:
    (place / "test_it.py").write_text(_TEST)
    done = python(*NESTED_PYTEST, "-q", "-s", *arguments, cwd=place)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "module"),
    [
        (BEST, f"httpx_tw.reactors.{BEST.removeprefix('httpx-')}"),
        ("poll", "twisted.internet.pollreactor"),
        ("select", "twisted.internet.selectreactor"),
        ("asyncio", "twisted.internet.asyncioreactor"),
    ],
)
def test_it_runs_on_any_reactor(tmp_path: Path, name: str, module: str) -> None:
    status, said = run(tmp_path, *_EARLY, f"--reactor={name}")
    assert status == 0, said
    assert f"on {module}" in said


def test_it_can_be_set_in_the_configuration(tmp_path: Path) -> None:
    options = f"{' '.join(_EARLY)} --reactor={BEST}"
    (tmp_path / "pytest.ini").write_text(f"[pytest]\naddopts = {options}\n")
    status, said = run(tmp_path)
    assert status == 0, said
    assert "on httpx_tw.reactors." in said
    status, said = run(tmp_path, "--reactor=poll")
    assert "on twisted.internet.pollreactor" in said, "the command line wins"


def test_without_it_there_are_three(tmp_path: Path) -> None:
    status, said = run(tmp_path, f"--reactor={BEST}")
    assert status != 0
    assert "invalid choice" in said
