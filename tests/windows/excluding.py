"""A plugin for pytest that leaves out what ``exclusions.py`` names, and says why."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pytest

from tests.windows.exclusions import MODULES, TESTS
from tests.windows.machine import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def reason_for(test: str, reactor: str) -> str | None:
    """Return why *test*, by its name in pytest, is left out; None: it is not."""
    for pattern, reason in {**TESTS["*"], **TESTS.get(reactor, {})}.items():
        if fnmatchcase(test, f"tests/{pattern}"):
            return reason
    return None


def pytest_report_header() -> list[str]:
    """Name the modules that are not even imported."""
    return [f"without {module}: {reason}" for module, reason in MODULES.items()]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Import none of those."""
    left_out = [ROOT / "tests" / module for module in MODULES]
    return True if collection_path in left_out else None


def pytest_collection_modifyitems(
    config: pytest.Config, items: Iterable[pytest.Item]
) -> None:
    """Skip what is left out; the summary shows each reason."""
    reactor = str(config.getoption("--reactor"))
    for item in items:
        reason = reason_for(item.nodeid, reactor)
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))
