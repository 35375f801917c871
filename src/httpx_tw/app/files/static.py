"""The endpoint that gives away the files of a directory."""

from __future__ import annotations

import functools
import re
import time
from typing import TYPE_CHECKING, Final

from httpx_tw.app.conditions import is_conditional
from httpx_tw.app.content_coding import IDENTITY, best_coding
from httpx_tw.app.files.body import FileBody
from httpx_tw.app.files.cache import TRUSTED, FileCache, Resource
from httpx_tw.app.files.directory import Directory, IsDirectory
from httpx_tw.app.files.listing import listing_page
from httpx_tw.app.files.ready import ReadyFile
from httpx_tw.app.media_types import is_compressible, media_type
from httpx_tw.app.response import Response
from httpx_tw.errors import HTTPError
from httpx_tw.headers import checked_value

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from httpx_tw.app.files.opened import OpenFile
    from httpx_tw.app.request import Request
    from httpx_tw.headers import HeaderPairs

__all__ = ["CONTENT_LIMIT", "StaticFiles"]

CONTENT_LIMIT: Final = 16 * 1024
"""Bytes up to which a file is kept in memory: one write of head and body. The kernel
takes 2.3 µs to send 4 KiB so, 4.8 µs by sendfile; at 64 KiB they are even."""

_CODINGS: Final = (("br", ".br"), ("zstd", ".zst"), ("gzip", ".gz"))
"""In the order we prefer them, and what their files' names end in."""

# A separator that came encoded is one the client did not want seen.
_HIDDEN_SEPARATOR: Final = re.compile(r"%2f|%5c", re.IGNORECASE)

# The same few values come again and again.
_best_coding = functools.lru_cache(maxsize=256)(best_coding)


class StaticFiles:
    """An endpoint for the files below *directory*. See App.static, which makes them.

    It answers with a whole file; what of it the client gets (nothing, a range) is
    decided when it is sent (see server/static.py). Only on the reactor thread.

    :param seconds: a clock that only goes forward.
    """

    def __init__(  # noqa: PLR0913  # options, keyword-only
        self,
        directory: str | os.PathLike[str],
        *,
        index: str | None = "index.html",
        listing: bool = False,
        precompressed: bool = True,
        cache_control: str | None = None,
        follow_links: bool = False,
        dot_files: bool = False,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = Directory(
            directory, follow_links=follow_links, dot_files=dot_files
        )
        self._index = index
        self._listing = listing
        self._precompressed = precompressed
        self._always: HeaderPairs = [
            (b"accept-ranges", b"bytes"),
            # A file that somebody uploaded is no script unless its type says so.
            (b"x-content-type-options", b"nosniff"),
        ]
        if cache_control is not None:
            self._always.append((b"cache-control", checked_value(cache_control)))
        self._seconds = seconds
        self._cache = FileCache()

    def __call__(self, request: Request) -> Response | ReadyFile:
        """Answer with the file that the path names.

        :raises HTTPError: see Directory.open.
        """
        head = request.head
        path = request.path_params.get("*", "")
        if "%" in head.path and _HIDDEN_SEPARATOR.search(head.path):
            raise HTTPError(404)
        resource = self._cache.get(path)
        now = self._seconds()
        if resource is None or now - resource.checked_at >= TRUSTED:
            if not path or path[-1] == "/":
                return self._directory_at(request, path, now)
            try:
                resource = self._checked(path, path, now)
            except IsDirectory:
                return _with_slash(request)
        elif not (resource.coded or is_conditional(head.headers)):
            return resource.plain  # as _answer, with a call less
        return self._answer(request, resource)

    def _answer(self, request: Request, resource: Resource) -> Response | ReadyFile:
        variant = resource.plain
        if resource.coded:
            coding = _best_coding(
                request.headers.get("accept-encoding"), tuple(resource.coded)
            )
            if coding != IDENTITY:
                variant = resource.coded[coding]
        if is_conditional(request.head.headers):
            return Response.of_file(FileBody(variant.file), variant.fields)
        return variant

    def _directory_at(
        self, request: Request, path: str, now: float
    ) -> Response | ReadyFile:
        if self._index is not None:
            try:
                found = self._checked(path, path + self._index, now)
                return self._answer(request, found)
            except IsDirectory:
                pass
            except HTTPError as error:
                if error.status != 404 or not self._listing:
                    raise
        if not self._listing:
            raise HTTPError(404)
        entries = self._directory.entries(path[:-1])
        return listing_page(request.path, entries, has_parent=bool(path))

    def _checked(self, path: str, name: str, now: float) -> Resource:
        """Walk to *name*, and keep what is there for *path*."""
        try:
            found = self._opened(name)
        except HTTPError as error:
            if error.status != 503 or not len(self._cache):
                self._cache.forget(path)
                raise
            # Out of descriptors: what we hold for later is worth less than this.
            self._cache.clear()
            found = self._opened(name)
        except IsDirectory:
            self._cache.forget(path)
            raise
        return self._cache.checked(path, found, now)

    def _opened(self, name: str) -> Resource:
        kind = media_type(name)
        file = self._directory.open(name)
        coded = self._coded(name, file) if is_compressible(kind) else {}
        fields = self._fields(kind, file, "", varies=bool(coded))
        resource = Resource(ReadyFile(file, fields))
        for coding, other in coded.items():
            fields = self._fields(kind, other, coding, varies=True)
            resource.coded[coding] = ReadyFile(other, fields)
        for variant in (resource.plain, *resource.coded.values()):
            if variant.file.size <= CONTENT_LIMIT:
                variant.file.read_content()
        return resource

    def _coded(self, name: str, plain: OpenFile) -> dict[str, OpenFile]:
        found: dict[str, OpenFile] = {}
        for coding, ending in _CODINGS if self._precompressed else ():
            try:
                file = self._directory.open(name + ending, tag=f"-{coding}")
            except (HTTPError, IsDirectory):
                continue
            # Of the second: one left behind when the file was changed is not sent, one
            # unpacked in the same moment is.
            if file.modified // 10**9 >= plain.modified // 10**9:
                found[coding] = file
        return found

    def _fields(
        self, kind: str, file: OpenFile, coding: str, *, varies: bool
    ) -> HeaderPairs:
        fields = [(b"content-type", kind.encode("ascii"))]
        if coding:
            fields.append((b"content-encoding", coding.encode("ascii")))
        if varies:
            fields.append((b"vary", b"accept-encoding"))
        return [*fields, *file.fields(), *self._always]


def _with_slash(request: Request) -> Response:
    path, query = request.head.path, request.head.query
    if path.startswith(("//", "/\\")):
        raise HTTPError(404)  # it would lead to another host
    return Response.redirect(f"{path}/?{query}" if query else f"{path}/", 301)
