"""Certificates and keys in PEM files: where they are, and into a context with them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL

from httpx_tw.errors import ConfigurationError
from httpx_tw.tls.identity import valid_until

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

__all__ = [
    "Pair",
    "content_digest",
    "load_client_authorities",
    "load_pair",
    "look_of",
    "names_and_end",
    "pairs_in",
]


class Pair(NamedTuple):
    """A certificate's file and its key's; they may be the same."""

    certfile: Path
    keyfile: Path
    chainfile: Path | None = None
    """More of the chain. None: it is all in *certfile*."""


def pairs_in(directory: Path) -> list[Pair]:
    """Return the pairs in *directory*, the default first. See ServerTLS.cert_dir.

    :raises ConfigurationError: when it cannot be read, or there is none.
    """
    try:
        found = [
            pair
            for entry in sorted(directory.iterdir(), key=_default_first)
            if not entry.name.startswith(".")
            for pair in _pairs_of(entry)
        ]
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {directory}: {error.strerror}"
        ) from error
    if not found:
        raise ConfigurationError(f"there is no certificate in {directory}")
    return found


def _default_first(path: Path) -> tuple[bool, str]:
    return path.stem != "default", path.name


def _pairs_of(entry: Path) -> Iterable[Pair]:
    if entry.is_dir():
        certificate, key = entry / "fullchain.pem", entry / "privkey.pem"
        if certificate.exists() and key.exists():
            yield Pair(certificate, key)
    elif entry.suffix == ".pem":
        key = entry.with_suffix(".key")
        yield Pair(entry, key if key.exists() else entry)


def look_of(files: Iterable[Path]) -> object:
    """Return what differs, as good as always, when one of *files* was replaced."""
    return [_look_of_one(path) for path in files]


def _look_of_one(path: Path) -> object:
    try:
        found = path.stat()
    except OSError as error:
        return path, error.errno
    return path, found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev


def content_digest(files: Iterable[Path]) -> bytes:
    """Return a digest of the names and contents of *files*.

    :raises ConfigurationError: when one cannot be read.
    """
    digest = hashlib.sha256()
    for path in files:
        digest.update(hashlib.sha256(bytes(path)).digest())
        digest.update(hashlib.sha256(read(path)).digest())
    return digest.digest()


def read(path: Path) -> bytes:
    """Return what is in the file.

    :raises ConfigurationError: when it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error


def names_and_end(certfile: Path) -> tuple[list[str], float]:
    """Return the DNS names of the first certificate, in lower case, and its end.

    Seconds since the epoch. Names are in subjectAltName; commonName has not counted
    since 2017.

    :raises ConfigurationError: when there is no certificate.
    """
    certificate = _certificates_in(certfile)[0]
    try:
        names = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = []
    except ValueError as error:
        raise ConfigurationError(f"{certfile}: bad extensions: {error}") from error
    return [name.lower() for name in names], valid_until(certificate)


def load_pair(
    context: SSL.Context,
    certfile: str | os.PathLike[str],
    keyfile: str | os.PathLike[str] | None = None,
    password: str | None = None,
    *,
    chainfile: Path | None = None,
) -> None:
    """Give *context* the certificate, the chain after it, and its key.

    :param keyfile: None: the key is in *certfile* too.
    :param chainfile: more of the chain. None: it is all in *certfile*.
    :raises ConfigurationError: when a file cannot be read, has not what is needed, is
        encrypted with another password, or key and certificate are no pair.
    """
    certificate, *chain = _certificates_in(Path(certfile))
    if chainfile is not None:
        chain += _certificates_in(chainfile)
    key: Any = _key_in(Path(certfile if keyfile is None else keyfile), password)
    if key.public_key() != certificate.public_key():
        raise ConfigurationError(
            f"the key in {keyfile or certfile} does not belong to the certificate in "
            f"{certfile}"
        )
    try:
        context.use_certificate(certificate)
        for each in chain:
            context.add_extra_chain_cert(each)
        context.use_privatekey(key)
    except (SSL.Error, TypeError) as error:  # a kind of key that TLS has no use for
        raise ConfigurationError(f"OpenSSL refuses {certfile}{_why(error)}") from error


def load_client_authorities(
    context: SSL.Context, ca_certs: str | os.PathLike[str]
) -> None:
    """Have *context* accept, and name to clients, the authorities in *ca_certs*.

    :raises ConfigurationError: when it cannot be read, or has none.
    """
    _certificates_in(Path(ca_certs))
    try:
        context.load_verify_locations(ca_certs)
        context.load_client_ca(bytes(Path(ca_certs)))
    except SSL.Error as error:
        raise ConfigurationError(f"OpenSSL refuses {ca_certs}{_why(error)}") from error


def _certificates_in(path: Path) -> list[x509.Certificate]:
    content = read(path)
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise ConfigurationError(
            f"{path} has no certificate in PEM that can be read: {error}"
        ) from error


def _key_in(path: Path, password: str | None) -> object:
    content = read(path)
    secret = password and password.encode()
    try:
        try:
            return load_pem_private_key(content, secret or None)
        except TypeError:
            if password is None:
                raise
            return load_pem_private_key(content, None)  # it is not encrypted
    except TypeError as error:
        raise ConfigurationError(
            f"the key in {path} is encrypted: it needs a password"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        hint = "" if password is None else ", or not with this password"
        raise ConfigurationError(
            f"{path} has no key in PEM that can be read{hint}"
        ) from error


def _why(error: Exception) -> str:
    """Return what OpenSSL says, where it says something."""
    match error.args:
        case ([(_, _, str(reason)), *_],) if reason:
            return f": {reason}"
        case _:
            return ""
