"""The options of the command line, as Twisted's option parser wants them."""

from __future__ import annotations

import getopt
import sys
from typing import TYPE_CHECKING, Any

from twisted.copyright import version as twisted_version
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from httpx_tw import __version__
from httpx_tw.errors import ConfigurationError
from httpx_tw.server.reactor_choice import install_best_reactor
from httpx_tw.service.complaints import complain
from httpx_tw.service.configuration import (
    OPTIONS,
    Configuration,
    configuration_from,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from httpx_tw.service.option import Option

__all__ = ["Options"]


def _parser(option: Option) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return option.parse(text)
        except ConfigurationError as error:
            # Not a ValueError, which Twisted would wrap in words of its own.
            raise UsageError(f"--{option.name}: {error}") from error

    return parse


def _as_parameter(option: Option) -> list[Any]:
    text = (
        f"{option.text} [default: {option.default}]" if option.default else option.text
    )
    return [option.name, None, None, text, _parser(option)]


def _repeatable(option: Option) -> Callable[[Options, str], None]:
    parse = _parser(option)

    def add(self: Options, text: str) -> None:
        self.opts[option.name] = [*(self.opts.get(option.name) or ()), parse(text)]

    add.__doc__ = option.text
    return add


_REPEATABLE = {option.name: option for option in OPTIONS if option.is_repeatable}


class Options(UsageOptions):
    """What ``twistd httpx-tw``, ``twist httpx-tw`` and ``httpx-tw`` understand.

    ``parseOptions`` leaves what it understood in :attr:`configuration`. As a subcommand
    of twistd and twist it ends the process with one line and status 1 where it does not
    understand; by itself it raises UsageError.
    """

    synopsis = "[options] [MODULE:ATTRIBUTE]"
    longdesc = "Serves an httpx_tw application over HTTP."

    optParameters = [  # noqa: N815  # Twisted's name, as the next ones
        _as_parameter(o) for o in OPTIONS if o.value and not o.is_repeatable
    ]
    optFlags = [[o.name, None, o.text] for o in OPTIONS if not o.value]  # noqa: N815
    opt_listen = _repeatable(_REPEATABLE["listen"])
    opt_static = _repeatable(_REPEATABLE["static"])

    configuration: Configuration

    def opt_version(self) -> None:
        """Display the version and exit."""
        sys.stdout.write(f"httpx-tw {__version__} (Twisted {twisted_version})\n")
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:  # noqa: N802
        """See Options.parseOptions of Twisted."""
        arguments = list(sys.argv[1:] if options is None else options)
        try:
            super().parseOptions(self._options_first(arguments))  # type: ignore[no-untyped-call]  # Twisted has no types for it
        except UsageError as error:
            if self.parent is None:
                raise
            # twistd prints the whole help and then the reason, on standard output.
            complain(error)
            raise SystemExit(1) from error

    def _options_first(self, arguments: list[str]) -> list[str]:
        """Put ``module:app --port 80`` into the order that getopt understands."""
        if arguments[-2:-1] == ["--_shell-completion"]:
            return arguments
        try:
            found, rest = getopt.gnu_getopt(arguments, self.shortOpt, self.longOpt)
        except getopt.error as error:
            raise UsageError(str(error)) from error
        first = [
            f"{name}={value}" if f"{name[2:]}=" in self.longOpt else name
            for name, value in found
        ]
        return [*first, "--", *rest]

    def parseArgs(self, *arguments: str) -> None:  # noqa: N802
        """Take the application from the command line's one free word."""
        if not arguments:
            return
        if len(arguments) > 1:
            raise UsageError(f"expected one application, got {' '.join(arguments)}")
        if self["app"] is not None:
            raise UsageError(f"two applications: {self['app']} and {arguments[0]}")
        self["app"] = _parser(_APP)(arguments[0])

    def postOptions(self) -> None:
        """Make the configuration."""
        given = {o.name: self.opts[o.name] for o in OPTIONS if self._was_given(o)}
        try:
            self.configuration = configuration_from(given)
        except ConfigurationError as error:
            raise UsageError(str(error)) from error
        if self.parent is not None:
            # twistd and twist install Twisted's default after this, unless --reactor,
            # which they have read by now, has installed one before.
            install_best_reactor()

    def _was_given(self, option: Option) -> bool:
        value = self.opts.get(option.name)
        return value is not None if option.value else bool(value)


(_APP,) = (option for option in OPTIONS if option.name == "app")
