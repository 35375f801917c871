"""Reactors installed for the whole process, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.service.processes import environment

if TYPE_CHECKING:
    from pathlib import Path

# Installed, run and stopped; then the interpreter ends, and has nothing to complain of.
_PROGRAM = """
import sys
from importlib import import_module
module = import_module("httpx_tw.reactors." + sys.argv[1])
module.install()
from twisted.internet import reactor
from twisted.internet.error import ReactorAlreadyInstalledError
print(type(reactor).__module__)
try:
    module.install()
except ReactorAlreadyInstalledError:
    print("once only")
reactor.callLater(0, reactor.stop)
reactor.run()
"""


def python(
    *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python to its end."""
    return subprocess.run(
        [sys.executable, "-X", "dev", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=cwd,
        env=environment(),
    )


def check_that_it_installs(interface: str) -> None:
    """Install, run and stop it; what is held is given back in silence."""
    done = python("-c", _PROGRAM, interface)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"httpx_tw.reactors.{interface}", "once only"]


def check_that_it_cannot_be_installed(interface: str) -> None:
    """Install it where the platform has none of it; the reason is said."""
    done = python("-c", _PROGRAM, interface)
    assert done.returncode == 1
    assert f"no {interface}" in done.stderr.splitlines()[-1]
