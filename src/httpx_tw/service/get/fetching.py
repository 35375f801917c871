"""The request itself, and what is shown of it while it goes on."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

from httpx_tw.client.client import Client
from httpx_tw.client.timeouts import Timeout
from httpx_tw.service.get.exits import STATUS_IS_ERROR, UNWRITABLE
from httpx_tw.service.get.progress import ProgressBar
from httpx_tw.service.get.report import (
    connection_line,
    request_head,
    response_head,
    size,
    timing_lines,
    tls_lines,
)
from httpx_tw.tls.contexts import TLSPolicy

if TYPE_CHECKING:
    from httpx_tw.client.outgoing import OutgoingRequest
    from httpx_tw.client.response import ClientResponse
    from httpx_tw.service.get.options import GetOptions

__all__ = ["Fetch"]

SILENCE: float = 60.0
"""Seconds without a byte either way. There is no limit to the whole but --timeout: who
waits for a large file sees that it comes."""

INSECURE = "--insecure: trusting ANYBODY: all can be read and changed on the way"


class Fetch:
    """One run of the command. Reactor thread only; it blocks where its output does.

    :param out: where the body goes, unless it goes to a file.
    :param notes: where everything else goes.
    """

    def __init__(
        self,
        options: GetOptions,
        reactor: Any,
        out: IO[bytes] | None = None,
        notes: TextIO | None = None,
    ) -> None:
        self._options = options
        self._reactor = reactor
        self._out = sys.stdout.buffer if out is None else out
        self._notes = sys.stderr if notes is None else notes

    async def run(self) -> int:
        """Send the request, show the answer, and return the exit status.

        :raises HTTPXError: there is no answer, or not all of it.
        :raises OSError: the body cannot be written, or a file not be read.
        """
        options = self._options
        if options.insecure:
            self._note(f"httpx-tw: {INSECURE}")
        with ExitStack() as files:
            body: Any = options.body
            if isinstance(body, Path):
                body = files.enter_context(body.open("rb"))
            async with (
                self._client() as client,
                client.stream(options.method, options.url, content=body) as response,
            ):
                return await self._show(response)

    def _client(self) -> Client:
        options = self._options
        return Client(
            headers=list(options.headers),
            auth=options.user,
            timeout=Timeout(
                connect=options.connect_timeout,
                read=SILENCE,
                write=SILENCE,
                total=options.timeout,
            ),
            verify=TLSPolicy(
                verify=not options.insecure
                if options.cacert is None
                else options.cacert,
                cert=options.cert,
            ),
            proxy=options.proxy,
            follow_redirects=options.follow,
            max_redirects=options.max_redirects,
            retries=options.retries,
            event_hooks={
                "request": [self._requested],
                "redirect": [self._redirected],
                "retry": [self._retried],
            },
            timing=True,
            max_response_size=0,
            local_address=options.local_address,
            uds=options.unix_socket,
            reactor=self._reactor,
        )

    # What is shown

    def _note(self, *lines: str, mark: str = "") -> None:
        self._notes.write("".join(f"{mark}{line}\n" for line in lines))
        self._notes.flush()

    def _requested(self, request: OutgoingRequest) -> None:
        if self._options.verbose:
            self._note(*request_head(request), "", mark="> ")

    def _redirected(self, response: ClientResponse, request: OutgoingRequest) -> None:
        if self._options.verbose:
            self._note(*response_head(response), "", mark="< ")
        elif not self._options.silent:
            self._note(f"{response.status}, to {request.url}")

    def _retried(
        self, _: OutgoingRequest, outcome: ClientResponse | Exception, delay: float
    ) -> None:
        if not self._options.silent:
            why = outcome if isinstance(outcome, Exception) else outcome.status
            self._note(f"httpx-tw: {why}; trying again in {delay:.1f} s")

    async def _show(self, response: ClientResponse) -> int:
        options = self._options
        failed = options.fail and response.status >= 400
        if options.include:
            head = "\r\n".join([*response_head(response), "", ""])
            self._write(head.encode("utf-8", "surrogateescape"))
        elif not options.silent:
            mark = "< " if options.verbose else ""
            self._note(*response_head(response), "", mark=mark)
        if failed:
            self._note(f"httpx-tw: status {response.status}")
        elif options.output is None:
            if not await self._to_standard_output(response):
                return UNWRITABLE
        else:
            await self._to_file(response, options.output)
        if not options.silent:
            self._show_facts(response)
        return STATUS_IS_ERROR if failed else 0

    def _show_facts(self, response: ClientResponse) -> None:
        facts, timing = response.connection, response.timing
        assert timing is not None
        lines = [connection_line(facts, is_new=timing.dialed is not None)]
        if facts.tls is not None:
            lines += tls_lines(facts.tls, datetime.now(UTC))
        self._note(*lines, *timing_lines(timing))

    # Where the body goes

    async def _to_standard_output(self, response: ClientResponse) -> bool:
        """Write the body; return False if it is nothing for a terminal."""
        is_terminal = self._out.isatty()
        last = b"\n"
        async for piece in response:
            if is_terminal and b"\0" in piece:
                self._note("httpx-tw: binary: nothing for a terminal; use -o FILE")
                return False
            self._write(piece)
            last = piece
        if is_terminal and not last.endswith(b"\n"):
            self._write(b"\n")
        return True

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self._out.flush()

    async def _to_file(self, response: ClientResponse, path: Path) -> None:
        if path.exists() and not path.is_file():  # /dev/null; or a directory, refused
            with path.open("wb") as device:
                async for piece in response:
                    device.write(piece)
            return
        bar = None
        if self._notes.isatty() and not self._options.silent:
            bar = ProgressBar(self._notes)
        try:
            written = await response.save(path, progress=bar)
        finally:
            if bar is not None:
                bar.close()
        if not self._options.silent:
            self._note(f"{size(written)} written to {path}")
