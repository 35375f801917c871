"""Run the tests on Windows' Python, under Wine.

    python -m tests.windows                        # what CI runs
    python -m tests.windows --reactor=httpx-iocp
    python -m tests.windows --reactor=iocp tests/client -k proxies

The first run sets it all up in $XDG_CACHE_HOME/httpx-tw-wine, which takes root and half
a minute. What is left out, and why, is in ``exclusions.py``.
"""

from __future__ import annotations

import argparse
import os
import sys

from tests.windows.machine import Windows

PARTS = [
    "tests/protocol",
    "tests/app",
    "tests/workers",
    "tests/reactors",
    "tests/transport",
    "tests/tls",
    "tests/server",
    "tests/client",
]

WARNINGS = {
    # Twisted's port there leaves the socket of the accept under way to the collector.
    "iocp": ("-W", "ignore:unclosed <socket:ResourceWarning"),
}
"""What is no error on a reactor, though it is everywhere else."""


def main() -> int:
    """Set up, run, and return pytest's status."""
    summary, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser("python -m tests.windows", description=summary)
    parser.add_argument(
        "--reactor", default="iocp", help="iocp, httpx-iocp, select (default: iocp)"
    )
    chosen, rest = parser.parse_known_args()
    has_part = any(argument.startswith("tests/") for argument in rest)
    windows = Windows()
    windows.set_up()
    return windows.run(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *("-p", "httpx_tw.testing.pytest_reactors", "-p", "tests.windows.excluding"),
        f"--reactor={chosen.reactor}",
        *WARNINGS.get(chosen.reactor, ()),
        *rest,
        *([] if has_part else PARTS),
        HYPOTHESIS_PROFILE=os.environ.get("HYPOTHESIS_PROFILE", "few"),
    )


if __name__ == "__main__":
    sys.exit(main())
