"""The console script, as far as it goes without a reactor; see test_processes."""

from __future__ import annotations

import socket

import pytest

from httpx_tw.service.command import main


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--port", "x"], "--port: expected a whole number, got 'x'"),
        (["--listen", "pigeon:1"], "bad endpoint 'pigeon:1': there is no endpoint"),
        (["nowhere:app", "--port", "0"], "--app: there is no module 'nowhere'"),
    ],
)
def test_mistakes_are_one_line_and_status_1(
    capfd: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert main(arguments) == 1
    said = capfd.readouterr().err
    assert said.startswith(f"httpx-tw: {line}")
    assert said.count("\n") == 1


def test_an_address_in_use(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["--port", str(taken.getsockname()[1])]) == 1
    assert capfd.readouterr().err.endswith(": Address already in use\n")


def test_help_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "--max-connections" in capsys.readouterr().out
