#!/usr/bin/env python3
"""What calling a WSGI application costs, step by step, without sockets and threads.

    python tests/bench/wsgi.py
    python tests/bench/wsgi.py --rounds 3 --number 2000     # a smoke run

Each round times all steps in turn; the figure is the least of a step's rounds, less
that of an empty loop. For the price of the whole server beside its peers see hello.py.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from harness.report import table, verdict
from harness.shapes import HOST

from httpx_tw.app.request import Request
from httpx_tw.app.response import Response
from httpx_tw.hosting.wsgi import WSGIApp
from httpx_tw.hosting.wsgi.call import Call
from httpx_tw.hosting.wsgi.environ import EnvironMaker
from httpx_tw.protocol.events import RequestHead

if TYPE_CHECKING:
    from collections.abc import Callable

    Step = Callable[[], object]

HELLO = [(b"Host", HOST.encode())]
BROWSER = [
    (b"Host", HOST.encode()),
    (b"Connection", b"keep-alive"),
    (b"Cache-Control", b"max-age=0"),
    (b"Upgrade-Insecure-Requests", b"1"),
    (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
    (b"Accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    (b"Sec-Fetch-Site", b"same-origin"),
    (b"Sec-Fetch-Mode", b"navigate"),
    (b"Sec-Fetch-Dest", b"document"),
    (b"Referer", b"http://shop.example/"),
    (b"Accept-Encoding", b"gzip, deflate, br"),
    (b"Accept-Language", b"en-GB,en;q=0.8"),
    (b"Cookie", b"session=0123456789abcdef; theme=dark; consent=yes"),
]
BODY = b"Hello, World!"
FIELDS = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "13")]


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", FIELDS)
    return [BODY]


class Link:
    """As much of a connection as an environ asks for."""

    scheme = "http"
    is_secure = False
    client_address = ("127.0.0.1", 40000)
    hosted: Any = None

    def __init__(self) -> None:
        self.transport = self
        self.host, self.port = "127.0.0.1", 8080

    def getHost(self) -> Link:
        return self


def steps() -> dict[str, Step]:
    """Return what is timed, by the words for it."""
    app = WSGIApp(hello)
    route, params = app.find("GET", "/")
    link: Any = Link()

    def request_with(fields: list[tuple[bytes, bytes]]) -> Request:
        head = RequestHead("GET", "/", fields, is_http11=True, keep_alive=True)
        return Request(head, "/", "", route, params, link, b"")

    short, long = request_with(HELLO), request_with(BROWSER)
    maker = EnvironMaker("", url_scheme="", is_multiprocess=False)
    started = Call(short)
    started.start_response("200 OK", FIELDS)
    return {
        "nothing": lambda: None,
        "find the application": lambda: app.find("GET", "/"),
        "environ, 1 field": lambda: maker.make(short),
        "environ, 13 fields": lambda: maker.make(long),
        "start_response, 2 fields": lambda: Call(short).start_response(
            "200 OK", FIELDS
        ),
        "the answer": lambda: started.whole(BODY),
        "all of it, 1 field": lambda: route.call(short),
        "all of it, 13 fields": lambda: route.call(long),
        "a Response by an endpoint of ours": lambda: Response(BODY, 200),
    }


def microseconds(step: Step, number: int) -> float:
    numbers = range(number)
    begin = time.perf_counter()
    for _ in numbers:
        step()
    return (time.perf_counter() - begin) / number * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--number", type=int, default=20_000, help="calls in a round")
    parser.add_argument("--max-us", type=float, default=5.0, help="hello, all of it")
    options = parser.parse_args()
    timed = steps()
    found: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(options.rounds):
        for name, step in timed.items():
            found[name].append(microseconds(step, options.number))
    empty = min(found.pop("nothing"))
    least = {name: min(times) - empty for name, times in found.items()}
    print(table(["step", "us"], [[name, f"{us:.2f}"] for name, us in least.items()]))
    hello_us = least["all of it, 1 field"]
    words = f"a WSGI hello: {hello_us:.2f} us, at most {options.max_us}"
    return 0 if verdict(words, holds=hello_us <= options.max_us) else 1


if __name__ == "__main__":
    sys.exit(main())
