"""The tests on every reactor, one run of pytest after the other, and what came of each.

    python -m tests.matrix --reactor=httpx-poll --reactor=select tests/server

Without a reactor: on all of them. What is not for this is for pytest; without a path it
is all tests. tox calls it on every Python; see pyproject.toml.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

REACTORS = (
    "select",
    "poll",
    "epoll",
    "asyncio",
    "httpx-poll",
    "httpx-epoll",
    "httpx-uring",
)

OUTCOMES = {0: "passed", 1: "failed", 5: "no tests"}
"""By pytest's exit status; any other: it broke off."""


def main(arguments: list[str]) -> int:
    """Run all, say what came of it, and return 0 if everything has passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix")
    parser.add_argument("--reactor", action="append", choices=REACTORS)
    options, rest = parser.parse_known_args(arguments)
    lines: list[str] = []
    is_good = True
    for reactor in options.reactor or REACTORS:
        began = time.monotonic()
        status = _run(reactor, rest or ["tests"])
        is_good = is_good and not status
        outcome = OUTCOMES.get(status, f"broke off ({status})")
        seconds = time.monotonic() - began
        lines.append(f"{reactor:12} {outcome:10} {seconds:6.0f} s")
    _say(f"Python {sys.version.split()[0]}", *lines)
    return 0 if is_good else 1


def _run(reactor: str, arguments: list[str]) -> int:
    """Return pytest's exit status."""
    _say(f"pytest --reactor={reactor} {' '.join(arguments)}")
    # The plugin and the reactor come after those in pyproject.toml, and so in their
    # place. A process each: a reactor is installed once.
    plugin = ("-p", "httpx_tw.testing.pytest_reactors", f"--reactor={reactor}")
    command = (sys.executable, "-m", "pytest", *plugin, *arguments)
    return subprocess.run(command, check=False).returncode


def _say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()  # before the next of pytest's


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
