"""``httpx-tw get`` as a process: words in, exit status out."""

from __future__ import annotations

import asyncio
import os
import pty
import shlex
import signal
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest

from httpx_tw.errors import CertificateRejected, NameNotResolved
from httpx_tw.service.command import main
from httpx_tw.service.get.command import status_of
from tests.service.processes import FOREGROUND, PATIENCE, environment

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from pathlib import Path

COMMAND = [*FOREGROUND["httpx-tw"], "get"]


def get(directory: Path, *words: str, **options: Any) -> Any:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *words],
        cwd=directory,
        env=environment(),
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=PATIENCE,
        capture_output=True,
        **options,
    )


@pytest.fixture
def server() -> Iterator[str]:
    """Serve one body, one request a connection; /slow never ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stopping = threading.Event()

        def serve() -> None:
            while not stopping.is_set():
                connection, _ = listening.accept()
                with connection:
                    head = connection.recv(65536)
                    if head.startswith(b"GET /slow"):
                        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nbegun\n")
                        stopping.wait(PATIENCE)
                    elif head:
                        body = b"x\n" * 500_000
                        connection.sendall(
                            b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
                            b"Content-Length: %d\r\n\r\n" % len(body)
                        )
                        try:
                            connection.sendall(body)
                        except OSError:
                            continue

        thread = threading.Thread(target=serve)
        thread.start()
        port = listening.getsockname()[1]
        yield f"http://127.0.0.1:{port}"
        stopping.set()
        socket.create_connection(("127.0.0.1", port)).close()
        thread.join()


def test_a_body_goes_to_standard_output(tmp_path: Path, server: str) -> None:
    done = get(tmp_path, server)
    assert done.returncode == 0
    assert done.stdout == b"x\n" * 500_000
    assert done.stderr.startswith(b"HTTP/1.1 200 OK\n")
    assert b"\ntotal " in done.stderr


def test_a_download_on_a_terminal_has_a_bar(tmp_path: Path, server: str) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "-o", "here", server],
        cwd=tmp_path,
        env=environment(COLUMNS="80"),
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 65536):
            said += piece
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    assert process.wait(PATIENCE) == 0
    assert b"100% [===" in said
    assert (tmp_path / "here").stat().st_size == 1_000_000


def test_who_reads_no_further_ends_it_without_a_word(
    tmp_path: Path, server: str
) -> None:
    words = shlex.join([*COMMAND, "-s", server])
    done = subprocess.run(
        ["/bin/bash", "-c", f"{words} | head -n 1; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        env=environment(),
        check=False,
        timeout=PATIENCE,
        capture_output=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (23, b"x\n", b"")


def test_interrupting_it_is_an_end_too(tmp_path: Path, server: str) -> None:
    process = subprocess.Popen(
        [*COMMAND, "-s", f"{server}/slow"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, errors) == (130, b"", b"")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 2, "required: URL (httpx-tw get --help lists the options)"),
        (["http://"], 3, "not a host name"),
        (["http://a.invalid/"], 6, "no address for a.invalid"),
        (["http://127.0.0.1:1/"], 7, "Connection refused"),
        (["http://127.0.0.1:1/", "-T", "nowhere"], 26, "nowhere"),
        (["https://127.0.0.1:1/", "--cacert", "nowhere.pem"], 2, "nowhere.pem"),
    ],
)
def test_what_goes_wrong_is_one_line_and_a_status(
    tmp_path: Path, words: list[str], status: int, said: str
) -> None:
    done = get(tmp_path, *words, text=True)
    assert done.returncode == status, done.stderr
    assert done.stderr.startswith("httpx-tw: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_mistakes_need_no_reactor(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["get", "a.example", "--frobnicate"]) == 2
    assert "unrecognized arguments" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (NameNotResolved("no address"), 6, "httpx-tw: no address\n"),
        (PermissionError(13, "no", "f"), 23, "the body cannot be written: "),
        (CertificateRejected("self-signed"), 60, "self-signed (--cacert FILE trusts"),
    ],
)
def test_errors_become_statuses(
    capfd: pytest.CaptureFixture[str], error: Exception, status: int, said: str
) -> None:
    async def failing() -> int:
        raise error

    assert _result(status_of(failing())) == status
    assert said in capfd.readouterr().err


def test_a_status_stays_what_it_is() -> None:
    async def well() -> int:
        return 22

    assert _result(status_of(well())) == 22


def _result(coroutine: Coroutine[Any, Any, int]) -> int:
    return asyncio.run(coroutine)
