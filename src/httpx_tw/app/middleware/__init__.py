"""Middleware: what stands around endpoints, and what comes with httpx_tw."""

from httpx_tw.app.middleware.onion import Middleware, compose
from httpx_tw.app.middleware.request_id import request_id

__all__ = ["Middleware", "compose", "request_id"]
