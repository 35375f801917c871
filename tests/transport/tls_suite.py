"""Twisted's own tests of TLS, run over the direct transport in a process of its own.

    python -m tests.transport.tls_suite EPollReactor DirectEpoll

Arguments: the stock class that the reactor is called by, and a class of tls_reactors.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

from tests.reactors.twisted_suite import PATIENCE, Outcome
from tests.service.processes import environment


def outcome_over_direct_tls(alias: str, reactor: str) -> Outcome:
    """Run twisted.internet.test.test_tls on *reactor*, in a process of its own."""
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [sys.executable, "-m", __name__, alias, reactor],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            cwd=directory,  # the tests leave files
            env=environment(PYTHONPATH=os.pathsep.join(filter(None, sys.path))),
        )
    assert done.returncode == 0, done.stderr
    return Outcome(**json.loads(done.stdout.splitlines()[-1]))


def main(alias: str, reactor: str) -> None:
    """Run the tests, and print the outcome."""
    # By its own name, so that the reactor's dotted name can be looked up.
    from tests.reactors import twisted_suite
    from tests.transport import tls_reactors

    tls_reactors.upgrade_directly()
    twisted_suite.main(alias, f"tests.transport.tls_reactors.{reactor}", "test_tls")


if __name__ == "__main__":
    main(*sys.argv[1:])
