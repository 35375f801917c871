"""What a slow client meets: a long body, a large answer, a request in flight."""

from collections.abc import Iterator

from hello import app

from httpx_tw import Request, Response

PIECE = bytes(64 * 1024)
PIECES = 1024  # 64 MiB: more than the kernel's socket buffers ever take


@app.get("/big")
def big(_: Request) -> Response:
    return Response.stream(pieces())


@app.post("/upload")
async def upload(request: Request) -> dict[str, int]:
    return {"received": len(await request.read())}


@app.get("/two-seconds")
async def two_seconds(_: Request) -> str:
    # An application may: the service has installed the reactor when it imports us.
    from twisted.internet import reactor  # noqa: TID251
    from twisted.internet.task import deferLater

    await deferLater(reactor, 2, lambda: None)  # type: ignore[arg-type]
    return "done"


def pieces() -> Iterator[bytes]:
    for _ in range(PIECES):
        yield PIECE
