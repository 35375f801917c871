"""Each module says what it knows, stays small, and has its own tests."""

from __future__ import annotations

import ast
import functools
import importlib
import re
from pathlib import Path

import pytest

import httpx_tw

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "httpx_tw"

MOST_LINES = 500
SAY_NOTHING = {
    "utils", "util", "helpers", "helper", "common", "manager", "handler", "processor",
    "engine", "core", "misc", "base",
}  # fmt: skip

# Modules whose tests are in another module's, because they are seen through that one.
TESTED_ELSEWHERE = {
    "app/answers": "app/test_router.py",  # what the router answers by itself
    "app/group": "app/test_app.py",
    "app/middleware/onion": "app/test_middleware.py",
    "app/middleware/request_id": "app/test_middleware.py",
    "app/pages": "app/test_app.py",
    "app/patterns": "app/test_router.py",  # one oracle for patterns and router
    "app/percent": "app/test_router.py",
    "app/query": "app/test_request.py",
    "app/response_headers": "app/test_response.py",
    "app/route": "app/test_router.py",
    "app/upgrade": "app/test_middleware.py",  # a record, which passes through
    "app/verbs": "app/test_app.py",
    "client/exchange": "client/test_client.py",  # seen through calls and connections
    "client/pool_facts": "client/test_slots.py",
    "client/wire": "client/test_connection.py",  # the other half of a connection
    "protocol/http1_client": "protocol/test_http1.py",  # both sides, face to face
    "protocol/http1_server": "protocol/test_http1.py",
    "server/answering": "server/test_connection.py",  # the other half of a connection
    "server/wire": "server/test_connection.py",
    "transport/stream_server": "transport/test_listener.py",
    "transport/tls_ending": "transport/test_tls_stream.py",  # seen through the whole
    "service/option": "service/test_configuration.py",
    "testing/conversation": "testing/test_clients.py",
    "testing/strategies": "protocol/test_conformance_fuzz.py",
}

MODULES = sorted(SOURCE.rglob("*.py"))
PACKAGES = [path for path in MODULES if path.name == "__init__.py"]
PLAIN = [path for path in MODULES if path.name != "__init__.py"]


def short(module: Path) -> str:
    """Return what follows ``httpx_tw.`` in the module's name, with slashes."""
    return module.relative_to(SOURCE).with_suffix("").as_posix()


def import_of(module: Path) -> object:
    parts = module.relative_to(SOURCE.parent).with_suffix("").parts
    return importlib.import_module(".".join(parts).removesuffix(".__init__"))


@functools.cache
def exports_of(module: Path) -> list[str]:
    """Return ``__all__`` as written, without importing anything."""
    for node in ast.parse(module.read_text()).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return list(ast.literal_eval(value))
    return []


every_module = pytest.mark.parametrize("module", MODULES, ids=short)
every_package = pytest.mark.parametrize("module", PACKAGES, ids=short)
every_plain_module = pytest.mark.parametrize("module", PLAIN, ids=short)


@every_module
def test_the_first_line_says_what_the_module_knows(module: Path) -> None:
    docstring = ast.get_docstring(ast.parse(module.read_text())) or ""
    sentence, _, _ = docstring.partition("\n\n")
    assert re.search(r"[.:](\s|$)", sentence), "no docstring, or no sentence in it"


@every_module
def test_a_module_can_be_read_in_one_sitting(module: Path) -> None:
    lines = len(module.read_text().splitlines())
    assert lines <= MOST_LINES, f"{lines} lines: which part wants out?"


@every_module
def test_a_name_says_something(module: Path) -> None:
    parts = set(module.relative_to(SOURCE).with_suffix("").parts)
    assert not parts & SAY_NOTHING


@every_plain_module
def test_a_module_has_its_own_tests(module: Path) -> None:
    *parts, name = short(module).split("/")
    own = TESTS.joinpath(*parts, f"test_{name.strip('_')}.py")
    if short(module) in TESTED_ELSEWHERE:
        assert not own.exists(), "it has its own tests: take it out of the table"
        assert (TESTS / TESTED_ELSEWHERE[short(module)]).is_file()
    else:
        assert own.is_file(), f"expected {own.relative_to(TESTS.parent)}"


def test_the_table_of_exceptions_is_current() -> None:
    assert set(TESTED_ELSEWHERE) <= {short(module) for module in PLAIN}


@every_package
def test_a_package_only_gathers_names(module: Path) -> None:
    # What a module would know goes into a module, which has tests of its own.
    for node in ast.parse(module.read_text()).body:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                pass
            case ast.Assign(targets=[ast.Name(id=name)]):
                assert name.startswith("__"), name
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                pass
            case ast.FunctionDef(name="__getattr__" | "__dir__"):
                pass  # names that are imported when first asked for
            case _:
                pytest.fail(f"line {node.lineno}: {type(node).__name__}")


@every_module
def test_every_exported_name_exists(module: Path) -> None:
    exported = exports_of(module)
    assert len(exported) == len(set(exported))
    imported = import_of(module)
    assert not [name for name in exported if not hasattr(imported, name)]


@pytest.mark.parametrize("name", exports_of(SOURCE / "__init__.py"))
def test_a_public_name_has_one_home(name: str) -> None:
    assert hasattr(httpx_tw, name)
    if not name.startswith("__") and not (SOURCE / f"{name}.py").exists():
        homes = [short(module) for module in PLAIN if name in exports_of(module)]
        assert len(homes) == 1, f"{name} is exported by {homes}"
