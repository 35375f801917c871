"""Files of the directory BENCH_FILES, and uploads that are counted and thrown away."""

import os

from hello import app

from httpx_tw import Request

app.static("/files", os.environ["BENCH_FILES"])


@app.post("/upload", max_body=0)
async def upload(request: Request) -> dict[str, int]:
    received = 0
    async for piece in request:
        received += len(piece)
    return {"received": received}
