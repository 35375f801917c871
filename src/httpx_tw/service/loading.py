"""How the application that ``--app`` names is found and imported."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
import traceback
from pathlib import Path
from typing import Any

from httpx_tw.app.app import App
from httpx_tw.errors import ConfigurationError
from httpx_tw.server.server import Server

__all__ = ["load_application"]


def load_application(name: str, *, factory: bool, app_dir: str) -> App:
    """Import and return what *name* (``module:attribute``) says.

    *app_dir* is put in front of sys.path. The attribute is an App, a Server (which
    lends its App), or with *factory* something that returns either.

    When the application's own code raises, its traceback is written to standard error.

    :raises ConfigurationError: when there is no such thing, or it is something else.
    """
    module_name, separator, attribute = name.partition(":")
    if not separator or not module_name or not attribute:
        raise ConfigurationError(f"--app: expected module:attribute, got {name!r}")
    _look_in(app_dir)
    found = _attribute_of(_import(module_name), attribute)
    if factory:
        found = _made_by(found, name)
    if isinstance(found, Server):
        found = found.app
    if not isinstance(found, App):
        raise ConfigurationError(
            f"--app: {name} {_what_instead(found, factory=factory)}"
        )
    return found


def _look_in(directory: str) -> None:
    path = Path(directory)
    if not path.is_dir():
        raise ConfigurationError(f"--app-dir: {directory!r} is not a directory")
    # Absolute: twistd may change the working directory later.
    place = str(path.absolute())
    if sys.path[:1] != [place]:
        sys.path.insert(0, place)


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing and f"{name}.".startswith(f"{missing}."):
            raise ConfigurationError(
                f"--app: there is no module {missing!r}"
            ) from error
        _blame_application(error)
        raise ConfigurationError(f"--app: importing {name} failed: {error}") from error
    except (ValueError, TypeError) as error:
        if not _frames_of_application(error):  # "..", ".web" and the like
            raise ConfigurationError(f"--app: {name!r} is no module's name") from error
        _blame_application(error)
        raise ConfigurationError(_failed("importing", name, error)) from error
    except (Exception, SystemExit) as error:
        # Anything may come out of a module: it is the application's code.
        _blame_application(error)
        raise ConfigurationError(_failed("importing", name, error)) from error


def _attribute_of(module: Any, path: str) -> Any:
    found = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise ConfigurationError(
                f"--app: {module.__name__} has no {path!r}{_suggestion(module, path)}"
            ) from error
    return found


def _suggestion(module: Any, wanted: str) -> str:
    names = [
        name for name, value in vars(module).items() if isinstance(value, App | Server)
    ]
    close = difflib.get_close_matches(wanted, names, n=1) or names[:1]
    return f"; did you mean {module.__name__}:{close[0]}?" if close else ""


def _made_by(factory: Any, name: str) -> Any:
    if not callable(factory):
        raise ConfigurationError(
            f"--factory: {name} is {_a(factory)}, which cannot be called"
        )
    try:
        made = factory()
    except (Exception, SystemExit) as error:
        _blame_application(error)
        raise ConfigurationError(_failed("calling", name, error)) from error
    if inspect.iscoroutine(made):
        made.close()
        raise ConfigurationError(f"--factory: {name} must be def, not async def")
    return made


def _what_instead(found: object, *, factory: bool) -> str:
    if factory:
        return f"made {_a(found)}, not an App or a Server"
    if isinstance(found, type) and issubclass(found, App | Server):
        return f"is the class {found.__name__} itself, not an object of it"
    hint = "; is it a --factory?" if callable(found) else ""
    return f"is {_a(found)}, not an App or a Server{hint}"


def _a(found: object) -> str:
    if found is None:
        return "None"
    name = type(found).__name__
    return f"an {name}" if name[0].lower() in "aeiou" else f"a {name}"


def _failed(doing: str, name: str, error: BaseException) -> str:
    return f"--app: {doing} {name} failed: {_summary(error)}"


def _summary(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip()


def _blame_application(error: BaseException) -> None:
    """Show where in the application it happened, without the way we got there."""
    lines = traceback.format_exception(
        type(error), error, _frames_of_application(error)
    )
    sys.stderr.write("".join(lines))


def _frames_of_application(error: BaseException) -> Any:
    frame = error.__traceback__
    while frame is not None and _is_on_the_way(frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    return frame


def _is_on_the_way(filename: str) -> bool:
    return filename in (__file__, importlib.__file__) or filename.startswith(
        "<frozen importlib"
    )
