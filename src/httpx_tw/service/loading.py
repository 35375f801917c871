"""How the application that ``--app`` or ``--wsgi`` names is found and imported."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from httpx_tw.app.app import App
from httpx_tw.errors import ConfigurationError
from httpx_tw.hosting.wsgi import WSGIApp
from httpx_tw.server.server import Server

__all__ = ["load_application", "load_wsgi_application"]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What an option names, for the sentences about what it does not."""

    option: str
    words: str


_OURS: Final = _Wanted("--app", "an App or a Server")
_WSGI: Final = _Wanted("--wsgi", "a WSGI application")


def load_application(name: str, *, factory: bool, app_dir: str) -> App:
    """Import and return what *name* (``module:attribute``) says.

    *app_dir* is put in front of sys.path. The attribute is an App, a Server (which
    lends its App), or with *factory* something that returns either.

    When the application's own code raises, its traceback is written to standard error.

    :raises ConfigurationError: when there is no such thing, or it is something else.
    """
    found = _load(_OURS, name, factory=factory, app_dir=app_dir)
    if isinstance(found, Server):
        found = found.app
    if not isinstance(found, App):
        raise ConfigurationError(
            f"--app: {name} {_what_instead(_OURS, found, factory=factory)}"
        )
    return found


def load_wsgi_application(
    name: str, *, mount: str, factory: bool, app_dir: str
) -> WSGIApp:
    """Import what *name* says, and return an App that has it mounted at *mount*.

    As :func:`load_application` otherwise; the attribute is a WSGI application, or with
    *factory* something that returns one.

    :raises ConfigurationError: when there is no such thing, or it is something else.
    """
    found = _load(_WSGI, name, factory=factory, app_dir=app_dir)
    if isinstance(found, App | Server):
        raise ConfigurationError(f"--wsgi: {name} is {_a(found)}: name it with --app")
    if not callable(found):
        raise ConfigurationError(
            f"--wsgi: {name} {_what_instead(_WSGI, found, factory=factory)}"
        )
    app = WSGIApp()
    try:
        app.mount(mount, found)
    except ConfigurationError as error:
        hint = "" if factory else "; is it a --factory?"
        raise ConfigurationError(f"--wsgi: {error}{hint}") from error
    return app


def _load(wanted: _Wanted, name: str, *, factory: bool, app_dir: str) -> Any:
    module_name, separator, attribute = name.partition(":")
    if not separator or not module_name or not attribute:
        raise ConfigurationError(
            f"{wanted.option}: expected module:attribute, got {name!r}"
        )
    _look_in(app_dir)
    found = _attribute_of(wanted, _import(wanted, module_name), attribute)
    return _made_by(wanted, found, name) if factory else found


def _look_in(directory: str) -> None:
    path = Path(directory)
    if not path.is_dir():
        raise ConfigurationError(f"--app-dir: {directory!r} is not a directory")
    # Absolute: twistd may change the working directory later.
    place = str(path.absolute())
    if sys.path[:1] != [place]:
        sys.path.insert(0, place)


def _import(wanted: _Wanted, name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing and f"{name}.".startswith(f"{missing}."):
            raise ConfigurationError(
                f"{wanted.option}: there is no module {missing!r}"
            ) from error
        _blame_application(error)
        raise ConfigurationError(
            f"{wanted.option}: importing {name} failed: {error}"
        ) from error
    except (ValueError, TypeError) as error:
        if not _frames_of_application(error):  # "..", ".web" and the like
            raise ConfigurationError(
                f"{wanted.option}: {name!r} is no module's name"
            ) from error
        _blame_application(error)
        raise ConfigurationError(_failed(wanted, "importing", name, error)) from error
    except (Exception, SystemExit) as error:
        # Anything may come out of a module: it is the application's code.
        _blame_application(error)
        raise ConfigurationError(_failed(wanted, "importing", name, error)) from error


def _attribute_of(wanted: _Wanted, module: Any, path: str) -> Any:
    found = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise ConfigurationError(
                f"{wanted.option}: {module.__name__} has no {path!r}"
                f"{_suggestion(wanted, module, path)}"
            ) from error
    return found


def _suggestion(wanted: _Wanted, module: Any, path: str) -> str:
    names = [
        name
        for name, value in vars(module).items()
        if (callable(value) if wanted is _WSGI else isinstance(value, App | Server))
    ]
    close = difflib.get_close_matches(path, names, n=1)
    if not close and wanted is _OURS:
        close = names[:1]
    return f"; did you mean {module.__name__}:{close[0]}?" if close else ""


def _made_by(wanted: _Wanted, factory: Any, name: str) -> Any:
    if not callable(factory):
        raise ConfigurationError(
            f"--factory: {name} is {_a(factory)}, which cannot be called"
        )
    try:
        made = factory()
    except (Exception, SystemExit) as error:
        _blame_application(error)
        raise ConfigurationError(_failed(wanted, "calling", name, error)) from error
    if inspect.iscoroutine(made):
        made.close()
        raise ConfigurationError(f"--factory: {name} must be def, not async def")
    return made


def _what_instead(wanted: _Wanted, found: object, *, factory: bool) -> str:
    if factory:
        return f"made {_a(found)}, not {wanted.words}"
    if isinstance(found, type) and issubclass(found, App | Server):
        return f"is the class {found.__name__} itself, not an object of it"
    hint = "; is it a --factory, or for --wsgi?" if callable(found) else ""
    return f"is {_a(found)}, not {wanted.words}{hint}"


def _a(found: object) -> str:
    if found is None:
        return "None"
    name = type(found).__name__
    return f"an {name}" if name[0].lower() in "aeiou" else f"a {name}"


def _failed(wanted: _Wanted, doing: str, name: str, error: BaseException) -> str:
    return f"{wanted.option}: {doing} {name} failed: {_summary(error)}"


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
