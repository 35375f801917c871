"""The page that lists a directory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from httpx_tw.app.response import Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from httpx_tw.app.files.directory import Listed

__all__ = ["listing_page"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
</head>
<body>
<h1>{title}</h1>
<table>
<tr><th>Name</th><th>Modified</th><th>Bytes</th></tr>
{rows}
</table>
</body>
</html>
"""

_HEADERS: Final = (
    ("Cache-Control", "no-cache"),
    # Names come from whoever may write there; nothing in them is to run.
    ("Content-Security-Policy", "default-src 'none'"),
    ("X-Content-Type-Options", "nosniff"),
)


def listing_page(path: str, entries: Iterable[Listed], *, has_parent: bool) -> Response:
    """Return a page of *entries*, directories first.

    :param path: decoded, as the client sees it.
    """
    rows = ['<tr><td><a href="../">../</a></td><td></td><td></td></tr>']
    if not has_parent:
        rows.clear()
    rows += [_row(e) for e in sorted(entries, key=lambda entry: not entry.is_directory)]
    page = _PAGE.format(title=escape(f"Index of {path}"), rows="\n".join(rows))
    return Response.html(page, headers=_HEADERS)


def _row(entry: Listed) -> str:
    name, is_directory, size, modified = entry
    slash = "/" if is_directory else ""
    # "./": a name with a colon would be read as a scheme.
    link = f"./{quote(name, safe='')}{slash}"
    # By addition: Windows' gmtime knows nothing before the epoch.
    when = f"{_EPOCH + timedelta(seconds=int(modified)):%Y-%m-%d %H:%M:%S}"
    return (
        f'<tr><td><a href="{link}">{escape(name)}{slash}</a></td>'
        f"<td>{when}</td><td>{'' if is_directory else size}</td></tr>"
    )
