"""What Twisted finds of us: names only, so that twistd stays quick for everybody."""

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

httpx_tw_service = ServiceMaker(
    "httpx-tw",
    "httpx_tw.service.maker",
    "An HTTP server for httpx_tw applications",
    "httpx-tw",
)

httpx_tw_epoll = Reactor(
    "httpx-epoll", "httpx_tw.reactors.epoll", "httpx_tw's lean reactor over epoll(7)"
)
httpx_tw_kqueue = Reactor(
    "httpx-kqueue", "httpx_tw.reactors.kqueue", "httpx_tw's lean reactor over kqueue(2)"
)
httpx_tw_poll = Reactor(
    "httpx-poll", "httpx_tw.reactors.poll", "httpx_tw's lean reactor over poll(2)"
)
httpx_tw_uring = Reactor(
    "httpx-uring",
    "httpx_tw.reactors.io_uring",
    "httpx_tw's lean reactor over io_uring(7)",
)
httpx_tw_iocp = Reactor(
    "httpx-iocp",
    "httpx_tw.reactors.iocp",
    "httpx_tw's lean reactor over a completion port, Windows",
)
