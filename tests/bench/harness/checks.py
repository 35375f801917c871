"""Whether a server answers as its application must: status and body, one by one."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.shapes import Case

__all__ = ["problems"]

SAMPLE = 50
"""Cases asked per check, evenly spread over the shape's."""

PROBLEMS_SHOWN = 3


def problems(port: int, cases: list[Case], *, exact: bool) -> list[str]:
    """Ask a sample of *cases* over one connection; return what was wrong, briefly.

    With *exact* false only the status and a body that is not empty are asked for.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
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
