"""An App whose answers come from WSGI applications."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from httpx_tw.app.route import is_async
from httpx_tw.errors import ConfigurationError
from httpx_tw.hosting.mounting import MountingApp, mount_prefix
from httpx_tw.hosting.wsgi.call import Call
from httpx_tw.hosting.wsgi.environ import EnvironMaker
from httpx_tw.hosting.wsgi.file_wrapper import FileWrapper, sendable

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from httpx_tw.app.request import Request

__all__ = ["MountOptions", "WSGIApp"]


class MountOptions(TypedDict, total=False):
    """How a WSGI application is mounted."""

    url_scheme: str | None
    """``wsgi.url_scheme``: "https" behind a proxy that ends TLS. None: what the
    connection is."""

    multiprocess: bool
    """``wsgi.multiprocess``: other processes serve the same application."""

    max_body: int | None
    """Largest request body in bytes. 0: no limit. None: the server's."""

    timeout: float | None
    """Seconds until the response must begin. 0: no deadline. None: the server's."""


class WSGIApp(MountingApp):
    """An App with WSGI applications in it (PEP 3333), each below a path of its own.

        app = WSGIApp(site)                        # everything goes to site
        app.mount("/blog", blog)                   # this has SCRIPT_NAME=/blog
        app.get("/health", lambda request: "ok")   # and this neither of them sees

    Routes go before applications, the longer path before the shorter. Each request is
    one call on a worker thread of the server, which goes on to iterate over what was
    returned; so applications may block, and must be safe to call from several threads.

    What HTTP or PEP 3333 forbids (a status like "OK", a hop-by-hop header, a body that
    is shorter than its Content-Length) is answered 500, or ends the connection when the
    response has begun; it is in the log, as is what the application raised.

    :param application: mounted at *mount*; None: nothing is mounted yet.
    :raises ConfigurationError: see mount.
    """

    __slots__ = ()

    def __init__(
        self,
        application: WSGIApplication | None = None,
        *,
        mount: str = "/",
        **options: Unpack[MountOptions],
    ) -> None:
        super().__init__()
        if application is not None:
            self.mount(mount, application, **options)

    def mount(
        self, path: str, application: WSGIApplication, **options: Unpack[MountOptions]
    ) -> None:
        """Give *application* every request to *path* and what is below it.

        *path* is written decoded and without a slash at its end; "/" is everything.
        Call it on the reactor thread, at any time.

        :raises ConfigurationError: for a bad path or option, for what is not a WSGI
            application, and when something is mounted there already.
        """
        scheme = options.get("url_scheme")
        if scheme not in (None, "http", "https"):
            raise ConfigurationError(f"url_scheme is http or https, not {scheme!r}")
        _check_application(application)
        environ = EnvironMaker(
            mount_prefix(path),
            url_scheme=scheme or "",
            is_multiprocess=options.get("multiprocess", False),
        )
        self._mount(
            path,
            _Gateway(application, environ),
            max_body=options.get("max_body"),
            timeout=options.get("timeout"),
            thread=True,
        )


def _check_application(application: Any) -> None:
    if not callable(application):
        raise ConfigurationError(f"{application!r} cannot be called")
    if is_async(application):
        raise ConfigurationError(
            f"{application!r} is async, and no WSGI application: is it ASGI?"
        )
    try:
        inspect.signature(application).bind({}, None)
    except ValueError:
        pass  # it does not tell: it is not written in Python
    except TypeError as error:
        raise ConfigurationError(
            f"{application!r} cannot be called with environ and start_response"
        ) from error


class _Gateway:
    """The endpoint that calls an application, and answers with what it says."""

    __slots__ = ("_application", "_environ")

    def __init__(self, application: WSGIApplication, environ: EnvironMaker) -> None:
        self._application = application
        self._environ = environ

    def __call__(self, request: Request) -> Any:
        call = Call(request)
        maker = self._environ
        try:
            result: Any = self._application(maker.make(request), call.start_response)
            if (
                type(result) is list
                and len(result) == 1
                and type(result[0]) is bytes
                and call.writer is None
            ):
                # What most applications without a framework return.
                return call.whole(result[0])
            return _answer(call, result)
        except BaseException:
            call.give_up()
            raise
        finally:
            if maker.errors.unended:
                maker.errors.flush()


def _answer(call: Call, result: Any) -> Any:
    if call.writer is None:
        if type(result) is list or type(result) is tuple:
            return call.whole(b"".join(result))
        if type(result) is FileWrapper:
            body = sendable(result)
            if body is not None:
                return call.of_file(body)
    return call.in_pieces(result)
