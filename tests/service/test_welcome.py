"""What somebody sees who has just started the service."""

from __future__ import annotations

import base64
import hashlib
import platform
import re
from dataclasses import fields
from typing import TYPE_CHECKING, NoReturn

import pytest
from twisted.copyright import version as twisted_version

from httpx_tw import App, __version__
from httpx_tw.errors import ConfigurationError
from httpx_tw.observe.stats import ServerStats
from httpx_tw.service.welcome import Welcome
from httpx_tw.testing import TestClient
from httpx_tw.workers.pool import WorkerPool
from httpx_tw.workers.statistics import WorkerPoolStats

if TYPE_CHECKING:
    from collections.abc import Iterator

URLS = ["http://127.0.0.1:8080", "http+unix:/secret/place/web.sock", "<odd>"]


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = App()
    with TestClient(app) as client:
        Welcome(
            statistics=client.factory.statistics,
            workers=lambda: WorkerPool().stats,
            urls=lambda: URLS,
            reactor_name="Epoll<Reactor>",
        ).add_to(app)
        yield client


def test_the_front_page_says_what_runs_and_where(client: TestClient) -> None:
    page = client.get("/")
    assert page.status == 200
    for fact in (
        f"httpx-tw {__version__}",
        f"Python {platform.python_version()}",
        f"Twisted {twisted_version}",
        "http://127.0.0.1:8080",
        "httpx-tw hello:app",
        "from httpx_tw import App",
    ):
        assert fact in page.text


def test_the_front_page_gives_nothing_away(client: TestClient) -> None:
    page = client.get("/").text
    assert "/secret/place" not in page
    assert "a Unix socket" in page


@pytest.mark.parametrize("path", ["/", "/statistics"])
def test_pages_are_escaped_and_closed_to_scripts(client: TestClient, path: str) -> None:
    page = client.get(path)
    assert "<odd>" not in page.text
    assert "<Reactor>" not in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    style = re.search("<style>(.*?)</style>", page.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "no-store"
    assert not re.search(r"<(script|link|img)|(src|href)=.?\w+:", page.text)


def test_the_example_is_a_program(client: TestClient) -> None:
    page = client.get("/").text
    found = re.search("<pre>(# hello.py.*?)</pre>", page, re.DOTALL)
    assert found is not None
    module: dict[str, App] = {}
    exec(found[1].replace("&quot;", '"'), module)  # our own text
    with TestClient(module["app"]) as example:
        assert example.get("/").text == "Hello, World!"


def test_hello(client: TestClient) -> None:
    assert client.get("/hello").content == b"Hello, World!"
    assert client.put("/hello", content=b"").status == 405
    assert client.get("/none").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ("application/json", "application/json"),
        ("text/plain; charset=latin-1", "text/plain"),
        ("text/html", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
        (None, "application/octet-stream"),
    ],
)
def test_echo(client: TestClient, method: str, sent: str | None, returned: str) -> None:
    headers = {} if sent is None else {"Content-Type": sent}
    answer = client.request(method, "/echo", content=b"\0<b>", headers=headers)
    assert answer.content == b"\0<b>"
    assert answer.headers["content-type"] == returned
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_empty_echo(client: TestClient) -> None:
    assert client.post("/echo", content=b"").content == b""


def test_the_figures(client: TestClient) -> None:
    client.get("/hello")
    answer = client.get("/stats")
    assert answer.headers["content-type"] == "application/json"
    figures = answer.json()
    workers = figures.pop("workers")
    assert set(figures) == {field.name for field in fields(ServerStats)}
    assert figures["responses_2xx"] == 1
    assert set(workers) == {field.name for field in fields(WorkerPoolStats)}


def test_the_page_of_figures_loads_itself_again(client: TestClient) -> None:
    page = client.get("/statistics").text
    assert '<meta http-equiv="refresh" content="2">' in page
    for field in fields(ServerStats):
        assert f"<th>{field.name.replace('_', ' ')}</th>" in page
    assert "<td>yes</td>" in page
    for field in fields(WorkerPoolStats):
        assert f"<th>{field.name.replace('_', ' ')}</th>" in page
    assert "<td>0.00 ms on average</td>" in page


def test_a_server_without_worker_threads_has_no_figures_of_them() -> None:
    app = App()
    with TestClient(app) as client:
        Welcome(
            statistics=client.factory.statistics,
            workers=lambda: None,
            urls=list,
            reactor_name="x",
        ).add_to(app)
        assert client.get("/stats").json()["workers"] is None
        assert "Worker threads" not in client.get("/statistics").text


def test_a_server_that_stops_has_no_figures() -> None:
    def gone() -> NoReturn:
        raise ConfigurationError("the server is not running")

    app = App()
    Welcome(statistics=gone, workers=lambda: None, urls=list, reactor_name="x").add_to(
        app
    )
    with TestClient(app) as client:
        assert client.get("/stats").status == 503
        assert client.get("/statistics").status == 503
        assert "nowhere any more" in client.get("/").text
