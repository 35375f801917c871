"""wsgi.file_wrapper: blocks for who iterates, a descriptor for the kernel."""

from __future__ import annotations

import gzip
import io
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from httpx_tw.hosting.wsgi.file_wrapper import FileWrapper, first_bytes, sendable

if TYPE_CHECKING:
    from pathlib import Path
    from wsgiref.types import FileWrapper as FileWrapperType


class Readable:
    """As little of a file as PEP 3333 asks for."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        self.sizes: list[int] = []

    def read(self, size: int = -1) -> bytes:
        """Read."""
        self.sizes.append(size)
        return self._data.read(size)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


def test_it_gives_blocks() -> None:
    file = Readable(b"abcde")
    assert list(FileWrapper(file, 2)) == [b"ab", b"cd", b"e"]
    assert file.sizes == [2, 2, 2, 2]
    assert list(FileWrapper(Readable(b"abcde"))) == [b"abcde"]


def test_it_is_what_pep_3333_says() -> None:
    wrap: FileWrapperType = FileWrapper
    assert list(wrap(Readable(b"x"), 8192)) == [b"x"]


def test_it_closes_what_can_be_closed() -> None:
    file = io.BytesIO()
    FileWrapper(file).close()
    assert file.closed
    FileWrapper(Readable(b"")).close()


def test_the_rest_of_a_file_can_be_sent(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(4)
        body = sendable(FileWrapper(file))
        assert body is not None
        assert body.length == 6
        assert b"".join(body) == b"456789"


def test_an_unbuffered_file_can_be_sent_too(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        body = sendable(FileWrapper(file))
        assert body is not None
        assert b"".join(body) == b"0123456789"


def test_part_of_it_can_be_sent(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(4)
        body = sendable(FileWrapper(file))
        assert body is not None
        part = first_bytes(body, 3)
        assert part.length == 3
        assert b"".join(part) == b"456"


def test_the_file_is_closed_with_the_body(path: Path) -> None:
    file = path.open("rb")
    body = sendable(FileWrapper(file))
    assert body is not None
    body.file.close()
    assert file.closed


def packed(path: Path) -> Any:
    with gzip.open(path, "wb") as file:
        file.write(b"unpacked")
    return gzip.open(path)


@pytest.mark.parametrize(
    "open_it",
    [
        lambda _: io.BytesIO(b"x"),
        lambda _: Readable(b"x"),
        lambda _: tempfile.SpooledTemporaryFile(),  # noqa: SIM115  # closed below
        lambda path: path.open(),
        packed,
        lambda path: io.BufferedReader(packed(path)),
    ],
)
def test_what_is_no_plain_file_is_read(open_it: Any, path: Path) -> None:
    file = open_it(path)
    assert sendable(FileWrapper(file)) is None
    FileWrapper(file).close()


def test_a_closed_file_is_left_to_who_reads_it(path: Path) -> None:
    file = path.open("rb")
    file.close()
    assert sendable(FileWrapper(file)) is None
