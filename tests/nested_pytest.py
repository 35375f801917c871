"""How a test runs a pytest of its own: in a process, and with nothing to spare."""

from __future__ import annotations

NESTED_PYTEST = (
    *("-m", "pytest", "-p", "no:cacheprovider"),
    *("-p", "no:hypothesispytest"),  # half of the time that a start takes
)
"""For Python, before the arguments."""
