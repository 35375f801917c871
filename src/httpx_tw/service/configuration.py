"""What can be configured: the record, and the one table that options are made from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from httpx_tw.errors import ConfigurationError
from httpx_tw.hosting.mounting import check_prefix
from httpx_tw.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, Timeouts
from httpx_tw.server.server import tcp_endpoint
from httpx_tw.service.option import Option
from httpx_tw.service.quantities import (
    format_duration,
    format_size,
    parse_count,
    parse_duration,
    parse_size,
)
from httpx_tw.service.thread_options import (
    DEFAULT_THREADS,
    THREAD_OPTIONS,
    ThreadOptions,
    threads_from,
)
from httpx_tw.service.tls_options import TLS_OPTIONS, tls_from

if TYPE_CHECKING:
    from collections.abc import Mapping

    from httpx_tw.tls.certificates import ServerTLS

__all__ = [
    "DEFAULT_ACCESS_LOG",
    "DEFAULT_HOST",
    "DEFAULT_PORT",
    "OPTIONS",
    "Configuration",
    "configuration_from",
]

R = TypeVar("R", Limits, Timeouts)

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8080
DEFAULT_ACCESS_LOG: Final = "access.log"
"""Where a daemon, which has no standard output, writes when nobody said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything the service is told; see :data:`OPTIONS` for the words."""

    listen: tuple[str, ...] = (tcp_endpoint(DEFAULT_HOST, DEFAULT_PORT),)
    """Endpoint strings of Twisted, and our own ``fd:N``."""

    app: str | None = None
    """``module:attribute``. None: the welcome application."""

    wsgi: str | None = None
    """``module:attribute`` of a WSGI application, in place of *app*."""

    wsgi_mount: str = "/"
    """The path below which it gets the requests, its SCRIPT_NAME."""

    factory: bool = False
    """The attribute is called, without arguments, to make the application."""

    app_dir: str = "."
    """Put in front of sys.path before *app* or *wsgi* is imported."""

    limits: Limits = DEFAULT_LIMITS

    max_connections: int | None = None
    """None: as many as the process may have descriptors for. Goes before *limits*."""

    timeouts: Timeouts = DEFAULT_TIMEOUTS

    threads: ThreadOptions = DEFAULT_THREADS
    """What plain endpoints run on."""

    tls: ServerTLS | None = None
    """HTTPS on all of *listen*. None: HTTP."""

    https_redirect: str | None = None
    """The endpoint whose clients are sent on to HTTPS. None: none."""

    static: tuple[tuple[str, str], ...] = ()
    """Prefixes, and the directories whose files are below them."""

    access_log: str | None = ""
    """A file; "-": standard output; None: no access log; "": standard output, or the
    file ``access.log`` in a daemon, which has none."""

    server_name: str = "httpx-tw"
    """The Server field; "": none."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """All endpoints that are listened on."""
        redirect = self.https_redirect
        return self.listen if redirect is None else (*self.listen, redirect)


def _parse_port(text: str) -> int:
    port = parse_count(text)
    if port > 65535:
        raise ConfigurationError(f"expected a port from 0 to 65535, got {text!r}")
    return port


def _parse_connections(text: str) -> int | None:
    return None if text == "auto" else parse_count(text)


_SERVER_NAME: Final = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")


def _parse_server_name(text: str) -> str:
    if _SERVER_NAME.fullmatch(text) is None:
        raise ConfigurationError(f"expected printable ASCII, got {text!r}")
    return text


def _not_empty(text: str) -> str:
    if not text or "\0" in text:
        raise ConfigurationError(f"expected a value, got {text!r}")
    return text


def _parse_static(text: str) -> tuple[str, str]:
    prefix, separator, directory = text.partition("=")
    if not separator or not prefix.startswith("/") or not directory:
        raise ConfigurationError(f"expected /prefix=directory, got {text!r}")
    # Absolute: twistd may change the working directory later.
    return prefix, str(Path(directory).absolute())


def _parse_mount(text: str) -> str:
    check_prefix(text)
    return text


def _parse_host(text: str) -> str:
    if not text:
        # An unset variable of a shell script must not open the server to the world.
        raise ConfigurationError("expected an address, got ''; all are 0.0.0.0 or ::")
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    return _not_empty(host)


def _size(name: str, field: str, text: str) -> Option:
    default = format_size(getattr(DEFAULT_LIMITS, field))
    return Option(name=name, value="SIZE", default=default, text=text, parse=parse_size)


def _count(name: str, field: str, text: str) -> Option:
    default = str(getattr(DEFAULT_LIMITS, field))
    return Option(
        name=name, value="COUNT", default=default, text=text, parse=parse_count
    )


def _duration(name: str, field: str, text: str) -> Option:
    default = format_duration(getattr(DEFAULT_TIMEOUTS, field))
    return Option(
        name=name, value="DURATION", default=default, text=text, parse=parse_duration
    )


def _rate(name: str, field: str, text: str) -> Option:
    default = format_size(int(getattr(DEFAULT_TIMEOUTS, field)))
    return Option(name=name, value="SIZE", default=default, text=text, parse=parse_size)


_WHERE: Final = (
    Option(
        name="listen",
        value="ENDPOINT",
        default="",
        text="Listen on an endpoint of Twisted (tcp:8080, tcp6:8080,"
        " unix:/run/web.sock, systemd:domain=INET:index=0, ...) or on fd:N."
        " May be repeated.",
        parse=_not_empty,
        is_repeatable=True,
    ),
    Option(
        name="host",
        value="ADDRESS",
        default=DEFAULT_HOST,
        text="Listen on this address, IPv4 or IPv6: 0.0.0.0 or :: for all.",
        parse=_parse_host,
    ),
    Option(
        name="port",
        value="PORT",
        default=str(DEFAULT_PORT),
        text="Listen on this port. 0: any free port, which the log names.",
        parse=_parse_port,
    ),
    Option(
        name="uds",
        value="PATH",
        default="",
        text="Listen on a Unix socket at this path, open to all users (mode 666).",
        parse=_not_empty,
    ),
    Option(
        name="fd",
        value="NUMBER",
        default="",
        text="Listen on this inherited descriptor, a socket of any stream family.",
        parse=parse_count,
    ),
)

_WHAT: Final = (
    Option(
        name="app",
        value="MODULE:ATTRIBUTE",
        default="",
        text="Serve this App or Server. None: a welcome application.",
        parse=_not_empty,
    ),
    Option(
        name="wsgi",
        value="MODULE:ATTRIBUTE",
        default="",
        text="Serve this WSGI application (Flask, Django, ...) in place of --app.",
        parse=_not_empty,
    ),
    Option(
        name="wsgi-mount",
        value="PREFIX",
        default="/",
        text="Give the WSGI application what is below this path, its SCRIPT_NAME.",
        parse=_parse_mount,
    ),
    Option(
        name="factory",
        value="",
        default="",
        text="The attribute of --app or --wsgi is called, without arguments, to make"
        " the application.",
    ),
    Option(
        name="app-dir",
        value="DIRECTORY",
        default=".",
        text="Look for the module of --app or --wsgi here first.",
        parse=_not_empty,
    ),
)

_FILES: Final = (
    Option(
        name="static",
        value="PREFIX=DIRECTORY",
        default="",
        text="Answer below this path with the files of a directory, beside the"
        " application or without one. May be repeated.",
        parse=_parse_static,
        is_repeatable=True,
    ),
)

_LOGGING: Final = (
    Option(
        name="access-log",
        value="FILE",
        default="-",
        text="Append a line for each request to this file; - is standard output."
        f" A daemon has none: there the default is the file {DEFAULT_ACCESS_LOG}.",
        parse=_not_empty,
    ),
    Option(
        name="no-access-log",
        value="",
        default="",
        text="Write no line for each request.",
    ),
    Option(
        name="server-name",
        value="TEXT",
        default="httpx-tw",
        text='Value of the Server field in every response. Empty (""): no such field.',
        parse=_parse_server_name,
    ),
)

_CONNECTIONS: Final = Option(
    name="max-connections",
    value="COUNT",
    default="auto",
    text="Open connections; then accepting pauses and the kernel's backlog holds."
    " auto: what the limit of open files allows, less a reserve. 0: no limit.",
    parse=_parse_connections,
)

_LIMITS: Final = {
    "max_connections": _CONNECTIONS,
    "backlog": _count(
        "backlog",
        "backlog",
        "Connections the kernel holds until they are accepted.",
    ),
    "max_request_line": _size(
        "max-request-line",
        "max_request_line",
        "Longest request line; over it: 414.",
    ),
    "max_header_bytes": _size(
        "max-header-bytes",
        "max_header_bytes",
        "Largest header block; over it: 431.",
    ),
    "max_headers": _count(
        "max-headers", "max_headers", "Most header fields; over it: 431."
    ),
    "max_body": _size(
        "max-body",
        "max_body",
        "Largest request body, unless the route has its own; over it: 413."
        " 0: no limit.",
    ),
    "max_chunk_extension": _size(
        "max-chunk-extension",
        "max_chunk_extension",
        "Longest chunk-size line with its extensions; over it: 400.",
    ),
    "max_pipelined": _count(
        "max-pipelined",
        "max_pipelined",
        "Requests held behind the one being answered; then reading pauses.",
    ),
    "max_requests_per_connection": _count(
        "max-requests-per-connection",
        "max_requests_per_connection",
        "The last one is answered with Connection: close. 0: no limit.",
    ),
}
"""By the field of Limits that each one sets."""

_TIMEOUTS: Final = {
    "head": _duration(
        "head-timeout",
        "head",
        "The whole head of a request; then 408. 0: off.",
    ),
    "body_idle": _duration(
        "body-idle-timeout",
        "body_idle",
        "Between two pieces of a request body; then 408. 0: off.",
    ),
    "body_min_rate": _rate(
        "body-min-rate",
        "body_min_rate",
        "Bytes a second that a request body must average; else 408. 0: off.",
    ),
    "response_idle": _duration(
        "response-idle-timeout",
        "response_idle",
        "A client that reads nothing of its response; then it is cut off. 0: off.",
    ),
    "response_min_rate": _rate(
        "response-min-rate",
        "response_min_rate",
        "Bytes a second that a client must read of its response; else it is cut off."
        " 0: off.",
    ),
    "rate_grace": _duration(
        "rate-grace",
        "rate_grace",
        "How long a transfer may be slower than its minimum rate.",
    ),
    "keep_alive": _duration(
        "keep-alive-timeout",
        "keep_alive",
        "Idle between two requests; then the connection is closed. 0: off.",
    ),
    "handler": _duration(
        "handler-timeout",
        "handler",
        "Until the response begins, unless the route has its own; then 503. 0: off.",
    ),
    "linger": _duration(
        "linger-timeout",
        "linger",
        "How long to go on reading after an early refusal, so that the client sees it.",
    ),
    "drain": _duration(
        "drain-timeout",
        "drain",
        "On SIGTERM: what requests in flight have before they are cut off."
        " 0: cut off at once.",
    ),
}
"""By the field of Timeouts that each one sets."""

OPTIONS: Final[tuple[Option, ...]] = (
    *_WHAT,
    *_FILES,
    *_WHERE,
    *TLS_OPTIONS,
    *THREAD_OPTIONS,
    *_LIMITS.values(),
    *_TIMEOUTS.values(),
    *_LOGGING,
)
"""Every option there is, in the order of the documentation."""


def configuration_from(given: Mapping[str, Any]) -> Configuration:
    """Make a Configuration of the options that were given: names and parsed values.

    :raises ConfigurationError: when one makes no sense, alone or beside another.
    """
    _check_application(given)
    if "no-access-log" in given and "access-log" in given:
        raise ConfigurationError(
            "--access-log and --no-access-log contradict each other"
        )
    chosen: dict[str, Any] = {
        name.replace("-", "_"): given[name] for name in _AS_THEY_ARE if name in given
    }
    if "no-access-log" in given:
        chosen["access_log"] = None
    return Configuration(
        listen=_listen(given),
        static=tuple(given.get("static", ())),
        limits=_record(Limits, _LIMITS, {**given, "max-connections": None}),
        max_connections=given.get("max-connections"),
        timeouts=_record(Timeouts, _TIMEOUTS, given),
        threads=threads_from(given),
        tls=tls_from(given),
        https_redirect=_https_redirect(given),
        **chosen,
    )


_AS_THEY_ARE: Final = (
    *(option.name for option in _WHAT),
    "access-log",
    "server-name",
)
"""Options that fill the field of their name."""


def _check_application(given: Mapping[str, Any]) -> None:
    if "app" in given and "wsgi" in given:
        raise ConfigurationError("--app and --wsgi contradict each other")
    if "wsgi" in given and given.get("threads") == 0:
        raise ConfigurationError("--wsgi needs threads, and --threads 0 is none")
    if "wsgi-mount" in given and "wsgi" not in given:
        raise ConfigurationError("--wsgi-mount is of no use without --wsgi")
    for name in ("factory", "app-dir"):
        if name in given and not {"app", "wsgi"} & given.keys():
            raise ConfigurationError(f"--{name} is of no use without --app or --wsgi")


def _record(kind: type[R], table: Mapping[str, Option], given: Mapping[str, Any]) -> R:
    values = {
        field: given[option.name]
        for field, option in table.items()
        if given.get(option.name) is not None
    }
    try:
        return kind(**values)
    except ConfigurationError as error:
        field, _, reason = str(error).partition(" ")
        raise ConfigurationError(f"--{table[field].name} {reason}") from error


def _listen(given: Mapping[str, Any]) -> tuple[str, ...]:
    endpoints: list[str] = list(given.get("listen", ()))
    if "uds" in given:
        endpoints.append(f"unix:{_escaped(str(Path(given['uds']).absolute()))}")
    if "fd" in given:
        endpoints.append(f"fd:{given['fd']}")
    if "host" in given or "port" in given or not endpoints:
        host = given.get("host", DEFAULT_HOST)
        endpoints.append(tcp_endpoint(host, given.get("port", DEFAULT_PORT)))
    return tuple(endpoints)


def _https_redirect(given: Mapping[str, Any]) -> str | None:
    port = given.get("https-redirect")
    return None if port is None else tcp_endpoint(given.get("host", DEFAULT_HOST), port)


def _escaped(text: str) -> str:
    return re.sub(r"([\\:=])", r"\\\1", text)
