"""Addresses are tried, and nothing of it stays."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor
from twisted.python.lockfile import FilesystemLock

from httpx_tw.errors import ConfigurationError
from httpx_tw.service.preflight import check_addresses

if TYPE_CHECKING:
    from pathlib import Path


def check(*descriptions: str) -> None:
    check_addresses(MemoryReactor(), descriptions)


def why_not(description: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check("tcp:0", description)
    return str(caught.value)


def test_what_is_free_passes(tmp_path: Path) -> None:
    check(
        "tcp:0:interface=127.0.0.1",
        r"tcp6:0:interface=\:\:1",
        f"unix:{tmp_path}/web.sock",
    )
    assert not list(tmp_path.iterdir())


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        description = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        assert why_not(description) == (
            f"cannot listen on {description}: Address already in use"
        )
    check(description)


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ("tcp:99999", "bind(): port must be 0-65535."),
        ("tcp:0:interface=192.0.2.1", "Cannot assign requested address"),
        (r"tcp6:0:interface=2001\:db8\:\:1", "Cannot assign requested address"),
    ],
)
def test_what_cannot_be_bound(description: str, reason: str) -> None:
    assert why_not(description) == f"cannot listen on {description}: {reason}"


def test_what_makes_no_sense_is_found_first() -> None:
    assert why_not("pigeon:1").startswith("bad endpoint")


def test_inherited_sockets_are_looked_at() -> None:
    assert "is no socket" in why_not("fd:9999")
    with socket.socket() as inherited:
        check(f"fd:{inherited.fileno()}")


def test_sockets_in_the_file_system(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    description = f"unix:{path}"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    check(description)  # Twisted removes what nobody holds the lock of
    assert why_not(f"{description}:lockfile=0").endswith("Address already in use")
    lock = FilesystemLock(f"{path}.lock")
    assert lock.lock()
    assert why_not(description).endswith("Address already in use")
    lock.unlock()
    path.unlink()
    path.write_text("precious")
    assert why_not(description).endswith("there is a file, which is no socket")
    assert path.read_text() == "precious"


def test_directories_of_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "there is no directory" in why_not(f"unix:{tmp_path}/none/web.sock")
    assert "path is too long" in why_not(f"unix:{tmp_path}/{'x' * 108}")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may do everything
    assert "no permission to write to" in why_not(f"unix:{tmp_path}/web.sock")


def test_abstract_sockets_have_no_directory() -> None:
    check("unix:\0web")


def test_endpoints_of_plugins_are_not_tried() -> None:
    # Its own parser is all that is asked: what listening means is its own affair.
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        check(f"haproxy:tcp:{port}:interface=127.0.0.1")


def test_who_cannot_take_over_a_socket_is_named() -> None:
    for description in ("fd:3", "systemd:domain=INET:index=0"):
        with pytest.raises(ConfigurationError) as caught:
            check_addresses(Clock(), [description])
        assert str(caught.value) == f"Clock cannot take over a socket: {description}"
