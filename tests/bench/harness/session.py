"""One run of a script: its options, its directory, and the servers started in it."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness.load import Load
from harness.machine import (
    describe,
    nginx_version,
    package_versions,
    raise_fd_limit,
    warn_if_busy,
)
from harness.peer_venv import default_cache, ensure_peers
from harness.processes import Process, free_port, pin, unwind_on_sigterm
from harness.servers import SERVERS, Place, Server
from harness.shapes import cases_of, lua_script
from harness.tls_servers import TLS_SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Session", "arguments", "chosen", "require_tools"]


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that every script has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seconds", type=int, default=4, help="length of one round (default 4)")
    add("--rounds", type=int, default=3, help="rounds per server (default 3)")
    add("--connections", type=int, default=64, help="of the load (default 64)")
    add("--server-core", type=int, default=0, help="core of the servers (default 0)")
    add("--load-core", type=int, default=1, help="core of the load (default 1)")
    add(
        "--python",
        type=Path,
        default=Path(sys.executable),
        help="the interpreter for httpx_tw; Twisted and httptools must be installed",
    )
    add(
        "--cache",
        type=Path,
        default=default_cache(),
        help="where the peers are installed (default %(default)s)",
    )
    add("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


def chosen(parser: argparse.ArgumentParser, names: str) -> list[Server]:
    """Return the servers with these comma-separated *names*."""
    known = SERVERS | TLS_SERVERS
    unknown = [name for name in names.split(",") if name not in known]
    if unknown:
        parser.error(
            f"no such server: {', '.join(unknown)} (there are: {', '.join(known)})"
        )
    return [known[name] for name in names.split(",")]


def require_tools(*tools: str) -> None:
    """End with status 2, saying how to get them, unless all *tools* are on the path."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        packages = ["apache2-utils" if tool == "ab" else tool for tool in missing]
        print(
            f"not found: {', '.join(missing)}; "
            f"on Debian: apt-get install {' '.join(packages)}",
            file=sys.stderr,
        )
        raise SystemExit(2)


@dataclass(slots=True)
class Session:
    """A context manager: on leaving, its directory is removed."""

    options: argparse.Namespace
    servers: Sequence[Server]
    directory: Path = field(init=False)
    fd_limit: int = field(init=False)
    _peer_python: Path | None = field(init=False, default=None)
    _started: int = field(init=False, default=0)

    def __enter__(self) -> Self:
        unwind_on_sigterm()
        cores = os.sched_getaffinity(0)
        if not {self.options.server_core, self.options.load_core} <= cores:
            print(f"cores to choose from: {sorted(cores)}", file=sys.stderr)
            raise SystemExit(2)
        if any(server.needs_peers for server in self.servers):
            self._peer_python = ensure_peers(self.options.cache)
        warn_if_busy()
        self.fd_limit = raise_fd_limit()
        pin(self.options.load_core)
        self.directory = Path(tempfile.mkdtemp(prefix="httpx-tw-bench-"))
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    @contextlib.contextmanager
    def running(
        self, server: Server, *, many_idle: bool = False, port: int | None = None
    ) -> Iterator[tuple[Process, int]]:
        """Start *server*, give it and its port, and stop it on leaving.

        :raises DidNotStart: when it does not.
        """
        self._started += 1
        place = Place(
            port=port or free_port(),
            directory=self.directory / f"{self._started}-{server.name}",
            our_python=self.options.python,
            peer_python=self._peer_python,
            many_idle=many_idle,
        )
        with Process(
            server.command(place),
            core=self.options.server_core,
            directory=place.directory,
            environment=server.environment,
        ) as process:
            process.wait_until_listening(place.port)
            yield process, place.port

    def load(self, shape: str = "hello", path: str = "/", scheme: str = "http") -> Load:
        """Return the load of *shape* with the connections and the core of the run."""
        text = lua_script(shape, cases_of(shape))
        script = None
        if text is not None:
            script = self.directory / f"{shape}.lua"
            script.write_text(text)
        return Load(self.options.connections, script, path, scheme)

    def versions(self, server: Server) -> dict[str, str]:
        """Return the versions of what *server* is made of."""
        python = self._peer_python if server.needs_peers else self.options.python
        assert python is not None
        found = package_versions(python, server.packages) if server.packages else {}
        is_nginx = server.name.startswith("nginx")
        return found | (nginx_version() if is_nginx else {})

    def record(self, **figures: object) -> dict[str, object]:
        """Return what every JSON report begins with, and *figures*."""
        shown = {name: str(value) for name, value in vars(self.options).items()}
        return {"machine": describe(), "options": shown, **figures}
