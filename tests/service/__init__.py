"""Tests of httpx_tw.service."""
