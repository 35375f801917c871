"""One line, and the end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from httpx_tw.service.complaints import complain, give_up

if TYPE_CHECKING:
    from pathlib import Path


def test_a_complaint_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    complain(ValueError("first\n  second"))
    complain(KeyError())
    assert capfd.readouterr().err == "httpx-tw: first second\nhttpx-tw: KeyError\n"


def test_giving_up_tells_the_parent_and_removes_the_pid_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pid_file = tmp_path / "twistd.pid"
    pid_file.write_text(str(os.getpid()))
    reading, writing = os.pipe()
    try:
        with pytest.raises(SystemExit) as caught:
            give_up("no ✓ " + "x" * 200, {"statusPipe": writing, "pidfile": pid_file})
        told = os.read(reading, 1000)
    finally:
        os.close(reading)
        os.close(writing)
    assert caught.value.code == 1
    assert told.startswith(b"1 no \\u2713 x")
    assert len(told) == 100
    assert not pid_file.exists()
    assert capfd.readouterr().err.startswith("httpx-tw: no ✓ x")


@pytest.mark.parametrize("content", ["1", "", "nonsense"])
def test_a_foreign_pid_file_stays(tmp_path: Path, content: str) -> None:
    pid_file = tmp_path / "twistd.pid"
    pid_file.write_text(content)
    with pytest.raises(SystemExit):
        give_up("no", {"pidfile": str(pid_file)})
    assert pid_file.exists()


def test_there_may_be_no_pid_file(tmp_path: Path) -> None:
    for runner in ({}, {"pidfile": ""}, {"pidfile": str(tmp_path / "none")}):
        with pytest.raises(SystemExit):
            give_up("no", runner)
