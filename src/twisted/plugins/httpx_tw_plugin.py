"""What Twisted finds of us: names only, so that twistd stays quick for everybody."""

from twisted.application.service import ServiceMaker

httpx_tw_service = ServiceMaker(
    "httpx-tw",
    "httpx_tw.service.maker",
    "An HTTP server for httpx_tw applications",
    "httpx-tw",
)
