"""Every server that can be measured: how it is started, and what its row must say.

Peers run as their own documentation runs them in production, with one worker, as few
threads as they accept, and no access log.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "APPS",
    "BENCH",
    "NO_ACCESS_LOG",
    "NO_THREADS",
    "OUR_ENVIRONMENT",
    "SERVERS",
    "Place",
    "Server",
    "command_of",
    "nginx_command",
    "our_server",
    "supported",
    "twistd_command",
]

BENCH = Path(__file__).resolve().parent.parent
APPS = BENCH / "apps"
SOURCE = BENCH.parent.parent / "src"

# The options of our service that a benchmark needs, in one place.
NO_THREADS = ("--threads", "0")
"""Left out when the service has no worker threads to turn off."""
THREADS = ("--threads", "auto")
NO_ACCESS_LOG = ("--no-access-log",)
MANY_IDLE = ("--max-connections", "0", "--keep-alive-timeout", "3600")
"""No limit of connections, and none is closed for idling while we measure."""


OUR_ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join(
        filter(None, [str(SOURCE), os.environ.get("PYTHONPATH", "")])
    )
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one instance of a server runs, and with which interpreters."""

    port: int
    directory: Path
    our_python: Path
    peer_python: Path | None
    many_idle: bool = False
    """Whether thousands of connections will idle: no limit and no idle timeout then."""

    @property
    def peer(self) -> str:
        """The interpreter of the peers' environment, for a command line."""
        assert self.peer_python is not None
        return str(self.peer_python)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that can be measured."""

    name: str
    command: Callable[[Place], list[str]]
    packages: tuple[str, ...] = ()
    """Whose versions the report says."""
    is_ours: bool = False
    needs_peers: bool = False
    answers_exactly: bool = True
    """False: bodies are not computed from the request, only their status is checked."""
    note: str = ""
    scheme: str = "http"
    environment: dict[str, str] = field(default_factory=dict)


def twistd_command(python: Path) -> list[str]:
    """Return how to run the ``twistd`` that belongs to *python*."""
    script = python.parent / "twistd"
    if script.is_file():
        return [str(script)]
    return [str(python), "-c", "from twisted.scripts.twistd import run; run()"]


@cache
def _help_of_ours(python: Path) -> str:
    answer = subprocess.run(
        [*twistd_command(python), "httpx-tw", "--help"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, **OUR_ENVIRONMENT},
    )
    return answer.stdout


def our_server(  # one keyword per thing that a comparison varies
    name: str,
    *,
    reactor: str = "epoll",
    app: str = "hello:app",
    wsgi: str = "",
    options: tuple[str, ...] = (*NO_THREADS, *NO_ACCESS_LOG),
    environment: dict[str, str] | None = None,
    note: str = "",
) -> Server:
    """Declare httpx_tw under ``twistd -n`` with *app* of ours, or *wsgi* of all."""
    application = ("--wsgi", wsgi) if wsgi else ("--app", app)
    directory = APPS if wsgi else APPS / "ours"

    def command(place: Place) -> list[str]:
        return [
            *twistd_command(place.our_python),
            "-n",
            "--pidfile=",
            f"--reactor={reactor}",
            "httpx-tw",
            *("--port", str(place.port)),
            *(*application, "--app-dir", str(directory)),
            *supported(options, place.our_python),
            *(MANY_IDLE if place.many_idle else ()),
        ]

    return Server(
        name,
        command,
        packages=("httpx-tw", "twisted", "httptools"),
        is_ours=True,
        note=note or f"{reactor} reactor",
        environment={**OUR_ENVIRONMENT, **(environment or {})},
    )


def supported(options: tuple[str, ...], python: Path) -> tuple[str, ...]:
    """Return *options* of our service without those that it does not have yet."""
    if options[:2] == NO_THREADS and "--threads" not in _help_of_ours(python):
        return options[2:]
    return options


def _floor(place: Place) -> list[str]:
    return [str(place.our_python), str(BENCH / "floor.py"), str(place.port)]


def nginx_command(place: Place, listen: str = "", lines: str = "") -> list[str]:
    """Return how to run nginx, with *listen* and *lines* added to its server."""
    configuration = place.directory / "nginx.conf"
    place.directory.mkdir(parents=True, exist_ok=True)
    user = "user root;" if os.geteuid() == 0 else ""
    configuration.write_text(
        NGINX.replace("USER", user)
        .replace("DIRECTORY", str(place.directory))
        .replace("PORT", str(place.port))
        .replace("KEEP", "3600s" if place.many_idle else "75s")
        .replace("LISTEN", listen)
        .replace("LINES", lines)
    )
    return ["nginx", "-p", str(place.directory), "-c", str(configuration)]


NGINX = """\
USER
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid DIRECTORY/nginx.pid;
error_log DIRECTORY/error.log warn;
events { use epoll; worker_connections 20000; }
http {
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout KEEP;
    client_body_temp_path DIRECTORY/body;
    proxy_temp_path DIRECTORY/proxy;
    fastcgi_temp_path DIRECTORY/fastcgi;
    uwsgi_temp_path DIRECTORY/uwsgi;
    scgi_temp_path DIRECTORY/scgi;
    default_type text/plain;
    server {
        listen 127.0.0.1:PORTLISTEN backlog=4096;
        LINES
        location = / { return 200 "Hello, World!"; }
        location ~ ^/users/(\\d+)/orders/(\\d+)$ {
            default_type application/json;
            return 200 '{"user":$1,"order":$2}';
        }
        location = /search { return 200 "$arg_q"; }
        location = /items {
            default_type application/json;
            return 200 '{"ok":true,"n":0}';
        }
    }
}
"""


def _site(program: str, kind: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        return [place.peer, str(APPS / program), *_port_and_idle(place), kind]

    return command


def _aiohttp(place: Place) -> list[str]:
    return [place.peer, str(APPS / "aiohttp_app.py"), *_port_and_idle(place)]


def _port_and_idle(place: Place) -> list[str]:
    return [str(place.port), "3600" if place.many_idle else "75"]


def _uvicorn(place: Place) -> list[str]:
    return [
        *(place.peer, "-m", "uvicorn", "asgi:app", "--app-dir", str(APPS)),
        *("--host", "127.0.0.1", "--port", str(place.port)),
        *("--http", "httptools", "--loop", "uvloop", "--lifespan", "off"),
        *("--no-access-log", "--log-level", "warning", "--no-proxy-headers"),
        *("--timeout-keep-alive", "3600" if place.many_idle else "75"),
    ]


def _granian(interface: str, app: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        return [
            *(place.peer, "-m", "granian", app, "--interface", interface),
            *("--working-dir", str(APPS), "--host", "127.0.0.1"),
            *("--port", str(place.port), "--workers", "1", "--runtime-threads", "1"),
            *("--blocking-threads", "1", "--loop", "uvloop", "--http", "1"),
            *("--no-ws", "--no-access-log", "--log-level", "warning"),
        ]

    return command


def _gunicorn(place: Place) -> list[str]:
    return [
        *(place.peer, "-m", "gunicorn", "wsgi:app", "--chdir", str(APPS)),
        *("--bind", f"127.0.0.1:{place.port}", "--workers", "1"),
        *("--worker-class", "gthread", "--threads", "4", "--keep-alive", "75"),
        *("--log-level", "warning"),
    ]


_PEER_NOTE = "1 worker, 1 runtime thread, 1 blocking thread; its I/O is compiled"

_DECLARED = (
    our_server("httpx-tw"),
    our_server("httpx-tw-lean", reactor="httpx-epoll"),
    our_server("httpx-tw-uring", reactor="httpx-uring"),
    our_server("httpx-tw-log", options=NO_THREADS, note="epoll reactor, access log on"),
    our_server(
        "httpx-tw-lean-log",
        reactor="httpx-epoll",
        options=NO_THREADS,
        note="httpx-epoll reactor, access log on",
    ),
    our_server(
        "httpx-tw-threads",
        options=(*THREADS, *NO_ACCESS_LOG),
        note="epoll reactor, endpoints on worker threads",
    ),
    our_server(
        "httpx-tw-lean-threads",
        reactor="httpx-epoll",
        options=(*THREADS, *NO_ACCESS_LOG),
        note="httpx-epoll reactor, endpoints on worker threads",
    ),
    our_server(
        "httpx-tw-wsgi",
        wsgi="wsgi:app",
        options=NO_ACCESS_LOG,
        note="epoll reactor, bare WSGI application on worker threads",
    ),
    our_server(
        "httpx-tw-lean-wsgi",
        reactor="httpx-epoll",
        wsgi="wsgi:app",
        options=NO_ACCESS_LOG,
        note="httpx-epoll reactor, bare WSGI application on worker threads",
    ),
    Server(
        "floor",
        _floor,
        ("httptools",),
        environment=OUR_ENVIRONMENT,
        note="select.epoll and httptools without objects: not a server",
    ),
    Server(
        "nginx",
        nginx_command,
        answers_exactly=False,
        note="1 worker; answers from its configuration: body and query not parsed",
    ),
    *(
        Server(
            name + suffix,
            _site(program, kind),
            packages,
            needs_peers=True,
            note=f"epoll reactor, {what}",
        )
        for name, program, packages in (
            ("twisted.web", "twisted_web.py", ("twisted",)),
            ("klein", "klein_app.py", ("klein", "twisted")),
        )
        for suffix, kind, what in (
            ("", "stock", "Site as it comes: formats access-log lines"),
            ("-quiet", "quiet", "Site with its access log overridden"),
        )
    ),
    Server(
        "uvicorn",
        _uvicorn,
        ("uvicorn", "httptools", "uvloop"),
        needs_peers=True,
        note="httptools, uvloop, bare ASGI application",
    ),
    Server("aiohttp", _aiohttp, ("aiohttp", "uvloop"), needs_peers=True, note="uvloop"),
    Server(
        "granian-wsgi",
        _granian("wsgi", "wsgi:app"),
        ("granian",),
        needs_peers=True,
        note=_PEER_NOTE,
    ),
    Server(
        "granian-asgi",
        _granian("asgi", "asgi:app"),
        ("granian", "uvloop"),
        needs_peers=True,
        note=_PEER_NOTE,
    ),
    Server(
        "gunicorn",
        _gunicorn,
        ("gunicorn",),
        needs_peers=True,
        note="gthread, 1 worker, 4 threads",
    ),
)

SERVERS = {server.name: server for server in _DECLARED}


def command_of(name: str) -> Callable[[Place], list[str]]:
    """Return the command of the server *name*."""
    return SERVERS[name].command
