"""What is served when no application was named: where you are, and what to do next."""

from __future__ import annotations

import base64
import hashlib
import platform
from html import escape
from typing import TYPE_CHECKING, Any, Final

from twisted.copyright import version as twisted_version

from httpx_tw import __version__
from httpx_tw.app.response import Response
from httpx_tw.errors import ConfigurationError, HTTPError

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.app.app import App
    from httpx_tw.app.request import Request
    from httpx_tw.observe.stats import ServerStats
    from httpx_tw.workers.statistics import WorkerPoolStats

__all__ = ["Welcome"]

_REFRESH: Final = 2
"""Seconds between two loads of the page of figures."""

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto;
  padding: 0 1rem; color: #222; background: #fff }
h1 { font-weight: 600 }
pre { background: #f3f3f3; padding: 1rem; overflow-x: auto }
table { border-collapse: collapse }
th { font-weight: 400; text-align: left; padding-right: 2rem }
td { font-variant-numeric: tabular-nums }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #1b1b1b }
  pre { background: #2a2a2a }
  a { color: #8bf }
}
"""

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_PAGE_HEADERS: Final = (
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)

_ECHOED_TYPES: Final = {"text/plain", "application/json"}
"""What may be sent back under the type it came with: no browser runs it."""

_EXAMPLE: Final = """\
# hello.py
from httpx_tw import App

app = App()

@app.get("/")
def hello(request):
    return "Hello, World!"
"""

_COMMANDS: Final = """\
httpx-tw hello:app --port 8080
twistd -n httpx-tw --app hello:app --port 8080
"""


class Welcome:
    """The welcome application's pages, over a server that may not be running yet.

    It shows nothing of the machine but versions and the addresses listened on.

    :param workers: the figures of its worker threads; None: it has none.
    :param urls: where the server listens.
    """

    def __init__(
        self,
        *,
        statistics: Callable[[], ServerStats],
        workers: Callable[[], WorkerPoolStats | None],
        urls: Callable[[], list[str]],
        reactor_name: str,
    ) -> None:
        self._statistics = statistics
        self._workers = workers
        self._urls = urls
        self._reactor_name = reactor_name

    def add_to(self, app: App) -> None:
        """Give *app* the routes."""
        app.get("/", self.front_page)
        app.get("/hello", _hello)
        app.post("/echo", _echo)
        app.put("/echo", _echo)
        app.get("/stats", self.stats)
        app.get("/statistics", self.statistics_page)

    # The figures are the reactor thread's, so these are async: they never leave it.

    async def front_page(self, request: Request) -> Response:
        """Say what runs, where, and how to give it an application."""
        del request
        urls = [_shown(url) for url in self._urls()] or ["nowhere any more"]
        example = f"<pre>{escape(_EXAMPLE)}</pre>"
        return _page(
            "httpx-tw is running",
            f"<p>{escape(self._software())}, on {escape(', '.join(urls))}.</p>"
            "<p>No application was named, so this page is served. Write one:</p>"
            f"{example}<p>and serve it:</p><pre>{escape(_COMMANDS)}</pre>"
            "<p>To look at: "
            '<a href="/hello">/hello</a> says hello, '
            '<a href="/stats">/stats</a> has the figures of this server as JSON, '
            '<a href="/statistics">/statistics</a> shows them. '
            "POST or PUT something to /echo and it comes back:</p>"
            f"<pre>{escape(self._curl())}</pre>",
        )

    async def stats(self, request: Request) -> Response:
        """Answer with the figures as JSON."""
        del request
        headers = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))
        return Response.json(self._figures(), headers=headers)

    async def statistics_page(self, request: Request) -> Response:
        """Show the figures on a page that loads itself again."""
        del request
        figures = self._figures()
        workers = figures.pop("workers")
        tables = _table(figures)
        if workers is not None:
            tables += f"<h2>Worker threads</h2>{_table(workers)}"
        return _page(
            "Statistics",
            f'{tables}<p><a href="/">What is this?</a></p>',
            f'<meta http-equiv="refresh" content="{_REFRESH}">',
        )

    def _figures(self) -> dict[str, Any]:
        try:
            figures = self._statistics().as_dict()
        except ConfigurationError as error:
            raise HTTPError(503, "the server is stopping") from error
        workers = self._workers()
        return {**figures, "workers": None if workers is None else workers.as_dict()}

    def _software(self) -> str:
        return (
            f"httpx-tw {__version__} on Python {platform.python_version()}, "
            f"Twisted {twisted_version} and its {self._reactor_name}"
        )

    def _curl(self) -> str:
        url = next(
            (url for url in self._urls() if "://" in url), "http://127.0.0.1:8080"
        )
        return f"curl --data hello {url}/echo\n"


def _hello(request: Request) -> str:
    del request
    return "Hello, World!"


def _echo(request: Request) -> Response:
    kind = request.content_type
    return Response(
        request.body,
        headers=(("X-Content-Type-Options", "nosniff"),),
        content_type=kind if kind in _ECHOED_TYPES else "application/octet-stream",
    )


def _shown(url: str) -> str:
    # Where in the file system is nobody's business.
    return url if "://" in url else "a Unix socket"


def _table(figures: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{escape(name.replace('_', ' '))}</th>"
        f"<td>{escape(_written(value))}</td></tr>"
        for name, value in figures.items()
    )
    return f"<table>{rows}</table>"


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):  # a histogram: its buckets are for machines
        mean = value["sum"] / value["count"] if value["count"] else 0.0
        return f"{mean * 1000:,.2f} ms on average"
    return f"{value:,.0f}" if isinstance(value, float) else f"{value:,}"


def _page(title: str, body: str, head: str = "") -> Response:
    return Response.html(
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"{head}<title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(title)}</h1>{body}</html>\n",
        headers=_PAGE_HEADERS,
    )
