"""Applications written for other interfaces, on our server."""
