"""Content codings undone, in small steps: gzip, deflate, and br and zstd if installed.

A few KiB of compressed zeros become gigabytes. So output is made in pieces, each asked
for only when the one before was taken, and what came out is counted after every step
of every coding: against a size, and against the bytes that came in.
"""

from __future__ import annotations

import zlib
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

from httpx_tw.errors import DecodingError, DecompressionBomb

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

__all__ = ["MAX_CODINGS", "BodyDecoder", "accept_encoding", "body_decoder"]

MAX_CODINGS: Final = 5
"""Most codings on top of each other, as in urllib3; each can multiply by a thousand."""

PIECE: Final = 64 * 1024
"""Most output of one step, in bytes. (Of br, which fills whole blocks, twice as much.)
"""

# zlib returns a copy of the input that it did not need for a piece: long input would be
# copied again and again.
_STEP: Final = 16 * 1024

RATIO_GRACE: Final = 1024 * 1024
"""Bytes of output before its ratio to the input counts: a small page of spaces is no
attack."""


class Decoder(Protocol):
    """Undoes one coding."""

    is_complete: bool
    """The body may end here."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield what *data* becomes, in pieces; take all before decoding more.

        :raises DecodingError: when it is damaged.
        """


class BodyDecoder:
    """Undoes the codings of one body. Made by :func:`body_decoder`.

    Feed it what comes and take the pieces; when no more comes, call :meth:`finish`.
    After an error it is of no further use. Not thread-safe.
    """

    __slots__ = ("_decoders", "_made", "_max_ratio", "_max_size", "_received")

    def __init__(
        self, decoders: list[Decoder], max_size: int, max_ratio: float
    ) -> None:
        self._decoders = decoders
        self._max_size = max_size
        self._max_ratio = max_ratio
        self._received = 0
        self._made = [0] * len(decoders)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what *data* becomes, in pieces of about 64 KiB at most, none empty.

        Nothing is done before a piece is asked for, so whoever waits between two holds
        the work back. Take all pieces before the next call.

        :raises DecompressionBomb: when more would come out than is allowed.
        :raises DecodingError: when *data* is damaged.
        """
        self._received += len(data)
        return self._through(0, data)

    def finish(self) -> None:
        """Check that the body was all there. A body of no bytes at all is.

        :raises DecodingError: when it was cut off.
        """
        came_in = [self._received, *self._made]
        for decoder, amount in zip(self._decoders, came_in, strict=False):
            if amount and not decoder.is_complete:
                raise DecodingError("the compressed body ends too early")

    def _through(self, stage: int, data: bytes) -> Iterator[bytes]:
        is_last = stage == len(self._decoders) - 1
        for piece in self._decoders[stage].decode(data):
            self._made[stage] += len(piece)
            self._check(self._made[stage])
            if is_last:
                yield piece
            else:
                yield from self._through(stage + 1, piece)

    def _check(self, made: int) -> None:
        if 0 < self._max_size < made:
            raise DecompressionBomb(
                f"{self._received} bytes decompress to more than {self._max_size},"
                " the limit"
            )
        if made > RATIO_GRACE and 0 < self._max_ratio * self._received < made:
            raise DecompressionBomb(
                f"{self._received} bytes decompress to more than {self._max_ratio}"
                " times as many, the limit"
            )


def body_decoder(
    content_encoding: str | None, *, max_size: int, max_ratio: float = 200.0
) -> BodyDecoder | None:
    """Return what undoes the codings a response names, or None: nothing to undo.

    None too when one of them is unknown or its package is not installed: the body is
    then given as it came, and its Content-Encoding says what it is.

    :param content_encoding: the field, several joined by a comma.
    :param max_size: most bytes that may come out of any step. 0: no limit.
    :param max_ratio: how many times its own size a body may grow, once it is over
        1 MiB; deflate reaches 1,032. 200 as Apache's mod_deflate. 0: no limit.
    :raises DecodingError: for more than MAX_CODINGS codings.
    """
    if content_encoding is None:
        return None
    names = [name.strip(" \t").lower() for name in content_encoding.split(",")]
    names = [name for name in names if name and name != "identity"]
    if len(names) > MAX_CODINGS:
        raise DecodingError(f"{len(names)} content codings, limit {MAX_CODINGS}")
    known = _codings()
    if not names or not all(name in known for name in names):
        return None
    # RFC 9110 section 8.4: they are listed in the order in which they were applied.
    decoders = [known[name]() for name in reversed(names)]
    return BodyDecoder(decoders, max_size, max_ratio)


def accept_encoding() -> str:
    """Return the Accept-Encoding that asks for what can be undone here."""
    return ", ".join(name for name in _codings() if not name.startswith("x-"))


class GzipDecoder:
    """RFC 1952: one member or several, and zeros behind the last, as tapes pad it.

    Other bytes behind it are refused: they are no content, so who looks at them and who
    does not see two different bodies. Go's client refuses them too.
    """

    __slots__ = ("_member", "is_complete")

    def __init__(self) -> None:
        self._member: Any = None  # zlib does not name its type
        self.is_complete = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        """See Decoder.decode."""
        for step in _steps(data):
            yield from self._decode(step)

    def _decode(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._member is None:
                if self.is_complete:
                    data = data.lstrip(b"\0")
                if not data:
                    return
                self._member = zlib.decompressobj(wbits=31)
                self.is_complete = False
            data = yield from _inflate(self._member, data)
            if not self._member.eof:
                return
            self._member = None
            self.is_complete = True


class DeflateDecoder:
    """RFC 9110 section 8.4.1.2: the zlib format, or deflate alone, as IIS had it.

    Which of them it is, its first two bytes say (RFC 1950 section 2.2).
    """

    __slots__ = ("_inflater", "_start", "is_complete")

    def __init__(self) -> None:
        self._inflater: Any = None
        self._start = b""
        self.is_complete = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        """See Decoder.decode."""
        for step in _steps(data):
            yield from self._decode(step)

    def _decode(self, data: bytes) -> Iterator[bytes]:
        if self._inflater is None:
            data = self._start + data
            if len(data) < 2:
                self._start = data
                return
            is_zlib = data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            self._inflater = zlib.decompressobj(wbits=15 if is_zlib else -15)
        if not self.is_complete:
            data = yield from _inflate(self._inflater, data)
            self.is_complete = self._inflater.eof
        if data:
            raise DecodingError("bytes behind the end of a deflated body")


def _inflate(inflater: Any, data: bytes) -> Generator[bytes, None, bytes]:
    """Yield what *data* becomes; return what is behind the end, b"" before it."""
    while True:
        try:
            piece = inflater.decompress(data, PIECE)
        except zlib.error as error:
            raise DecodingError(f"damaged: {error}") from error
        if piece:
            yield piece
        if inflater.eof:
            behind: bytes = inflater.unused_data
            return behind
        data = inflater.unconsumed_tail
        if not data and len(piece) < PIECE:
            return b""


class BrotliDecoder:
    """RFC 7932."""

    __slots__ = ("_decompressor", "_error", "is_complete")

    def __init__(self, brotli: Any) -> None:
        self._decompressor = brotli.Decompressor()
        self._error = brotli.error
        self.is_complete = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        """See Decoder.decode."""
        decompressor = self._decompressor
        if not data:
            return
        while True:
            try:
                piece = decompressor.process(data, output_buffer_limit=PIECE)
            except self._error as error:  # also for bytes behind the end
                raise DecodingError(f"damaged: {error}") from error
            if piece:
                yield piece
            data = b""
            self.is_complete = decompressor.is_finished()
            # can_accept_more_data() tells of input alone; output may still wait.
            if self.is_complete or not piece:
                return


class ZstdDecoder:
    """RFC 8878: frames, one after the other."""

    __slots__ = ("_frame", "_zstd", "is_complete")

    def __init__(self, zstd: Any) -> None:
        self._zstd = zstd
        self._frame: Any = None
        self.is_complete = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        """See Decoder.decode."""
        while data:
            if self._frame is None:
                # RFC 9659: no more window than 8 MiB; it is memory of ours.
                window = {self._zstd.DecompressionParameter.window_log_max: 23}
                self._frame = self._zstd.ZstdDecompressor(options=window)
                self.is_complete = False
            data = yield from self._decode(self._frame, data)
            if self._frame.eof:
                self._frame = None
                self.is_complete = True

    def _decode(self, frame: Any, data: bytes) -> Generator[bytes, None, bytes]:
        while True:
            try:
                piece = frame.decompress(data, PIECE)
            except self._zstd.ZstdError as error:
                raise DecodingError(f"damaged: {error}") from error
            if piece:
                yield piece
            if frame.eof:
                behind: bytes = frame.unused_data
                return behind
            if frame.needs_input:
                return b""
            data = b""


def _steps(data: bytes) -> Iterator[bytes]:
    if len(data) <= _STEP:
        return iter((data,))
    return (data[at : at + _STEP] for at in range(0, len(data), _STEP))


@cache
def _codings() -> dict[str, Callable[[], Decoder]]:
    """Return what makes a decoder of each coding that can be undone here."""
    codings: dict[str, Callable[[], Decoder]] = {
        "gzip": GzipDecoder,
        "x-gzip": GzipDecoder,  # RFC 9110 section 8.4.1.3
        "deflate": DeflateDecoder,
    }
    brotli = _first_installed("brotli", "brotlicffi")
    # Before 1.2 it could not be told when to stop.
    if hasattr(getattr(brotli, "Decompressor", None), "can_accept_more_data"):
        codings["br"] = lambda: BrotliDecoder(brotli)
    zstd = _first_installed("compression.zstd", "backports.zstd")
    if zstd is not None:
        codings["zstd"] = lambda: ZstdDecoder(zstd)
    return codings


def _first_installed(*names: str) -> Any:
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    return None
