"""The benchmark's four routes on Klein."""

import json

# The order matters: site_on_epoll installs the reactor, klein imports it.
from site_on_epoll import serve  # isort: split

from klein import Klein
from twisted.web.iweb import IRequest

app = Klein()


@app.route("/")
def hello(request: IRequest) -> str:
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    return "Hello, World!"


@app.route("/users/<int:user>/orders/<int:number>")
def order(request: IRequest, user: int, number: int) -> bytes:
    return as_json(request, {"user": user, "order": number})


@app.route("/search")
def search(request: IRequest) -> bytes:
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    return bytes(request.args[b"q"][0])


@app.route("/items", methods=["POST"])
def items(request: IRequest) -> bytes:
    sent = json.loads(request.content.read())
    return as_json(request, {"ok": True, "n": len(sent["items"])})


def as_json(request: IRequest, value: object) -> bytes:
    request.setHeader(b"content-type", b"application/json")
    return json.dumps(value).encode()


if __name__ == "__main__":
    serve(app.resource())
