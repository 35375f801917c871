"""The tests on every reactor, one run of pytest after the other, and what came of each.

    python -m tests.matrix --reactor=httpx-poll --reactor=select tests/server

Without a reactor: on all of them, and before that, where no reactor can be had, what
depends on none. ``--reactor=none`` is only that. What is not for this is for pytest;
without a path it is all tests. tox calls it on every Python; see pyproject.toml.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from tests.reactor_users import modules_in, uses_the_reactor

NONE = "none"
REACTORS = (
    "select",
    "poll",
    "epoll",
    "asyncio",
    "httpx-poll",
    "httpx-epoll",
    "httpx-uring",
)

NO_TESTS = 5
OUTCOMES = {0: "passed", 1: "failed", NO_TESTS: "no tests"}
"""By pytest's exit status; any other: it broke off."""


def main(arguments: list[str]) -> int:
    """Run all, say what came of it, and return 0 if everything has passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix")
    parser.add_argument("--reactor", action="append", choices=(NONE, *REACTORS))
    options, rest = parser.parse_known_args(arguments)
    lines: list[str] = []
    statuses: set[int] = set()
    for reactor in options.reactor or (NONE, *REACTORS):
        began = time.monotonic()
        status = _run(reactor, arguments_on(reactor, rest))
        statuses.add(status)
        outcome = OUTCOMES.get(status, f"broke off ({status})")
        seconds = time.monotonic() - began
        lines.append(f"{reactor:12} {outcome:10} {seconds:6.0f} s")
    _say(f"Python {sys.version.split()[0]}", *lines)
    # Nowhere any tests: the path or the reactor is not what was meant.
    return 0 if 0 in statuses and statuses <= {0, NO_TESTS} else 1


def arguments_on(reactor: str, arguments: list[str]) -> list[str]:
    """Return what pytest is given; nothing if *reactor* has no test of that."""
    paths = [argument for argument in arguments if _file_of(argument).exists()]
    others = [argument for argument in arguments if argument not in paths]
    chosen: list[str] = []
    for path in paths or ["tests"]:
        _, marks, name = path.partition("::")
        chosen += (
            f"{module}{marks}{name}"
            for module in modules_in(_file_of(path))
            if uses_the_reactor(module) == (reactor != NONE)
        )
    return [*others, *chosen] if chosen else []


def _file_of(path: str) -> Path:
    return Path(path.partition("::")[0])


def _run(reactor: str, arguments: list[str]) -> int:
    """Return pytest's exit status."""
    if not arguments:
        return NO_TESTS
    _say(f"pytest on the reactor {reactor}")
    # The plugin and the reactor come after those in pyproject.toml, and so in their
    # place. A process each: a reactor is installed once.
    plugins: tuple[str, ...] = ("-p", "httpx_tw.testing.pytest_reactors")
    if reactor == NONE:
        plugins = ("-p", "no:twisted", "-p", "tests.no_reactor")
    command = (sys.executable, "-m", "pytest", *plugins, f"--reactor={reactor}")
    return subprocess.run((*command, *arguments), check=False).returncode


def _say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()  # before the next of pytest's


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
