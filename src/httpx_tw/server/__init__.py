"""The server: connections, exchanges, deadlines, draining."""
