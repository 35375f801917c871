"""Which error ends with which status."""

from __future__ import annotations

import pytest

from httpx_tw import errors
from httpx_tw.service.get.exits import exit_status, hint_for


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidURL("x"), 3),
        (errors.NameNotResolved("x"), 6),
        (errors.ConnectFailed("x"), 7),
        (errors.RemoteProtocolError("x"), 8),
        (errors.IncompleteMessage("x"), 18),
        (errors.ConnectTimeout("x"), 28),
        (errors.TotalTimeout("x"), 28),
        (errors.HandshakeFailed("x"), 35),
        (errors.TooManyRedirects("x"), 47),
        (errors.ConnectionLost("x"), 52),
        (errors.CertificateRejected("x"), 60),
        (errors.DecodingError("x"), 61),
        (errors.ProxyAuthenticationRequired("x"), 97),
        (errors.ConfigurationError("x"), 2),
        (errors.InvalidHeader("x"), 2),
        (errors.ClientClosed("x"), 1),
    ],
)
def test_each_has_the_status_of_curl(error: Exception, status: int) -> None:
    assert exit_status(error) == status


def test_a_certificate_has_a_way_out() -> None:
    assert "--cacert" in hint_for(errors.CertificateRejected("x"))
    assert hint_for(errors.ConnectFailed("x")) == ""
