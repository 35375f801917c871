"""What the router answers by itself: refusals, OPTIONS, and redirects to the slash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from httpx_tw.app.response import Response
from httpx_tw.errors import HTTPError

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.app.request import Request
    from httpx_tw.app.route import Endpoint

__all__ = ["Refuse", "answer", "raise_refusal"]

Refuse: TypeAlias = "Callable[[Request, HTTPError], Any]"
"""Makes the page of a refusal, as an endpoint would return it."""


def raise_refusal(request: Request, error: HTTPError) -> NoReturn:
    """Refuse by raising: for a router without an application around it."""
    del request
    raise error


def answer(status: int, allow: str, refuse: Refuse) -> Endpoint:
    """Return the endpoint that answers *status*.

    *allow* is the value of Allow, for 204 (to OPTIONS) and 405; "" elsewhere.
    """
    headers = (("Allow", allow),) if allow else ()
    if status == 204:
        return lambda _request: Response(status=204, headers=headers)
    if status in (301, 308):
        return lambda request: _redirect(request, status)
    return lambda request: refuse(request, HTTPError(status, headers=headers))


def _redirect(request: Request, status: int) -> Response:
    location = request.path_params["location"]
    if request.query_string:
        location = f"{location}?{request.query_string}"
    return Response.redirect(location, status)
