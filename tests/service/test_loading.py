"""Finding the application, and saying why it cannot be found."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from httpx_tw.errors import ConfigurationError
from httpx_tw.service.loading import load_application, load_wsgi_application

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from httpx_tw import App

SHOP = """
from httpx_tw import App, Server

app = App()
server = Server(app)
nothing = None
prices = {}

class Shop:
    app = app

class Callable:
    def __call__(self): return app

def make(): return app
def make_server(): return server
def make_nothing(): pass
def fail(): raise LookupError("no stock")
async def make_later(): return app
callable = Callable()
"""


@pytest.fixture(autouse=True)
def forget_modules() -> Iterator[None]:
    modules, path = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "shop_of_tests.py").write_text(SHOP)
    return tmp_path


def load(place: Path, name: str, *, factory: bool = False) -> App:
    return load_application(name, factory=factory, app_dir=str(place))


def why_not(place: Path, name: str, *, factory: bool = False) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(place, name, factory=factory)
    return str(caught.value)


@pytest.mark.parametrize(
    ("attribute", "factory"),
    [
        ("app", False),
        ("server", False),
        ("Shop.app", False),
        ("make", True),
        ("make_server", True),
        ("callable", True),
    ],
)
def test_what_may_be_named(place: Path, attribute: str, *, factory: bool) -> None:
    found = load(place, f"shop_of_tests:{attribute}", factory=factory)
    assert found is sys.modules["shop_of_tests"].app


def test_the_directory_goes_first_and_only_once(place: Path) -> None:
    for _ in range(2):
        load(place, "shop_of_tests:app")
    assert sys.path[0] == str(place)
    assert sys.path.count(str(place)) == 1


@pytest.mark.parametrize("name", ["shop", "shop:", ":app", ""])
def test_a_name_has_two_parts(place: Path, name: str) -> None:
    expected = f"--app: expected module:attribute, got {name!r}"
    assert why_not(place, name) == expected


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere:app", "--app: there is no module 'nowhere'"),
        ("nowhere.at.all:app", "--app: there is no module 'nowhere'"),
        ("shop_of_tests.x:app", "--app: there is no module 'shop_of_tests.x'"),
        (".shop:app", "--app: '.shop' is no module's name"),
        (
            "shop_of_tests:ap",
            "--app: shop_of_tests has no 'ap'; did you mean shop_of_tests:app?",
        ),
        (
            "shop_of_tests:app.x",
            "--app: shop_of_tests has no 'app.x'; did you mean shop_of_tests:app?",
        ),
        (
            "shop_of_tests:prices",
            "--app: shop_of_tests:prices is a dict, not an App or a Server",
        ),
        (
            "shop_of_tests:nothing",
            "--app: shop_of_tests:nothing is None, not an App or a Server",
        ),
        (
            "shop_of_tests:make",
            "--app: shop_of_tests:make is a function, not an App or a Server; "
            "is it a --factory, or for --wsgi?",
        ),
        (
            "shop_of_tests:App",
            "--app: shop_of_tests:App is the class App itself, not an object of it",
        ),
        ("textwrap:x", "--app: textwrap has no 'x'"),
    ],
)
def test_what_is_not_there(
    place: Path, name: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert why_not(place, name) == reason
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("attribute", "reason"),
    [
        ("prices", "--factory: {} is a dict, which cannot be called"),
        ("make_nothing", "--app: {} made None, not an App or a Server"),
        ("make_later", "--factory: {} must be def, not async def"),
        ("fail", "--app: calling {} failed: LookupError: no stock"),
    ],
)
def test_factories_that_are_none(place: Path, attribute: str, reason: str) -> None:
    name = f"shop_of_tests:{attribute}"
    assert why_not(place, name, factory=True) == reason.format(name)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import nowhere_else", "No module named 'nowhere_else'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def f(:", "SyntaxError: invalid syntax"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("raise ValueError('odd')", "ValueError: odd"),
        ("raise TypeError", "TypeError"),
        ("from httpx_tw import App; App().get('x', print)", "ConfigurationError: "),
    ],
)
def test_a_module_that_raises_is_blamed_itself(
    tmp_path: Path, code: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken_of_tests.py").write_text(textwrap.dedent(code))
    said = why_not(tmp_path, "broken_of_tests:app")
    assert said.startswith("--app: importing broken_of_tests failed: ")
    assert reason in said
    traceback = capsys.readouterr().err
    assert "broken_of_tests.py" in traceback
    assert "loading.py" not in traceback
    assert "importlib" not in traceback


def test_the_directory_must_be_one(place: Path) -> None:
    wrong = str(place / "none")
    with pytest.raises(ConfigurationError, match=r"--app-dir: .* is not a directory"):
        load_application("shop_of_tests:app", factory=False, app_dir=wrong)


# Applications of WSGI

BLOG = """
from httpx_tw import App

class Site:
    def __call__(self, environ, start_response): return []

class Page:
    def __init__(self, environ, start_response): pass
    def __iter__(self): return iter(())

app = App()
site = Site()
number = 5
async def asgi(scope, receive, send): pass
def application(environ, start_response): return []
def make(): return application
def make_number(): return 5
"""


@pytest.fixture
def blog(tmp_path: Path) -> Path:
    (tmp_path / "blog_of_tests.py").write_text(BLOG)
    return tmp_path


def load_wsgi(blog: Path, attribute: str, *, factory: bool = False) -> App:
    return load_wsgi_application(
        f"blog_of_tests:{attribute}", mount="/x", factory=factory, app_dir=str(blog)
    )


@pytest.mark.parametrize(
    ("attribute", "factory"),
    [("application", False), ("site", False), ("Page", False), ("make", True)],
)
def test_what_is_an_application_of_wsgi(
    blog: Path, attribute: str, *, factory: bool
) -> None:
    app = load_wsgi(blog, attribute, factory=factory)
    route, _ = app.find("GET", "/x/y")
    assert route.pattern == "/x/*"
    assert app.find("GET", "/y")[0].pattern == ""


@pytest.mark.parametrize(
    ("attribute", "factory", "reason"),
    [
        ("number", False, "blog_of_tests:number is an int, not a WSGI application"),
        ("make_number", True, "blog_of_tests:make_number made an int, not a WSGI app"),
        ("app", False, "blog_of_tests:app is an App: name it with --app"),
        ("make", False, "called with environ and start_response; is it a --factory?"),
        ("Site", False, "called with environ and start_response; is it a --factory?"),
        ("asgi", False, "is async, and no WSGI application: is it ASGI?"),
        ("aplication", False, "did you mean blog_of_tests:application?"),
        ("zzz", False, "blog_of_tests has no 'zzz'"),
    ],
)
def test_what_is_none(
    blog: Path, attribute: str, *, factory: bool, reason: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_wsgi(blog, attribute, factory=factory)
    assert str(caught.value).startswith("--wsgi: ")
    assert reason in str(caught.value)
