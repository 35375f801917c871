"""A small and a large body on httpx_tw."""

from httpx_tw import App, Request, Response

app = App()

LARGE = bytes(range(256)) * 256  # 64 KiB


@app.get("/")
def small(_: Request) -> str:
    return "Hello, World!"


@app.get("/64k")
def large(_: Request) -> Response:
    return Response(LARGE, content_type="application/octet-stream")
