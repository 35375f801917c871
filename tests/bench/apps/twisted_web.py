"""The benchmark's four routes as twisted.web Resources."""

import json

from site_on_epoll import serve
from twisted.web.resource import NoResource, Resource
from twisted.web.server import Request


class Hello(Resource):
    isLeaf = False  # noqa: N815

    def getChild(self, path: bytes, request: Request) -> Resource:  # noqa: N802
        return self if path == b"" else NoResource()

    def render_GET(self, request: Request) -> bytes:  # noqa: N802
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return b"Hello, World!"


class Users(Resource):
    isLeaf = True  # noqa: N815

    def render_GET(self, request: Request) -> bytes:  # noqa: N802
        user, _, number = request.postpath
        return as_json(request, {"user": int(user), "order": int(number)})


class Search(Resource):
    isLeaf = True  # noqa: N815

    def render_GET(self, request: Request) -> bytes:  # noqa: N802
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return bytes(request.args[b"q"][0])


class Items(Resource):
    isLeaf = True  # noqa: N815

    def render_POST(self, request: Request) -> bytes:  # noqa: N802
        sent = json.loads(request.content.read())
        return as_json(request, {"ok": True, "n": len(sent["items"])})


def as_json(request: Request, value: object) -> bytes:
    request.setHeader(b"content-type", b"application/json")
    return json.dumps(value).encode()


if __name__ == "__main__":
    root = Hello()
    root.putChild(b"users", Users())
    root.putChild(b"search", Search())
    root.putChild(b"items", Items())
    serve(root)
