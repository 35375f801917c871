"""The benchmark's four routes as a bare ASGI application: no framework."""

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

Message = dict[str, Any]
TEXT, JSON = b"text/plain; charset=utf-8", b"application/json"


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    path = scope["path"]
    if path == "/":
        status, kind, body = 200, TEXT, b"Hello, World!"
    elif path == "/search":
        query = parse_qs(scope["query_string"].decode())
        status, kind, body = 200, TEXT, query["q"][0].encode()
    elif path == "/items":
        count = len(json.loads(await whole_body(receive))["items"])
        status, kind, body = 200, JSON, as_json({"ok": True, "n": count})
    else:
        status, kind, body = order(path)
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", kind),
                (b"content-length", b"%d" % len(body)),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


def order(path: str) -> tuple[int, bytes, bytes]:
    match path.split("/"):
        case ["", "users", user, "orders", number]:
            return 200, JSON, as_json({"user": int(user), "order": int(number)})
    return 404, TEXT, b"not found"


async def whole_body(receive: Callable[[], Awaitable[Message]]) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()
