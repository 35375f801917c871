"""Endpoint strings that say TLS."""

from __future__ import annotations

import pytest
from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactor

from httpx_tw.errors import ConfigurationError
from httpx_tw.tls.certificates import ServerTLS
from httpx_tw.tls.endpoint_strings import read_tls_endpoint, says_tls


@pytest.mark.parametrize(
    ("description", "tls", "below"),
    [
        (
            "ssl:443:privateKey=k.pem",
            ServerTLS(certfile="k.pem", keyfile="k.pem"),
            "tcp:443:backlog=50:interface=",
        ),
        (
            "ssl:443:k.pem:certKey=c.pem:extraCertChain=x.pem:backlog=9",
            ServerTLS(certfile="c.pem", keyfile="k.pem", chainfile="x.pem"),
            "tcp:443:backlog=9:interface=",
        ),
        (
            r"ssl:port=443:privateKey=C\:\\k.pem:interface=127.0.0.1",
            ServerTLS(certfile=r"C:\k.pem", keyfile=r"C:\k.pem"),
            "tcp:443:backlog=50:interface=127.0.0.1",
        ),
        (
            "ssl:443",
            ServerTLS(certfile="server.pem", keyfile="server.pem"),
            "tcp:443:backlog=50:interface=",
        ),
        (
            "tls:/srv/certificates",
            ServerTLS(cert_dir="/srv/certificates"),
            r"tcp6:443:backlog=50:interface=\:\:",
        ),
        (
            r"tls:here:port=8443:interface=\:\:1",
            ServerTLS(cert_dir="here"),
            r"tcp6:8443:backlog=50:interface=\:\:1",
        ),
    ],
)
def test_what_they_say(description: str, tls: ServerTLS, below: str) -> None:
    found = read_tls_endpoint(description)
    assert found == (tls, below)
    serverFromString(MemoryReactor(), below)


def test_others_say_nothing_of_it() -> None:
    for other in ("tcp:80", "unix:/tmp/ssl:", "fd:3", ""):
        assert not says_tls(other)
        assert read_tls_endpoint(other) is None
    assert not says_tls(MemoryReactor())


@pytest.mark.parametrize("more", ["sslmethod=TLS_METHOD", "dhParameters=dh.pem"])
def test_what_only_twisted_has_is_left_to_it(more: str) -> None:
    description = f"ssl:443:privateKey=k.pem:{more}"
    assert says_tls(description)
    assert read_tls_endpoint(description) is None


@pytest.mark.parametrize(
    "description",
    ["ssl:", "ssl:1:2:3:4:5:6:7:8:9", "ssl:443:key=k.pem", "tls:", "tls:d:hsts=1"],
)
def test_wrong_arguments_are_refused(description: str) -> None:
    kind = description[:3]
    if description in {"ssl:", "tls:"}:
        description = kind + ":" + "nothing=1"
    with pytest.raises(ConfigurationError, match=f"wrong arguments for '{kind}'"):
        read_tls_endpoint(description)
