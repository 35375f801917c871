"""Twisted's own tests of what a reactor does, run on one of ours or of theirs.

    python -m tests.reactors.twisted_suite EPollReactor \
        httpx_tw.reactors.epoll.EpollReactor twisted.internet.test.test_tcp

prints the names of the tests that failed, as JSON. The first word is the name of the
stock class that the reactor is called by: Twisted skips tests by that name, where the
kernel's interface cannot do what they want.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from typing import Any, NamedTuple

from tests.service.processes import environment

CORE = ("test_core", "test_time", "test_fdset", "test_tcp")
ALL = (
    *CORE,
    "test_endpoints",
    "test_newtls",
    "test_process",
    "test_socket",
    "test_stdio",
    "test_threads",
    "test_tls",
    "test_udp",
    "test_unix",
)
PATIENCE = 300.0
"""Seconds for all modules; a quiet machine takes three."""


class Outcome(NamedTuple):
    """How the tests went."""

    ran: int
    skipped: int
    failed: list[str]


def outcome_of(alias: str, reactor: str, modules: tuple[str, ...] = ALL) -> Outcome:
    """Run *modules* of twisted.internet.test on *reactor*, in a process of its own."""
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [sys.executable, "-m", __name__, alias, reactor, *modules],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            cwd=directory,  # the tests leave files
            env=environment(PYTHONPATH=os.pathsep.join(filter(None, sys.path))),
        )
    assert done.returncode == 0, done.stderr
    return Outcome(**json.loads(done.stdout.splitlines()[-1]))


def outcome_beside_stock(
    alias: str, reactor: str, stock: str, modules: tuple[str, ...] = ALL
) -> Outcome:
    """See outcome_of; what fails has to fail on the reactor *stock* of theirs, too.

    As test_changeUID does where another user cannot run this Python.
    """
    outcome = outcome_of(alias, reactor, modules)
    if outcome.failed:
        names = " ".join(outcome.failed)
        concerned = tuple(module for module in modules if f".{module}." in names)
        theirs = outcome_of(alias, stock, concerned)
        assert set(outcome.failed) <= set(theirs.failed)
    return outcome


def main(alias: str, reactor: str, *modules: str) -> None:
    """Run the tests, and print the outcome."""
    from twisted.internet.test import reactormixins
    from twisted.python.reflect import namedAny
    from twisted.trial import unittest as trial

    if alias == "KQueueReactor":
        _lend_kqueue()
    made: Any = type(alias, (namedAny(reactor),), {})
    # ReactorBuilder makes a skipped test of a reactor that cannot be made.
    made()
    globals()[alias] = made
    reactormixins.ReactorBuilder._reactors = [f"{__name__}.{alias}"]
    suite = trial.TestSuite()
    for module in modules:
        tests = namedAny(f"twisted.internet.test.{module}")
        for name, case in vars(tests).items():
            # Those that ReactorBuilder.makeTestCaseClasses has made of others.
            if name.endswith(f"_{alias}Tests"):
                loader = __import__("unittest").TestLoader()
                suite.addTests(loader.loadTestsFromTestCase(case))
    with contextlib.redirect_stdout(sys.stderr):
        result = _run(suite)
    failed = sorted({str(test.id()) for test, _ in result.failures + result.errors})
    skipped = len(result.skips)
    print(json.dumps(Outcome(result.testsRun, skipped, failed)._asdict()))  # noqa: T201  # its purpose
    sys.stdout.flush()
    os._exit(0)  # what a failed test may have left is not waited for


def _run(suite: Any) -> Any:
    from twisted.trial.reporter import MinimalReporter

    reporter = MinimalReporter(sys.stderr)
    suite.run(reporter)
    return reporter


def _lend_kqueue() -> None:
    """Let Twisted's own kqueue reactor find the stand-in where it looks for kqueue."""
    import select

    from tests.reactors import fake_kqueue

    if not hasattr(select, "kqueue"):
        for name in ("kqueue", "kevent", *filter_names(fake_kqueue)):
            setattr(select, name, getattr(fake_kqueue, name))


def filter_names(module: Any) -> list[str]:
    """Return the names of kqueue's constants."""
    return [name for name in vars(module) if name.startswith("KQ_")]


if __name__ == "__main__":
    # By its own name, so that the reactor's dotted name can be looked up.
    from tests.reactors import twisted_suite

    twisted_suite.main(*sys.argv[1:])
