"""Whether a server answers as its application must: status and body, one by one."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.shapes import Case

__all__ = ["problems"]

SAMPLE = 50
"""Cases asked per check, evenly spread over the shape's."""

PROBLEMS_SHOWN = 3


def problems(
    port: int, cases: list[Case], *, exact: bool, scheme: str = "http"
) -> list[str]:
    """Ask a sample of *cases* over one connection; return what was wrong, briefly.

    With *exact* false only the status and a body that is not empty are asked for.
    """
    connection = _connection(scheme, port)
    sample = cases[:: max(1, len(cases) // SAMPLE)]
    found: list[str] = []
    try:
        for case in sample:
            answer = _ask(connection, case)
            if not _is_right(answer, case, exact=exact):
                found.append(f"{case.method} {case.target}: {answer!r}")
    except (OSError, http.client.HTTPException) as error:
        found.append(f"check ended by {error!r}")
    finally:
        connection.close()
    return found[:PROBLEMS_SHOWN]


def _connection(scheme: str, port: int) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    # Whose certificate it is does not matter: the server was started by us.
    context = ssl._create_unverified_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3  # what wrk gets, then
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)


def _ask(connection: http.client.HTTPConnection, case: Case) -> tuple[int, bytes]:
    connection.putrequest(
        case.method, case.target, skip_host=True, skip_accept_encoding=True
    )
    for name, value in case.headers:
        connection.putheader(name, value)
    connection.endheaders(case.body or None)
    response = connection.getresponse()
    return response.status, response.read()


def _is_right(answer: tuple[int, bytes], case: Case, *, exact: bool) -> bool:
    status, body = answer
    if status != 200 or not body:
        return False
    if not exact:
        return True
    if isinstance(case.expected, str):
        return body.decode("utf-8", "replace") == case.expected
    try:
        return bool(json.loads(body) == case.expected)
    except ValueError:
        return False
