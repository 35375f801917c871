"""An HTTP engine for Twisted: server, client, reactors and worker threads."""

__version__ = "0.1.0.dev0"
