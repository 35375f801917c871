"""What the options about TLS mean, alone and together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from httpx_tw.errors import ConfigurationError
from httpx_tw.service.configuration import configuration_from
from httpx_tw.service.tls_options import TLS_OPTIONS, tls_from
from httpx_tw.tls.certificates import ServerTLS

BY_NAME = {option.name: option for option in TLS_OPTIONS}


def test_without_them_tls_is_not_spoken() -> None:
    assert tls_from({}) is None


def test_each_one_fills_its_field() -> None:
    assert tls_from(
        {
            "ssl-certfile": "/c",
            "ssl-keyfile": "/k",
            "ssl-keyfile-password": "geheim",
            "ssl-cert-dir": "/d",
            "ssl-ca-certs": "/a",
            "ssl-cert-reqs": "optional",
            "ssl-ciphers": "X",
            "ssl-min-version": "1.3",
            "hsts": 300.0,
        }
    ) == ServerTLS(
        certfile="/c",
        keyfile="/k",
        password="geheim",
        cert_dir="/d",
        ca_certs="/a",
        cert_reqs="optional",
        ciphers="X",
        min_version="1.3",
        hsts=300.0,
    )


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"ssl-keyfile": "/k"}, "--ssl-keyfile is of no use without --ssl-certfile or"),
        ({"https-redirect": 80}, "--https-redirect is of no use without"),
        ({"hsts": 300.0}, "--hsts is of no use without"),
        (
            {"ssl-cert-dir": "/d", "ssl-keyfile": "/k"},
            "--ssl-keyfile is of no use without --ssl-certfile",
        ),
        (
            {"ssl-certfile": "/c", "ssl-cert-reqs": "required"},
            "--ssl-cert-reqs is of no use without --ssl-ca-certs",
        ),
        (
            {"ssl-certfile": "/c", "ssl-cert-reqs": "none", "ssl-ca-certs": "/a"},
            "--ssl-ca-certs is of no use with --ssl-cert-reqs none",
        ),
    ],
)
def test_what_is_of_no_use_is_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        configuration_from(given)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ssl-certfile", ""),
        ("ssl-certfile", "a\0b"),
        ("ssl-cert-reqs", "maybe"),
        ("ssl-min-version", "1.1"),
        ("ssl-ciphers", ""),
        ("hsts", "a year"),
        ("https-redirect", "65536"),
        ("ssl-keyfile-password", "@/does/not/exist"),
    ],
)
def test_nonsense_is_refused(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError):
        BY_NAME[name].parse(text)


def test_paths_are_made_absolute() -> None:
    assert BY_NAME["ssl-certfile"].parse("a.pem") == str(Path.cwd() / "a.pem")


def test_a_password_may_be_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("geheim \n")
    parse = BY_NAME["ssl-keyfile-password"].parse
    assert parse(f"@{path}") == "geheim "
    assert parse("geheim") == "geheim"
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigurationError, match="it is no text"):
        parse(f"@{path}")


def test_the_redirect_is_where_the_service_is() -> None:
    given: dict[str, Any] = {"ssl-certfile": "/c", "https-redirect": 80, "host": "::1"}
    configuration = configuration_from(given)
    assert configuration.https_redirect == r"tcp6:80:interface=\:\:1"
    assert configuration.addresses == (
        r"tcp6:8080:interface=\:\:1",
        r"tcp6:80:interface=\:\:1",
    )
