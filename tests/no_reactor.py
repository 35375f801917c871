"""For pytest, in place of pytest-twisted: no reactor, and none can be had.

    pytest -p no:twisted -p tests.no_reactor tests/protocol

A test that asks for the reactor of the process fails: it depends on which that is.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the option that pyproject.toml gives to pytest-twisted."""
    parser.addoption("--reactor", help="of no use here")


def pytest_configure() -> None:
    """Have every import of the reactor fail, and every installation."""
    modules: dict[str, Any] = sys.modules
    modules["twisted.internet.reactor"] = None
