"""The media type of a file, by its name.

A table of our own goes first: the system's (/etc/mime.types, the Windows registry)
differs from machine to machine, and a script sent as text/plain does not run. What it
does not know is looked up in the standard library's built-in one, never the system's.
"""

from __future__ import annotations

from functools import cache
from mimetypes import MimeTypes
from typing import Final

__all__ = ["UNKNOWN", "is_compressible", "media_type"]

UNKNOWN: Final = "application/octet-stream"

_TEXT: Final = {
    "css": "text/css",
    "csv": "text/csv",
    "htm": "text/html",
    "html": "text/html",
    "ics": "text/calendar",
    "js": "text/javascript",  # RFC 9239
    "log": "text/plain",
    "md": "text/markdown",
    "mjs": "text/javascript",
    "txt": "text/plain",
    "vcf": "text/vcard",
    "vtt": "text/vtt",
}
"""Sent as UTF-8: who has other text says so with *content_type*."""

_OTHER: Final = {
    "avif": "image/avif",
    "bmp": "image/bmp",
    "br": UNKNOWN,
    "bz2": "application/x-bzip2",
    "eot": "application/vnd.ms-fontobject",
    "epub": "application/epub+zip",
    "flac": "audio/flac",
    "gif": "image/gif",
    "gz": "application/gzip",
    "ico": "image/vnd.microsoft.icon",
    "jar": "application/java-archive",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "jsonld": "application/ld+json",
    "m3u8": "application/vnd.apple.mpegurl",
    "m4a": "audio/mp4",
    "m4v": "video/mp4",
    "map": "application/json",
    "mkv": "video/matroska",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mpd": "application/dash+xml",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "ogv": "video/ogg",
    "opus": "audio/ogg",
    "otf": "font/otf",
    "pdf": "application/pdf",
    "png": "image/png",
    "rar": "application/vnd.rar",
    "rss": "application/rss+xml",
    "svg": "image/svg+xml",
    "svgz": UNKNOWN,
    "tar": "application/x-tar",
    "tgz": "application/gzip",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "ttf": "font/ttf",
    "wasm": "application/wasm",  # instantiateStreaming takes no other
    "wav": "audio/wav",
    "weba": "audio/webm",
    "webm": "video/webm",
    "webmanifest": "application/manifest+json",
    "webp": "image/webp",
    "whl": "application/zip",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "xhtml": "application/xhtml+xml",
    "xml": "application/xml",
    "xz": "application/x-xz",
    "yaml": "application/yaml",  # RFC 9512
    "yml": "application/yaml",
    "zip": "application/zip",
    "zst": "application/zstd",
}

_KNOWN: Final = {
    **{end: f"{kind}; charset=utf-8" for end, kind in _TEXT.items()},
    **_OTHER,
}

_COMPRESSIBLE: Final = {
    "application/dash+xml",
    "application/javascript",
    "application/json",
    "application/manifest+json",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/xhtml+xml",
    "application/xml",
    "application/yaml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/svg+xml",
    "image/vnd.microsoft.icon",
}


@cache
def _built_in() -> MimeTypes:
    # Made without files it has the built-in table alone; not at import, for the module
    # reads the system's all the same when it is first used.
    return MimeTypes()


def media_type(name: str) -> str:
    """Return the Content-Type for a file called *name*, by what follows its last dot.

    Text has ``charset=utf-8``; :data:`UNKNOWN` for what nobody knows, and for what is
    compressed on disk in a way that Content-Type cannot say.
    """
    _, dot, end = name.rpartition(".")
    if not dot or "/" in end:
        return UNKNOWN
    found = _KNOWN.get(end.lower())
    if found is not None:
        return found
    kind, coding = _built_in().guess_type(f"file.{end}")
    if kind is None or coding is not None:
        return UNKNOWN
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def is_compressible(content_type: str) -> bool:
    """Whether compressing a body of *content_type* is worth the while."""
    kind = content_type.partition(";")[0].strip().lower()
    return (
        kind.startswith("text/")
        or kind in _COMPRESSIBLE
        or kind.endswith(("+json", "+xml"))
    )
