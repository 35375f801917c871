"""Who may read the file, and what becomes of a broken one."""

from __future__ import annotations

import json
import os
import stat
import threading
from typing import TYPE_CHECKING

import pytest
from twisted.logger import LogLevel, capturedLogs

from httpx_tw.tls.session_file import Entry, read_entries, write_entries

if TYPE_CHECKING:
    from pathlib import Path

ENTRIES: list[Entry] = [
    ("a.test", 443, "settings", b"\0der", b"certificate"),
    ("b.test", 8443, "other", b"der", b""),
]


def read_with_warning(path: Path) -> str:
    """Read *path*, which must be ignored, and return why it was."""
    with capturedLogs() as logged:
        assert read_entries(path) == []
    assert [event["log_level"] for event in logged] == [LogLevel.warn]
    return str(logged[0]["reason"])


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sessions"
    write_entries(path, ENTRIES)
    assert read_entries(path) == ENTRIES


def test_no_file_is_no_sessions(tmp_path: Path) -> None:
    assert read_entries(tmp_path / "sessions") == []


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "sessions"
    before = os.umask(0)
    try:
        write_entries(path, ENTRIES)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_new_file_takes_the_place_of_the_old_at_once(tmp_path: Path) -> None:
    path = tmp_path / "sessions"
    left_over = tmp_path / f"sessions.{os.getpid()}-{threading.get_ident()}.new"
    left_over.write_text("of a process that was killed")
    write_entries(path, ENTRIES[:1])
    with path.open() as old:
        write_entries(path, ENTRIES)
        assert len(json.load(old)["sessions"]) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_two_threads_may_write_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sessions"
    sync = os.fsync

    def in_the_middle(number: int) -> None:
        monkeypatch.setattr(os, "fsync", sync)
        other = threading.Thread(target=write_entries, args=(path, ENTRIES))
        other.start()
        other.join()
        assert read_entries(path) == ENTRIES
        sync(number)

    monkeypatch.setattr(os, "fsync", in_the_middle)
    write_entries(path, ENTRIES[:1])
    assert read_entries(path) == ENTRIES[:1]
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "sessions"
    write_entries(path, ENTRIES)

    def failing() -> Entry:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_entries(path, (failing() for _ in range(1)))
    assert read_entries(path) == ENTRIES
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_others_can_read_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "sessions"
    write_entries(path, ENTRIES)
    path.chmod(0o640)
    assert "others than its owner" in read_with_warning(path)


def test_a_file_of_another_user_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sessions"
    write_entries(path, ENTRIES)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert "another user" in read_with_warning(path)


def test_what_is_no_file_is_ignored(tmp_path: Path) -> None:
    read_with_warning(tmp_path)
    path = tmp_path / "sessions"
    os.mkfifo(path, 0o600)
    read_with_warning(path)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "sessions"
    write_entries(path, ENTRIES)
    link = tmp_path / "link"
    link.symlink_to(path)
    read_with_warning(link)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"junk",
        b"[]",
        b"{}",
        b'{"version": 2, "sessions": []}',
        b'{"version": 1}',
        b'{"version": 1, "sessions": 5}',
        b'{"version": 1, "sessions": [[]]}',
        b'{"version": 1, "sessions": [["a", "443", "s", "", ""]]}',
        b'{"version": 1, "sessions": [["a", 443, "s", "!", ""]]}',
        b'{"version": 1, "sessions": [["a", 443, "s", ""]]}',
        b'{"version": 1, "sessions": [["a", 443, "s", 5, ""]]}',
        b"[" * 100_000,
    ],
)
def test_a_broken_file_is_ignored(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sessions"
    path.write_bytes(content)
    path.chmod(0o600)
    assert "not a file of TLS sessions" in read_with_warning(path)
