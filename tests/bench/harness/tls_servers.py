"""The servers that are measured over TLS, each as in servers.py but for that.

All have the same ECDSA certificate, and choose TLS 1.3 and AES-256-GCM of what wrk
offers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.certificate import certificate_in
from harness.servers import (
    APPS,
    BENCH,
    MANY_IDLE,
    NO_ACCESS_LOG,
    NO_THREADS,
    OUR_ENVIRONMENT,
    Place,
    Server,
    command_of,
    nginx_command,
    supported,
    twistd_command,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["TLS_SERVERS"]


def _files(place: Place) -> tuple[Path, Path]:
    return certificate_in(place.directory.parent)


def _ours(reactor: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        certificate, key = _files(place)
        files = f"privateKey={key}:certKey={certificate}"
        return [
            *(*twistd_command(place.our_python), "-n", "--pidfile="),
            *(f"--reactor={reactor}", "httpx-tw"),
            *("--listen", f"ssl:{place.port}:{files}:interface=127.0.0.1"),
            *("--app", "hello:app", "--app-dir", str(APPS / "ours")),
            *supported((*NO_THREADS, *NO_ACCESS_LOG), place.our_python),
            *(MANY_IDLE if place.many_idle else ()),
        ]

    return command


def _nginx(place: Place) -> list[str]:
    certificate, key = _files(place)
    lines = f"ssl_certificate {certificate}; ssl_certificate_key {key};"
    # Before 1.23.4 nginx has to be told of the newest.
    lines += " ssl_protocols TLSv1.2 TLSv1.3;"
    return nginx_command(place, " ssl", lines)


def _floor(place: Place) -> list[str]:
    files = map(str, _files(place))
    return [str(place.our_python), str(BENCH / "tls_floor.py"), str(place.port), *files]


def _with_files(name: str, *options: str) -> Callable[[Place], list[str]]:
    """Return the command of the server *name*, and the two files by *options*."""

    def command(place: Place) -> list[str]:
        files = [str(path) for path in _files(place)]
        named = [
            part
            for option, path in zip(options, files, strict=True)
            for part in ((option, path) if option else (path,))
        ]
        return [*command_of(name)(place), *named]

    return command


_DECLARED = (
    Server(
        "httpx-tw-lean-tls",
        _ours("httpx-epoll"),
        ("httpx-tw", "twisted", "pyopenssl", "cryptography"),
        is_ours=True,
        scheme="https",
        environment=OUR_ENVIRONMENT,
        note="httpx-epoll reactor",
    ),
    Server(
        "httpx-tw-tls",
        _ours("epoll"),
        ("httpx-tw", "twisted", "pyopenssl", "cryptography"),
        is_ours=True,
        scheme="https",
        environment=OUR_ENVIRONMENT,
        note="epoll reactor",
    ),
    Server(
        "floor-tls",
        _floor,
        ("httptools", "pyopenssl", "cryptography"),
        scheme="https",
        environment=OUR_ENVIRONMENT,
        note="select.epoll, httptools and pyOpenSSL's bindings: not a server",
    ),
    Server(
        "nginx-tls",
        _nginx,
        answers_exactly=False,
        scheme="https",
        note="1 worker; answers from its configuration",
    ),
    Server(
        "granian-asgi-tls",
        _with_files("granian-asgi", "--ssl-certificate", "--ssl-keyfile"),
        ("granian", "uvloop"),
        needs_peers=True,
        scheme="https",
        note="1 worker, 1 runtime thread, 1 blocking thread; rustls",
    ),
    Server(
        "uvicorn-tls",
        _with_files("uvicorn", "--ssl-certfile", "--ssl-keyfile"),
        ("uvicorn", "httptools", "uvloop"),
        needs_peers=True,
        scheme="https",
        note="httptools, uvloop, bare ASGI application",
    ),
    Server(
        "twisted.web-tls",
        _with_files("twisted.web", "", ""),
        ("twisted", "pyopenssl", "cryptography"),
        needs_peers=True,
        scheme="https",
        note="epoll reactor, Site as it comes, listenSSL",
    ),
)

TLS_SERVERS = {server.name: server for server in _DECLARED}
