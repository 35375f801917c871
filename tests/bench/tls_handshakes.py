#!/usr/bin/env python3
"""How often the client resumes TLS sessions, and what that saves.

    python tests/bench/tls_handshakes.py
    python tests/bench/tls_handshakes.py --reconnects 50 --handshakes 40

Three parts, all with certificate and name verified:

- reconnects: a thousand requests, each over a new connection, to nginx, openssl
  s_server, our server, twisted.web, and one that resets each connection without the
  goodbye of TLS. The server says of each whether it has resumed; so does the client.
- handshakes: the client's CPU time for a handshake alone, over memory, full and resumed
  in turn. "1.2" is a server that speaks nothing newer; the client is ready for both.
- requests: the client's CPU time for connecting, one GET and closing, against nginx.

Ends with 1 when fewer than 99 % resume after the first, or a ratio is over its limit.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

SOURCE = Path(__file__).parents[2] / "src"
sys.path.insert(0, str(SOURCE))

from harness.certificate import certificate_in  # noqa: E402  # after the path
from harness.machine import package_versions  # noqa: E402
from harness.processes import Process, free_port, pin  # noqa: E402
from harness.report import table, verdict, write_json  # noqa: E402
from harness.session import Session, arguments, require_tools  # noqa: E402
from OpenSSL import SSL  # noqa: E402
from twisted.internet.defer import Deferred  # noqa: E402

from httpx_tw.client.client import Client  # noqa: E402
from httpx_tw.tls.contexts import ClientContexts, TLSPolicy  # noqa: E402
from httpx_tw.tls.sessions import TlsSessionPool  # noqa: E402

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

APP = Path(__file__).parent / "apps" / "tls_reused.py"
VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
LEAST_RESUMED = 0.99
HANDSHAKE_LIMITS = {"1.2": 0.45, "1.3": 0.65}
REQUEST_LIMITS = {"1.2": 0.6, "1.3": 0.8}

NGINX = """\
USER
daemon off;
worker_processes 1;
pid DIRECTORY/nginx.pid;
error_log DIRECTORY/error.log warn;
events { use epoll; }
http {
    access_log off;
    client_body_temp_path DIRECTORY/body;
    proxy_temp_path DIRECTORY/proxy;
    fastcgi_temp_path DIRECTORY/fastcgi;
    uwsgi_temp_path DIRECTORY/uwsgi;
    scgi_temp_path DIRECTORY/scgi;
    server {
        listen 127.0.0.1:PORT ssl;
        ssl_certificate CERTIFICATE;
        ssl_certificate_key KEY;
        ssl_protocols PROTOCOLS;
        ssl_session_tickets TICKETS;
        ssl_session_cache CACHE;
        location / { return 200 "$ssl_session_reused"; }
    }
}
"""


@dataclass(frozen=True)
class Peer:
    """A server, and how it is told to keep sessions."""

    name: str
    command: Callable[[Path, int, tuple[Path, Path]], list[str]]
    versions: tuple[str, ...] = ("1.2", "1.3")


def nginx(
    tickets: str, protocols: str = "TLSv1.2 TLSv1.3"
) -> Callable[[Path, int, tuple[Path, Path]], list[str]]:
    def command(directory: Path, port: int, files: tuple[Path, Path]) -> list[str]:
        text = NGINX.replace("USER", "user root;" if os.geteuid() == 0 else "")
        for name, value in (
            ("DIRECTORY", directory),
            ("PORT", port),
            ("CERTIFICATE", files[0]),
            ("KEY", files[1]),
            ("TICKETS", tickets),
            ("PROTOCOLS", protocols),
            ("CACHE", "off" if tickets == "on" else "shared:all:10m"),
        ):
            text = text.replace(name, str(value))
        (directory / "nginx.conf").write_text(text)
        return ["nginx", "-p", str(directory), "-c", str(directory / "nginx.conf")]

    return command


def s_server(*options: str) -> Callable[[Path, int, tuple[Path, Path]], list[str]]:
    def command(_: Path, port: int, files: tuple[Path, Path]) -> list[str]:
        named = ["-cert", str(files[0]), "-key", str(files[1])]
        accept = ["-accept", f"127.0.0.1:{port}"]
        return ["openssl", "s_server", "-www", "-quiet", *accept, *named, *options]

    return command


def app(kind: str) -> Callable[[Path, int, tuple[Path, Path]], list[str]]:
    def command(_: Path, port: int, files: tuple[Path, Path]) -> list[str]:
        return [sys.executable, str(APP), kind, str(port), *map(str, files)]

    return command


PEERS = (
    Peer("nginx, tickets", nginx("on")),
    Peer("nginx, session ids", nginx("off")),
    Peer("s_server, tickets", s_server()),
    Peer("s_server, session ids", s_server("-no_ticket")),
    Peer("httpx-tw", app("ours")),
    Peer("twisted.web", app("twisted.web")),
    Peer("resets without a goodbye", app("abrupt")),
)


def contexts_for(port: int, policy: TLSPolicy, version: str) -> Any:
    """Return contexts that speak *version* alone."""
    made = ClientContexts()
    # No policy has a newest version: nobody should want one.
    context = made.creator_for("127.0.0.1", port, policy)._context
    context.set_max_proto_version(VERSIONS[version])
    return made


async def reconnect(
    port: int, policy: TLSPolicy, version: str, times: int
) -> list[int]:
    """Return how often the client and the server say that they have resumed.

    Of s_server, which shows them on its page, OpenSSL's own counters are third.
    """
    contexts = contexts_for(port, policy, version)
    by_client = by_server = 0
    hits: list[int] = []
    async with Client(verify=policy, contexts=contexts, retries=0) as client:
        for _ in range(times):
            url = f"https://127.0.0.1:{port}/"
            response = await client.get(url, headers={"Connection": "close"})
            by_client += response.connection.tls.is_resumed
            answer = response.body
            # nginx and ours: "r". s_server: a page that says "Reused, TLSv1.3, …".
            by_server += answer == b"r" or b"Reused, " in answer
            hits += map(int, re.findall(rb"(\d+) session cache hits", answer))
    counted = [hits[-1] - hits[0]] if hits else []
    return [by_client, by_server, *counted]


def _move(source: SSL.Connection, target: SSL.Connection) -> None:
    with suppress(SSL.WantReadError):
        target.bio_write(source.bio_read(65536))


def handshake(creator: Any, server: SSL.Context) -> float:
    """Return the CPU seconds of a client's handshake; let tickets arrive after it."""
    begun = time.thread_time()
    client = creator.clientConnectionForTLS(None)
    client.set_connect_state()
    spent = time.thread_time() - begun
    peer = SSL.Connection(server)
    peer.set_accept_state()
    waiting = [client, peer]
    while waiting:
        for one in list(waiting):
            begun = time.thread_time()
            try:
                one.do_handshake()
                waiting.remove(one)
            except SSL.WantReadError:
                pass
            if one is client:
                spent += time.thread_time() - begun
            _move(one, peer if one is client else client)
    peer.send(b"x")
    _move(peer, client)
    client.recv(1)
    return spent


def handshakes(
    files: tuple[Path, Path], version: str, times: int
) -> tuple[float, float]:
    """Return the median CPU microseconds of a full and a resumed handshake."""
    certificate, key = files
    server = SSL.Context(SSL.TLS_SERVER_METHOD)
    server.use_certificate_file(str(certificate))
    server.use_privatekey_file(str(key))
    server.set_session_id(b"bench")
    server.set_max_proto_version(VERSIONS[version])
    policy = TLSPolicy(verify=certificate)
    never, always = ClientContexts(TlsSessionPool(max_sessions=0)), ClientContexts()
    full, resumed = (
        each.creator_for("127.0.0.1", 443, policy) for each in (never, always)
    )
    handshake(resumed, server)
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(times):
        for costs, creator in zip(found, (full, resumed), strict=True):
            costs.append(handshake(creator, server) * 1e6)
    assert always.sessions.stats.misses == 1, "not all of them were resumed"
    return statistics.median(found[0]), statistics.median(found[1])


async def requests(port: int, policy: TLSPolicy, times: int) -> tuple[float, float]:
    """Return CPU microseconds of connect, GET and close: full, and resumed."""
    found: tuple[list[float], list[float]] = ([], [])
    url = f"https://127.0.0.1:{port}/"
    clients = [
        Client(verify=policy, contexts=ClientContexts(pool))
        for pool in (TlsSessionPool(max_sessions=0), TlsSessionPool())
    ]
    for number in range(-20, times):  # the first ones warm up
        for costs, client in zip(found, clients, strict=True):
            begun = time.process_time()
            await client.get(url, headers={"Connection": "close"})
            if number >= 0:
                costs.append((time.process_time() - begun) * 1e6)
    for client in clients:
        await client.close()
    return statistics.median(found[0]), statistics.median(found[1])


async def measured(options: argparse.Namespace, session: Session) -> bool:
    kinds = {
        kind: certificate_in(session.directory / kind, kind) for kind in ("ec", "rsa")
    }
    record: dict[str, Any] = {}
    all_hold = True
    rows = []
    for peer in PEERS if options.reconnects else ():
        with running(peer, session, kinds["ec"], options) as port:
            for version in peer.versions:
                policy = TLSPolicy(verify=kinds["ec"][0])
                counts = await reconnect(port, policy, version, options.reconnects)
                shares = [count / max(1, options.reconnects - 1) for count in counts]
                all_hold &= min(shares) >= LEAST_RESUMED
                shown = [*(f"{share:.1%}" for share in shares), "-"]
                rows.append([peer.name, version, *shown[:3]])
                record[f"{peer.name} {version}"] = counts
    if rows:
        columns = ["client says", "server says", "OpenSSL counted"]
        print(table(["reconnects", "TLS", *columns], rows))
        all_hold = verdict(f"resumed >= {LEAST_RESUMED:.0%}", holds=all_hold)
        print()

    rows, claims = [], []
    for kind, files in kinds.items():
        for version in VERSIONS:
            full, resumed = handshakes(files, version, options.handshakes)
            note(
                rows,
                claims,
                f"handshake {version} {kind}",
                full,
                resumed,
                HANDSHAKE_LIMITS,
            )
    for kind, files in kinds.items():
        for version in VERSIONS:
            peer = Peer("nginx", nginx("on", f"TLSv{version}"))
            with running(peer, session, files, options) as port:
                policy = TLSPolicy(verify=files[0])
                full, resumed = await requests(port, policy, options.handshakes)
            what = f"request {version} {kind}"
            note(rows, claims, what, full, resumed, REQUEST_LIMITS)
    record["cpu"] = rows
    print(table(["client CPU us", "full", "resumed", "ratio"], rows))
    for what, holds in claims:
        all_hold &= verdict(what, holds=holds)
    write_json(options.json, {"record": record, "versions": versions()})
    return all_hold


def note(
    rows: list[list[str]],
    claims: list[tuple[str, bool]],
    what: str,
    full: float,
    resumed: float,
    limits: dict[str, float],
) -> None:
    ratio, limit = resumed / full, limits[what.split()[1]]
    rows.append([what, f"{full:.0f}", f"{resumed:.0f}", f"{ratio:.2f}"])
    claims.append((f"{what}: {ratio:.2f} <= {limit}", ratio <= limit))


def versions() -> dict[str, str]:
    names = ("twisted", "pyopenssl", "cryptography", "service-identity")
    return {
        **package_versions(Path(sys.executable), names),
        "openssl of cryptography": SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode(),
    }


class running(ExitStack):  # noqa: N801  # used as a function
    """A peer on a port of its own, for as long as the context lasts."""

    def __init__(
        self,
        peer: Peer,
        session: Session,
        files: tuple[Path, Path],
        options: argparse.Namespace,
    ) -> None:
        super().__init__()
        directory = session.directory / f"peer-{time.monotonic_ns()}"
        directory.mkdir()
        self._port = free_port()
        self._process = Process(
            peer.command(directory, self._port, files),
            directory=directory,
            core=options.server_core,
            environment={"PYTHONPATH": str(SOURCE)},
        )

    def __enter__(self) -> int:  # type: ignore[override]
        super().__enter__()
        self.enter_context(self._process)
        self._process.wait_until_listening(self._port)
        return self._port


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument(
        "--reconnects", type=int, default=1000, help="of each kind; 0: leave them out"
    )
    parser.add_argument("--handshakes", type=int, default=500)
    options = parser.parse_args()
    require_tools("nginx", "openssl")
    from httpx_tw.server.reactor_choice import install_best_reactor

    install_best_reactor()
    from twisted.internet import reactor  # noqa: TID251  # just installed

    outcome: list[bool] = []

    def run(session: Session) -> None:
        done = Deferred.fromCoroutine(measured(options, session))
        done.addCallback(outcome.append)
        done.addErrback(lambda failure: failure.printTraceback())
        done.addBoth(lambda _: reactor.stop())

    with Session(options, ()) as session:
        pin(options.load_core)
        reactor.callWhenRunning(run, session)
        reactor.run()
    return 0 if outcome == [True] else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (KeyboardInterrupt, subprocess.SubprocessError):
        sys.exit(130)
