"""What is built can be installed, and what is installed serves.

Each environment is new and empty but for a ``.pth`` file that lends it the dependencies
of the one the tests run in: no network, and nothing of ours leaks in with them.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0  # seconds, for what takes two of them on a quiet machine
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        check=False,
        cwd=cwd,
        env=bare_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def bare_environment() -> dict[str, str]:
    """Return the environment without what could lead to our source tree."""
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INDEX": "1",
    }


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of what a clone would hold, so that builds leave nothing in ours."""
    copy = tmp_path_factory.mktemp("checkout") / "httpx_tw"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(
        ROOT / "src",
        copy / "src",
        ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"),
    )
    # What twistd leaves beside the plugins must not be packed.
    (copy / "src" / "twisted" / "plugins" / "dropin.cache").write_bytes(b"")
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    run(*build, "--outdir", out, cwd=checkout)
    (built,) = out.glob("*.whl")
    return built


class Environment:
    """A new virtual environment with our dependencies, and without us."""

    def __init__(self, where: Path) -> None:
        venv.create(where, with_pip=False)
        self.where = where
        self.bin = where / "bin"
        self.python = self.bin / "python"
        self._site_packages = Path(
            sysconfig.get_path(
                "purelib", vars={"base": str(where), "platbase": str(where)}
            )
        )
        self._lend_dependencies()

    def _lend_dependencies(self) -> None:
        lent = self.where / "lent"
        lent.mkdir()
        ours = re.compile(r"(__editable__.*|_?httpx[_-]tw.*|__pycache__|.*\.pth)")
        places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        for place in places:
            for entry in Path(place).iterdir():
                if not ours.fullmatch(entry.name):
                    (lent / entry.name).symlink_to(entry)
        self._site_packages.joinpath("lent.pth").write_text(f"{lent}\n")

    def install(self, *what: str | Path) -> None:
        pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
        run(self.python, *pip, *what, cwd=self.where)

    def twistd(self) -> list[str]:
        """Return the command, as the script that pip makes would be."""
        start = "import sys; from twisted.scripts.twistd import run; sys.exit(run())"
        return [str(self.python), "-c", start]


@contextmanager
def served(command: list[str], cwd: Path) -> Iterator[int]:
    """Serve with *command*; give the port it printed; end it as an operator would."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=bare_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield printed_port(process)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE)
        # twistd ends itself with the signal that ended its reactor.
        assert process.returncode in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
        assert b"Traceback" not in output, output.decode()
    finally:
        process.kill()
        process.communicate()


def printed_port(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    output = ""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if select.select([process.stdout], [], [], 1)[0]:
            piece = os.read(process.stdout.fileno(), 65536)
            output += piece.decode()
            if found := ADDRESS.search(output):
                return int(found[1])
            if not piece:
                break
    pytest.fail(f"no address in what it printed: {output}")


def get(port: int, path: str) -> tuple[int, bytes]:
    url = f"http://127.0.0.1:{port}{path}"
    with urllib.request.urlopen(url, timeout=PATIENCE) as response:
        return response.status, response.read()


def test_the_wheel_holds_both_roots_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "httpx_tw/__init__.py" in names
    assert "httpx_tw/py.typed" in names
    assert "twisted/plugins/httpx_tw_plugin.py" in names
    assert not [name for name in names if name.endswith(("dropin.cache", ".pyc"))]
    # They would be Twisted's.
    assert [name for name in names if name.startswith("twisted/")] == [
        "twisted/plugins/httpx_tw_plugin.py"
    ]
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {
        "httpx_tw",
        "twisted",
    }


def test_the_wheel_holds_every_module(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    source = ROOT / "src"
    modules = {str(path.relative_to(source)) for path in source.rglob("*.py")}
    assert modules <= names


def test_the_wheel_serves_from_an_empty_environment(
    wheel: Path, tmp_path: Path
) -> None:
    environment = Environment(tmp_path / "venv")
    environment.install(wheel)
    command = [*environment.twistd(), "-n", "httpx-tw", "--port", "0"]
    with served(command, tmp_path) as port:
        assert get(port, "/hello")[0] == 200


@pytest.mark.parametrize("form", [[], ["--editable"]], ids=["copied", "editable"])
def test_pip_install_shows_the_plugin_to_twistd(
    form: list[str], checkout: Path, tmp_path: Path
) -> None:
    environment = Environment(tmp_path / "venv")
    environment.install(*form, checkout)
    assert "httpx-tw" in run(*environment.twistd(), "--help", cwd=tmp_path)
    version = "from importlib.metadata import version; print(version('httpx-tw'))"
    assert run(environment.python, "-c", version, cwd=tmp_path).startswith("0.")
    # The script of the package itself, which pip has made.
    assert "--port" in run(environment.bin / "httpx-tw", "--help", cwd=tmp_path)
