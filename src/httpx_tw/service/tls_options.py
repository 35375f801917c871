"""The options about TLS, and what is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from httpx_tw.errors import ConfigurationError
from httpx_tw.service.option import Option
from httpx_tw.service.quantities import format_duration, parse_count, parse_duration
from httpx_tw.tls.certificates import CIPHERS, ServerTLS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TLS_OPTIONS", "tls_from"]


def _parse_path(text: str) -> str:
    if not text or "\0" in text:
        raise ConfigurationError(f"expected a path, got {text!r}")
    # Absolute: a daemon changes its directory before it looks for new certificates.
    return str(Path(text).absolute())


def _parse_password(text: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text().rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigurationError(f"cannot read {text[1:]}: {reason}") from error


def _parse_word(text: str, words: tuple[str, ...]) -> str:
    if text not in words:
        raise ConfigurationError(f"expected one of {', '.join(words)}, got {text!r}")
    return text


def _parse_requirement(text: str) -> str:
    return _parse_word(text, ("none", "optional", "required"))


def _parse_version(text: str) -> str:
    return _parse_word(text, ("1.2", "1.3"))


def _parse_ciphers(text: str) -> str:
    if not text:
        raise ConfigurationError("expected ciphers, got ''")
    return text


def _parse_port(text: str) -> int:
    port = parse_count(text)
    if port > 65535:
        raise ConfigurationError(f"expected a port from 0 to 65535, got {text!r}")
    return port


_CERTIFICATE: Final = {
    "certfile": Option(
        name="ssl-certfile",
        value="FILE",
        default="",
        text="Serve HTTPS, on all addresses, with this certificate: PEM, its chain"
        " after it. A new one is taken into use within 10 s of its coming, and on"
        " SIGHUP.",
        parse=_parse_path,
    ),
    "keyfile": Option(
        name="ssl-keyfile",
        value="FILE",
        default="",
        text="The certificate's key, PEM. None: it is in the file of the certificate.",
        parse=_parse_path,
    ),
    "password": Option(
        name="ssl-keyfile-password",
        value="TEXT",
        default="",
        text="Of the key, if it is encrypted. @FILE: the one in this file, so that it"
        " is not in the list of processes.",
        parse=_parse_password,
    ),
    "cert_dir": Option(
        name="ssl-cert-dir",
        value="DIRECTORY",
        default="",
        text="Serve HTTPS with the certificates in here, each to those who ask for its"
        " name: NAME.pem with the key in it or in NAME.key, or directories as certbot"
        " makes them.",
        parse=_parse_path,
    ),
    "ca_certs": Option(
        name="ssl-ca-certs",
        value="FILE",
        default="",
        text="Ask clients for a certificate of one of these authorities (PEM).",
        parse=_parse_path,
    ),
    "cert_reqs": Option(
        name="ssl-cert-reqs",
        value="WHEN",
        default="required",
        text="With --ssl-ca-certs, whether clients must show a certificate: required,"
        " or optional.",
        parse=_parse_requirement,
    ),
    "ciphers": Option(
        name="ssl-ciphers",
        value="CIPHERS",
        default=CIPHERS,
        text="For TLS 1.2, as OpenSSL writes them. Those of TLS 1.3 are all sound.",
        parse=_parse_ciphers,
    ),
    "min_version": Option(
        name="ssl-min-version",
        value="VERSION",
        default="1.2",
        text="The oldest TLS spoken: 1.2 or 1.3.",
        parse=_parse_version,
    ),
    "hsts": Option(
        name="hsts",
        value="DURATION",
        default=format_duration(0),
        text="Tell browsers in every response to use HTTPS alone for so long"
        " (Strict-Transport-Security). 0: do not.",
        parse=parse_duration,
    ),
}
"""By the field of ServerTLS that each one sets."""

_REDIRECT: Final = Option(
    name="https-redirect",
    value="PORT",
    default="",
    text="Send who comes to this port with HTTP on to HTTPS.",
    parse=_parse_port,
)

TLS_OPTIONS: Final = (*_CERTIFICATE.values(), _REDIRECT)


def tls_from(given: Mapping[str, Any]) -> ServerTLS | None:
    """Return what the options say of TLS; None: it is not spoken.

    :param given: names and parsed values of the options that were given.
    :raises ConfigurationError: when one makes no sense beside another.
    """
    chosen = {
        field: given[option.name]
        for field, option in _CERTIFICATE.items()
        if option.name in given
    }
    if not {"certfile", "cert_dir"} & chosen.keys():
        for option in TLS_OPTIONS:
            if option.name in given:
                raise ConfigurationError(
                    f"--{option.name} is of no use without --ssl-certfile or"
                    " --ssl-cert-dir"
                )
        return None
    if "keyfile" in chosen and "certfile" not in chosen:
        raise ConfigurationError("--ssl-keyfile is of no use without --ssl-certfile")
    if (chosen.get("cert_reqs", "none") != "none") and "ca_certs" not in chosen:
        raise ConfigurationError("--ssl-cert-reqs is of no use without --ssl-ca-certs")
    if "ca_certs" in chosen and chosen.get("cert_reqs") == "none":
        raise ConfigurationError(
            "--ssl-ca-certs is of no use with --ssl-cert-reqs none"
        )
    return ServerTLS(**chosen)
