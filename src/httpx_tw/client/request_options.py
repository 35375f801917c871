"""What a request may have besides its method and URL, for type checkers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from httpx_tw.client.authentication import AuthInput
    from httpx_tw.client.content import ContentInput
    from httpx_tw.client.fields import FieldsInput
    from httpx_tw.client.multipart import FilesInput
    from httpx_tw.client.redirects import RedirectPolicy
    from httpx_tw.client.retries import RetryPolicy
    from httpx_tw.client.saving import Progress
    from httpx_tw.client.timeouts import TimeoutInput
    from httpx_tw.headers import HeadersInput

__all__ = ["RequestOptions", "StreamOptions"]


class StreamOptions(TypedDict, total=False):
    """The keywords of Client.stream; Client.request says what they mean."""

    params: FieldsInput
    headers: HeadersInput
    content: ContentInput | None
    data: FieldsInput | ContentInput | None
    json: Any
    files: FilesInput
    cookies: Mapping[str, str] | None
    auth: AuthInput
    timeout: TimeoutInput
    follow_redirects: bool | RedirectPolicy
    retries: int | RetryPolicy | None
    max_response_size: int | None
    wait: bool
    upload_progress: Progress | None


class RequestOptions(StreamOptions, total=False):
    """The keywords of Client.get and the others."""

    stream: bool
