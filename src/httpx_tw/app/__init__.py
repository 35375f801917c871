"""The application's face: routes, requests, responses, middleware."""

from httpx_tw.app.app import App
from httpx_tw.app.body import BodyLink, RequestBody
from httpx_tw.app.group import Group
from httpx_tw.app.middleware import Middleware
from httpx_tw.app.request import Request, RequestLink
from httpx_tw.app.response import Response, to_response
from httpx_tw.app.route import Route
from httpx_tw.app.router import Router

__all__ = [
    "App",
    "BodyLink",
    "Group",
    "Middleware",
    "Request",
    "RequestBody",
    "RequestLink",
    "Response",
    "Route",
    "Router",
    "to_response",
]
