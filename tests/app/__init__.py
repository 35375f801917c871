"""Tests of httpx_tw.app."""
