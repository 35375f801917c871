"""A plugin for pytest that leaves out what ``exclusions.py`` names, and says why."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pytest

from tests.windows.exclusions import EXCLUDED

if TYPE_CHECKING:
    from collections.abc import Iterable


def reason_for(test: str) -> str | None:
    """Return why *test*, by its name in pytest, is left out; None: it is not."""
    for pattern, reason in EXCLUDED.items():
        if fnmatchcase(test, pattern):
            return reason
    return None


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Skip what is left out; the summary shows each reason."""
    for item in items:
        reason = reason_for(item.nodeid)
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))
