"""Tests of httpx_tw.reactors."""
