"""Services in processes of their own: started, talked to, and ended without fail."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SOURCE = Path(__file__).parents[2] / "src"
PATIENCE = 60.0
"""Seconds after which what has not happened will not, however busy the machine is."""

_TWISTD = (
    "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"
)
_COMMAND = (
    "import sys; sys.argv[0] = 'httpx-tw'; "
    "from httpx_tw.service.command import main; sys.exit(main())"
)

FOREGROUND = {
    "twistd -n": [sys.executable, "-c", _TWISTD, "-n", "httpx-tw"],
    "twist": [sys.executable, "-m", "twisted", "--log-format=text", "httpx-tw"],
    "httpx-tw": [sys.executable, "-c", _COMMAND],
}
DAEMON = {"twistd": [sys.executable, "-c", _TWISTD, "httpx-tw"]}
WAYS = {**FOREGROUND, **DAEMON}
"""Every way to start the service, by what one would type."""


def environment(**more: str) -> dict[str, str]:
    """Return the environment in which the service is found, installed or not."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LISTEN_", "COVERAGE"))
    }
    path = os.pathsep.join(filter(None, (str(SOURCE), inherited.get("PYTHONPATH"))))
    return {**inherited, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **more}


def wait_until(happened: Callable[[], Any], what: str) -> Any:
    """Return what *happened* returns as soon as it is true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        result = happened()
        if result:
            return result
        time.sleep(0.01)
    raise AssertionError(f"waited {PATIENCE} s for {what}")


def run_to_end(
    directory: Path, way: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Start the service where it cannot start, and return how that ended."""
    return subprocess.run(
        [*WAYS[way], *arguments],
        cwd=directory,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=PATIENCE,
    )


class Foreground:
    """A service in the foreground, its output in files."""

    def __init__(self, process: subprocess.Popen[bytes], directory: Path) -> None:
        self.process = process
        self._directory = directory

    @property
    def output(self) -> str:
        """What it has written so far."""
        return (self._directory / "output").read_text()

    @property
    def errors(self) -> str:
        """What it has written to standard error so far."""
        return (self._directory / "errors").read_text()

    @property
    def said(self) -> str:
        """Both."""
        return self.output + self.errors

    @property
    def port(self) -> int:
        """The first TCP port it says it listens on."""
        found = self.wait_for(r"https?://(?:[\d.]+|\[[\da-f:]+\]):(\d+)")
        return int(found[1])

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return where its output matches *pattern*, waiting for it."""

        def look() -> re.Match[str] | None:
            found = re.search(pattern, self.said)
            if found is None and self.process.poll() is not None:
                raise AssertionError(f"it ended before {pattern!r}: {self.said}")
            return found

        match: re.Match[str] = wait_until(look, f"{pattern!r} in the output")
        return match

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Return its exit status, waiting for it."""
        return self.process.wait(PATIENCE)


@contextmanager
def serving(
    directory: Path,
    way: str,
    *arguments: str,
    prefix: Sequence[str] = (),
    pass_fds: Sequence[int] = (),
    **variables: str,
) -> Iterator[Foreground]:
    """Run the service in the foreground for as long as the context lasts."""
    with (
        (directory / "output").open("wb") as out,
        (directory / "errors").open("wb") as errors,
    ):
        process = subprocess.Popen(
            [*prefix, *FOREGROUND[way], *arguments],
            cwd=directory,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            pass_fds=pass_fds,
        )
    try:
        yield Foreground(process, directory)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)


def is_alive(pid: int) -> bool:
    """Whether there is a process with this number which has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        with suppress(ProcessLookupError):
            os.kill(pid, 0)
            return not Path("/proc/self").exists()
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def fetch(
    port: int, path: str, *, method: str = "GET", body: bytes | None = None
) -> tuple[int, bytes]:
    """Return status and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def fetch_over(family: socket.AddressFamily, address: Any, path: str) -> bytes:
    """Return the whole answer of one request over a socket of *family*."""
    with socket.socket(family) as client:
        client.settimeout(PATIENCE)
        client.connect(address)
        client.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
        pieces = []
        while piece := client.recv(65536):
            pieces.append(piece)
        return b"".join(pieces)
