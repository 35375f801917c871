"""The virtual environment the peers live in: made once, kept in a cache directory."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

__all__ = ["CLIENT_PACKAGES", "PEER_PACKAGES", "default_cache", "ensure_peers"]

PEER_PACKAGES = (
    "aiohttp",
    "granian",
    "gunicorn",
    "httptools",
    "klein",
    "twisted[tls]",
    "uvicorn",
    "uvloop",
)
CLIENT_PACKAGES = (
    "aiohttp",
    "httpx",
    "pycurl",
    "treq",
    "twisted[tls]",
    "urllib3",
    "uvloop",
)
INSTALL_SECONDS = 600


def default_cache() -> Path:
    """Return the directory for what is expensive to make again."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "httpx-tw-bench"


def ensure_peers(
    cache: Path, packages: tuple[str, ...] = PEER_PACKAGES, name: str = "peers"
) -> Path:
    """Return the Python of the peers' environment, installing it when it is not there.

    Newest releases are taken at that time and stay; remove the directory to renew them.
    """
    home = cache / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    python = home / "bin" / "python"
    done = home / "installed.txt"
    wanted = "\n".join(packages)
    if done.is_file() and done.read_text() == wanted:
        return python
    print(f"installing {', '.join(packages)} into {home}", file=sys.stderr)
    venv.create(home, clear=True, with_pip=True)
    try:
        subprocess.run(
            [str(python), "-m", "pip", "install", "-qq", *packages],
            check=True,
            stdout=sys.stderr,
            timeout=INSTALL_SECONDS,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(f"the peers could not be installed: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    done.write_text(wanted)
    return python
