"""Load shapes: which requests are sent, in which order, and what must come back."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from urllib.parse import urlencode

__all__ = ["HELLO", "SHAPES", "Case", "cases_of", "lua_script"]

SHAPES = ("hello", "heads", "varied", "pipelined")
HOST = "www.shop.example"
PIPELINE_DEPTH = 16
"""Requests per send of the pipelined shape, as TechEmpower's plaintext test."""


@dataclass(frozen=True, slots=True)
class Case:
    """One request, and the answer an application must give: text, or a JSON value."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    expected: object

    def wire(self) -> bytes:
        """Return the request as it is sent."""
        lines = [f"{self.method} {self.target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + self.body


HELLO = Case("GET", "/", (("Host", HOST),), b"", "Hello, World!")

_CHROME = (
    ("Connection", "keep-alive"),
    ("sec-ch-ua", '"Chromium";v="{v}", "Google Chrome";v="{v}", "Not?A_Brand";v="24"'),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", '"Windows"'),
    (
        "User-Agent",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 "
        "(KHTML, like Gecko) Chrome/{v}.0.0.0 Safari/537.36",
    ),
    (
        "Accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
        "image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
    ),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "{lang}"),
)
_FIREFOX = (
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:{v}.0) Gecko/20100101 Firefox/{v}.0",
    ),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "{lang}"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Connection", "keep-alive"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Priority", "u=0, i"),
)
_SAFARI = (
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Dest", "document"),
    ("Accept-Language", "{lang}"),
    ("Sec-Fetch-Mode", "navigate"),
    (
        "User-Agent",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_{minor} like Mac OS X) "
        "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.{minor} "
        "Mobile/15E148 Safari/604.1",
    ),
    ("Accept-Encoding", "gzip, deflate, br"),
    ("Connection", "keep-alive"),
    ("Priority", "u=0, i"),
)
_BROWSERS = (_CHROME, _CHROME, _FIREFOX, _SAFARI)
_LANGUAGES = (
    "en-US,en;q=0.9",
    "de-DE,de;q=0.8,en;q=0.5",
    "zh-CN,zh;q=0.9",
    "fr,en;q=0.7",
)
_WORDS = "blue red café shoes lamp naïve & co 50% off garden table 茶 mug oak".split()
_VARIED_CASES = 4000


def cases_of(shape: str, seed: int = 1) -> list[Case]:
    """Return the requests of *shape*; the same *seed* gives the same ones."""
    chance = random.Random(seed)
    if shape == "varied":
        return [_varied_case(chance, number) for number in range(_VARIED_CASES)]
    if shape == "heads":
        return [
            Case("GET", "/", _head(chance), b"", HELLO.expected)
            for _ in range(_VARIED_CASES)
        ]
    return [HELLO]


def lua_script(shape: str, cases: list[Case]) -> str | None:
    """Return the wrk script that sends *cases* in turn; None when wrk needs none."""
    if shape == "hello":
        return None
    repeat = PIPELINE_DEPTH if shape == "pipelined" else 1
    listed = ",\n".join(_lua_string(case.wire() * repeat) for case in cases)
    return (
        f"local requests = {{\n{listed}\n}}\n"
        "local last = 0\n"
        "function request()\n"
        "  last = last % #requests + 1\n"
        "  return requests[last]\n"
        "end\n"
    )


def _varied_case(chance: random.Random, number: int) -> Case:
    # One in ten is a POST; the others are parameters and queries, with some "/".
    kind = number % 10
    if kind == 0:
        return _post_item(chance, number)
    if kind in {1, 2, 3, 4, 5}:
        user, order = chance.randrange(1, 10**7), chance.randrange(1, 10**5)
        target = f"/users/{user}/orders/{order}"
        return Case("GET", target, _head(chance), b"", {"user": user, "order": order})
    if kind in {6, 7, 8}:
        words = " ".join(chance.choices(_WORDS, k=chance.randrange(1, 4)))
        query = {"q": words, "page": chance.randrange(1, 50), "sort": "price"}
        return Case("GET", f"/search?{urlencode(query)}", _head(chance), b"", words)
    return Case("GET", "/", _head(chance), b"", HELLO.expected)


def _post_item(chance: random.Random, number: int) -> Case:
    items = [
        {"sku": f"{chance.getrandbits(40):010x}", "quantity": chance.randrange(1, 9)}
        for _ in range(chance.randrange(1, 6))
    ]
    body = json.dumps({"cart": number, "items": items}).encode()
    head = _head(chance)
    head += (
        ("Origin", f"https://{HOST}"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
    )
    return Case("POST", "/items", head, body, {"ok": True, "n": len(items)})


def _head(chance: random.Random) -> tuple[tuple[str, str], ...]:
    fields = {
        "v": chance.randrange(120, 146),
        "minor": chance.randrange(7),
        "lang": chance.choice(_LANGUAGES),
    }
    browser = chance.choice(_BROWSERS)
    head = [("Host", HOST)]
    head += [(name, value.format(**fields)) for name, value in browser]
    if chance.random() < 0.5:
        head.append(("Referer", f"https://{HOST}/page/{chance.randrange(10**4)}"))
    if chance.random() < 0.7:
        session, visit = chance.getrandbits(128), chance.getrandbits(40)
        cookie = f"session={session:032x}; visit=v1.{visit}.{visit % 977}; theme=dark"
        head.append(("Cookie", cookie))
    return tuple(head)


def _lua_string(raw: bytes) -> str:
    plain = {ord("\\"): "\\\\", ord('"'): '\\"', 13: "\\r", 10: "\\n"}
    return '"' + "".join(plain.get(byte) or chr(byte) for byte in raw) + '"'
