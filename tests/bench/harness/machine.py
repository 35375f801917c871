"""What the machine is, and whether it is quiet enough to measure on."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

__all__ = [
    "describe",
    "nginx_version",
    "package_versions",
    "raise_fd_limit",
    "warn_if_busy",
]

QUIET_LOAD = 0.5
"""Runnable processes, averaged over a minute; above it figures mislead."""

_ASK_VERSIONS = """
import importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def describe() -> dict[str, object]:
    """Return what a reader needs to compare figures of two machines."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "loadavg": [round(load, 2) for load in os.getloadavg()],
    }


def package_versions(python: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of those *names* that *python* can import."""
    answer = subprocess.run(
        [str(python), "-c", _ASK_VERSIONS, *names],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    versions: dict[str, str] = json.loads(answer.stdout)
    return versions


def nginx_version() -> dict[str, str]:
    """Return the version of the nginx on the path, as package_versions does."""
    said = subprocess.run(
        ["nginx", "-v"], capture_output=True, text=True, check=True, timeout=10
    )
    return {"nginx": said.stderr.strip().rpartition("/")[2]}


def warn_if_busy() -> None:
    """Say on stderr when others use the machine: we share its caches and cores."""
    load = os.getloadavg()[0]
    if load > QUIET_LOAD:
        print(
            f"warning: load average {load:.2f}, quiet is below {QUIET_LOAD}: "
            "these figures prove that the script works, nothing more",
            file=sys.stderr,
        )


def raise_fd_limit() -> int:
    """Raise our soft limit of open files (children inherit it), return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
