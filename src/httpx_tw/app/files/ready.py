"""A file that is ready to be sent: what an answer with it needs, made beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from httpx_tw.app.files.opened import OpenFile
    from httpx_tw.headers import HeaderPairs

__all__ = ["ReadyFile"]


class ReadyFile:
    """A whole file and its fields, for any number of answers.

    An endpoint may return it, as one may return a str: ``to_response`` makes a Response
    of it, and a server that has nothing else to decide sends it as it is. Do not change
    it.

    :param fields: checked.
    """

    __slots__ = ("fields", "file", "lines")

    def __init__(self, file: OpenFile, fields: HeaderPairs) -> None:
        self.file = file
        self.fields = fields
        self.lines = b"%bcontent-length: %d\r\n\r\n" % (
            b"".join([b"%b: %b\r\n" % pair for pair in fields]),
            file.size,
        )
        """The fields as they are sent, with Content-Length and the blank line."""
