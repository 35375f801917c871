"""Certificates and keys from PEM files, into an OpenSSL context or a complaint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from OpenSSL import SSL

from httpx_tw.errors import ConfigurationError

if TYPE_CHECKING:
    import os

__all__ = ["load_pair"]


def load_pair(
    context: SSL.Context,
    certfile: str | os.PathLike[str],
    keyfile: str | os.PathLike[str] | None = None,
    password: str | None = None,
) -> None:
    """Give *context* the certificate, the chain after it, and its key.

    :param keyfile: None: the key is in *certfile* too.
    :raises ConfigurationError: when a file cannot be read, has not what is needed, is
        encrypted with another password, or key and certificate are no pair.
    """
    keyfile = certfile if keyfile is None else keyfile
    for path in (certfile, keyfile):
        try:
            Path(path).open("rb").close()
        except OSError as error:
            reason = error.strerror
            raise ConfigurationError(f"cannot read {path}: {reason}") from error
    # Without a callback OpenSSL would ask the terminal.
    secret = (password or "").encode()
    context.set_passwd_cb(lambda *_: secret)
    try:
        context.use_certificate_chain_file(certfile)
    except SSL.Error as error:
        raise ConfigurationError(f"{certfile} has no certificate in PEM") from error
    try:
        context.use_privatekey_file(keyfile)
    except (SSL.Error, ValueError) as error:
        hint = "" if password is None else ", or not with this password"
        raise ConfigurationError(
            f"{keyfile} has no private key in PEM that can be read{hint}"
        ) from error
    try:
        context.check_privatekey()
    except SSL.Error as error:
        raise ConfigurationError(
            f"the key in {keyfile} does not belong to the certificate in {certfile}"
        ) from error
