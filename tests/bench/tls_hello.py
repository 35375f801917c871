#!/usr/bin/env python3
"""CPU per request over TLS 1.3 of httpx_tw and its peers, interleaved, on one core.

    python tests/bench/tls_hello.py
    python tests/bench/tls_hello.py --only httpx-tw-lean-tls,nginx-tls --rounds 5

It is hello.py with other servers, and options are the same; connections are kept alive,
so that handshakes do not count. Exit status 1 too when one of the claims below does not
hold.
"""

import sys

from hello import main

SERVERS = (
    "httpx-tw-lean-tls,httpx-tw-tls,floor-tls,nginx-tls,granian-asgi-tls,uvicorn-tls"
)
CLAIMS = (
    "httpx-tw-lean-tls<=1.9*nginx-tls",
    "httpx-tw-lean-tls<=0.9*granian-asgi-tls",
    "httpx-tw-lean-tls<=0.6*uvicorn-tls",
    "httpx-tw-lean-tls<=0.25*twisted.web-tls",
)

if __name__ == "__main__":
    try:
        sys.exit(main(__doc__, SERVERS + ",twisted.web-tls", CLAIMS))
    except KeyboardInterrupt:
        sys.exit(130)
