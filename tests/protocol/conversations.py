"""Whole conversations with one side: what it says to bytes, however they are split."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from httpx_tw.errors import IncompleteMessage, RemoteProtocolError
from httpx_tw.protocol.events import (
    END_OF_MESSAGE,
    NEED_DATA,
    PAUSED,
    PEER_CLOSED,
    RequestHead,
    ResponseHead,
)
from httpx_tw.protocol.http1_client import ClientSide
from httpx_tw.protocol.http1_reader import RequestHeadParser, ResponseHeadParser
from httpx_tw.protocol.http1_server import ServerSide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from httpx_tw.headers import HeaderPairs
    from httpx_tw.limits import Limits
    from httpx_tw.protocol.http1 import Event


@dataclass(slots=True)
class Message:
    """What was read of one message."""

    head: RequestHead | ResponseHead
    body: bytes = b""
    is_whole: bool = False
    trailers: HeaderPairs = field(default_factory=list)


@dataclass(slots=True)
class Heard:
    """Everything one side said to what it was fed."""

    messages: list[Message] = field(default_factory=list)
    refusal: int | None = None
    """The status of the error that ended it."""

    def whole(self) -> list[Message]:
        return [message for message in self.messages if message.is_whole]


def to_server(
    pieces: list[bytes], limits: Limits, parser: RequestHeadParser | None = None
) -> Heard:
    """Feed *pieces* and then the end to a server that answers each request at once.

    :param parser: one that other connections had before. None: a new one.
    """
    return _talk(ServerSide(parser or RequestHeadParser(limits), limits), pieces)


def to_client(pieces: list[bytes], limits: Limits, method: str = "GET") -> Heard:
    """Feed *pieces* and then the end to a client that has asked once by *method*."""
    side = ClientSide(ResponseHeadParser(limits), limits)
    side.request_head(method, "/", [], 0)
    return _talk(side, pieces)


def _talk(side: ServerSide | ClientSide, pieces: list[bytes]) -> Heard:
    heard = Heard()
    bound = 10 * sum(map(len, pieces)) + 10 * len(pieces) + 100
    try:
        for steps, event in enumerate(_events(side, pieces)):
            assert steps < bound, "it goes on for ever"
            _note(heard, side, event)
    except IncompleteMessage:
        heard.refusal = None  # the end of what we had to say, not a fault in it
    except RemoteProtocolError as error:
        heard.refusal = error.status
    assert heard.refusal in {None, 400, 413, 414, 431, 501, 505}
    return heard


def _events(side: ServerSide | ClientSide, pieces: list[bytes]) -> Iterator[Event]:
    for piece in pieces:
        yield from _until_it_waits(side, side.receive(piece))
    yield from _until_it_waits(side, side.receive_eof())


def _until_it_waits(side: ServerSide | ClientSide, event: Event) -> Iterator[Event]:
    while True:
        yield event
        if event in (NEED_DATA, PEER_CLOSED):
            return
        if event is PAUSED:
            if isinstance(side, ClientSide):
                return
            side.start_next_cycle()
        event = side.next_event()


def _note(heard: Heard, side: ServerSide | ClientSide, event: Event) -> None:
    if isinstance(event, RequestHead | ResponseHead):
        heard.messages.append(Message(event, is_whole=event.body_length == 0))
    elif isinstance(event, bytes):
        assert event, "an empty piece"
        heard.messages[-1].body += event
    elif event is END_OF_MESSAGE:
        heard.messages[-1].is_whole = True
        heard.messages[-1].trailers = list(side.trailers)
