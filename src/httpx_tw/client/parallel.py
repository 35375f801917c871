"""Many requests at a time: all of them, the first that succeeds, the first that ends.

    from httpx_tw import parallel

    batch = parallel.BatchBuilder().get("/a").get("/b").post("/c", json={"d": 1})
    results = await parallel.all(client, batch)

Results are in the order of the specs. Requests that are of no more interest are
cancelled, so that their connections come back at once. Everything here is called on the
reactor thread, and returns a Deferred; cancelling it cancels all that is going on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Protocol,
    Self,
    TypeAlias,
)

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from httpx_tw.errors import ConfigurationError, NoRequests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

__all__ = [
    "DEFAULT_MAX_CONCURRENCY",
    "BatchBuilder",
    "RequestResult",
    "RequestSpec",
    "Requester",
    "Specs",
    "all",  # see below
    "all_settled",
    "any",
    "race",
]

DEFAULT_MAX_CONCURRENCY: Final = 16
"""Requests of one batch going on at a time."""


class Requester(Protocol):
    """What a client must have: Client does, and so may a fake."""

    # Any arguments, for type checkers take no named ones for ``**options``.
    def request(self, *method_and_url: Any, **options: Any) -> Awaitable[Any]:
        """Send a request, and return a Deferred or coroutine of its response.

        Called with method and URL. The response has its ``status`` and its body.
        """


@dataclass(frozen=True, slots=True)
class RequestSpec:
    """A request to be made. See Client.request for what the fields mean.

    None: the field is not given to the client, which does what it does without it.
    """

    url: str
    method: str = "GET"
    _: KW_ONLY
    headers: Any = None
    params: Any = None
    content: Any = None
    data: Any = None
    json: Any = None
    files: Any = None
    timeout: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Anything else that the client's ``request`` takes."""

    def arguments(self) -> dict[str, Any]:
        """Return what the client's ``request`` is called with behind method and URL."""
        fields = {name: getattr(self, name) for name in _PASSED_ON}
        given = {name: value for name, value in fields.items() if value is not None}
        return {**given, **self.options}


_PASSED_ON: Final = "headers params content data json files timeout".split()


Specs: TypeAlias = Iterable[RequestSpec | str]
"""Requests to be made; a str is the URL of a GET."""


@dataclass(frozen=True, slots=True)
class RequestResult:
    """How one request ended: with a response, whatever its status, or an error."""

    spec: RequestSpec
    response: Any = None
    """None: there is none, but an error."""

    error: Exception | None = None

    @property
    def is_success(self) -> bool:
        """There is a response. Of any status: see its ``is_success``."""
        return self.error is None

    def unwrap(self) -> Any:
        """Return the response, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.response


class BatchBuilder:
    """Specs, one after the other; iterate over it, or give it to the functions here."""

    __slots__ = ("_specs",)

    def __init__(self) -> None:
        self._specs: list[RequestSpec] = []

    def add(self, spec: RequestSpec | str) -> Self:
        """Add a request; a str is the URL of a GET."""
        self._specs.append(_as_spec(spec))
        return self

    def get(self, url: str, **fields: Any) -> Self:
        """Add a GET. *fields* are those of RequestSpec."""
        return self.add(RequestSpec(url, "GET", **fields))

    def post(self, url: str, **fields: Any) -> Self:
        """Add a POST; see get."""
        return self.add(RequestSpec(url, "POST", **fields))

    def put(self, url: str, **fields: Any) -> Self:
        """Add a PUT; see get."""
        return self.add(RequestSpec(url, "PUT", **fields))

    def patch(self, url: str, **fields: Any) -> Self:
        """Add a PATCH; see get."""
        return self.add(RequestSpec(url, "PATCH", **fields))

    def delete(self, url: str, **fields: Any) -> Self:
        """Add a DELETE; see get."""
        return self.add(RequestSpec(url, "DELETE", **fields))

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._specs)

    def clear(self) -> Self:
        """Take them all out again."""
        self._specs.clear()
        return self

    def __len__(self) -> int:
        return len(self._specs)

    def __iter__(self) -> Iterator[RequestSpec]:
        return iter(list(self._specs))


# These names are what they are called everywhere else; as ``parallel.all`` they read
# well, and nothing below needs the builtins.


def all(  # noqa: A001
    client: Requester,
    specs: Specs,
    *,
    max_concurrency: int = DEFAULT_MAX_CONCURRENCY,
    fail_fast: bool = False,
) -> Deferred[list[RequestResult]]:
    """Make every request, and return how each ended, in their order.

    :param fail_fast: at the first error cancel the others and raise it. (A response of
        status 500 is a response.)
    :raises ConfigurationError: for a max_concurrency below 1, or what is no spec.
    """

    def decide(result: RequestResult) -> bool:
        if fail_fast and result.error is not None:
            batch.fail(result.error)
            return True
        return False

    batch = _Batch(client, specs, max_concurrency, decide)
    return batch.run().addCallback(lambda _: batch.results)


def all_settled(
    client: Requester,
    specs: Specs,
    *,
    max_concurrency: int = DEFAULT_MAX_CONCURRENCY,
) -> Deferred[list[RequestResult]]:
    """Make every request, and return how each ended: ``all`` by its other name."""
    return all(client, specs, max_concurrency=max_concurrency)


def any(  # noqa: A001
    client: Requester,
    specs: Specs,
    *,
    max_concurrency: int = DEFAULT_MAX_CONCURRENCY,
) -> Deferred[Any]:
    """Return the first response of a status 2xx, and cancel the others.

    None when there is none; so also of no specs at all.

    :raises ConfigurationError: see :func:`all`.
    """

    def decide(result: RequestResult) -> bool:
        if result.response is not None and 200 <= result.response.status < 300:
            batch.succeed(result.response)
            return True
        return False

    batch = _Batch(client, specs, max_concurrency, decide)
    return batch.run()


def race(
    client: Requester,
    specs: Specs,
    *,
    max_concurrency: int = DEFAULT_MAX_CONCURRENCY,
) -> Deferred[RequestResult]:
    """Return how the first request to end did, well or not, and cancel the others.

    :raises NoRequests: there is none that could end.
    :raises ConfigurationError: see :func:`all`.
    """

    def decide(result: RequestResult) -> bool:
        batch.succeed(result)
        return True

    def winner(result: RequestResult | None) -> RequestResult:
        if result is None:
            raise NoRequests("a race of no requests has no winner")
        return result

    batch = _Batch(client, specs, max_concurrency, decide)
    return batch.run().addCallback(winner)


class _Batch:
    """Requests going on, no more than so many at a time."""

    def __init__(
        self,
        client: Requester,
        specs: Specs,
        max_concurrency: int,
        decide: Callable[[RequestResult], bool],
    ) -> None:
        if max_concurrency < 1:
            raise ConfigurationError(
                f"max_concurrency is at least 1: {max_concurrency}"
            )
        self._client = client
        self._specs = [_as_spec(spec) for spec in specs]
        self._max_concurrency = max_concurrency
        self._decide = decide
        self._ended: list[RequestResult | None] = [None] * len(self._specs)
        self._running: dict[int, Deferred[Any]] = {}
        self._next = 0
        self._left = len(self._specs)
        self._is_over = False
        self._is_starting = False
        self._deferred: Deferred[Any] = Deferred(lambda _: self._stop())

    def run(self) -> Deferred[Any]:
        """Begin, and return what was decided; None, if nothing was until the end."""
        self._start_some()
        return self._deferred

    def succeed(self, outcome: Any) -> None:
        """Stop the rest: this is what comes of it."""
        self._stop()
        self._deferred.callback(outcome)

    def fail(self, error: Exception) -> None:
        """Stop the rest: this is what comes of it."""
        self._stop()
        self._deferred.errback(error)

    @property
    def results(self) -> list[RequestResult]:
        """How the requests ended, once all have."""
        return [result for result in self._ended if result is not None]

    def _start_some(self) -> None:
        # A request may end before the call that makes it returns: then the loop below
        # goes on, and not a deeper one, or a thousand of them would overflow the stack.
        if self._is_starting:
            return
        self._is_starting = True
        while (
            not self._is_over
            and self._next < len(self._specs)
            and len(self._running) < self._max_concurrency
        ):
            index = self._next
            self._next += 1
            self._start(index)
        self._is_starting = False
        if self._left == 0 and not self._is_over:
            self._is_over = True
            self._deferred.callback(None)

    def _start(self, index: int) -> None:
        spec = self._specs[index]
        running = _requested(self._client, spec)
        self._running[index] = running
        running.addCallbacks(
            lambda response: self._end(index, RequestResult(spec, response)),
            lambda failure: self._end(index, _failed(spec, failure)),
        )
        # Whatever a decision raises is ours to hear of, and nobody else's to collect.
        running.addErrback(self._break)

    def _end(self, index: int, result: RequestResult) -> None:
        self._running.pop(index, None)
        if self._is_over:
            return  # it was cancelled, or could not be any more
        self._ended[index] = result
        self._left -= 1
        if not self._decide(result):
            self._start_some()

    def _break(self, failure: Failure) -> None:
        if not self._is_over:
            self._stop()
            self._deferred.errback(failure)

    def _stop(self) -> None:
        self._is_over = True
        running, self._running = self._running, {}
        for deferred in running.values():
            deferred.cancel()


def _requested(client: Requester, spec: RequestSpec) -> Deferred[Any]:
    try:
        coming = client.request(spec.method, spec.url, **spec.arguments())
    except Exception:  # noqa: BLE001  # whatever it is, it is how this request ended
        return fail(Failure())
    if isinstance(coming, Deferred):
        return coming
    return Deferred.fromCoroutine(_awaited(coming))


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _failed(spec: RequestSpec, failure: Failure) -> RequestResult:
    error = failure.value
    if not isinstance(error, Exception):
        failure.raiseException()  # KeyboardInterrupt and such are no results
    return RequestResult(spec, error=error)


def _as_spec(spec: RequestSpec | str) -> RequestSpec:
    if isinstance(spec, str):
        return RequestSpec(spec)
    if not isinstance(spec, RequestSpec):
        raise ConfigurationError(f"not a RequestSpec: {spec!r}")
    return spec
