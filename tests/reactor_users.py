"""Which tests depend on the reactor of their process: the matrix repeats only those.

    python -m tests.reactor_users tests.server

prints the names of their modules, for trial. A module is known by what it imports,
itself or through others of ours. What this overlooks cannot go unnoticed: the rest is
run by the matrix where no reactor can be had. See tests/no_reactor.py.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from tests.imports import imports_of

ROOT = Path(__file__).parents[1]

REACTOR = {
    "twisted.internet.reactor",
    "twisted.trial.unittest.TestCase",  # it runs the reactor for each test
}

BY_TWISTED = {
    "tests/server/test_tls.py",
    "tests/service/test_command.py",
    "tests/service/test_tls_serving.py",
    "tests/tls/test_client_connection.py",
    "tests/tls/test_listening.py",
    "tests/transport/test_completion_stream.py",
    "tests/workers/test_thread_pool_face.py",
}
"""Those in which code of Twisted's imports it, for its clock or its threads."""


def modules_in(where: Path) -> list[Path]:
    """Return *where*, or what is below it of tests, as pytest would find them."""
    if where.is_file():
        return [where]
    found = sorted(where.rglob("test_*.py"))
    return [module for module in found if "bench" not in module.parts]


@functools.cache
def uses_the_reactor(module: Path) -> bool:
    """Whether what the tests of *module* show depends on the reactor."""
    name = module.resolve().relative_to(ROOT).as_posix()
    return name in BY_TWISTED or bool(REACTOR & _all_imports_of(name))


def _all_imports_of(name: str) -> set[str]:
    """Return what is imported where the file *name* is, but for within functions."""
    names: set[str] = set()
    to_read = {name}
    read: set[str] = set()
    while to_read:
        read.add(name := to_read.pop())
        found = _imports_of(name)
        names |= found
        to_read |= {file for each in found for file in _files_of(each)} - read
    return names


@functools.cache
def _imports_of(name: str) -> set[str]:
    return {each.name for each in imports_of(ROOT / name) if not each.in_function}


def _files_of(imported: str) -> list[str]:
    """Return the file of ours that *imported* is, or is a name of."""
    if not imported.startswith("tests."):
        return []
    whole = imported.replace(".", "/") + ".py"
    module = imported.rpartition(".")[0].replace(".", "/") + ".py"
    return [file for file in (whole, module) if (ROOT / file).is_file()]


def main(names: list[str]) -> None:
    """Print which modules of those *names*, or of packages, use the reactor."""
    paths = [ROOT.joinpath(*name.split(".")) for name in names]
    below = [path if path.is_dir() else path.with_suffix(".py") for path in paths]
    for module in (module for path in below for module in modules_in(path)):
        if uses_the_reactor(module):
            dotted = ".".join(module.relative_to(ROOT).with_suffix("").parts)
            sys.stdout.write(f"{dotted}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
