"""An endpoint that waits, and the benchmark's four routes by way of deferToThread."""

import time
from collections.abc import Callable
from typing import Any

import hello
from twisted.internet import reactor  # noqa: TID251  # the service has installed it
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from httpx_tw import App, Request

app = App()
deferring = App()
reactor.suggestThreadPoolSize(4)  # type: ignore[attr-defined]  # IReactorThreads


@app.get("/sleep")
def sleep(_: Request) -> str:
    time.sleep(0.05)
    return "slept"


def by_twisted(endpoint: Callable[[Request], Any]) -> Callable[[Request], Any]:
    def call(request: Request) -> Deferred[Any]:
        return deferToThread(endpoint, request)

    return call


deferring.get("/", by_twisted(hello.hello))
deferring.get("/users/{id:int}/orders/{n:int}", by_twisted(hello.order))
deferring.get("/search", by_twisted(hello.search))
deferring.post("/items", by_twisted(hello.items))
