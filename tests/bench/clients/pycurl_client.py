"""libcurl by pycurl: one CurlMulti, its handles used again and again."""

from __future__ import annotations

import os
from io import BytesIO

import pycurl
from asking import arguments

task = arguments()


class Handle:
    """An easy handle, and the buffer its answers go to."""

    def __init__(self) -> None:
        self.curl = pycurl.Curl()
        self.buffer = BytesIO()
        self.curl.setopt(pycurl.WRITEFUNCTION, self.buffer.write)
        if "SSL_CERT_FILE" in os.environ:
            self.curl.setopt(pycurl.CAINFO, os.environ["SSL_CERT_FILE"])
        self.curl.handle = self  # it says which one is done

    def looked_at(self) -> None:
        """Look at the answer, and make room for the next."""
        task.answered(self.curl.getinfo(pycurl.RESPONSE_CODE), self.buffer.getvalue())
        self.buffer.seek(0)
        self.buffer.truncate()


def ask(multi: pycurl.CurlMulti, handles: list[Handle]) -> None:
    """GET until nothing is left."""
    going = sum(begin(multi, handle.curl) for handle in handles)
    while going:
        while multi.perform()[0] == pycurl.E_CALL_MULTI_PERFORM:
            pass
        left = 1
        while left:
            left, done, failed = multi.info_read()
            if failed:
                raise SystemExit(str(failed))
            for curl in done:
                multi.remove_handle(curl)
                curl.handle.looked_at()
                going -= not begin(multi, curl)
        if going:
            multi.select(1.0)


def begin(multi: pycurl.CurlMulti, curl: pycurl.Curl) -> bool:
    """Ask once more, if there is more to be asked."""
    is_one_more = task.take()
    if is_one_more:
        curl.setopt(pycurl.URL, task.url)  # the others are told it each time, too
        multi.add_handle(curl)
    return is_one_more


def main() -> None:
    """Warm up, and measure."""
    multi = pycurl.CurlMulti()
    handles = [Handle() for _ in range(task.in_flight)]
    for requests in (task.requests // 10, task.requests):
        task.begin(requests)
        ask(multi, handles)
    task.report()


main()
