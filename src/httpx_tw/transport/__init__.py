"""Sockets under Twisted's reactors: how bytes leave, and how connections come in."""
