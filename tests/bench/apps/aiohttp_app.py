"""The benchmark's four routes on aiohttp. Arguments: PORT IDLE_SECONDS."""

import sys

import uvloop
from aiohttp import web

routes = web.RouteTableDef()


@routes.get("/")
async def hello(_: web.Request) -> web.Response:
    return web.Response(text="Hello, World!")


@routes.get(r"/users/{id:\d+}/orders/{n:\d+}")
async def order(request: web.Request) -> web.Response:
    found = request.match_info
    return web.json_response({"user": int(found["id"]), "order": int(found["n"])})


@routes.get("/search")
async def search(request: web.Request) -> web.Response:
    return web.Response(text=request.query["q"])


@routes.post("/items")
async def items(request: web.Request) -> web.Response:
    sent = await request.json()
    return web.json_response({"ok": True, "n": len(sent["items"])})


if __name__ == "__main__":
    app = web.Application()
    app.add_routes(routes)
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        keepalive_timeout=float(sys.argv[2]),
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
        backlog=1024,
    )
