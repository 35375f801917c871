"""URLs of http and https: taken apart strictly, put together, resolved.

Where URL parsers disagree there are attacks (a filter sees one host, the client goes to
another), so what they disagree about is refused: backslashes, a second ``@``, control
characters, hosts that are a number in disguise. What they agree how to mend is mended:
a space or ``é`` in a path is percent-encoded, ``é`` in a host becomes an A-label.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from httpx_tw.client.fields import urlencoded
from httpx_tw.errors import InvalidURL
from httpx_tw.origin import Origin

if TYPE_CHECKING:
    from httpx_tw.client.fields import FieldsInput

__all__ = [
    "DEFAULT_PORTS",
    "URL",
    "host_and_port",
    "is_address",
    "join_base",
    "parse_base",
    "parse_url",
    "resolve",
    "with_params",
]

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# RFC 3986 section 3.1.
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")

# The C0 controls and DEL; WHATWG URL drops some of them without a word, which is how
# "java\nscript:" passed filters.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

# RFC 3986 sections 3.3 and 3.4: what needs no encoding. Browsers leave brackets and
# braces in a query alone; servers such as Tomcat refuse them, and none refuses "%5B".
_PATH_SAFE: Final = "/:@!$&'()*+,;=-._~%"
_QUERY_SAFE: Final = _PATH_SAFE + "?"
_CLEAN: Final = re.compile(r"(?:[A-Za-z0-9/:@!$&'()*+,;=\-._~?]|%[0-9A-Fa-f]{2})*")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOT_SEGMENT: Final = re.compile(r"/(?:\.|%2[Ee]){1,2}(?:/|$)")

# Letters, digits and hyphens (RFC 1123 section 2.1), and the underscore that names in
# container networks have. At most 63 in a label, 253 in a name (RFC 1035).
_NAME: Final = re.compile(r"(?=.{1,253}\.?$)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT: Final = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class URL:
    """An http or https URL whose parts are ready for the wire.

    Made by :func:`parse_url`. ``str()`` gives it without its userinfo, which must show
    up in no log; the repr leaves it out too.
    """

    origin: Origin
    target: str
    """Path and query as a request line has them (origin-form, RFC 9112 section 3.2.1);
    ASCII, begins with ``/``."""

    host_header: str
    """What goes into Host: without the port when it is the scheme's own."""

    userinfo: tuple[str, str] | None = field(default=None, repr=False)
    """User name and password, decoded; never part of the target. None: there was none.
    """

    fragment: str | None = None
    """What follows ``#``, encoded; never sent. None: there was no ``#``."""

    @property
    def scheme(self) -> str:
        """Either ``http`` or ``https``."""
        return self.origin.scheme

    @property
    def host(self) -> str:
        """The host in lower case, an IPv6 address without its brackets."""
        return self.origin.host

    @property
    def port(self) -> int:
        """The port, the scheme's own if the URL has none."""
        return self.origin.port

    @property
    def path(self) -> str:
        """The path, percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """What follows ``?``, percent-encoded; "" for none."""
        return self.target.partition("?")[2]

    def __str__(self) -> str:
        url = f"{self.origin.scheme}://{self.host_header}{self.target}"
        return url if self.fragment is None else f"{url}#{self.fragment}"


def parse_url(url: str) -> URL:
    """Take an absolute *url* apart. Any thread may call.

    Spaces round it are dropped, ``.`` and ``..`` are resolved as RFC 3986 section 5.2.4
    does, and what no URL may hold is percent-encoded, unless the module says otherwise.

    :raises InvalidURL: when it is not an absolute http or https URL, or an unsafe one.
    """
    text = _checked_text(url)
    match = _SCHEME.match(text)
    scheme = match[1].lower() if match else ""
    if match is None or scheme not in DEFAULT_PORTS:
        # "localhost:8080/x" has, to the letter, the scheme "localhost".
        raise InvalidURL(f"expected http:// or https:// at the start of {_shown(url)}")
    if not text.startswith("//", match.end()):
        raise InvalidURL(f"expected // behind the scheme of {_shown(url)}")
    return _parse_rest(scheme, text[match.end() + 2 :])


def resolve(base: URL, reference: str) -> URL:
    """Return what *reference*, as a Location has it, means at *base*.

    RFC 3986 section 5.2.2. Userinfo of *base* is not handed down, nor its fragment.

    :raises InvalidURL: see :func:`parse_url`.
    """
    text = _checked_text(reference)
    if _SCHEME.match(text):
        return parse_url(text)
    if text.startswith("//"):
        return _parse_rest(base.scheme, text[2:])
    if text.startswith("/"):
        relative = text
    elif text.startswith("?"):
        relative = base.path + text
    elif not text or text.startswith("#"):
        relative = base.target + text
    else:
        relative = base.path.rpartition("/")[0] + "/" + text
    return _with_reference(base, relative)


def parse_base(url: str) -> URL:
    """Take the URL apart below which relative ones are; its path ends with ``/``.

    :raises InvalidURL: see :func:`parse_url`; also for a query or a fragment, which
        would have to end up in the middle.
    """
    base = parse_url(url)
    if "?" in base.target or base.fragment is not None:
        raise InvalidURL("a base URL has neither a query nor a fragment")
    target = base.target if base.target.endswith("/") else base.target + "/"
    return replace(base, target=target)


def join_base(base: URL, url: str) -> URL:
    """Return absolute *url* as it is, and any other below *base*; see parse_base.

    As httpx does: the path of *base* is kept even if *url* begins with ``/``, and so a
    relative URL never leaves the host of *base*, not with ``//``, nor its path, not
    with ``..``.

    :raises InvalidURL: see :func:`parse_url`.
    """
    text = _checked_text(url)
    if _SCHEME.match(text):
        return parse_url(text)
    joined = _with_reference(base, base.target + text.lstrip("/"))
    if not joined.target.startswith(base.target):
        raise InvalidURL(f"{_shown(url)} leads out of {base}")
    return replace(joined, userinfo=base.userinfo)


def with_params(url: URL, params: FieldsInput) -> URL:
    """Return *url* with *params* behind the query it has.

    :raises ConfigurationError: see :func:`~httpx_tw.client.fields.field_pairs`.
    """
    added = urlencoded(params)
    if not added:
        return url
    path, question_mark, query = url.target.partition("?")
    separator = "&" if question_mark and query and not query.endswith("&") else ""
    return replace(url, target=f"{path}?{query}{separator}{added}")


def is_address(host: str) -> bool:
    """Whether *host*, as URL has it, is an IP address and not a name."""
    # A name that ends in a number is refused: see _check_host_name.
    return ":" in host or host.rpartition(".")[2].isdecimal()


def host_and_port(text: str, default_port: int) -> tuple[str, int]:
    """Take ``host``, ``host:port`` or ``[address]:port`` apart.

    :raises InvalidURL: when it is none of them. Port 0 is none.
    """
    if text.startswith("["):
        literal, bracket, rest = text[1:].partition("]")
        if not bracket:
            raise InvalidURL("no ] behind the address that [ begins")
        host = _ipv6(literal)
    else:
        name, colon, port = text.partition(":")
        host, rest = _host_name(name), colon + port
    if not rest or rest == ":":  # RFC 3986 section 3.2.3: an empty port is the default
        return host, default_port
    if rest[0] != ":" or not _PORT.fullmatch(rest, 1) or not 0 < int(rest[1:]) < 65536:
        raise InvalidURL(f"expected a port from 1 to 65535, got {rest!r}")
    return host, int(rest[1:])


def _checked_text(url: str) -> str:
    if not isinstance(url, str):
        raise InvalidURL(f"a URL is a str, not {type(url).__name__}")
    text = url.strip(" ")
    if _CONTROL.search(text):
        raise InvalidURL("a control character in a URL")
    return text


def _shown(url: str) -> str:
    # Without what may be a password.
    return repr(url.strip(" ").rpartition("@")[2][:100])


def _with_reference(base: URL, reference: str) -> URL:
    """Return the URL at the origin of *base* with this path, query and fragment."""
    target, fragment = _target_and_fragment(reference)
    return URL(base.origin, target, base.host_header, None, fragment)


def _parse_rest(scheme: str, rest: str) -> URL:
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    authority = rest[:end]
    userinfo = None
    if "@" in authority:
        given, _, authority = authority.partition("@")
        userinfo = _userinfo(given)
    if "@" in authority:
        # Which @ ends the userinfo, and so where the host begins, is disputed.
        raise InvalidURL("more than one @ before the path; write %40 in a password")
    default_port = DEFAULT_PORTS[scheme]
    host, port = host_and_port(authority, default_port)
    host_header = f"[{host}]" if ":" in host else host
    if port != default_port:
        host_header += f":{port}"
    target, fragment = _target_and_fragment(rest[end:])
    return URL(Origin(scheme, host, port), target, host_header, userinfo, fragment)


def _userinfo(text: str) -> tuple[str, str]:
    if "\\" in text or "[" in text or "]" in text:
        raise InvalidURL("a backslash or bracket before @; percent-encode it")
    user, _, password = text.partition(":")
    try:
        return unquote(user, errors="strict"), unquote(password, errors="strict")
    except UnicodeDecodeError as error:
        raise InvalidURL("the user or password is not UTF-8") from error


def _ipv6(literal: str) -> str:
    if "%" in literal:
        # RFC 6874: a zone means something on this host only, and must not be sent.
        raise InvalidURL("an IPv6 address with a zone; use local_address instead")
    try:
        return str(IPv6Address(literal))
    except AddressValueError as error:
        raise InvalidURL(f"not an IPv6 address: {error}") from error


def _host_name(name: str) -> str:
    host = name.lower() if name.isascii() else _a_labels(name)
    if not _NAME.fullmatch(host):
        raise InvalidURL(f"not a host name: {name!r}")
    last = host.removesuffix(".").rpartition(".")[2]
    if _NUMBER.fullmatch(last):
        # As WHATWG URL: who ends in a number is an IPv4 address. And only in its full
        # form: 127.1, 0x7f.1 and 2130706433 are loopback to the C library, and names to
        # a filter that keeps clients away from it.
        try:
            return str(IPv4Address(host))
        except AddressValueError as error:
            raise InvalidURL(f"not a host name or IPv4 address: {name!r}") from error
    return host


@lru_cache(maxsize=256)
def _a_labels(name: str) -> str:
    # 15 ms of tables, and few hosts are beyond ASCII.
    import idna

    if len(name) > 253:  # its cost grows with the square of the length
        raise InvalidURL("a host name of more than 253 characters")
    try:
        return idna.encode(name, uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise InvalidURL(f"not a host name: {name!r}: {error}") from error


def _target_and_fragment(reference: str) -> tuple[str, str | None]:
    rest, hash_sign, fragment = reference.partition("#")
    path, question_mark, query = rest.partition("?")
    if "\\" in path:
        # Browsers read it as "/", most others do not.
        raise InvalidURL("a backslash before the query; write %5C if it is meant")
    path = _encoded(path, _PATH_SAFE) or "/"
    if _DOT_SEGMENT.search(path):
        path = _without_dot_segments(path)
    target = path + question_mark + _encoded(query, _QUERY_SAFE)
    return target, _encoded(fragment, _QUERY_SAFE) if hash_sign else None


def _encoded(text: str, safe: str) -> str:
    if _CLEAN.fullmatch(text):
        return text
    try:
        return quote(_BAD_ESCAPE.sub("%25", text), safe=safe)
    except UnicodeEncodeError as error:
        raise InvalidURL("a lone surrogate in a URL") from error


def _without_dot_segments(path: str) -> str:
    """RFC 3986 section 5.2.4; ``%2E`` is a dot too (section 6.2.2.2)."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        plain = segment.replace("%2e", ".").replace("%2E", ".")
        if plain == "..":
            del kept[-1:]
        elif plain != ".":
            kept.append(segment)
    if plain in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)
