"""Imports point down; the table below is the architecture.

An import under ``if TYPE_CHECKING:`` counts like any other: an annotation ties two
parts together as well as a call does. Who needs a type of a part above, or of a
neighbour, says what it needs of it in a :class:`typing.Protocol` of its own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.imports import imports_of

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "httpx_tw"
PLUGINS = ROOT / "src" / "twisted" / "plugins"

# Lowest first. A part imports itself and what is below it, never its neighbours.
LAYERS = [
    {"errors"},
    {"limits", "headers", "origin"},
    {"protocol", "observe"},
    {"app", "transport", "workers"},
    {"tls"},
    {"reactors", "server", "client"},
    {"hosting"},
    {"service"},
    {"testing"},
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}

# Parts that must stay pure, and what would stain them.
TOUCHES_THE_WORLD = {
    "asyncio", "select", "selectors", "signal", "socket", "ssl", "subprocess",
    "threading", "time", "twisted", "zope",
}  # fmt: skip
STAINS = {
    "protocol": TOUCHES_THE_WORLD,
    "headers": TOUCHES_THE_WORLD,
    "limits": TOUCHES_THE_WORLD,
    "origin": TOUCHES_THE_WORLD,
    "errors": TOUCHES_THE_WORLD | {"httpx_tw"},
}

GLOBAL_REACTOR = "twisted.internet.reactor"


def part_of(module: Path) -> str:
    """Return the part *module* belongs to; "" for the package itself."""
    first = module.relative_to(SOURCE).with_suffix("").parts[0]
    return "" if first == "__init__" else first


def arrow_up(part: str, name: str) -> str:
    """Say what is wrong with *part* importing *name*; "" when nothing is."""
    package, _, inside = name.partition(".")
    if package in STAINS.get(part, ()):
        return f"{part} imports {package}, which touches the world"
    if package != "httpx_tw":
        return ""
    other = inside.partition(".")[0]
    if other == "__version__":
        return ""
    if other not in LEVEL:
        return f"{part} imports {name}: not a part in the table"
    if other == part or LEVEL[other] < LEVEL[part]:
        return ""
    direction = "sideways" if LEVEL[other] == LEVEL[part] else "up"
    return f"{part} imports {other}: the arrow points {direction}"


MODULES = sorted(SOURCE.rglob("*.py"))
every_module = pytest.mark.parametrize(
    "module", MODULES, ids=[str(path.relative_to(SOURCE)) for path in MODULES]
)


@every_module
def test_imports_point_down(module: Path) -> None:
    part = part_of(module)
    if not part:
        return  # the public face sees everything
    assert part in LEVEL, f"{part} has no place in the table"
    wrong = [arrow_up(part, found.name) for found in imports_of(module)]
    assert not any(wrong), "; ".join(filter(None, wrong))


@every_module
def test_the_reactor_is_an_argument(module: Path) -> None:
    lines = module.read_text().splitlines()
    for found in imports_of(module):
        if found.name == GLOBAL_REACTOR:
            line = lines[found.line - 1]
            assert found.in_function, f"{line!r} installs a reactor on import"
            _, _, reason = line.partition("# noqa: TID251")
            assert reason.strip(" -"), f"{line!r} gives no reason"


def test_the_plugin_names_and_imports_nothing_of_ours() -> None:
    # twistd imports every plugin of every package to build its cache.
    for module in PLUGINS.glob("*.py"):
        for found in imports_of(module):
            assert found.name.startswith(("__future__", "twisted.application")), found


def test_the_plugin_directories_stay_open() -> None:
    # An __init__.py here would hide Twisted's own package.
    assert not (PLUGINS / "__init__.py").exists()
    assert not (PLUGINS.parent / "__init__.py").exists()


@pytest.mark.parametrize(
    ("part", "name", "complaint"),
    [
        ("server", "httpx_tw.app.request.Request", ""),
        ("server", "httpx_tw.server.connection", ""),
        ("server", "httpx_tw.client.pool", "sideways"),
        ("app", "httpx_tw.transport.stream", "sideways"),
        ("protocol", "httpx_tw.server.connection", "up"),
        ("protocol", "twisted.internet.defer.Deferred", "touches the world"),
        ("errors", "httpx_tw.limits.Limits", "touches the world"),
        ("server", "httpx_tw.Server", "not a part"),
        ("server", "httpx_tw.__version__", ""),
    ],
)
def test_the_table_is_read_correctly(part: str, name: str, complaint: str) -> None:
    assert complaint in arrow_up(part, name)
    assert bool(complaint) == bool(arrow_up(part, name))


IMPORT_AND_LOOK = """
import importlib, os, pkgutil, sys, threading

def descriptors():
    where = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    return set(os.listdir(where))

before = descriptors()
import httpx_tw
modules = ["httpx_tw"]
if {everything}:
    modules += [
        found.name
        for found in pkgutil.walk_packages(httpx_tw.__path__, "httpx_tw.")
        if not found.name.endswith("__main__")
    ]
for name in modules:
    importlib.import_module(name)
    assert "twisted.internet.reactor" not in sys.modules, f"{{name}}: a reactor"
    assert threading.active_count() == 1, f"{{name}}: {{threading.enumerate()}}"
    assert descriptors() == before, f"{{name}}: {{descriptors()}}, not {{before}}"
"""


@pytest.mark.parametrize("everything", [False, True])
def test_importing_installs_starts_and_opens_nothing(*, everything: bool) -> None:
    program = IMPORT_AND_LOOK.format(everything=everything)
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
