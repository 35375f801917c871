"""The client for synchronous programs, and for threads.

    with BlockingClient(base_url="https://api.shop.example/v1") as client:
        response = client.get("items", params={"page": 2})
        print(response.status, response.json())

It is a Client on the reactor that runs, or on one in a thread of its own; see
background.py. Nothing of Twisted shows.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, Self, Unpack

from twisted.internet.defer import Deferred

from httpx_tw.client.background import acquire, errands_on, prepare, release
from httpx_tw.client.client import Client
from httpx_tw.client.errands import Errand
from httpx_tw.client.ferrying import ferried
from httpx_tw.client.pool import ConnectionPool
from httpx_tw.errors import ClientClosed, ConfigurationError
from httpx_tw.workers.forks import empty_in_children

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from httpx_tw.client.cookies import CookieJar
    from httpx_tw.client.errands import Errands
    from httpx_tw.client.pool_facts import PoolStatistics
    from httpx_tw.client.request_options import StreamOptions
    from httpx_tw.client.response import ClientResponse
    from httpx_tw.client.saving import Progress
    from httpx_tw.client.urls import URL
    from httpx_tw.headers import Headers

__all__ = ["BlockingClient", "BlockingStream"]


class BlockingClient:
    """An HTTP client whose methods return when the response is there.

    Any number of threads may use one at a time. Not the reactor's: there use Client.
    Close it, or use it in a ``with``; at the end of the process it closes by itself.
    A forked child may go on using it: it makes connections of its own.

    Hooks and an Auth are called on the reactor's thread, where they must not block;
    bodies of requests are read on the thread that sends them.

    :param reactor: one that is running; None: the one that is installed, if it is
        running when the first request is made, else one in the background.
    :param options: those of :class:`~httpx_tw.client.client.Client`. *pool* can only
        be a PoolConfig.
    :raises ConfigurationError: when an option makes no sense.
    """

    def __init__(self, *, reactor: Any = None, **options: Any) -> None:
        if isinstance(options.get("pool"), ConnectionPool):
            raise ConfigurationError("a BlockingClient has a pool of its own")
        # Refused now, and by whoever wrote them, not at the first request.
        self.cookies: CookieJar = Client(**options).cookies
        """The jar. Change it while no request is going on."""
        self._link = _Link(reactor, {**options, "cookies": self.cookies})

    # Requests

    def get(self, url: str, **options: Unpack[StreamOptions]) -> ClientResponse:
        """Send GET; see :meth:`request`."""
        if options:
            return self.request("GET", url, **options)
        client, errands = self._link.ends()
        response: ClientResponse = errands.call(client.get, url)
        return response

    def request(
        self, method: str, url: str, **options: Unpack[StreamOptions]
    ) -> ClientResponse:
        """Send a request, and return its response with the body read.

        *options* and errors are those of ``Client.request``.

        :raises ClientClosed: this client is closed, or the reactor stops.
        :raises LocalProtocolError: on the reactor's thread.
        """
        if "stream" in options:
            raise ConfigurationError("use stream(), which closes what it opens")
        client, errands = self._link.ends()
        errand = Errand(errands)
        response: ClientResponse = errand.run(
            client.request, method, url, **ferried({**options}, errand)
        )
        return response

    def head(self, url: str, **options: Unpack[StreamOptions]) -> ClientResponse:
        """Send HEAD; see :meth:`request`."""
        return self.request("HEAD", url, **options)

    def options(self, url: str, **options: Unpack[StreamOptions]) -> ClientResponse:
        """Send OPTIONS; see :meth:`request`."""
        return self.request("OPTIONS", url, **options)

    def delete(self, url: str, **options: Unpack[StreamOptions]) -> ClientResponse:
        """Send DELETE; see :meth:`request`."""
        return self.request("DELETE", url, **options)

    def post(self, url: str, **options: Unpack[StreamOptions]) -> ClientResponse:
        """Send POST; see :meth:`request`."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Unpack[StreamOptions]) -> ClientResponse:
        """Send PUT; see :meth:`request`."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Unpack[StreamOptions]) -> ClientResponse:
        """Send PATCH; see :meth:`request`."""
        return self.request("PATCH", url, **options)

    def stream(
        self, method: str, url: str, **options: Unpack[StreamOptions]
    ) -> BlockingStream:
        """Send a request, and return its response at its head.

        Use it in a ``with``::

            with client.stream("GET", url) as response:
                for piece in response:
                    file.write(piece)
        """
        client, errands = self._link.ends()
        errand = Errand(errands)
        response = errand.run(
            client.request, method, url, **ferried({**options, "stream": True}, errand)
        )
        return BlockingStream(response, errands)

    def download(self, url: str, path: str | os.PathLike[str], **options: Any) -> int:
        """Save what is at *url* to the file at *path*; see Client.download.

        *progress* is called on the reactor's thread, where it must not block.
        """
        client, errands = self._link.ends()
        errand = Errand(errands)
        size: int = errand.run(
            client.download, url, path, **ferried({**options}, errand)
        )
        return size

    # The pool

    def stats(self) -> PoolStatistics:
        """Return the figures of its pool."""
        client, errands = self._link.ends()
        statistics: PoolStatistics = errands.call(client.pool.stats)
        return statistics

    # The end

    def close(self) -> None:
        """Close its connections; requests still going on get ClientClosed."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class BlockingStream:
    """A response whose body is read piece by piece, by one thread at a time."""

    def __init__(self, response: ClientResponse, errands: Errands) -> None:
        self._response = response
        self._errands = errands

    @property
    def status(self) -> int:
        """The status code."""
        return self._response.status

    @property
    def reason(self) -> str:
        """The reason phrase as it came; it means nothing, and may be empty."""
        return self._response.reason

    @property
    def headers(self) -> Headers:
        """The header fields."""
        return self._response.headers

    @property
    def url(self) -> URL:
        """Where it came from: after redirects the last URL."""
        return self._response.url

    def raise_for_status(self) -> Self:
        """Return the response itself.

        :raises StatusError: when the status is 4xx or 5xx.
        """
        self._response.raise_for_status()
        return self

    def read(self) -> bytes:
        """Return the whole body; see ClientResponse.read."""
        body: bytes = self._errands.call(self._response.read)
        return body

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        progress: Progress | None = None,
        max_size: int | None = None,
    ) -> int:
        """Write the body to the file at *path*; see ClientResponse.save.

        *progress* is called on the reactor's thread, where it must not block.
        """
        size: int = self._errands.call(
            self._response.save, path, progress=progress, max_size=max_size
        )
        return size

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the pieces of the body, decoded, as they come.

        :raises BodyConsumed: when everything has been taken already.
        """
        pieces = aiter(self._response)
        while (piece := self._errands.call(_next_of, pieces)) is not None:
            yield piece

    def close(self) -> None:
        """Want no more of the body; closed or read already is fine."""
        self._errands.call(self._response.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<BlockingStream {self.status} {self.url}>"


def _next_of(pieces: Any) -> Deferred[bytes | None]:
    return Deferred.fromCoroutine(_awaited(pieces))


async def _awaited(pieces: Any) -> bytes | None:
    piece: bytes | None = await anext(pieces, None)
    return piece


class _Link:
    """The client behind a BlockingClient, and the way to its reactor."""

    def __init__(self, reactor: Any, options: dict[str, Any]) -> None:
        self._reactor = reactor
        self._options = options
        self._lock = Lock()
        # Now, for some thread may fork while another makes the first request.
        empty_in_children(self)
        if reactor is None:
            prepare()
        self._ends: tuple[Client, Errands] | None = None
        self._is_closed = False

    def ends(self) -> tuple[Client, Errands]:
        """Return both; made by the first who asks."""
        ends = self._ends
        return self._made() if ends is None else ends

    def _made(self) -> tuple[Client, Errands]:
        with self._lock:
            if self._is_closed:
                raise ClientClosed("the client was closed")
            if self._ends is None:
                errands = (
                    acquire() if self._reactor is None else errands_on(self._reactor)
                )
                client = Client(**self._options, reactor=errands.reactor)
                self._ends = client, errands
            return self._ends

    def close(self) -> None:
        """Close the client, and give the way back; a second time changes nothing."""
        with self._lock:
            self._is_closed = True
            ends, self._ends = self._ends, None
        if ends is not None:
            client, errands = ends
            try:
                errands.call(client.close)
            except ClientClosed:
                pass  # with its reactor, which took the connections along
            finally:
                release(errands)

    def empty(self) -> None:
        """In a child: connections and reactor are the parent's."""
        self._lock = Lock()
        self._ends = None
