"""One cell of the matrix: the tests on a reactor that the name of an environment names.

    python -m tests.matrix py312-httpx-poll tests/server

tox calls it in an environment of that name; see pyproject.toml.
"""

from __future__ import annotations

import sys

import pytest


def main() -> int:
    """Run pytest, and return its status."""
    environment, *arguments = sys.argv[1:]
    _, _, reactor = environment.partition("-")
    # After the one in pyproject.toml, and so in its place.
    plugin = ("-p", "httpx_tw.testing.pytest_reactors", f"--reactor={reactor}")
    return int(pytest.main([*plugin, *arguments]))


if __name__ == "__main__":
    sys.exit(main())
