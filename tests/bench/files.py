#!/usr/bin/env python3
"""CPU of httpx_tw, nginx (sendfile on) and twisted.web static.File for plain files.

    python tests/bench/files.py
    python tests/bench/files.py --rounds 5 --sizes 4096,65536,1048576 --json files.json

All three run at once and are measured in turn (A B C A B C …) for each size: what the
machine does meanwhile meets all of them alike. The bodies are compared, byte by byte,
before and after. Ends with 1 when one of the claims does not hold:

    4 KiB: at most 2 times nginx, and 0.25 times twisted.web
    64 KiB: at most 1.6 times nginx        1 MiB: at most 1.2 times nginx
"""

from __future__ import annotations

import contextlib
import http.client
import os
import statistics
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.load import Load
from harness.measure import Round, interleave
from harness.processes import DidNotStart
from harness.report import table, verdict, write_json
from harness.servers import APPS, Place, Server, our_server
from harness.session import Session, arguments, require_tools

if TYPE_CHECKING:
    from harness.processes import Process

SIZES = (4 * 1024, 64 * 1024, 1024 * 1024)
CLAIMS = {
    4 * 1024: {"nginx": 2.0, "twisted.web": 0.25},
    64 * 1024: {"nginx": 1.6},
    1024 * 1024: {"nginx": 1.2},
}
AN_HOUR = 3600

NGINX = """\
{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ use epoll; worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    default_type application/octet-stream;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location /files/ {{ alias {files}/; }}
    }}
}}
"""


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument(
        "--sizes",
        type=lambda text: [int(size) for size in text.split(",")],
        default=list(SIZES),
        help="in bytes, with commas between (default 4096,65536,1048576)",
    )
    parser.add_argument("--reactor", default="httpx-epoll", help="default %(default)s")
    options = parser.parse_args()
    require_tools("wrk", "nginx")
    with tempfile.TemporaryDirectory(prefix="httpx-tw-files-") as name:
        files = Path(name)
        files.chmod(0o755)  # nginx's worker may be another user
        for size in options.sizes:
            make_file(files, size)
        servers = [
            ours(files, options.reactor),
            nginx(files),
            twisted_web(files),
        ]
        with Session(options, servers) as session, contextlib.ExitStack() as stack:
            try:
                running = {
                    one.name: stack.enter_context(session.running(one))
                    for one in servers
                }
            except DidNotStart as error:
                print(f"INVALID: did not start: {error}")
                return 1
            return 0 if run(session, files, running) else 1


def make_file(files: Path, size: int) -> None:
    path = files / f"{size}.bin"
    path.write_bytes(os.urandom(size))
    # Old enough for a strong entity tag, as files are.
    modified = path.stat().st_mtime - AN_HOUR
    os.utime(path, (modified, modified))


def run(session: Session, files: Path, running: dict[str, tuple[Process, int]]) -> bool:
    """Measure each size; print, write, and return whether all claims hold."""
    options = session.options
    rows: list[list[str]] = []
    figures: dict[str, object] = {}
    good = True
    for size in options.sizes:
        good &= all_right(files, size, running)
        load = Load(options.connections, None, f"/files/{size}.bin")
        print(f"{size} bytes", file=sys.stderr)
        found = interleave(running, load, options.rounds, options.seconds)
        good &= all_right(files, size, running)
        rows += [cells(size, name, rounds, found) for name, rounds in found.items()]
        figures[str(size)] = {
            name: [asdict(one) for one in rounds] for name, rounds in found.items()
        }
        for name, rounds in found.items():
            trouble = [one.trouble for one in rounds if one.trouble]
            if trouble:
                good = verdict(f"{name}, {size} bytes: {trouble}", holds=False)
        good &= check_claims(size, found)
    columns = ["bytes", "server", "CPU us/request", "min-max", "CPU ms/GiB", "ours/it"]
    print("\n" + table(columns, rows))
    write_json(options.json, session.record(files=figures))
    return good


def cells(
    size: int, name: str, rounds: list[Round], found: dict[str, list[Round]]
) -> list[str]:
    cost = [one.cpu_per_request * 1e6 for one in rounds]
    middle = statistics.median(cost)
    return [
        str(size),
        name,
        f"{middle:.1f}",
        f"{min(cost):.1f}-{max(cost):.1f}",
        f"{middle / 1e3 * 2**30 / size:.0f}",
        f"{ratio(found, name):.2f}",
    ]


def ratio(found: dict[str, list[Round]], name: str) -> float:
    """Return the median, over the rounds, of our CPU time by that of *name*."""
    pairs = zip(found["httpx-tw"], found[name], strict=True)
    return statistics.median(a.cpu_per_request / b.cpu_per_request for a, b in pairs)


def check_claims(size: int, found: dict[str, list[Round]]) -> bool:
    good = True
    for name, most in CLAIMS.get(size, {}).items():
        measured = ratio(found, name)
        words = f"{size} bytes: {measured:.2f} times {name}, at most {most}"
        good &= verdict(words, holds=measured <= most)
    return good


def all_right(files: Path, size: int, running: dict[str, tuple[Process, int]]) -> bool:
    """Whether each server gives exactly what is in the file."""
    expected = (files / f"{size}.bin").read_bytes()
    good = True
    for name, (_, port) in running.items():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", f"/files/{size}.bin")
            response = connection.getresponse()
            if (response.status, response.read()) != (200, expected):
                good = verdict(f"{name}: a wrong answer of {size} bytes", holds=False)
    return good


def ours(files: Path, reactor: str) -> Server:
    return our_server(
        "httpx-tw",
        reactor=reactor,
        app="files:app",
        environment={"BENCH_FILES": str(files)},
    )


def nginx(files: Path) -> Server:
    def command(place: Place) -> list[str]:
        place.directory.mkdir(parents=True, exist_ok=True)
        configuration = place.directory / "nginx.conf"
        configuration.write_text(
            NGINX.format(
                user="user root;" if os.geteuid() == 0 else "",
                directory=place.directory,
                port=place.port,
                files=files,
            )
        )
        return ["nginx", "-p", str(place.directory), "-c", str(configuration)]

    return Server("nginx", command)


def twisted_web(files: Path) -> Server:
    def command(place: Place) -> list[str]:
        script = str(APPS / "twisted_file.py")
        return [place.peer, script, str(place.port), "75", "quiet"]

    server = Server("twisted.web", command, packages=("twisted",), needs_peers=True)
    return replace(server, environment={"BENCH_FILES": str(files)})


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
