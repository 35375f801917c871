"""One of the routes of ``hello``, alone or among BENCH_ROUTES others."""

import os

from hello import order

from httpx_tw import App, Request

SHAPES = ("/{id:int}", "/{name}/settings", "/{id:int}/parts/{part}", "/latest", "")

app = App()


def other(_: Request) -> str:
    return "another page"


for number in range(int(os.environ["BENCH_ROUTES"])):
    section, shape = divmod(number, len(SHAPES))
    app.get(f"/section{section}{SHAPES[shape]}", other)
app.get("/users/{id:int}/orders/{n:int}", order)  # last: where a linear search ends
