"""The benchmark's four routes as a bare WSGI application: no framework."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

TEXT, JSON = "text/plain; charset=utf-8", "application/json"


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    path = environ["PATH_INFO"]
    if path == "/":
        status, kind, body = "200 OK", TEXT, b"Hello, World!"
    elif path == "/search":
        query = parse_qs(environ["QUERY_STRING"])
        status, kind, body = "200 OK", TEXT, query["q"][0].encode()
    elif path == "/items":
        sent = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        count = len(json.loads(sent)["items"])
        status, kind, body = "200 OK", JSON, as_json({"ok": True, "n": count})
    else:
        status, kind, body = order(path)
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def order(path: str) -> tuple[str, str, bytes]:
    match path.split("/"):
        case ["", "users", user, "orders", number]:
            value = {"user": int(user), "order": int(number)}
            return "200 OK", JSON, as_json(value)
    return "404 Not Found", TEXT, b"not found"


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()
