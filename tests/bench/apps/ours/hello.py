"""The benchmark's four routes on httpx_tw."""

from httpx_tw import App, Request

app = App()


@app.get("/")
def hello(_: Request) -> str:
    return "Hello, World!"


@app.get("/users/{id:int}/orders/{n:int}")
def order(request: Request) -> dict[str, int]:
    return {"user": request.path_params["id"], "order": request.path_params["n"]}


@app.get("/search")
def search(request: Request) -> str:
    return str(request.query.get("q", ""))


@app.post("/items")
def items(request: Request) -> dict[str, object]:
    return {"ok": True, "n": len(request.json()["items"])}
