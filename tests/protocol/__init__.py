"""Tests of httpx_tw.protocol: no reactor, no socket, no clock."""
