"""The files of the directory BENCH_FILES by twisted.web.static.File."""

import os

from site_on_epoll import serve
from twisted.web.resource import Resource
from twisted.web.static import File

root = Resource()
root.putChild(b"files", File(os.environ["BENCH_FILES"]))
serve(root)
