"""multipart/form-data, written piece by piece: no file is ever held whole."""

from __future__ import annotations

import mimetypes
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import TextIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from httpx_tw.client.fields import field_pairs
from httpx_tw.client.file_pieces import PIECE_SIZE, FileSpan, pieces_of_file
from httpx_tw.errors import BodyConsumed, ConfigurationError
from httpx_tw.headers import checked_name, checked_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from httpx_tw.client.fields import FieldsInput

__all__ = ["BinaryFile", "FileInput", "FilesInput", "MultipartBody"]


class BinaryFile(Protocol):
    """A file open for reading bytes. ``seek`` and ``tell`` are used if it has them."""

    def read(self, size: int, /) -> bytes:
        """Return at most *size* bytes, b"" at the end."""


FileContent: TypeAlias = bytes | str | os.PathLike[str] | BinaryFile | Iterable[bytes]
"""Bytes, text (sent as UTF-8), a path, an open binary file, or what gives bytes."""

FileInput: TypeAlias = (
    FileContent
    | tuple[str | None, FileContent]
    | tuple[str | None, FileContent, str | None]
    | tuple[str | None, FileContent, str | None, Mapping[str, str]]
)
"""A content alone, or (file name, content[, type[, headers]]), as in requests.

A file name of None makes it a plain field; a type of None is guessed from the name.
"""

FilesInput: TypeAlias = Mapping[str, FileInput] | Iterable[tuple[str, FileInput]] | None

# RFC 2046 section 5.1.1.
_BOUNDARY: Final = re.compile(
    r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]"
)

# WHATWG HTML, "multipart/form-data encoding algorithm": these three, and nothing else.
_ESCAPES: Final = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


class MultipartBody:
    """A form with files, as the body of a request: see Content in content.py.

    Fields come first, then files, each in the order given. Paths are opened when their
    turn has come and closed behind it; open files are read from where they stood, and
    stay open. A file that got shorter or longer since its length was told is an error.

    :param data: the fields.
    :param files: the files.
    :param boundary: for tests. None: a random one, which no content can contain but by
        a chance of 2**-128.
    :raises ConfigurationError: for what is no field or file, text files, and paths that
        cannot be read; InvalidHeader: for headers of a part that must not be sent.
    """

    def __init__(
        self,
        data: FieldsInput = None,
        files: FilesInput = None,
        boundary: str | None = None,
    ) -> None:
        boundary = secrets.token_hex(16) if boundary is None else boundary
        if not _BOUNDARY.fullmatch(boundary):
            raise ConfigurationError(f"not a boundary: {boundary!r}")
        self._delimiter = b"--" + boundary.encode("ascii")
        self._parts = [*_fields(data), *_files(files)]
        self._is_read = False
        self.content_type = f"multipart/form-data; boundary={_parameter(boundary)}"
        """The value for Content-Type, which says the boundary."""

    @property
    def length(self) -> int | None:
        """Bytes of the whole body; None when that of a part is not known."""
        total = len(self._delimiter) + 4
        for part in self._parts:
            if part.length is None:
                return None
            total += len(self._delimiter) + 2 + len(part.head) + part.length + 2
        return total

    @property
    def can_replay(self) -> bool:
        """See Content."""
        return not self._is_read or all(part.can_replay for part in self._parts)

    @property
    def data(self) -> bytes | None:
        """The whole body, if it is in memory and small; None: it comes in pieces."""
        length = self.length
        if length is None or length > PIECE_SIZE or not self._is_in_memory:
            return None
        return b"".join(_bytes_of(self._pieces()))

    @property
    def _is_in_memory(self) -> bool:
        return all(isinstance(part.content, bytes) for part in self._parts)

    def open(self) -> Reading:
        """Begin a reading.

        :raises BodyConsumed: when it cannot be read a second time.
        """
        if self._is_read and not self.can_replay:
            raise BodyConsumed("a part of this form cannot be sent a second time")
        self._is_read = True
        return Reading(self._pieces())

    def __iter__(self) -> Iterator[bytes]:
        """Begin a reading, as an iterator of bytes alone; see open."""
        return _bytes_of(self.open().pieces)

    def _pieces(self) -> Iterator[bytes | FileSpan]:
        # What is between contents is small, and leaves with what is behind it.
        between = b""
        for part in self._parts:
            between += self._delimiter + b"\r\n" + part.head
            if isinstance(part.content, bytes) and len(part.content) < PIECE_SIZE:
                between += part.content
            else:
                yield between
                between = b""
                yield from _contents(part)
            between += b"\r\n"
            if len(between) >= PIECE_SIZE:
                yield between
                between = b""
        yield between + self._delimiter + b"--\r\n"


class Reading:
    """One reading of a body: Pieces in content.py."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: Iterator[bytes | FileSpan]) -> None:
        self.pieces = pieces

    def next(self) -> bytes | FileSpan | None:
        """Return the next piece; None: that was all."""
        return next(self.pieces, None)

    def close(self) -> None:
        """Let go of it; a file that was opened for it is closed."""
        self.pieces.close()  # type: ignore[attr-defined]  # a generator


def _bytes_of(pieces: Iterator[bytes | FileSpan]) -> Iterator[bytes]:
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
        else:
            yield from piece


@dataclass(slots=True)
class _Part:
    head: bytes
    """Header fields and the blank line."""

    content: Any
    """Bytes, a path, an open file or an iterable."""

    length: int | None
    start: int | None = None
    """Where an open file stood; None: it cannot be wound back, or is none."""

    @property
    def can_replay(self) -> bool:
        if isinstance(self.content, bytes | Path) or self.start is not None:
            return True
        return not hasattr(self.content, "read") and iter(self.content) is not (
            self.content
        )


def _fields(data: FieldsInput) -> Iterator[_Part]:
    for name, value in field_pairs(data):
        content = value if isinstance(value, bytes) else _utf8(value)
        yield _Part(_head(name, None, None, {}), content, len(content))


def _files(files: FilesInput) -> Iterator[_Part]:
    items: Iterable[tuple[Any, FileInput]]
    items = files.items() if isinstance(files, Mapping) else files or ()
    for name, value in items:
        if not isinstance(name, str):
            raise ConfigurationError(f"the name of a file's field is a str: {name!r}")
        filename, content, content_type, headers = _unpacked(value)
        part = _part(content)
        if not isinstance(value, tuple):
            filename = _own_name(content) or name
        if content_type is None and filename is not None:
            guessed, _ = mimetypes.guess_type(filename)
            content_type = guessed or "application/octet-stream"
        part.head = _head(name, filename, content_type, headers)
        yield part


def _unpacked(value: Any) -> tuple[str | None, Any, str | None, Mapping[str, str]]:
    if not isinstance(value, tuple):
        return None, value, None, {}
    if not 2 <= len(value) <= 4:
        raise ConfigurationError(
            "a file is its content, or (name, content[, type[, headers]])"
        )
    filename, content, content_type, headers = (*value, None, None)[:4]
    return filename, content, content_type, headers or {}


def _own_name(content: Any) -> str | None:
    """Return the last part of the name a path or an open file has."""
    if isinstance(content, os.PathLike):
        return Path(content).name
    name = getattr(content, "name", None)
    # A descriptor's is its number, a temporary file's may be; that says nothing.
    return Path(name).name if isinstance(name, str) else None


def _part(content: Any) -> _Part:
    if isinstance(content, str):
        content = _utf8(content)
    if isinstance(content, bytes | bytearray | memoryview):
        content = bytes(content)
        return _Part(b"", content, len(content))
    if isinstance(content, os.PathLike):
        path = Path(content)
        try:
            return _Part(b"", path, path.stat().st_size)
        except OSError as error:
            raise ConfigurationError(f"cannot send {path}: {error}") from error
    if isinstance(content, TextIOBase):
        raise ConfigurationError("a file to be sent must be opened in binary mode")
    if hasattr(content, "read"):
        return _open_file(content)
    if isinstance(content, Iterable):
        return _Part(b"", content, None)
    raise ConfigurationError(f"a file cannot be a {type(content).__name__}")


def _open_file(file: Any) -> _Part:
    try:
        start = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(start)
    except (OSError, AttributeError):  # a pipe, or something that can only be read
        return _Part(b"", file, None)
    return _Part(b"", file, max(0, end - start), start)


def _contents(part: _Part) -> Iterator[bytes | FileSpan]:
    content = part.content
    if isinstance(content, bytes):
        yield content
    elif isinstance(content, Path):
        with content.open("rb") as file:
            yield from pieces_of_file(file, 0, part.length)
    elif hasattr(content, "read"):
        yield from pieces_of_file(content, part.start, part.length)
    else:
        for piece in content:
            yield _checked_piece(piece)


def _checked_piece(piece: Any) -> bytes:
    if not isinstance(piece, bytes):
        raise ConfigurationError(f"a file gave {type(piece).__name__}, not bytes")
    return piece


def _head(
    name: str,
    filename: str | None,
    content_type: str | None,
    headers: Mapping[str, str],
) -> bytes:
    """Return the header fields of a part (RFC 7578 section 4)."""
    disposition = b'form-data; name="%b"' % _escaped(name)
    if filename is not None:
        disposition += b'; filename="%b"' % _escaped(filename)
    lines = [b"Content-Disposition: " + disposition]
    if content_type is not None:
        lines.append(b"Content-Type: " + checked_value(content_type))
    lines += [checked_name(n) + b": " + checked_value(v) for n, v in headers.items()]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _escaped(text: str) -> bytes:
    return _utf8(text.translate(_ESCAPES))


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"no encoding has all of this: {text!r}") from error


def _parameter(boundary: str) -> str:
    return boundary if re.fullmatch(r"[\w.+-]+", boundary) else f'"{boundary}"'
