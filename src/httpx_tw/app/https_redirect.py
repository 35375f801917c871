"""An App that sends every request to the same place over HTTPS."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from httpx_tw.app.app import App
from httpx_tw.app.response import Response
from httpx_tw.errors import HTTPError

if TYPE_CHECKING:
    from collections.abc import Callable

    from httpx_tw.app.request import Request

__all__ = ["https_redirect"]

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.~%-]+)(?::\d*)?", re.ASCII)
"""Host (RFC 9110 section 7.2), its port apart."""

_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?]*")


def https_redirect(port: int | Callable[[], int] = 443) -> App:
    """Return an App for a server on port 80 beside one that speaks HTTPS.

    GET and HEAD are answered with 301, other methods with 308, which has them sent
    again as they are. A request that does not say which host it means gets 400, and
    what is about no place (``OPTIONS *``, an unknown method) what any App answers.

    :param port: where HTTPS is served, or what returns that, at each request.
    """

    def redirect(request: Request) -> Response:
        found = _HOST.fullmatch(request.host)
        if found is None:
            raise HTTPError(400, "which host?")
        number = port if isinstance(port, int) else port()
        where = found[1] if number == 443 else f"{found[1]}:{number}"
        status = 301 if request.method in {"GET", "HEAD"} else 308
        return Response.redirect(f"https://{where}{_path_of(request.target)}", status)

    app = App()
    app.not_found(redirect)
    return app


def _path_of(target: str) -> str:
    path = _ABSOLUTE.sub("", target, count=1)
    return path if path.startswith("/") else f"/{path}"
