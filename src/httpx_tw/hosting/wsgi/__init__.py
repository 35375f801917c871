"""WSGI applications (PEP 3333) on our server: Django, Flask and the rest, unchanged."""

from httpx_tw.hosting.wsgi.application import WSGIApp
from httpx_tw.hosting.wsgi.file_wrapper import FileWrapper

__all__ = ["FileWrapper", "WSGIApp"]
