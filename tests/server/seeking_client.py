"""What a media player asks a server for, as a process of its own.

    python seeking_client.py URL

It knows nothing of the file but its URL, and finds its way as players do: a request for
everything, of which it reads the first boxes and then hangs up; the index at the end,
behind the media; then samples here and there, each with an If-Range, on one
connection. The file is of boxes (ISO/IEC 14496-12 section 4.2): four bytes of length,
four of type. The index has an offset, a length and a CRC-32 for each sample. It prints
how many samples were right.
"""

from __future__ import annotations

import http.client
import struct
import sys
import zlib
from urllib.parse import urlsplit

BOX = struct.Struct(">I4s")
SAMPLE = struct.Struct(">QII")


class Player:
    """Reads a file by its URL."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.path = parts.path
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port)
        self.size = 0
        self.etag = ""

    def begin(self) -> bytes:
        """Ask for everything, read a little, and hang up."""
        response = self.ask("bytes=0-")
        assert response.status == 206, response.status
        assert response.headers["Accept-Ranges"] == "bytes"
        self.etag = response.headers["ETag"]
        first, _, size = response.headers["Content-Range"].partition("/")
        self.size = int(size)
        assert first == f"bytes 0-{self.size - 1}", first
        start = response.read(64)
        self.connection.close()
        return start

    def read(self, offset: int, count: int) -> bytes:
        """Read *count* bytes from *offset* on, of the same state of the file."""
        response = self.ask(f"bytes={offset}-{offset + count - 1}", self.etag)
        assert response.status == 206, response.status
        expected = f"bytes {offset}-{offset + count - 1}/{self.size}"
        assert response.headers["Content-Range"] == expected
        return response.read()

    def ask(self, span: str, etag: str = "") -> http.client.HTTPResponse:
        fields = {"Range": span, "User-Agent": "player", "Icy-MetaData": "1"}
        if etag:
            fields["If-Range"] = etag
        self.connection.request("GET", self.path, headers=fields)
        return self.connection.getresponse()


def main(url: str) -> int:
    player = Player(url)
    boxes = player.begin()
    length, kind = BOX.unpack_from(boxes)
    assert kind == b"ftyp", kind
    media, kind = BOX.unpack_from(boxes, length)
    assert kind == b"mdat", kind
    index = player.read(length + media, player.size - length - media)
    _, kind = BOX.unpack_from(index)
    assert kind == b"moov", kind
    right = 0
    for offset, count, crc in SAMPLE.iter_unpack(index[BOX.size :]):
        right += zlib.crc32(player.read(offset, count)) == crc
    player.connection.close()
    sys.stdout.write(str(right))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
