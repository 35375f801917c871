"""How many system calls a server makes for a request, counted by strace."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

__all__ = ["calls_per_request"]

REQUEST = b"GET %b HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
PATIENCE = 30


def calls_per_request(
    pid: int, port: int, path: str, connections: int, requests: int
) -> tuple[float, dict[str, float]]:
    """Return the calls of *pid* and its threads, all together and by name.

    All *connections* ask at once, and again when all have their answers, until
    *requests* are answered: opening and closing them is not counted.
    """
    request = REQUEST % path.encode()
    clients = [
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        for _ in range(connections)
    ]
    try:
        size = _answer_size(clients[0], request)
        _ask_all(clients, request, size)
        rounds = max(1, requests // connections)
        with tempfile.TemporaryDirectory() as directory:
            counted = Path(directory) / "calls"
            strace = _attach(pid, counted)
            try:
                for _ in range(rounds):
                    _ask_all(clients, request, size)
            finally:
                strace.send_signal(signal.SIGINT)
                strace.communicate(timeout=PATIENCE)
            calls = _calls_in(counted.read_text())
    finally:
        for client in clients:
            client.close()
    total = rounds * connections
    by_name = {name: count / total for name, count in calls.items()}
    return sum(by_name.values()), by_name


def _attach(pid: int, counted: Path) -> subprocess.Popen[str]:
    strace = subprocess.Popen(
        ["strace", "-c", "-f", "-o", str(counted), "-p", str(pid)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert strace.stderr is not None
    said = strace.stderr.readline()
    if "attached" not in said:
        strace.kill()
        strace.wait()
        raise RuntimeError(f"strace could not attach: {said.strip()}")
    return strace


def _calls_in(table: str) -> dict[str, int]:
    """Read strace's table: time, seconds, microseconds, calls, perhaps errors, name."""
    row = re.compile(
        r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", re.MULTILINE
    )
    return {name: int(calls) for calls, name in row.findall(table) if name != "total"}


def _answer_size(client: socket.socket, request: bytes) -> int:
    """Return how many bytes an answer has."""
    client.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: (\d+)", head)
    assert found is not None
    left = int(found[1]) - len(body)
    _read(client, left)
    return len(answer) + left


def _ask_all(clients: list[socket.socket], request: bytes, size: int) -> None:
    for client in clients:
        client.sendall(request)
    for client in clients:
        _read(client, size)


def _read(client: socket.socket, size: int) -> None:
    while size > 0:
        piece = client.recv(min(size, 1 << 20))
        assert piece, "the server closed"
        size -= len(piece)
