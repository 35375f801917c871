"""The environ of a request: CGI's variables, and WSGI's own (PEP 3333)."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from httpx_tw.errors import ConnectionLost
from httpx_tw.hosting.wsgi.error_stream import ErrorStream
from httpx_tw.hosting.wsgi.file_wrapper import FileWrapper
from httpx_tw.protocol.events import CHUNKED

if TYPE_CHECKING:
    from httpx_tw.app.request import Request
    from httpx_tw.headers import HeaderPairs

__all__ = ["EnvironMaker"]

_Names = tuple[str, str, str, str, str]
"""Scheme, name and port of the server, address and port of the client."""

_DROPPED: Final = ""

_COMMON: Final = """
    Accept Accept-Charset Accept-Encoding Accept-Language Access-Control-Request-Headers
    Access-Control-Request-Method Authorization Cache-Control Connection Cookie DNT Date
    Expect Forwarded From Host If-Match If-Modified-Since If-None-Match If-Range
    If-Unmodified-Since Keep-Alive Origin Pragma Priority Range Referer Sec-CH-UA
    Sec-CH-UA-Mobile Sec-CH-UA-Platform Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site
    Sec-Fetch-User TE Upgrade Upgrade-Insecure-Requests User-Agent Via X-Forwarded-For
    X-Forwarded-Host X-Forwarded-Proto X-Real-IP X-Request-ID X-Requested-With
""".split()

_MAX_KEYS: Final = 1024
_MAX_KEPT_NAME: Final = 64
"""Clients choose the names: what we keep of them must end somewhere."""


def _key_for(name: bytes) -> str:
    """Return the variable for the header field *name*; "" when there is none.

    - "_" could pose as "-", which a proxy in front may have filtered (nginx drops such
      names too).
    - HTTP_PROXY is read by libraries as the proxy to go out by (httpoxy).
    - The body is handed on without its transfer coding.
    """
    if b"_" in name:
        return _DROPPED
    upper = name.decode("latin-1").upper().replace("-", "_")
    if upper in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        return upper
    if upper in ("PROXY", "TRANSFER_ENCODING"):
        return _DROPPED
    return f"HTTP_{upper}"


_KEYS: Final = {
    spelled.encode(): _key_for(name.encode())
    for name in (*_COMMON, "Content-Type", "Content-Length", "Transfer-Encoding")
    for spelled in (name, name.lower(), name.title())
}
"""By the name as it was written: nearly all are spelled in one of few ways."""


class EnvironMaker:
    """Makes the environ of each request that goes to one mounted application.

    :param script_name: where it is mounted, octets as characters; "" for the root.
    :param url_scheme: in place of what the connection says; "" for that.
    :param is_multiprocess: other processes serve the same application.

    Any thread may call it.
    """

    __slots__ = ("_script_name", "_template", "_url_scheme", "errors")

    def __init__(
        self, script_name: str, *, url_scheme: str, is_multiprocess: bool
    ) -> None:
        self.errors = ErrorStream()
        """wsgi.errors, of all requests."""
        self._script_name = script_name
        self._url_scheme = url_scheme
        self._template: dict[str, Any] = {
            "GATEWAY_INTERFACE": "CGI/1.1",
            "SERVER_SOFTWARE": "httpx-tw",
            "SCRIPT_NAME": script_name,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": self.errors,
            "wsgi.multithread": True,
            "wsgi.multiprocess": is_multiprocess,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            # The end of the input can be read: nobody has to count CONTENT_LENGTH.
            "wsgi.input_terminated": True,
        }

    def make(self, request: Request) -> dict[str, Any]:
        """Return the environ of *request*.

        :raises ConnectionLost: when it is too late to ask who the client was.
        """
        head = request.head
        target = head.target
        link: Any = request.link
        names: _Names | None = link.hosted
        if names is None:
            names = link.hosted = _names_of(link)
        environ = self._template.copy()
        (
            scheme,
            environ["SERVER_NAME"],
            environ["SERVER_PORT"],
            environ["REMOTE_ADDR"],
            environ["REMOTE_PORT"],
        ) = names
        environ["REQUEST_METHOD"] = head.method
        environ["SERVER_PROTOCOL"] = "HTTP/1.1" if head.is_http11 else "HTTP/1.0"
        environ["QUERY_STRING"] = request.query_string
        # Neither is in PEP 3333; applications look for one or the other.
        environ["RAW_URI"] = environ["REQUEST_URI"] = target
        path = request.path
        if "%" in head.path:
            path = unquote_to_bytes(head.path).decode("latin-1")
        environ["PATH_INFO"] = path[len(self._script_name) :]
        _add_fields(environ, head.headers)
        if target[0] != "/":
            # RFC 9112 section 3.2.2: the authority of the target outranks Host.
            environ["HTTP_HOST"] = request.host
        scheme = self._url_scheme or scheme
        if scheme != "http":
            environ["wsgi.url_scheme"] = scheme
            environ["HTTPS"] = "on"
        if head.body_length:
            environ["wsgi.input"] = request.file
            if head.body_length == CHUNKED:
                # Many an application reads no more than CONTENT_LENGTH says.
                environ["CONTENT_LENGTH"] = str(request.body_size)
        else:
            environ["wsgi.input"] = BytesIO()
        return environ


def _add_fields(environ: dict[str, Any], fields: HeaderPairs) -> None:
    for name, value in fields:
        key = _KEYS.get(name)
        if key is None:
            key = _new_key(name)
        if key not in environ:
            if key is not _DROPPED:
                environ[key] = value.decode("latin-1")
        elif key == "HTTP_COOKIE":
            environ[key] += f"; {value.decode('latin-1')}"
        elif key != "CONTENT_LENGTH":  # repeated, it says the same again
            environ[key] += f", {value.decode('latin-1')}"


def _new_key(name: bytes) -> str:
    key = _key_for(name)
    if len(_KEYS) < _MAX_KEYS and len(name) <= _MAX_KEPT_NAME:
        _KEYS[name] = key
    return key


def _names_of(link: Any) -> _Names:
    try:
        server, client = link.transport.getHost(), link.client_address
    except (AttributeError, OSError) as error:  # a socket that is closed has no name
        raise ConnectionLost("the client is gone") from error
    host = getattr(server, "host", None)
    if host is None:  # a Unix socket; the variables may be neither missing nor empty
        host, port = "localhost", 443 if link.is_secure else 80
    else:
        port = server.port
    address, client_port = client or ("", "")
    # RFC 3875 section 4.1.14: an IPv6 address of the server is in brackets.
    host = f"[{host}]" if ":" in host else host
    return link.scheme, host, str(port), address, str(client_port)
